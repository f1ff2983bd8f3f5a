// Ends one call of the model when its time is up or its caller gives up. The time is moved with every read of an
// answer, so moving it is a comparison: the one timer looks where the deadline is by now when it fires.
import { Fault } from "./fault.ts";

export class Deadline {
  readonly #cut = new AbortController();
  readonly #caller: AbortSignal;
  readonly #endsAt: number;
  #dueAt = Number.POSITIVE_INFINITY;
  #firesAt = Number.POSITIVE_INFINITY;
  #timer: Timer | undefined;

  /** `endsAt` bounds every other time; all of them are as `performance.now()` counts. */
  constructor(caller: AbortSignal, endsAt: number) {
    this.#caller = caller;
    this.#endsAt = endsAt;
    caller.addEventListener("abort", this.#giveUp, { once: true });
    if (caller.aborted) this.#giveUp();
  }

  /** Aborts with the caller's reason, or with a `Fault`. */
  get signal(): AbortSignal {
    return this.#cut.signal;
  }

  moveTo(time: number): void {
    this.#dueAt = Math.min(time, this.#endsAt);
    if (this.#dueAt < this.#firesAt) this.#arm();
  }

  clear(): void {
    clearTimeout(this.#timer);
    this.#caller.removeEventListener("abort", this.#giveUp);
  }

  #arm(): void {
    clearTimeout(this.#timer);
    this.#firesAt = this.#dueAt;
    this.#timer = setTimeout(this.#fire, Math.max(0, this.#dueAt - performance.now()));
  }

  #fire = (): void => {
    if (performance.now() < this.#dueAt) this.#arm();
    else this.#cut.abort(new Fault("model_timeout", "a deadline passed"));
  };

  #giveUp = (): void => this.#cut.abort(this.#caller.reason);
}
