// The chat as its visitors have it: ask, look, follow, stop. What is asked is stored before anything is answered.
import { createHash } from "node:crypto";
import type { Answer } from "./answer.ts";
import * as claims from "./claims.ts";
import type { Tenant } from "./config.ts";
import * as conversations from "./conversations.ts";
import type { Database, TenantTx } from "./db.ts";
import { CipError } from "./errors.ts";
import { compose, historyBytesMax } from "./prompt.ts";
import type { Queue } from "./queue.ts";
import type { Runs } from "./runs.ts";
import * as turns from "./turns.ts";

export type Visitor = { tenant: Tenant; userId: string };

export type Question = {
  /** Left out only where `replaces` is there: then the replaced turn's message is asked again. */
  message: string | undefined;
  conversationId: string | undefined;
  /** A turn to be answered anew; it, and what came after it, no longer belong to the conversation. */
  replaces: string | undefined;
  /** Wait where the conversation has a live turn, instead of being refused. */
  queue: boolean;
  /** Nobody waits for the answer: it is run when there is room. */
  detached: boolean;
  idempotencyKey: string | undefined;
  language: string | undefined;
};

/** A turn together with its answer: live where it runs in this process, else as the database has it. */
export type Opened = { id: string; conversation_id: string; answer: Answer };

/** Thrown to undo an opening: the tenant has no room now, or somebody else was faster and it must be looked at again. */
class Undo {
  constructor(readonly why: "full" | "raced") {}
}

const fullPollMs = 250;
const stopWaitMs = 2_000;

export class Chat {
  #lines = new Map<string, Set<symbol>>();

  constructor(
    readonly db: Database,
    readonly runs: Runs,
    readonly queue: Queue,
  ) {}

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

  /** A turn of this visitor, to be followed until `signal`. Throws not_found. */
  async find({ tenant, userId }: Visitor, id: string, signal: AbortSignal): Promise<Opened> {
    const turn = await this.db.tenant(tenant.id, (tx) => turns.get(tx, userId, id));
    const answer = this.runs.answerOf(id) ?? this.runs.observers.observe(tenant.id, userId, turn, signal);
    return { id, conversation_id: turn.conversation_id, answer };
  }

  /** A turn of this visitor as it is now. Throws not_found. */
  async snapshot({ tenant, userId }: Visitor, id: string): Promise<turns.Turn> {
    return this.runs.newest(await this.db.tenant(tenant.id, (tx) => turns.get(tx, userId, id)));
  }

  /** Ends the turn, wherever it runs; after the end it changes nothing. Throws not_found. */
  async stop(visitor: Visitor, id: string): Promise<turns.Turn> {
    const { tenant, userId } = visitor;
    const turn = await this.db.tenant(tenant.id, async (tx) => {
      await turns.get(tx, userId, id);
      await claims.requestStop(tx, id);
      return turns.get(tx, userId, id);
    });
    if (turns.endingOf(turn)) return turn;
    if (!(await this.runs.stop(id))) {
      const answer = this.runs.observers.observe(tenant.id, userId, turn, AbortSignal.timeout(stopWaitMs));
      await answer.ended(stopWaitMs);
    }
    return this.snapshot(visitor, id);
  }

  /** Those of a tenant that wait for room stand in line: only the first of them asks the database for it. */
  #lineOf(tenantId: string): Set<symbol> {
    const line = this.#lines.get(tenantId) ?? new Set();
    this.#lines.set(tenantId, line);
    return line;
  }

  async #attempt(visitor: Visitor, question: Question, signal: AbortSignal): Promise<Opened | Undo["why"]> {
    const store = async () => {
      const stored = await this.db.tenant(visitor.tenant.id, (tx) => this.#store(tx, visitor, question));
      return this.#begin(visitor, stored, signal);
    };
    return this.runs.track(store()).catch((thrown: unknown) => {
      if (thrown instanceof Undo) return thrown.why;
      throw thrown;
    });
  }

  /** In one transaction: the turn that the request made before, or a new one, claimed or waiting. */
  async #store(tx: TenantTx, { tenant, userId }: Visitor, question: Question): Promise<Stored> {
    const idempotency = idempotencyOf(question);
    // In this order: who finds the turn replaced by the same request, made a moment ago, finds that one too.
    const [replaced, same] = await Promise.all([
      question.replaces === undefined ? undefined : turns.get(tx, userId, question.replaces),
      idempotency && turns.findByKey(tx, userId, idempotency),
    ]);
    if (same) return { id: same.id };
    if (replaced?.superseded_by) throw new CipError("turn_replaced", { turn_id: replaced.superseded_by });
    if (replaced && (question.conversationId ?? replaced.conversation_id) !== replaced.conversation_id)
      throw new CipError("invalid_body", { detail: "replaces: names a turn of another conversation" });

    const turn: turns.NewTurn = {
      id: Bun.randomUUIDv7(),
      conversationId: replaced?.conversation_id ?? question.conversationId ?? Bun.randomUUIDv7(),
      userId,
      message: question.message ?? replaced?.message ?? "",
      language: question.language,
      idempotency,
      versions: replaced ? [...replaced.versions, replaced.id] : [],
    };
    const bytesMax = historyBytesMax(tenant, turn.message);
    if (bytesMax < 0) {
      throw new CipError("message_too_long", { detail: "The message is longer than the model may be sent." });
    }
    const [, live] = await Promise.all([
      conversations.open(tx, userId, turn.conversationId, turn.message),
      turns.findLive(tx, turn.conversationId),
    ]);
    if (live && !question.queue) {
      // The one that runs may be of the same request, stored while the conversation was waited for.
      const twin = idempotency && (await turns.findByKey(tx, userId, idempotency));
      if (twin) return { id: twin.id };
      throw new CipError("turn_running", { turn_id: live });
    }

    const waits = live !== undefined || question.detached;
    if (!waits && (await claims.isFull(tx, tenant.concurrentRunsMax))) throw new Undo("full");
    const [claim, isReplaced, history] = await Promise.all([
      claims.store(tx, turn, waits ? undefined : this.runs.lease),
      !replaced || turns.supersede(tx, replaced, turn.id),
      waits ? [] : turns.history(tx, turn.conversationId, turn.id, bytesMax),
    ]);
    if (!claim || !isReplaced) throw new Undo("raced");
    return waits ? { id: turn.id } : { id: turn.id, claimed: { turn, claim, history } };
  }

  async #begin(visitor: Visitor, { id, claimed }: Stored, signal: AbortSignal): Promise<Opened> {
    if (!claimed) {
      this.queue.poke();
      return this.find(visitor, id, signal);
    }
    const { turn, claim, history } = claimed;
    const messages = compose(visitor.tenant, history, turn.message, turn.language);
    const answer = this.runs.start(claim, visitor.tenant, visitor.userId, messages);
    return { id, conversation_id: turn.conversationId, answer };
  }
}

/** `claimed` is absent where the turn waits, or was there already. */
type Stored = {
  id: string;
  claimed?: { turn: turns.NewTurn; claim: claims.Claim; history: { message: string; answer: string }[] };
};

/** What was asked under the key; how the answer is to be delivered is no part of it. */
function idempotencyOf({ idempotencyKey, message, conversationId, replaces, queue }: Question) {
  if (idempotencyKey === undefined) return undefined;
  const asked = JSON.stringify([message, conversationId, replaces, queue]);
  return { key: idempotencyKey, requestHash: createHash("sha256").update(asked).digest("hex") };
}
