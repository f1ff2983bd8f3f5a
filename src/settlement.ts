// How a run ends: its answer goes onto its turn, and what it used into the budget. Both once, whatever becomes of the
// turn or the connection meanwhile.
import type { Answer } from "./answer.ts";
import * as budgets from "./budgets.ts";
import { type Claim, settle } from "./claims.ts";
import type { Database, TenantTx } from "./db.ts";
import { log } from "./log.ts";
import type { Ending } from "./turns.ts";

type Ended = { claim: Claim; answer: Answer; reservation: budgets.Reservation | undefined };

/** `lost`: the turn was not this run's any more. `unknown`: it may be that a write arrived, or that none did. */
export type Outcome = "settled" | "lost" | "unknown";

const retryMs = 1_000;

/** Tries until the database takes it, at most for `timeoutMs`. */
export async function store(
  db: Database,
  { claim, answer, reservation }: Ended,
  ending: Ending,
  timeoutMs: number,
): Promise<Outcome> {
  answer.flush();
  const parts = answer.parts();
  const giveUpAt = Date.now() + timeoutMs;
  let otherwise: Outcome = "lost";
  for (;;) {
    try {
      const settled = await db.tenant(claim.tenantId, async (tx) => {
        const settled = await settle(tx, claim, parts, ending);
        if (settled && reservation) await budgets.settle(tx, reservation, ending, parts);
        return settled;
      });
      return settled ? "settled" : otherwise;
    } catch (error) {
      log.error({ err: error, turn_id: claim.turnId }, "an answer could not be stored");
      otherwise = "unknown"; // what failed may be the word that it was stored
      if (Date.now() > giveUpAt) return otherwise;
      await Bun.sleep(retryMs);
    }
  }
}

/**
 * Of a turn that was taken over or deleted nothing is written, but what this run has used is settled. It is tried
 * once, for only the row of a turn shows whether a write arrived; else the reservation stays counted.
 */
export async function account(
  db: Database,
  { claim, answer, reservation }: Ended,
  ending: Ending,
): Promise<void> {
  if (!reservation) return;
  const settle = (tx: TenantTx) => budgets.settle(tx, reservation, ending, answer.parts());
  await db.tenant(claim.tenantId, settle).catch((error: unknown) => {
    log.error({ err: error, turn_id: claim.turnId }, "what a turn has used could not be settled");
  });
}
