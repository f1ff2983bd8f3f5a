// Turns opened as the chat opens them, with no bounds but those that a test sets.
import type { TenantCalls } from "../src/db/batch.ts";
import type { Keys } from "../src/identity/keys.ts";
import type { Claim, Lease } from "../src/rows/claims.ts";
import { ask, type Opening, type Outcome } from "../src/rows/openings.ts";

export const keys = { holder: (_tenantId, whose) => whose } as Keys;

export function opening(fields: Partial<Opening> & Pick<Opening, "userId">): Opening {
  return {
    id: Bun.randomUUIDv7(),
    conversationId: Bun.randomUUIDv7(),
    message: "hello",
    language: undefined,
    context: undefined,
    idempotency: undefined,
    replaces: undefined,
    versions: [],
    trace: { request_id: "r" },
    queue: false,
    detached: false,
    runsMax: undefined,
    unfinishedMax: 1_000,
    historyBytesMax: 1_000_000,
    tokens: 0,
    budgets: [],
    ...fields,
  };
}

/** What came of it; undefined where the request has its turn already. */
export async function opened(db: TenantCalls, what: Opening, lease: Lease): Promise<Outcome | undefined> {
  return (await ask(db, keys, { opening: what }, lease)).outcome;
}

/** Its claim. Throws where it does not run. */
export async function claimed(db: TenantCalls, what: Opening, lease: Lease): Promise<Claim> {
  const outcome = await opened(db, what, lease);
  if (!outcome || "refused" in outcome || outcome.epoch === undefined)
    throw new Error(`the turn does not run: ${JSON.stringify(outcome)}`);
  return { tenantId: db.tenantId, turnId: outcome.id, epoch: outcome.epoch };
}
