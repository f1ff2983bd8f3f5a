// What only the database knows and a scrape asks for: what waits, and what is used of each budget. However many
// scrape, it is asked once a second at most, and one that is away costs a scrape two seconds, not its answer.

import type { Config } from "../config/config.ts";
import type { Database } from "../db/db.ts";
import * as metrics from "../metrics/metrics.ts";
import * as budgets from "./budgets.ts";
import { countWaiting } from "./claims.ts";

const lookMs = 1_000;
const waitMs = 2_000;
const statementMs = 1_000;

export class Census {
  #look: Promise<boolean> | undefined;

  constructor(
    readonly db: Database,
    readonly config: Config,
  ) {}

  /** Sets what the database knows; where it says nothing in time, there is no value rather than an old one. */
  async take(): Promise<void> {
    this.#look ??= this.#ask()
      .catch(() => false)
      .finally(() => setTimeout(() => (this.#look = undefined), lookMs).unref());
    const isUp = await Promise.race([this.#look, Bun.sleep(waitMs).then(() => false)]);
    metrics.databaseUp.set(isUp ? 1 : 0);
    if (isUp) return;
    for (const gauge of [metrics.turnsQueued, metrics.turnsQueuedOldest]) gauge.remove();
    metrics.budgetUsed.reset();
  }

  async #ask(): Promise<boolean> {
    const bounds = [...this.config.tenants.values()].flatMap(({ id, limits: { dailyTokensMax } }) =>
      dailyTokensMax ? [{ id, dailyTokensMax }] : [],
    );
    metrics.budgetMax.reset();
    for (const { id, dailyTokensMax } of bounds) metrics.budgetMax.set({ tenant: id }, dailyTokensMax);
    const tenantIds = bounds.map(({ id }) => id);
    const [waiting, used] = await this.db.system(
      (tx) => Promise.all([countWaiting(tx), tenantIds.length > 0 ? budgets.usedToday(tx, tenantIds) : []]),
      statementMs,
    );
    metrics.turnsQueued.set(waiting.count);
    metrics.turnsQueuedOldest.set(waiting.oldestSeconds);
    metrics.budgetUsed.reset();
    for (const tenantId of tenantIds) metrics.budgetUsed.set({ tenant: tenantId }, 0);
    for (const { tenantId, tokens } of used) metrics.budgetUsed.set({ tenant: tenantId }, tokens);
    return true;
  }
}
