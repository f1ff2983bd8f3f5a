// Runs: answers being produced, detached from whoever asked. A run ends with its model, a stop, a deadline or the process.
import { Answer } from "./answer.ts";
import type { Tenant } from "./config.ts";
import * as conversations from "./conversations.ts";
import type { Database } from "./db.ts";
import { CipError } from "./errors.ts";
import type { Keys } from "./keys.ts";
import { complete, type Message } from "./llm.ts";
import { log } from "./log.ts";
import { observe } from "./observe.ts";
import { compose, historyBytesMax } from "./prompt.ts";
import * as turns from "./turns.ts";

/** Why a run is cut short: the visitor said so, the process ends, or the turn is no longer this process's. */
type Cut = "stopped" | "interrupted" | "lost";

type Run = {
  claim: turns.Claim;
  answer: Answer;
  cut: AbortController;
  savedLength: number;
  over: Promise<void>;
};

export type Visitor = { tenant: Tenant; userId: string };
export type Question = { message: string; conversationId: string | undefined; language: string | undefined };
/** A turn together with its answer: live where it runs in this process, else as the database has it. */
export type Opened = { id: string; conversation_id: string; answer: Answer };

const checkpointMs = 500;
const sweepMs = 10_000;
const stopWaitMs = 2_000;
const settleRetryMs = 1_000;

export class Runs {
  #running = new Map<string, Run>();
  #closing = false;
  #timers: Timer[];

  constructor(
    readonly db: Database,
    readonly keys: Keys,
  ) {
    this.#timers = [every(checkpointMs, () => this.#checkpoint()), every(sweepMs, () => this.#sweep())];
  }

