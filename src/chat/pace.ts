// When the pieces of one answer come: the time to the first, and the gaps between the others. It stands between the
// model and the answer, in the hot path, adds some 40 ns to each piece.

import * as metrics from "../metrics/metrics.ts";
import type { Sink } from "../model/llm.ts";
import type { Answer } from "./answer.ts";

export class Pace implements Sink {
  readonly #begunMs = performance.now();
  #firstMs: number | undefined;
  #lastMs = 0;
  #grown = false;

  constructor(readonly answer: Answer) {}

  append(kind: "reasoning" | "text", text: string): void {
    this.#grown = true;
    this.answer.append(kind, text);
  }

  flush(nowMs: number): void {
    if (!this.#grown) return;
    this.#grown = false;
    this.answer.flush();
    const gapMs = nowMs - this.#lastMs;
    this.#lastMs = nowMs;
    if (this.#firstMs === undefined) {
      this.#begin(nowMs);
    } else {
      metrics.chunkGap.observe(gapMs / 1000);
    }
  }

  /** In whole milliseconds, for the log; of an answer that never began there is no first. */
  end(): { first_chunk_ms?: number; duration_ms: number } {
    const durationMs = performance.now() - this.#begunMs;
    metrics.turnDuration.observe(durationMs / 1000);
    return {
      ...(this.#firstMs !== undefined && { first_chunk_ms: Math.round(this.#firstMs) }),
      duration_ms: Math.round(durationMs),
    };
  }

  #begin(nowMs: number): void {
    this.#firstMs = nowMs - this.#begunMs;
    metrics.firstChunk.observe(this.#firstMs / 1000);
  }
}
