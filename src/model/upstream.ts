// Reads a model's response: bytes to frames, frames to deltas, deltas to an outcome. The hot path of the server:
// it makes one promise for each read rather than each token, and never buffers more than one frame.
import { Fault } from "./fault.ts";
import { Frames, Whole } from "./frames.ts";
import type { Splitter } from "./reasoning.ts";
import type { ByteReader } from "./reply.ts";
import { readerOf } from "./wire.ts";

export type Usage = { input_tokens: number; output_tokens: number };
export type Outcome = { finishReason: "stop" | "length" | "content-filter"; usage: Usage | null };

export type Reading = {
  splitter: Splitter;
  /** Called once after each read that brought content, or the finish reason. */
  progress(finished: boolean): void;
  /** With so much said the answer is cut off, for a model that ignores its own bound would say it for ever. */
  charsMax: number;
  signal: AbortSignal;
};

/** The other finish reasons (`tool_calls`, `abort`, …) do not end an answer, they leave it unfinished. */
const finishReasons = new Map<unknown, Outcome["finishReason"]>([
  ["stop", "stop"],
  ["length", "length"],
  ["content_filter", "content-filter"],
]);

const lingerMs = 1_000;
const streaming = { stream: true };

/** Reads to the end. Throws a `Fault`, or the reason of an abort; the connection is closed then. */
export async function read(response: Response, reading: Reading): Promise<Outcome> {
  const type = response.headers.get("content-type")?.toLowerCase() ?? "text/event-stream";
  const whole = type.startsWith("application/json"); // an endpoint that does not stream, or an error with status 200
  if (!response.body || !(whole || type.startsWith("text/event-stream"))) {
    response.body?.cancel().catch(() => {});
    throw new Fault("model_failed", `the response is no event stream but ${type}`);
  }
  const completion = new Completion(reading.splitter, reading.charsMax);
  const take = (data: string) => completion.take(data);
  const reader = readerOf(response, response.body);
  // The SDK passes an abort on only for as long as somebody holds the body, which may be read another way.
  const cancel = () => void reader.cancel().catch(() => {});
  reading.signal.addEventListener("abort", cancel, { once: true });
  try {
    await drink(reader, whole ? new Whole(take) : new Frames(take), completion, reading);
    const finishReason = finishReasons.get(completion.finishReason);
    if (finishReason) {
      reading.splitter.end();
      reading.progress(true);
      return { finishReason, usage: completion.usage };
    }
    const code = whole ? "model_failed" : "model_incomplete";
    throw new Fault(code, `the answer ended with the finish reason ${completion.finishReason}`);
  } finally {
    if (completion.done) linger(reader);
    else cancel();
  }
}

async function drink(
  reader: ByteReader,
  framing: Frames | Whole,
  completion: Completion,
  { splitter, progress, signal }: Reading,
): Promise<void> {
  const decoder = new TextDecoder();
  for (;;) {
    let bytes: Uint8Array | undefined;
    try {
      bytes = (await reader.read()).value;
    } catch (error) {
      // What breaks after the finish reason breaks nothing; before it, an abort ends in an error or in a plain end.
      if (!signal.aborted && !completion.finished) throw broken(error, splitter.appended);
    }
    if (signal.aborted && !(completion.finished && signal.reason instanceof Fault)) throw signal.reason;
    if (!bytes) break;
    try {
      framing.push(decoder.decode(bytes, streaming));
    } finally {
      if (completion.heard) progress(completion.finished);
      completion.heard = false;
    }
    if (completion.done || completion.full) break;
  }
  framing.end();
}

function broken(error: unknown, appended: boolean): Fault {
  const message = `the connection broke: ${error}`;
  return appended ? new Fault("model_incomplete", message) : new Fault("model_failed", message, 0);
}

/** Waits for the end of the body, which is nearly always there, so that the connection can serve the next call. */
function linger(reader: ByteReader): void {
  const cancel = () => void reader.cancel().catch(() => {});
  const timer = setTimeout(cancel, lingerMs);
  reader
    .read()
    .then(({ done }) => done || cancel(), cancel)
    .finally(() => clearTimeout(timer));
}

type Said = { content?: unknown; reasoning_content?: unknown; reasoning?: unknown };
type Choice = { index?: unknown; delta?: Said | null; message?: Said | null; finish_reason?: unknown } | null;
type Chunk = { error?: unknown; choices?: Choice[]; usage?: Record<string, unknown> | null } | null;

/** What a chat completion has said so far. Its chunks are not trusted to have any shape at all. */
class Completion {
  finishReason: unknown;
  usage: Usage | null = null;
  /** `[DONE]` was seen: nothing of interest follows. */
  done = false;
  /** Set with each content and the finish reason, cleared by the reader. */
  heard = false;
  readonly #splitter: Splitter;
  #charsLeft: number;

  constructor(splitter: Splitter, charsMax: number) {
    this.#splitter = splitter;
    this.#charsLeft = charsMax;
  }

  /** What follows is not wanted. */
  get full(): boolean {
    return this.#charsLeft < 0;
  }

  get finished(): boolean {
    return this.finishReason !== undefined;
  }

  take(data: string): void {
    if (this.done || this.full || data === "") return;
    if (data.startsWith("[DONE]")) {
      this.done = true;
      return;
    }
    const chunk = parse(data);
    if (typeof chunk !== "object" || chunk === null) throw new Fault("model_failed", "a chunk is no object");
    if (chunk.error)
      throw new Fault("model_failed", `an error in the stream: ${JSON.stringify(chunk.error)}`);
    if (chunk.usage) this.usage = usageOf(chunk.usage) ?? this.usage;
    const choice = Array.isArray(chunk.choices) ? chunk.choices.find(isFirst) : undefined;
    if (!choice) return;
    const said = choice.delta ?? choice.message;
    if (said) this.#say(said);
    if (choice.finish_reason) {
      this.finishReason ??= choice.finish_reason;
      this.heard = true;
    }
  }

  /** DeepSeek and llama.cpp say `reasoning_content`, vLLM, Ollama and OpenRouter `reasoning`, some both alike. */
  #say({ content, reasoning_content, reasoning }: Said): void {
    const thought = textOf(reasoning_content) || textOf(reasoning);
    const text = textOf(content);
    if (thought !== "") this.#splitter.reasoning(thought);
    if (text !== "") this.#splitter.text(text);
    if (thought !== "" || text !== "") this.heard = true;
    this.#charsLeft -= thought.length + text.length;
    if (this.full) this.finishReason ??= "length";
  }
}

function parse(data: string): Chunk {
  try {
    return JSON.parse(data);
  } catch {
    // Whole: a key that was cut here would not be known, and taken out, later.
    throw new Fault("model_failed", `a chunk is not JSON: ${data}`);
  }
}

function isFirst(choice: Choice): boolean {
  return (choice?.index ?? 0) === 0;
}

function textOf(value: unknown): string {
  return typeof value === "string" ? value : "";
}

function usageOf({ prompt_tokens, completion_tokens }: Record<string, unknown>): Usage | null {
  if (!isCount(prompt_tokens) || !isCount(completion_tokens)) return null;
  return { input_tokens: prompt_tokens, output_tokens: completion_tokens };
}

function isCount(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) >= 0 && (value as number) < 2 ** 31; // as it is stored
}
