// The part of a measurement that counts, with what it cost: the readings at its begin are taken from those at its end.
import { processCost } from "../machine.ts";
import type { Plan } from "./run.ts";

export class Window {
  from = Number.POSITIVE_INFINITY;
  to = Number.POSITIVE_INFINITY;
  load = 0;
  system = { cpuUs: 0, rssKb: 0 };
  database = { cpuUs: 0, rssKb: 0 };
  readonly #plan: Plan;
  readonly #opensAt: number;

  constructor(plan: Plan, startedAt: number) {
    this.#plan = plan;
    this.#opensAt = startedAt + plan.windowFromMs;
  }

  look(nowMs: number): void {
    const { windowMs } = this.#plan;
    if (this.from === Number.POSITIVE_INFINITY && nowMs >= this.#opensAt) {
      this.from = nowMs;
      this.#take(-1);
    }
    if (windowMs !== undefined && nowMs >= this.from + windowMs) this.end(nowMs);
  }

  end(nowMs: number): void {
    if (this.to !== Number.POSITIVE_INFINITY || this.from === Number.POSITIVE_INFINITY) return;
    this.to = nowMs;
    this.#take(1);
  }

  #take(sign: 1 | -1): void {
    const { user, system } = process.cpuUsage();
    this.load += sign * (user + system);
    for (const [into, pids] of [
      [this.system, this.#plan.systemPids],
      [this.database, this.#plan.databasePids],
    ] as const) {
      const cost = processCost(pids);
      into.cpuUs += sign * cost.cpuUs;
      into.rssKb = cost.rssKb;
    }
  }
}
