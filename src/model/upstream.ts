// Reads a model's response: bytes to frames, frames to deltas, deltas to an outcome. The hot path of the server:
// it makes one promise for each answer, is called with what comes, and never buffers more than one frame.
import { coalescer, Rhythm } from "./coalesce.ts";
import { Completion, type Usage } from "./completion.ts";
import { Fault } from "./fault.ts";
import { Frames, Whole } from "./frames.ts";
import type { Splitter } from "./reasoning.ts";
import type { Body, Drinker } from "./reply.ts";
import { bodyOf } from "./wire.ts";

export type { Usage } from "./completion.ts";

export type Outcome = { finishReason: "stop" | "length" | "content-filter"; usage: Usage | null };

export type Reading = {
  splitter: Splitter;
  /** Called once after each read that brought content, or the finish reason. */
  progress(finished: boolean, nowMs: number): void;
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

/** Reads to the end. Throws a `Fault`, or the reason of an abort; the connection is closed then. */
export async function read(response: Response, reading: Reading): Promise<Outcome> {
  const type = response.headers.get("content-type")?.toLowerCase() ?? "text/event-stream";
  const whole = type.startsWith("application/json"); // an endpoint that does not stream, or an error with status 200
  if (!response.body || !(whole || type.startsWith("text/event-stream"))) {
    response.body?.cancel().catch(() => {});
    throw new Fault("model_failed", `the response is no event stream but ${type}`);
  }
  return new Draught(bodyOf(response, response.body), whole, reading).drink();
}

/** One body on its way to an outcome. */
class Draught implements Drinker {
  readonly #body: Body;
  readonly #whole: boolean;
  readonly #reading: Reading;
  readonly #completion: Completion;
  readonly #framing: Frames | Whole;
  readonly #rhythm: Rhythm;
  /** Of the read that goes on. */
  #bytes = 0;
  readonly #outcome = Promise.withResolvers<Outcome>();
  /** The outcome is known. */
  #over = false;
  /** What is wrong with what came; told when what was right before it has been passed on. */
  #wrong: { reason: unknown } | undefined;
  #lingers: Timer | undefined;

  constructor(body: Body, whole: boolean, reading: Reading) {
    const completion = new Completion(reading.splitter, reading.charsMax);
    this.#body = body;
    this.#whole = whole;
    this.#reading = reading;
    this.#completion = completion;
    this.#framing = whole ? new Whole(completion) : new Frames(completion);
    this.#rhythm = new Rhythm(coalescer, (bytes) => body.lowWater(bytes));
  }

  drink(): Promise<Outcome> {
    const { signal } = this.#reading;
    // Whoever gave the body may not heed the signal once there are headers.
    signal.addEventListener("abort", this.#abort);
    if (signal.aborted) this.#abort();
    else this.#body.drink(this);
    return this.#outcome.promise;
  }

  bytes(bytes: Buffer, from: number, to: number): void {
    if (this.#over) this.#leave();
    if (this.#over || this.#wrong) return;
    this.#bytes += to - from;
    try {
      this.#framing.push(bytes, from, to);
    } catch (reason) {
      this.#wrong = { reason };
    }
  }

  pause(): void {
    const completion = this.#completion;
    if (this.#over) return;
    const nowMs = performance.now();
    completion.flush();
    this.#rhythm.heard(this.#bytes, completion.count, nowMs);
    this.#bytes = 0;
    completion.count = 0;
    if (completion.heard) this.#reading.progress(completion.finished, nowMs);
    completion.heard = false;
    if (this.#wrong) this.#fail(this.#wrong.reason);
    else if (completion.done || completion.full) this.#conclude();
  }

  end(): void {
    clearTimeout(this.#lingers);
    if (!this.#over) this.#stop();
  }

  /** What breaks after the finish reason breaks nothing. */
  fail(reason: unknown): void {
    clearTimeout(this.#lingers);
    if (this.#over) return;
    this.#completion.flush();
    if (this.#reading.signal.aborted || this.#completion.finished) this.#stop();
    else this.#fail(broken(reason, this.#reading.splitter.appended));
  }

  #abort = (): void => {
    this.#leave();
    this.#stop();
  };

  /** An abort ends the answer, a deadline only one that is not finished. */
  #stop(): void {
    const { aborted, reason } = this.#reading.signal;
    if (aborted && !(this.#completion.finished && reason instanceof Fault)) this.#fail(reason);
    else this.#conclude();
  }

  #conclude(): void {
    const completion = this.#completion;
    try {
      this.#framing.end();
      const finishReason = finishReasons.get(completion.finishReason);
      const code = this.#whole ? "model_failed" : "model_incomplete";
      if (!finishReason)
        throw new Fault(code, `the answer ended with the finish reason ${completion.finishReason}`);
      this.#reading.splitter.end();
      this.#reading.progress(true, performance.now());
      this.#settle();
      this.#outcome.resolve({ finishReason, usage: completion.usage });
    } catch (reason) {
      this.#fail(reason);
    }
  }

  #fail(reason: unknown): void {
    this.#settle();
    this.#outcome.reject(reason);
  }

  /** The end of the body is nearly always there, and once it is read the connection can serve the next call. */
  #settle(): void {
    this.#over = true;
    this.#rhythm.release();
    this.#reading.signal.removeEventListener("abort", this.#abort);
    if (this.#completion.done) this.#lingers = setTimeout(this.#leave, lingerMs);
    else this.#leave();
  }

  #leave = (): void => {
    clearTimeout(this.#lingers);
    this.#body.cancel();
  };
}

function broken(error: unknown, appended: boolean): Fault {
  const message = `the connection broke: ${error}`;
  return appended ? new Fault("model_incomplete", message) : new Fault("model_failed", message, 0);
}
