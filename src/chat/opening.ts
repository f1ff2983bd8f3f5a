// What a visitor asks, made ready to be opened: who may take it out of which limits, what is stored of it, and what its
// model will be told.
import { createHash } from "node:crypto";
import type { Tenant } from "../config/config.ts";
import type { Context } from "../config/placeholders.ts";
import { CipError } from "../errors.ts";
import type { Keys } from "../identity/keys.ts";
import type { Message } from "../model/llm.ts";
import { compose, historyBytesMax } from "../model/prompt.ts";
import * as budgets from "../rows/budgets.ts";
import type * as claims from "../rows/claims.ts";
import { ofMessages, ofReads } from "../rows/limits.ts";
import type { Admission, Known, Opening, Outcome, Running } from "../rows/openings.ts";
import type { Turn } from "../rows/turns.ts";
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

/** What the message is taken out of. To look for a key is to read, and what a backend reads is not limited. */
export function admissionOf(visitor: Visitor, question: Question): Admission {
  const { tenant, userId, address } = visitor;
  const idempotency = idempotencyOf(question);
  const reads = idempotency && address !== undefined ? ofReads(tenant.limits, userId) : [];
  return { reads, messages: ofMessages(visitor), userId, idempotency };
}

/** What is stored of it. Throws message_too_long and invalid_body. */
export function openingOf(
  keys: Keys,
  { tenant, userId }: Visitor,
  question: Question,
  replaced: Turn | undefined,
): Opening {
  if (replaced && (question.conversationId ?? replaced.conversation_id) !== replaced.conversation_id)
    throw new CipError("invalid_body", { detail: "replaces: names a turn of another conversation" });
  const message = question.message ?? replaced?.message ?? "";
  const context = question.context ?? replaced?.context ?? undefined;
  const { language } = question;
  const bytesMax = historyBytesMax(tenant, message);
  if (bytesMax < 0) {
    throw new CipError("message_too_long", { detail: "The message is longer than the model may be sent." });
  }
  return {
    id: Bun.randomUUIDv7(),
    conversationId: replaced?.conversation_id ?? question.conversationId ?? Bun.randomUUIDv7(),
    userId,
    message,
    language,
    context,
    idempotency: idempotencyOf(question),
    replaces: replaced?.id,
    versions: replaced ? [...replaced.versions, replaced.id].slice(-versionsMax) : [],
    trace: question.trace,
    queue: question.queue,
    detached: question.detached,
    runsMax: tenant.concurrentRunsMax,
    unfinishedMax: tenant.limits.concurrentRunsPerVisitorMax,
    historyBytesMax: bytesMax,
    tokens: budgets.tokensNeeded(tenant, compose(tenant, [], { message, language, context })),
    budgets: budgets.budgetsOf(keys, { tenant, userId }),
  };
}

/** What its run needs, now that it is stored. */
export function claimedOf({ tenant }: Visitor, opening: Opening, running: Running): Claimed {
  const { id, epoch, said, day, tokens } = running;
  return {
    claim: { tenantId: tenant.id, turnId: id, epoch },
    conversationId: opening.conversationId,
    messages: compose(tenant, said, opening),
    reservation: budgets.reservationOf(tenant, opening.budgets, day, tokens),
  };
}

type Refused = Exclude<Extract<Outcome, { refused: string }>, { refused: "full" | "raced" }>;

/** As the visitor is told of it. */
export function refusalOf(keys: Keys, { tenant, userId }: Visitor, refused: Refused): CipError {
  switch (refused.refused) {
    case "budget_exhausted":
      return budgets.exhausted(keys, { tenant, userId }, refused.holder, refused.tokens);
    case "turn_running":
    case "turn_replaced":
      return new CipError(refused.refused, { turn_id: refused.id });
    case "too_many_runs":
      return new CipError("too_many_runs", { retryAfterSeconds: runsRetrySeconds });
    default:
      return new CipError("not_found");
  }
}

/** The turn's id. Throws idempotency_conflict where something else was asked under the key. */
export function sameAs({ id, request_hash }: Known, question: Question): string {
  if (request_hash !== idempotencyOf(question)?.requestHash)
    throw new CipError("idempotency_conflict", { turn_id: id });
  return id;
}

/** What was asked under the key; on which page, and how the answer is to be delivered, are no part of it. */
function idempotencyOf({ idempotencyKey, message, conversationId, replaces, queue }: Question) {
  if (idempotencyKey === undefined) return undefined;
  const asked = JSON.stringify([message, conversationId, replaces, queue]);
  return { key: idempotencyKey, requestHash: createHash("sha256").update(asked).digest("hex") };
}
