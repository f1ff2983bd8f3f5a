// How a run ends: its answer goes onto its turn, and what it used into the budget. Both once, whatever becomes of the
// turn or the connection meanwhile.

import type { Database, TenantTx } from "../db/db.ts";
import { CipError } from "../errors.ts";
import { log } from "../log.ts";
import * as metrics from "../metrics/metrics.ts";
import * as budgets from "../rows/budgets.ts";
import { type Claim, settle } from "../rows/claims.ts";
import type { Ending } from "../rows/turns.ts";
import type { Answer } from "./answer.ts";

/** What log lines say of a turn: whose it is and which request it came from, never who asked or what was said. */
export type Marks = {
  tenant_id: string;
  turn_id: string;
  request_id?: string;
  trace_id?: string;
  model?: string;
};

type Ended = { claim: Claim; answer: Answer; reservation: budgets.Reservation | undefined; marks: Marks };

/** `lost`: the turn was not this run's any more. `unknown`: it may be that a write arrived, or that none did. */
export type Outcome = "settled" | "lost" | "unknown";

const retryMs = 1_000;

/** Tries until the database takes it, at most for `timeoutMs`. */
export async function store(
  db: Database,
  { claim, answer, reservation, marks }: Ended,
  ending: Ending,
  timeoutMs: number,
): Promise<Outcome> {
  answer.flush();
  const parts = answer.parts();
  const giveUpAt = Date.now() + timeoutMs;
  let otherwise: Outcome = "lost";
  for (;;) {
    try {
      const used = reservation && budgets.correction(reservation, ending, parts);
      const settled = await settle(db.of(claim.tenantId), claim, parts, ending, used);
      return settled ? "settled" : otherwise;
    } catch (error) {
      log.error({ err: error, ...marks }, "an answer could not be stored");
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
  { claim, answer, reservation, marks }: Ended,
  ending: Ending,
): Promise<void> {
  if (!reservation) return;
  const settle = (tx: TenantTx) => budgets.settle(tx, reservation, ending, answer.parts());
  await db.tenant(claim.tenantId, settle).catch((error: unknown) => {
    log.error({ err: error, ...marks }, "what a turn has used could not be settled");
  });
}

/** What a failed completion makes of its turn. What went wrong upstream is for the log only. */
export function endingOf(error: unknown, signal: AbortSignal, marks: Marks): Ending {
  if (signal.aborted) return { status: signal.reason === "stopped" ? "stopped" : "interrupted" };
  const code = error instanceof CipError ? error.code : "internal";
  log.error({ err: error, ...marks, code }, "a turn failed");
  return { status: "failed", code };
}

/** Says in the log, and counts, that a turn has ended; once, by whoever ended it. */
export function tell(marks: Marks, ending: Ending, times: object = {}): void {
  const { tenant_id: tenant } = marks;
  const { status } = ending;
  const usage = status === "done" ? ending.usage : null;
  const code = status === "failed" ? ending.code : undefined;
  metrics.turns.inc({ tenant, outcome: status });
  if (code) metrics.turnErrors.inc({ code });
  if (usage) {
    metrics.tokens.inc({ tenant, type: "input" }, usage.input_tokens);
    metrics.tokens.inc({ tenant, type: "output" }, usage.output_tokens);
  }
  log.info({ ...marks, status, code, ...times, ...usage }, "a turn ended");
}
