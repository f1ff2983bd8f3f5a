// The chat as its visitors have it: ask, look, follow, stop. What is asked is stored before anything is answered.

import type { Tenant } from "../config/config.ts";
import type { Database } from "../db/db.ts";
import { CipError } from "../errors.ts";
import * as claims from "../rows/claims.ts";
import * as conversations from "../rows/conversations.ts";
import { ofMessages, ofReads, type Standing } from "../rows/limits.ts";
import * as turns from "../rows/turns.ts";
import type { Whose } from "../rows/users.ts";
import type { Answer } from "./answer.ts";
import { Gate } from "./gate.ts";
import { idempotencyOf, type Question, type Stored, store, Undo, type Visitor } from "./opening.ts";
import { Places } from "./places.ts";
import type { Queue } from "./queue.ts";
import type { Runs } from "./runs.ts";
import * as settlement from "./settlement.ts";

export type { Question, Visitor } from "./opening.ts";

/** Who looks and stops: a visitor, or the tenant's backend. */
export type Reader = { tenant: Tenant; whose: Whose };

/** A turn together with its answer: live where it runs in this process, else as the database has it. */
export type Opened = { id: string; conversation_id: string; answer: Answer };

const fullPollMs = 250;
const stopWaitMs = 2_000;

export class Chat {
  readonly gate: Gate;
  readonly places = new Places();
  #lines = new Map<string, Set<symbol>>();

  constructor(
    readonly db: Database,
    readonly runs: Runs,
    readonly queue: Queue,
  ) {
    this.gate = new Gate(db, runs.keys);
  }

  /**
   * Takes the message out of the buckets that limit it; a request that has its turn already takes nothing there.
   * Returns the tightest of them. Throws too_many_requests, idempotency_conflict.
   */
  async admit(visitor: Visitor, question: Question): Promise<Standing | undefined> {
    const { tenant, userId, address } = visitor;
    const idempotency = idempotencyOf(question);
    if (!idempotency) return this.gate.pass(tenant.id, ofMessages(visitor));
    // To look for a key is to read, and what a backend reads is not limited.
    if (address !== undefined) await this.gate.pass(tenant.id, ofReads(tenant.limits, userId));
    return this.gate.pass(
      tenant.id,
      ofMessages(visitor),
      async (tx) => (await turns.findByKey(tx, userId, idempotency)) !== undefined,
    );
  }

  /**
   * Stores the message and has it answered. When this returns, both outlive the connection. `signal` ends the waiting
   * for room, and the following of an answer that does not run in this process.
   */
  async open(visitor: Visitor, question: Question, signal: AbortSignal): Promise<Opened> {
    const giveUpAt = Date.now() + visitor.tenant.queueWaitMs;
    const line = this.#lineOf(visitor.tenant.id);
    const place = Symbol();
    try {
      for (;;) {
        if (this.runs.closing) throw new CipError("shutting_down", { retryAfterSeconds: 5 });
        const [first = place] = line;
        const outcome =
          line.has(place) && first !== place ? "full" : await this.#attempt(visitor, question, signal);
        if (outcome === "raced") continue;
        if (outcome !== "full") return outcome;
        if (signal.aborted || Date.now() >= giveUpAt)
          throw new CipError("too_many_turns", { retryAfterSeconds: 5 });
        line.add(place);
        await this.runs.untilFreed(Math.min(fullPollMs, giveUpAt - Date.now()));
      }
    } finally {
      line.delete(place);
    }
  }

  /** A turn of this reader, to be followed until `signal`. Throws not_found. */
  async find({ tenant, whose }: Reader, id: string, signal: AbortSignal): Promise<Opened> {
    const turn = await this.db.tenant(tenant.id, (tx) => turns.get(tx, whose, id));
    const answer = this.runs.answerOf(id) ?? this.runs.observers.observe(tenant.id, whose, turn, signal);
    return { id, conversation_id: turn.conversation_id, answer };
  }

  /** The conversation's turn that is being answered, or waits for it; undefined where there is none. Throws not_found. */
  async findLive(reader: Reader, conversationId: string, signal: AbortSignal): Promise<Opened | undefined> {
    const { tenant, whose } = reader;
    const [id] = await this.db.tenant(tenant.id, (tx) =>
      Promise.all([turns.findLive(tx, whose, conversationId), conversations.get(tx, whose, conversationId)]),
    );
    return id === undefined ? undefined : this.find(reader, id, signal);
  }

  /** A turn of this reader as it is now. Throws not_found. */
  async snapshot({ tenant, whose }: Reader, id: string): Promise<turns.Turn> {
    return this.runs.newest(await this.db.tenant(tenant.id, (tx) => turns.get(tx, whose, id)));
  }

  /** Ends the turn, wherever it runs; after the end it changes nothing. Throws not_found. */
  async stop(reader: Reader, id: string): Promise<turns.Turn> {
    const { tenant, whose } = reader;
    const [before, turn] = await this.db.tenant(tenant.id, async (tx) => {
      const before = await turns.get(tx, whose, id);
      await claims.requestStop(tx, id);
      return [before, await turns.get(tx, whose, id)];
    });
    if (before.status === "queued" && turn.status === "stopped")
      settlement.tell({ tenant_id: tenant.id, turn_id: id }, { status: "stopped" });
    if (turns.endingOf(turn)) return turn;
    if (!(await this.runs.stop(id))) {
      const answer = this.runs.observers.observe(tenant.id, whose, turn, AbortSignal.timeout(stopWaitMs));
      await answer.ended(stopWaitMs);
    }
    return this.snapshot(reader, id);
  }

  /** Those of a tenant that wait for room stand in line: only the first of them asks the database for it. */
  #lineOf(tenantId: string): Set<symbol> {
    const line = this.#lines.get(tenantId) ?? new Set();
    this.#lines.set(tenantId, line);
    return line;
  }

  async #attempt(visitor: Visitor, question: Question, signal: AbortSignal): Promise<Opened | Undo["why"]> {
    const begin = async () => {
      const { keys, lease } = this.runs;
      const stored = await this.db.tenant(visitor.tenant.id, (tx) =>
        store(tx, keys, visitor, question, lease),
      );
      return this.#begin(visitor, question, stored, signal);
    };
    return this.runs.track(begin()).catch((thrown: unknown) => {
      if (thrown instanceof Undo) return thrown.why;
      throw thrown;
    });
  }

  async #begin(
    visitor: Visitor,
    { trace }: Question,
    { id, claimed }: Stored,
    signal: AbortSignal,
  ): Promise<Opened> {
    if (!claimed) {
      this.queue.poke();
      return this.find({ tenant: visitor.tenant, whose: visitor.userId }, id, signal);
    }
    const answer = this.runs.start({ ...claimed, ...visitor, trace });
    return { id, conversation_id: claimed.conversationId, answer };
  }
}