  /** Stores the message and starts the answer. When this returns, both outlive the connection. */
  async open({ tenant, userId }: Visitor, question: Question): Promise<Opened> {
    if (this.#closing) throw new CipError("shutting_down", { retryAfterSeconds: 5 });
    const { message, conversationId = Bun.randomUUIDv7(), language } = question;
    const bytesMax = historyBytesMax(tenant, message);
    const id = Bun.randomUUIDv7();
    const { claim, history } = await this.db.tenant(tenant.id, async (tx) => {
      await conversations.open(tx, userId, conversationId, message);
      const [claim, history] = await Promise.all([
        turns.open(tx, conversationId, id, message),
        turns.history(tx, conversationId, bytesMax),
      ]);
      return { claim, history };
    });
    const answer = this.#start(claim, tenant, userId, compose(tenant, history, message, language));
    return { id, conversation_id: conversationId, answer };
  }

  /** A turn of this visitor to be followed until `signal`. Throws not_found. */
  async find({ tenant, userId }: Visitor, id: string, signal: AbortSignal): Promise<Opened> {
    const turn = await this.db.tenant(tenant.id, (tx) => turns.get(tx, userId, id));
    const answer = this.#running.get(id)?.answer ?? observe(this.db, tenant.id, userId, turn, signal);
    return { id, conversation_id: turn.conversation_id, answer };
  }

  /** A turn of this visitor as it is now. Throws not_found. */
  async snapshot({ tenant, userId }: Visitor, id: string): Promise<turns.Turn> {
    const turn = await this.db.tenant(tenant.id, (tx) => turns.get(tx, userId, id));
    return this.newest(turn);
  }

  /** The row, with what has been said since it was last written. */
  newest(turn: turns.Turn): turns.Turn {
    const run = turn.status === "running" ? this.#running.get(turn.id) : undefined;
    return run ? { ...turn, parts: run.answer.parts() } : turn;
  }

  /** Ends the turn, wherever it runs; after the end it changes nothing. Throws not_found. */
  async stop(visitor: Visitor, id: string): Promise<turns.Turn> {
    const { tenant, userId } = visitor;
    const run = this.#running.get(id);
    const turn = await this.db.tenant(tenant.id, async (tx) => {
      const turn = await turns.get(tx, userId, id);
      if (!run) await turns.requestStop(tx, id);
      return turn;
    });
    if (run) {
      run.cut.abort("stopped" satisfies Cut);
      await run.over;
    } else {
      await this.#untilEnded(observe(this.db, tenant.id, userId, turn, AbortSignal.timeout(stopWaitMs)));
    }
    return this.snapshot(visitor, id);
  }

  /** Marks what a dead process left running; `alone` where no other process can be at work on this database. */
  async recover(alone: boolean): Promise<void> {
    const count = await this.db.system((tx) => turns.sweep(tx, alone));
    if (count > 0) log.warn({ turns: count }, "turns of a process that died were marked as interrupted");
  }

  /** Takes no new turns, gives the running ones `graceMs`, then interrupts them with the text they have. */
  async drain(graceMs: number): Promise<void> {
    this.#closing = true;
    const over = () => Promise.all([...this.#running.values()].map((run) => run.over));
    await Promise.race([over(), Bun.sleep(graceMs)]);
    for (const run of this.#running.values()) run.cut.abort("interrupted" satisfies Cut);
    await over();
    for (const timer of this.#timers) clearInterval(timer);
  }

  get closing(): boolean {
    return this.#closing;
  }

  #start(claim: turns.Claim, tenant: Tenant, userId: string, messages: Message[]): Answer {
    const answer = new Answer();
    const cut = new AbortController();
    const run: Run = { claim, answer, cut, savedLength: 0, over: Promise.resolve() };
    this.#running.set(claim.turnId, run);
    const user = this.keys.pseudonym(tenant.id, userId);
    run.over = this.#produce(
      run,
      complete({ model: tenant.model, messages, user, sink: answer, signal: cut.signal }),
    );
    return answer;
  }

  async #produce(run: Run, completion: ReturnType<typeof complete>): Promise<void> {
    const { claim, answer, cut } = run;
    const ending = await completion.then(
      ({ finishReason, usage }): turns.Ending => ({ status: "done", finishReason, usage }),
      (error: unknown) => endingOf(error, cut.signal, claim),
    );
    const settled = cut.signal.reason !== "lost" && (await this.#settle(claim, answer, ending));
    // Readers learn of an ending only once it is stored.
    answer.end(settled ? ending : { status: "interrupted" });
    this.#running.delete(claim.turnId);
  }

  /** Tries until the database takes it, for as long as the lease may hold. */
  async #settle(claim: turns.Claim, answer: Answer, ending: turns.Ending): Promise<boolean> {
    answer.flush();
    const parts = answer.parts();
    const giveUpAt = Date.now() + turns.leaseSeconds * 1_000;
    for (;;) {
      try {
        return await this.db.tenant(claim.tenantId, (tx) => turns.settle(tx, claim, parts, ending));
      } catch (error) {
        log.error({ err: error, turn_id: claim.turnId }, "an answer could not be stored");
        if (Date.now() > giveUpAt) return false;
        await Bun.sleep(settleRetryMs);
      }
    }
  }

  /** Stores what the running answers have gained, in one statement, and learns which are to end. */
  async #checkpoint(): Promise<void> {
    const runs = [...this.#running.values()];
    if (runs.length === 0) return;
    const lengths = runs.map((run) => run.answer.length);
    const claims = runs.map((run, i) => ({
      ...run.claim,
      parts: run.savedLength === lengths[i] ? undefined : run.answer.parts(),
    }));
    const rows = await this.db.system((tx) => turns.checkpoint(tx, claims));
    const held = new Map(rows.map((row) => [row.id, row.stop_requested]));
    for (const [i, run] of runs.entries()) {
      run.savedLength = lengths[i] ?? 0;
      const stopRequested = held.get(run.claim.turnId);
      // A run that has ended meanwhile is held no more either; cutting it short changes nothing.
      if (stopRequested !== false) run.cut.abort((stopRequested ? "stopped" : "lost") satisfies Cut);
    }
  }

  #sweep(): Promise<void> {
    return this.recover(false);
  }

  #untilEnded(answer: Answer): Promise<void> {
    return new Promise((resolve) => {
      const finish = () => {
        unsubscribe();
        resolve();
      };
      const unsubscribe = answer.subscribe(() => answer.ending && finish());
      if (answer.ending) finish();
      else setTimeout(finish, stopWaitMs);
    });
  }
}

/** What a failed completion makes of its turn. What went wrong upstream is for the log only. */
function endingOf(error: unknown, signal: AbortSignal, claim: turns.Claim): turns.Ending {
  if (signal.aborted) return { status: signal.reason === "stopped" ? "stopped" : "interrupted" };
  const code = error instanceof CipError ? error.code : "internal";
  log.error({ err: error, tenant_id: claim.tenantId, turn_id: claim.turnId, code }, "a turn failed");
  return { status: "failed", code };
}

/** Repeats `work`, each time after the last has ended; a failure is logged and does not end it. */
function every(periodMs: number, work: () => Promise<void>): Timer {
  let busy = false;
  const timer = setInterval(() => {
    if (busy) return;
    busy = true;
    work()
      .catch((error: unknown) => log.error({ err: error }, "regular work failed"))
      .finally(() => {
        busy = false;
      });
  }, periodMs);
  timer.unref();
  return timer;
}
