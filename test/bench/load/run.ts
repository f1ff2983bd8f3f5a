// One measurement: readers ask, the model answers, both on this one thread, until all answers are there or time is up.
import { close, Poll } from "./libc.ts";
import { Entrance, Model, type Pace } from "./model.ts";
import { type Outcome, outcome } from "./outcome.ts";
import { type Questions, Readers } from "./reader.ts";
import { Window } from "./window.ts";

export type Plan = Pace &
  Questions & {
    /** The part of the run that is measured, from its begin on; until its end where undefined. */
    windowFromMs: number;
    windowMs: number | undefined;
    /** What has not ended by then is given up. */
    deadlineMs: number;
    /** Processes whose cost is taken over the window: the system under test, and its database. */
    systemPids: number[];
    databasePids: number[];
  };

/** The load side of one process: the model's entrance and its connections outlive a measurement. */
export class Load {
  readonly #poll = new Poll();
  readonly #entrance: Entrance;
  readonly #modelFds = new Set<number>();

  constructor(modelPort: number) {
    this.#entrance = new Entrance(modelPort, this.#poll);
  }

  run(plan: Plan): Outcome {
    const startedAt = performance.now();
    const model = new Model(plan, startedAt);
    const readers = new Readers(plan, this.#poll, startedAt);
    const window = new Window(plan, startedAt);
    const ready = (fd: number, mask: number) => {
      if (fd === this.#entrance.fd) this.#entrance.ready((taken) => this.#modelFds.add(taken));
      else if (!this.#modelFds.has(fd)) readers.has(fd) && readers.ready(fd, mask);
      else if (!model.ready(fd)) this.#leave(fd);
    };
    for (;;) {
      const nowMs = performance.now();
      window.look(nowMs);
      if (readers.over || nowMs > startedAt + plan.deadlineMs) break;
      readers.advance(nowMs);
      model.advance(nowMs);
      this.#poll.wait(model.rushing ? 0 : 1, ready);
    }
    window.end(performance.now());
    readers.close();
    return outcome(plan, model, readers, window, startedAt);
  }

  #leave(fd: number): void {
    this.#modelFds.delete(fd);
    close(fd);
  }
}
