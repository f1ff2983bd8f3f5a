// Clears away, every now and then, the rows of limits and budgets that say nothing any more.
import * as budgets from "./budgets.ts";
import type { Database } from "./db.ts";
import { every } from "./every.ts";
import * as limits from "./limits.ts";

const bucketsMs = 60_000;
const budgetsMs = 3_600_000;

export function clearAway(db: Database, end: AbortSignal): void {
  every(
    bucketsMs,
    async () => {
      while (await db.system(limits.sweep));
    },
    end,
  );
  every(budgetsMs, () => db.system(budgets.sweep), end);
}
