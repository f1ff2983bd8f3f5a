// The chunks of an answer's stream: AI SDK UI message stream, protocol v1, each with the offset it brings a reader to.
import { type ErrorCode, errors } from "../errors.ts";
import type { Ending, FinishReason, Usage } from "../rows/turns.ts";

export type Chunk =
  | { type: "start"; messageId: string; messageMetadata: { turn_id: string; conversation_id: string } }
  | { type: "reasoning-start" | "reasoning-end" | "text-start" | "text-end"; id: string }
  | { type: "reasoning-delta" | "text-delta"; id: string; delta: string }
  | { type: "finish"; finishReason: FinishReason; messageMetadata: { usage: Usage | null } }
  | { type: "abort" }
  | { type: "error"; errorText: string; code: ErrorCode };

/** `offset`: how much of the parts, laid end to end, the reader has after this chunk, in UTF-16 code units. */
export type Frame = { offset: number; chunk: Chunk };

/** The one chunk that says how the turn ended. */
export function terminal(ending: Ending): Chunk {
  switch (ending.status) {
    case "done":
      return { type: "finish", finishReason: ending.finishReason, messageMetadata: { usage: ending.usage } };
    case "stopped":
      return { type: "abort" };
    case "interrupted":
      return failure("interrupted");
    case "failed":
      return failure(ending.code);
  }
}

function failure(code: ErrorCode): Chunk {
  return { type: "error", errorText: errors[code][1], code };
}
