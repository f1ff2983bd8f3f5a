// The one transaction that opens a turn: the visitor's message stored, and either claimed or left waiting, or neither.
import { createHash } from "node:crypto";
import type { Tenant } from "../config/config.ts";
import type { Context } from "../config/placeholders.ts";
import type { TenantTx } from "../db/db.ts";
import { CipError } from "../errors.ts";
import type { Keys } from "../identity/keys.ts";
import type { Message } from "../model/llm.ts";
import { compose, historyBytesMax } from "../model/prompt.ts";
import * as budgets from "../rows/budgets.ts";
import * as claims from "../rows/claims.ts";
import * as conversations from "../rows/conversations.ts";
import * as turns from "../rows/turns.ts";
import type { Trace } from "../trace.ts";

/** Who asks. `address` is undefined for a tenant's backend, whose requests for all its users come from one. */
export type Visitor = { tenant: Tenant; userId: string; address: string | undefined };

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
  /** Left out with `replaces`, that of the replaced turn holds. */
  context: Context | undefined;
  trace: Trace;
};

/** Thrown to undo an opening: the tenant has no room now, or somebody else was faster and it must be looked at again. */
export class Undo {
  constructor(readonly why: "full" | "raced") {}
}

/** `claimed` is absent where the turn waits, or was there already. */
export type Stored = { id: string; claimed?: Claimed };
/** What is needed to run a turn. */
export type Claimed = {
  claim: claims.Claim;
  conversationId: string;
  messages: Message[];
  /** Undefined where the visitor's tokens are not bounded. */
  reservation: budgets.Reservation | undefined;
};

const runsRetrySeconds = 5;
/** Of the turns that one replaced, the newest; each holds the ids of those before it. */
const versionsMax = 50;

/** Gives the turn that the request made before, or a new one. Throws `Undo`, and what a question is refused with. */
export async function store(
  tx: TenantTx,
  keys: Keys,
  visitor: Visitor,
  question: Question,
  lease: claims.Lease,
): Promise<Stored> {
  const { tenant, userId } = visitor;
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
    context: question.context ?? replaced?.context ?? undefined,
    idempotency,
    versions: replaced ? [...replaced.versions, replaced.id].slice(-versionsMax) : [],
    trace: question.trace,
  };
  const bytesMax = historyBytesMax(tenant, turn.message);
  if (bytesMax < 0) {
    throw new CipError("message_too_long", { detail: "The message is longer than the model may be sent." });
  }
  // Locks are taken in this order everywhere: conversation, visitor, tenant, turns, budgets.
  const [, unfinished] = await Promise.all([
    conversations.open(tx, userId, turn.conversationId, turn.message),
    claims.unfinished(tx, userId),
  ]);
  const live = unfinished.find(({ conversation_id }) => conversation_id === turn.conversationId)?.id;
  const isBusy = unfinished.length >= tenant.limits.concurrentRunsPerVisitorMax;
  const isRefused = isBusy || (live !== undefined && !question.queue);
  if (isRefused) {
    // What is in the way may be of the same request, stored while the locks were waited for.
    const twin = idempotency && (await turns.findByKey(tx, userId, idempotency));
    if (twin) return { id: twin.id };
    if (live && !question.queue) throw new CipError("turn_running", { turn_id: live });
    throw new CipError("too_many_runs", { retryAfterSeconds: runsRetrySeconds });
  }

  const waits = live !== undefined || question.detached;
  if (!waits && (await claims.isFull(tx, tenant.concurrentRunsMax))) throw new Undo("full");
  const [claim, isReplaced, history] = await Promise.all([
    claims.store(tx, turn, waits ? undefined : lease),
    !replaced || turns.supersede(tx, replaced, turn.id),
    waits ? [] : turns.history(tx, turn.conversationId, turn.id, bytesMax),
  ]);
  if (!claim || !isReplaced) throw new Undo("raced");
  if (waits) {
    const refusal = await budgets.refusal(tx, keys, visitor, turn.message);
    if (refusal) throw refusal;
    return { id: turn.id };
  }
  const messages = compose(tenant, history, turn);
  const reservation = await budgets.reserve(tx, keys, visitor, messages);
  if (reservation instanceof CipError) throw reservation;
  return { id: turn.id, claimed: { claim, conversationId: turn.conversationId, messages, reservation } };
}

/** What was asked under the key; on which page, and how the answer is to be delivered, are no part of it. */
export function idempotencyOf({ idempotencyKey, message, conversationId, replaces, queue }: Question) {
  if (idempotencyKey === undefined) return undefined;
  const asked = JSON.stringify([message, conversationId, replaces, queue]);
  return { key: idempotencyKey, requestHash: createHash("sha256").update(asked).digest("hex") };
}
