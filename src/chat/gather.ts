// When the readers of a growing answer are woken: at once, or a moment later while the loop is busy, so that what comes
// meanwhile goes out in one write. Who has nothing to gather is never held, and what is said is stored at once anyway.
import type { Answer } from "./answer.ts";

/** With the 40 ms that a token may be late at most, this leaves the loop as much as it may itself be late by. */
const holdMsMax = 25;
/** How much longer or shorter is held after one look, so that it settles and does not swing. */
const holdStepMs = 5;
const lookMs = 100;
/** The share of its time that the thread works. Between the two nothing is changed. */
const busy = 0.4;
const atEase = 0.25;
/** Those that are due within it are woken together: each time costs a turn of the loop. */
const togetherMs = 2;

export class Gather {
  #holdMs = 0;
  #lookedMs = performance.now();
  #workedMs = workedMs();
  /** Held answers and when each is due, which is in this order. */
  readonly #held = new Map<Answer, number>();
  #timer: Timer | undefined;

  /** How long is held now; 0 where the loop is not busy. */
  get holdMs(): number {
    return this.#holdMs;
  }

  /** `answer` has grown, `gapMs` after it last did: only where another piece is as near is it worth waiting for. */
  grown(answer: Answer, gapMs: number, nowMs: number): void {
    if (nowMs - this.#lookedMs >= lookMs) this.#look(nowMs);
    if (gapMs < this.#holdMs) this.#hold(answer, nowMs);
    else if (!this.#held.has(answer)) answer.wake();
  }

  #hold(answer: Answer, nowMs: number): void {
    if (this.#held.has(answer)) return;
    this.#held.set(answer, nowMs + this.#holdMs);
    this.#timer ??= setTimeout(this.#release, this.#holdMs);
  }

  #release = (): void => {
    this.#timer = undefined;
    const nowMs = performance.now();
    for (const [answer, dueMs] of this.#held) {
      if (dueMs > nowMs + togetherMs) {
        this.#timer = setTimeout(this.#release, dueMs - nowMs);
        return;
      }
      this.#held.delete(answer);
      answer.wake();
    }
  };

  #look(nowMs: number): void {
    const worked = workedMs();
    const passedMs = nowMs - this.#lookedMs;
    const share = (worked - this.#workedMs) / passedMs;
    if (share > busy) this.#holdMs = Math.min(holdMsMax, this.#holdMs + holdStepMs);
    if (share < atEase) this.#holdMs = Math.max(0, this.#holdMs - (holdStepMs * passedMs) / lookMs);
    this.#lookedMs = nowMs;
    this.#workedMs = worked;
  }
}

/** CPU time of this thread alone: others compile, collect or compress, and hold up nobody here. */
function workedMs(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1000;
}
