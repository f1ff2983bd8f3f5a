// Runs: the answers that this process is producing, detached from whoever asked. A run ends with its model, a stop, a
// deadline or the process, and its readers learn the ending only after it is stored.

import type { Tenant } from "../config/config.ts";
import type { Database } from "../db/db.ts";
import { every } from "../every.ts";
import type { Keys } from "../identity/keys.ts";
import * as metrics from "../metrics/metrics.ts";
import { complete, type Message } from "../model/llm.ts";
import type * as budgets from "../rows/budgets.ts";
import type { Claim, Lease } from "../rows/claims.ts";
import * as turns from "../rows/turns.ts";
import { headersOf, marksOf, type Trace } from "../trace.ts";
import { Answer } from "./answer.ts";
import { type Held, nothing, store, together } from "./checkpoint.ts";
import { Observers } from "./observe.ts";
import { Pace } from "./pace.ts";
import * as settlement from "./settlement.ts";

/** Why a run is cut short: the visitor said so, the process ends, or the turn is no longer this process's. */
type Cut = "stopped" | "interrupted" | "lost";

/** A claimed turn to be answered. */
export type Job = {
  claim: Claim;
  tenant: Tenant;
  userId: string;
  messages: Message[];
  /** Undefined where the visitor's tokens are not bounded. */
  reservation: budgets.Reservation | undefined;
  /** Undefined for a turn that was stored before cip kept any. */
  trace: Trace | undefined;
};

type Run = Held & {
  userId: string;
  reservation: budgets.Reservation | undefined;
  marks: settlement.Marks;
  pace: Pace;
  cut: AbortController;
  over: Promise<void>;
};

const checkpointMs = 500;

export class Runs {
  #running = new Map<string, Run>();
  /** What must come to its end before the process may: turns being opened, and runs. */
  #work = new Set<Promise<unknown>>();
  #phase: "open" | "closing" | "cutting" = "open";
  #end = new AbortController();
  #freed = new Set<() => unknown>();

  readonly observers: Observers;

  constructor(
    readonly db: Database,
    readonly keys: Keys,
    readonly lease: Lease,
    readonly renewMs: number,
  ) {
    this.observers = new Observers(db);
    every(checkpointMs, () => this.#checkpoint(), this.#end.signal);
  }

  /** Begins to produce the answer of a claimed turn. */
  start({ claim, tenant, userId, messages, reservation, trace }: Job): Answer {
    const answer = new Answer();
    const cut = new AbortController();
    const run: Run = {
      claim,
      userId,
      reservation,
      marks: { tenant_id: tenant.id, turn_id: claim.turnId, ...marksOf(trace) },
      answer,
      pace: new Pace(answer),
      cut,
      over: Promise.resolve(),
      saved: nothing,
      renewAt: Date.now() + this.renewMs,
    };
    // A run that this process was thought dead for, and has not heard of it yet.
    this.#running.get(claim.turnId)?.cut.abort("lost" satisfies Cut);
    this.#running.set(claim.turnId, run);
    const user = this.keys.pseudonym(tenant.id, userId);
    if (this.#phase === "cutting") cut.abort("interrupted" satisfies Cut);
    run.over = this.track(
      this.#produce(
        run,
        complete({
          model: tenant.model,
          messages,
          user,
          sink: run.pace,
          signal: cut.signal,
          headers: headersOf(trace),
          marks: run.marks,
        }),
      ),
    );
    return answer;
  }

  get size(): number {
    return this.#running.size;
  }

  /** True once the process is about to end: it takes no new turns. */
  get closing(): boolean {
    return this.#phase !== "open";
  }

  answerOf(turnId: string): Answer | undefined {
    return this.#running.get(turnId)?.answer;
  }

  /** The row, with what has been said since it was last written. */
  newest(turn: turns.Turn): turns.Turn {
    const answer = turn.status === "running" ? this.answerOf(turn.id) : undefined;
    return answer ? { ...turn, parts: answer.parts() } : turn;
  }

  /** Stops a run of this process and waits until that is stored; false where the turn does not run here. */
  async stop(turnId: string): Promise<boolean> {
    const run = this.#running.get(turnId);
    run?.cut.abort("stopped" satisfies Cut);
    await run?.over;
    return run !== undefined;
  }

  /** Calls `wake` whenever a run of this process has ended. */
  onFreed(wake: () => unknown): void {
    this.#freed.add(wake);
  }

  /** Waits until a run of this process ends, at most `timeoutMs`. */
  async untilFreed(timeoutMs: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, timeoutMs);
    this.#freed.add(resolve);
    await promise;
    clearTimeout(timer);
    this.#freed.delete(resolve);
  }

  /** Has the end of the process wait for `work`. */
  track<T>(work: Promise<T>): Promise<T> {
    this.#work.add(work);
    const over = () => this.#work.delete(work);
    work.then(over, over);
    return work;
  }

  /** Takes no new turns, gives the running ones `graceMs`, then interrupts them with the text they have. */
  async drain(graceMs: number): Promise<void> {
    this.#phase = "closing";
    await Promise.race([this.#quiet(), Bun.sleep(graceMs)]);
    this.#phase = "cutting"; // also for a turn that is only now being opened
    for (const run of this.#running.values()) run.cut.abort("interrupted" satisfies Cut);
    await this.#quiet();
    this.#end.abort();
  }

  async #quiet(): Promise<void> {
    while (this.#work.size > 0) await Promise.allSettled(this.#work);
  }

  async #produce(run: Run, completion: ReturnType<typeof complete>): Promise<void> {
    const { claim, answer, cut, marks, pace } = run;
    const ending = await completion.then(
      ({ finishReason, usage }): turns.Ending => ({ status: "done", finishReason, usage }),
      (error: unknown) => settlement.endingOf(error, cut.signal, marks),
    );
    const times = pace.end();
    const outcome =
      cut.signal.reason === "lost"
        ? "lost"
        : await settlement.store(this.db, run, ending, this.lease.leaseMs); // the claim holds no longer
    if (outcome === "settled") settlement.tell(marks, ending, times);
    if (outcome === "settled") answer.end(ending);
    else await this.#handOver(run);
    if (outcome === "lost") await settlement.account(this.db, run, ending);
    if (this.#running.get(claim.turnId) === run) this.#running.delete(claim.turnId);
    for (const wake of this.#freed) wake();
  }

  /**
   * The turn is no longer this run's: somebody took it over, or a write settled it whose acknowledgement was lost. Its
   * row says how it goes on; readers that have text which the row may never have are told that it was interrupted.
   */
  async #handOver({ claim: { tenantId, turnId }, userId, answer }: Run): Promise<void> {
    const turn = await this.db.tenant(tenantId, (tx) => turns.get(tx, userId, turnId)).catch(() => undefined);
    if (turn && (turns.endingOf(turn) || answer.length === 0))
      this.observers.adopt(tenantId, userId, turn, answer);
    else answer.end({ status: "interrupted" });
  }

  async #checkpoint(): Promise<void> {
    const runs = [...this.#running.values()];
    if (runs.length === 0) return;
    const stored = metrics.checkpointDuration.startTimer();
    for (const some of together(runs)) await this.#store(some);
    stored();
  }

  /** Stores some of them, and learns which are to end. */
  async #store(runs: Run[]): Promise<void> {
    const held = await store(this.db, runs, this.lease, this.renewMs);
    for (const run of runs) {
      const stopRequested = held.get(run.claim.turnId);
      // A run that has ended meanwhile is held no more either; cutting it short changes nothing.
      if (stopRequested !== false) run.cut.abort((stopRequested ? "stopped" : "lost") satisfies Cut);
    }
  }
}
