// Following one answer until it has ended, whatever the network does: a broken or silent connection is
// replaced by one that continues at the offset held, so every character arrives once.

import { createParser } from "eventsource-parser";
import type { Api, Part, Turn } from "./api.ts";
import { onWake } from "./wake.ts";
import { Problem } from "./wire.ts";

export type Ending = { status: Turn["status"]; code: string | null; finishReason: string | null };

export type StreamEvent =
  | { type: "opened"; turnId: string }
  | { type: "delta"; kind: Part["type"]; text: string }
  | { type: "lost"; error: unknown }
  | { type: "ended"; ending: Ending };

/** Where the reader stands; `id` is unknown until the server has named the turn. */
export type Position = { id: string | undefined; offset: number };

type Frame = {
  type: string;
  delta?: string;
  code?: string;
  finishReason?: string;
  messageMetadata?: { turn_id?: string };
};

// The server breaks every silence after 10 s; three missed heartbeats mean that nobody is there, and after a
// sleep one that is missing is enough.
const silenceMs = 32_000;
const sleepMs = 12_000;
const pauseMs = { first: 500, most: 15_000 };

/** Yields the rest of an answer from `position` on, beginning with `response` when one is already open. */
export async function* follow(
  api: Api,
  position: Position,
  signal: AbortSignal,
  response?: Response,
): AsyncGenerator<StreamEvent> {
  let open = response;
  let lost: unknown;
  for (let failures = 0; ; failures += 1) {
    lost = undefined;
    try {
      open ??= await api.stream(known(position), position.offset, signal);
      if (open.status === 204) {
        yield { type: "ended", ending: endingOf(await api.turn(known(position))) };
        return;
      }
      for await (const { frame, offset } of frames(open, signal)) {
        const event = read(frame);
        if (event === undefined) continue;
        if (event.type === "opened") position.id = event.turnId;
        if (offset !== undefined) position.offset = offset;
        failures = 0;
        yield event;
        if (event.type === "ended") return;
      }
    } catch (error) {
      if (signal.aborted || !(error instanceof Problem) || !error.passing) throw error;
      lost = error;
    }
    // Without its id the turn cannot be found again from here; the conversation has to be read anew.
    if (position.id === undefined) throw new Problem(0, "unreachable");
    open = undefined;
    yield { type: "lost", error: lost };
    await pause(failures, signal);
  }
}

/** Resolves after a delay that doubles with each failure, or at once when the page wakes up. */
export function pause(failures: number, signal: AbortSignal): Promise<void> {
  const longestMs = Math.min(pauseMs.first * 2 ** failures, pauseMs.most);
  // Spread, so that the readers of a restarted server do not all come back in the same instant.
  const delayMs = longestMs * (0.5 + Math.random() / 2);
  return new Promise((resolve, reject) => {
    const wake = new AbortController();
    const end = (settle: () => void) => {
      clearTimeout(timer);
      wake.abort();
      settle();
    };
    const timer = setTimeout(() => end(resolve), delayMs);
    onWake(() => end(resolve), wake.signal);
    signal.addEventListener("abort", () => end(() => reject(signal.reason)), { signal: wake.signal });
  });
}

export function endingOf(turn: Turn): Ending {
  return { status: turn.status, code: turn.error?.code ?? null, finishReason: turn.finish_reason };
}

function known(position: Position): string {
  if (position.id === undefined) throw new Problem(0, "unreachable");
  return position.id;
}

/** The frames of one connection; ends or throws when it does. */
async function* frames(
  response: Response,
  signal: AbortSignal,
): AsyncGenerator<{ frame: Frame; offset: number | undefined }> {
  const ready: { frame: Frame; offset: number | undefined }[] = [];
  const parser = createParser({
    onEvent({ data, id }) {
      if (data !== "[DONE]") ready.push({ frame: JSON.parse(data), offset: id ? Number(id) : undefined });
    },
  });
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
  if (reader === undefined) return;
  try {
    for (;;) {
      const { done, value } = await withinSilence(reader.read(), signal);
      if (done) return;
      parser.feed(value);
      yield* ready.splice(0);
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

/** A read that fails when nothing at all arrives in time, as after a sleep that no one told the socket of. */
async function withinSilence<Value>(read: Promise<Value>, signal: AbortSignal): Promise<Value> {
  const done = new AbortController();
  const begunMs = Date.now(); // goes on while the machine sleeps, as a timer does not
  const silence = new Promise<never>((_, reject) => {
    const fail = () => reject(new Problem(0, "unreachable"));
    const timer = setTimeout(fail, silenceMs);
    done.signal.addEventListener("abort", () => clearTimeout(timer));
    onWake(() => Date.now() - begunMs > sleepMs && fail(), done.signal);
  });
  try {
    return await Promise.race([read, silence]);
  } catch {
    signal.throwIfAborted();
    throw new Problem(0, "unreachable");
  } finally {
    done.abort();
  }
}

function read(frame: Frame): StreamEvent | undefined {
  switch (frame.type) {
    case "start":
      return { type: "opened", turnId: frame.messageMetadata?.turn_id ?? "" };
    case "reasoning-delta":
      return { type: "delta", kind: "reasoning", text: frame.delta ?? "" };
    case "text-delta":
      return { type: "delta", kind: "text", text: frame.delta ?? "" };
    case "finish":
      return ended("done", null, frame.finishReason ?? null);
    case "abort":
      return ended("stopped", null, null);
    case "error":
      return ended(frame.code === "interrupted" ? "interrupted" : "failed", frame.code ?? null, null);
    default:
      return undefined;
  }
}

function ended(status: Turn["status"], code: string | null, finishReason: string | null): StreamEvent {
  return { type: "ended", ending: { status, code, finishReason } };
}
