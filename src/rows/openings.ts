// Openings: the one request with which a turn begins. The message is let in by the limits and stored, and its turn is
// claimed or left waiting; or, where it is refused, nothing is stored.

import type { Context } from "../config/placeholders.ts";
import type { CameOf, TenantCalls } from "../db/batch.ts";
import type { Keys } from "../identity/keys.ts";
import type { Trace } from "../trace.ts";
import type { budgetsOf } from "./budgets.ts";
import type { Lease } from "./claims.ts";
import { titleOf } from "./conversations.ts";
import { type Bucket, type Standing, standingsOf, type Taken, wanted } from "./limits.ts";
import type { Said } from "./turns.ts";

export type Idempotency = { key: string; requestHash: string };

/** The buckets that a message is taken out of. Of one with a key whose turn is there already, only the read counts. */
export type Admission = {
  reads: Bucket[];
  messages: Bucket[];
  userId: string;
  idempotency: Idempotency | undefined;
};

/** How the buckets stand that were taken from. */
export type Admitted = { reads: Standing[]; messages: Standing[] };
/** The turn that the same request opened before. */
export type Known = { id: string; request_hash: string };

/** What a visitor asks, and what bounds it. */
export type Opening = {
  id: string;
  conversationId: string;
  userId: string;
  message: string;
  language: string | undefined;
  context: Context | undefined;
  idempotency: Idempotency | undefined;
  /** A turn of the conversation: this one takes its place, and that of all that came after it. */
  replaces: string | undefined;
  /** The turns that this one replaced, oldest first. */
  versions: string[];
  trace: Trace;
  /** It waits where the conversation has a live turn, instead of being refused. */
  queue: boolean;
  /** It waits in any case. */
  detached: boolean;
  /** How many turns of the tenant may run; undefined: any number. */
  runsMax: number | undefined;
  /** How many of the visitor's may be unfinished, this one included. */
  unfinishedMax: number;
  historyBytesMax: number;
  /** What it may use of the budgets, its answer included, but what was said before it left out. */
  tokens: number;
  budgets: ReturnType<typeof budgetsOf>;
};

/** A turn that is claimed; `tokens` are reserved for it in the budgets of `day`. */
export type Running = { id: string; epoch: number; said: Said[]; day: string; tokens: number };
export type Outcome =
  | Running
  | { id: string; epoch?: never }
  /** `full`: as many turns of the tenant run as may. `raced`: somebody was faster, so that it is to be looked at again. */
  | { refused: "full" | "raced" | "not_found" | "too_many_runs" }
  | { refused: "turn_replaced" | "turn_running"; id: string }
  | { refused: "budget_exhausted"; holder: string; tokens: number };

/** What came of it. `outcome` is absent where the turn is known, or a bucket refused the message. */
export type Asked = {
  admitted: Admitted | undefined;
  known: Known | undefined;
  outcome: Outcome | undefined;
};

/** Lets a message in, if there is an admission, and opens its turn, if there is an opening. */
export async function ask(
  db: TenantCalls,
  keys: Keys,
  { admission, opening }: { admission?: Admission | undefined; opening?: Opening | undefined },
  lease: Lease,
): Promise<Asked> {
  const steps = {
    ...(admission && { admit: admissionAsked(db.tenantId, keys, admission) }),
    ...(opening && { open_turn: openingAsked(opening, lease) }),
  };
  const read = (cameOf: CameOf): Asked => {
    const admit = cameOf.admit as AdmitGave | undefined;
    const turn = cameOf.open_turn as Outcome | { known: Known } | undefined;
    const isKnown = turn !== undefined && "known" in turn;
    return {
      admitted: admission && admit && admittedBy(admission, admit),
      known: isKnown ? turn.known : admit?.known,
      outcome: isKnown ? undefined : turn,
    };
  };
  try {
    return read(await db.call(steps));
  } catch (error) {
    const { code, message, hint, cameOf = {} } = error as Failed;
    if (code === exhausted) {
      const outcome = { refused: "budget_exhausted", holder: message, tokens: Number(hint) } as const;
      return { ...read(cameOf), outcome };
    }
    if (code && raced.includes(code)) return { ...read(cameOf), outcome: { refused: "raced" } };
    throw error;
  }
}

type Failed = { code?: string; message: string; hint?: string; cameOf?: CameOf };
/** Raised by open_turn itself, with whose budget it is as the message and what was needed as the hint. */
const exhausted = "U0001";
/** Somebody else stored one like it, or deleted the conversation, in the moment between looking and storing. */
const raced = ["23505", "23503"];

function admissionAsked(
  tenantId: string,
  keys: Keys,
  { reads, messages, userId, idempotency }: Admission,
): object {
  return {
    reads: wanted(tenantId, keys, reads),
    messages: wanted(tenantId, keys, messages),
    user_id: userId,
    key: idempotency?.key,
  };
}

type AdmitGave = { reads?: Taken; messages?: Taken; known?: Known };

function admittedBy({ reads, messages }: Admission, gave: AdmitGave): Admitted {
  return {
    reads: gave.reads ? standingsOf(reads, gave.reads) : [],
    messages: gave.messages ? standingsOf(messages, gave.messages) : [],
  };
}

function openingAsked(opening: Opening, { instanceId, leaseMs }: Lease): object {
  return {
    id: opening.id,
    conversation_id: opening.conversationId,
    user_id: opening.userId,
    message: opening.message,
    title: titleOf(opening.message),
    language: opening.language,
    context: opening.context,
    key: opening.idempotency?.key,
    request_hash: opening.idempotency?.requestHash,
    versions: opening.versions,
    trace: opening.trace,
    replaces: opening.replaces,
    queue: opening.queue,
    detached: opening.detached,
    runs_max: opening.runsMax,
    unfinished_max: opening.unfinishedMax,
    bytes_max: opening.historyBytesMax,
    tokens: opening.tokens,
    budgets: opening.budgets,
    instance_id: instanceId,
    lease_ms: leaseMs,
  };
}
