// The chat as its visitors have it: ask, look, follow, stop. What is asked is stored before anything is answered.

import type { Tenant } from "../config/config.ts";
import type { Database } from "../db/db.ts";
import { CipError } from "../errors.ts";
import * as claims from "../rows/claims.ts";
import * as conversations from "../rows/conversations.ts";
import type { Standing } from "../rows/limits.ts";
import * as openings from "../rows/openings.ts";
import * as turns from "../rows/turns.ts";
import type { Whose } from "../rows/users.ts";
import type { Answer } from "./answer.ts";
import { Gate } from "./gate.ts";
import {
  admissionOf,
  claimedOf,
  openingOf,
  type Question,
  refusalOf,
  sameAs,
  type Visitor,
} from "./opening.ts";
import { Places } from "./places.ts";
import type { Queue } from "./queue.ts";
import type { Runs } from "./runs.ts";
import * as settlement from "./settlement.ts";

export type { Question, Visitor } from "./opening.ts";

/** Who looks and stops: a visitor, or the tenant's backend. */
export type Reader = { tenant: Tenant; whose: Whose };

/** A turn together with its answer: live where it runs in this process, else as the database has it. */
export type Opened = { id: string; conversation_id: string; answer: Answer };

/** One who asks, until his turn is opened; `admission` as long as he was not let in. */
type Asking = {
  visitor: Visitor;
  question: Question;
  admission: openings.Admission | undefined;
  admitted: (tightest: Standing | undefined) => void;
};

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
   * Lets the message in, stores it and has it answered. When this returns, all that outlives the connection. `signal` ends
   * the waiting for room, and the following of an answer that does not run in this process. `admitted` hears of the
   * tightest limit as soon as the message is let in; a request that has its turn already is not let in once more. Throws
   * too_many_requests, idempotency_conflict, and what a question is refused with.
   */
  async open(
    visitor: Visitor,
    question: Question,
    signal: AbortSignal,
    admitted: (tightest: Standing | undefined) => void = () => {},
  ): Promise<Opened> {
    const giveUpAt = Date.now() + visitor.tenant.queueWaitMs;
    const line = this.#lineOf(visitor.tenant.id);
    const place = Symbol();
    const asking: Asking = { visitor, question, admission: admissionOf(visitor, question), admitted };
    try {
      for (;;) {
        this.#checkOpen();
        const [first = place] = line;
        const isBehind = line.has(place) && first !== place;
        const opened = isBehind ? "full" : await this.runs.track(this.#attempt(asking, signal));
        if (opened === "raced") continue;
        if (opened !== "full") return opened;
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

  async #attempt(asking: Asking, signal: AbortSignal): Promise<Opened | "full" | "raced"> {
    const { visitor, question } = asking;
    const { keys } = this.runs;
    let replaced: turns.Turn | undefined;
    if (question.replaces !== undefined) {
      // What it replaces says what is stored, and is looked for once the limits have let it in.
      const { known } = asking.admission ? await this.#ask(asking, undefined) : {};
      if (known) return this.#find(visitor, sameAs(known, question), signal);
      replaced = await this.#replaced(visitor, question.replaces);
    }
    const opening = openingOf(keys, visitor, question, replaced);
    const { known, outcome } = await this.#ask(asking, opening);
    if (known) return this.#find(visitor, sameAs(known, question), signal);
    if (!outcome) throw new Error("what was let in was not opened");
    if ("refused" in outcome) {
      if (outcome.refused === "full" || outcome.refused === "raced") return outcome.refused;
      throw refusalOf(keys, visitor, outcome);
    }
    if (outcome.epoch === undefined) {
      this.queue.poke();
      return this.#find(visitor, outcome.id, signal);
    }
    const claimed = claimedOf(visitor, opening, outcome);
    const answer = this.runs.start({ ...claimed, ...visitor, trace: question.trace });
    return { id: outcome.id, conversation_id: claimed.conversationId, answer };
  }

  /** Asks the database, once for the message to be let in, and where there is an opening for that. */
  async #ask(asking: Asking, opening: openings.Opening | undefined) {
    const { visitor, admission } = asking;
    const { keys, lease } = this.runs;
    const ask = () => {
      this.#checkOpen(); // it may have been waited for a turn in line
      return openings.ask(this.db.of(visitor.tenant.id), keys, { admission, opening }, lease);
    };
    if (!admission) return ask();
    const { standing, ...came } = await this.gate.admit(visitor.tenant.id, admission, ask);
    asking.admission = undefined;
    if (!came.known) asking.admitted(standing);
    return came;
  }

  /** Throws shutting_down. */
  #checkOpen(): void {
    if (this.runs.closing) throw new CipError("shutting_down", { retryAfterSeconds: 5 });
  }

  #replaced({ tenant, userId }: Visitor, id: string): Promise<turns.Turn> {
    return this.db.tenant(tenant.id, (tx) => turns.get(tx, userId, id));
  }

  #find({ tenant, userId }: Visitor, id: string, signal: AbortSignal): Promise<Opened> {
    return this.find({ tenant, whose: userId }, id, signal);
  }
}
