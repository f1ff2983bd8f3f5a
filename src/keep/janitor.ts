// Clears away, every now and then, what is too old: rows of limits and budgets that say nothing any more, and what
// visitors said longer ago than their tenant keeps it.

import type { Config } from "../config/config.ts";
import type { Database } from "../db/db.ts";
import { every } from "../every.ts";
import * as budgets from "../rows/budgets.ts";
import * as limits from "../rows/limits.ts";
import * as retention from "./retention.ts";

const bucketsMs = 60_000;
const budgetsMs = 3_600_000;
const retentionMs = 3_600_000;
/** Not at once: those who come to a server that has just started are served first. */
const firstRetentionMs = 5_000;

/** `tenants` is looked through anew each time. */
export function clearAway(db: Database, tenants: Config["tenants"], end: AbortSignal): void {
  every(
    bucketsMs,
    async () => {
      while (await db.system(limits.sweep));
    },
    end,
  );
  every(budgetsMs, () => db.system(budgets.sweep), end);
  every(retentionMs, () => retention.enforce(db, tenants, end), end, firstRetentionMs);
}
