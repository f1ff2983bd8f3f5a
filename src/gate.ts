// Lets requests through as far as their buckets hold. It remembers which are empty, so that those who go on asking cost
// the database nothing: nobody can fill a bucket sooner than it fills by itself.
import type { Database, TenantTx } from "./db.ts";
import type { Keys } from "./keys.ts";
import { type Bucket, refusalOf, type Standing, take } from "./limits.ts";

type Empty = { standing: Standing; untilMs: number };

/** Beyond that the oldest are forgotten, which only means that the database is asked. */
const rememberedMax = 10_000;

export class Gate {
  #empty = new Map<string, Empty>();

  constructor(
    readonly db: Database,
    readonly keys: Keys,
  ) {}

  /**
   * Takes one from each of the buckets; nothing where `isKnown` says so. Returns the tightest. Throws too_many_requests,
   * and what `isKnown` throws.
   */
  async pass(
    tenantId: string,
    buckets: readonly Bucket[],
    isKnown?: (tx: TenantTx) => Promise<boolean>,
  ): Promise<Standing | undefined> {
    if (buckets.length === 0) return undefined;
    if (!isKnown) this.#check(tenantId, buckets);
    return this.db.tenant(tenantId, async (tx) => {
      if (await isKnown?.(tx)) return undefined;
      this.#check(tenantId, buckets); // others may have been refused while this one waited for a connection
      const sinceMs = performance.now();
      const standings = await take(tx, this.keys, buckets);
      const [longest] = standings.filter((s) => s.refused).sort((a, b) => b.resetMs - a.resetMs);
      if (!longest) return standings.sort((a, b) => a.remaining - b.remaining)[0];
      this.#remember(nameOf(tenantId, longest.bucket), {
        standing: longest,
        untilMs: sinceMs + longest.resetMs,
      });
      throw refusalOf(longest); // undoes what was taken
    });
  }

  #check(tenantId: string, buckets: readonly Bucket[]): void {
    const nowMs = performance.now();
    for (const bucket of buckets) {
      const name = nameOf(tenantId, bucket);
      const empty = this.#empty.get(name);
      if (!empty) continue;
      if (empty.untilMs > nowMs) throw refusalOf({ ...empty.standing, resetMs: empty.untilMs - nowMs });
      this.#empty.delete(name);
    }
  }

  #remember(name: string, empty: Empty): void {
    const [oldest] = this.#empty.keys();
    if (this.#empty.size >= rememberedMax && oldest !== undefined) this.#empty.delete(oldest);
    this.#empty.set(name, empty);
  }
}

/** With the rate: a limit that is changed begins anew. */
function nameOf(tenantId: string, { policy, rate, whose }: Bucket): string {
  return JSON.stringify([tenantId, policy, rate.count, rate.periodMs, whose]);
}
