// Lets requests through as far as their buckets hold. It remembers which are empty, so that those who go on asking cost
// the database nothing: nobody can fill a bucket sooner than it fills by itself. Of each who asks, one request at a
// time holds a connection.
import type { Database, TenantTx } from "../db/db.ts";
import { CipError } from "../errors.ts";
import type { Keys } from "../identity/keys.ts";
import { type Bucket, refusalOf, type Standing, take } from "../rows/limits.ts";

type Empty = { standing: Standing; untilMs: number };

/** Beyond that the oldest are forgotten, which only means that the database is asked. */
const rememberedMax = 10_000;

export class Gate {
  #empty = new Map<string, Empty>();
  /** The last of those who stand in line, by the first of their buckets. */
  #lines = new Map<string, Promise<unknown>>();

  constructor(
    readonly db: Database,
    readonly keys: Keys,
  ) {}

  /**
   * Takes one from each of the buckets; nothing where `isKnown` says so. Returns the tightest. Throws too_many_requests,
   * what `isKnown` throws, and database_unavailable.
   */
  async pass(
    tenantId: string,
    buckets: readonly Bucket[],
    isKnown?: (tx: TenantTx) => Promise<boolean>,
  ): Promise<Standing | undefined> {
    const [first] = buckets;
    if (!first) return undefined;
    return this.#inLine(nameOf(tenantId, first), async () => {
      if (!isKnown) this.#check(tenantId, buckets);
      return this.#take(tenantId, buckets, isKnown);
    });
  }

  /** Whoever comes in thousands at once would hold every connection before the first of them is refused. */
  async #inLine<T>(name: string, pass: () => Promise<T>): Promise<T> {
    const before = this.#lines.get(name);
    const mine = before ? before.catch(unlessUnavailable).then(pass) : pass();
    this.#lines.set(name, mine);
    try {
      return await mine;
    } finally {
      if (this.#lines.get(name) === mine) this.#lines.delete(name);
    }
  }

  #take(
    tenantId: string,
    buckets: readonly Bucket[],
    isKnown?: (tx: TenantTx) => Promise<boolean>,
  ): Promise<Standing | undefined> {
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

/** Where one finds no database, those behind it do not each wait to find none either. */
function unlessUnavailable(error: unknown): void {
  if (error instanceof CipError && error.code === "database_unavailable") throw error;
}

/** With the rate: a limit that is changed begins anew. */
function nameOf(tenantId: string, { policy, rate, whose }: Bucket): string {
  return JSON.stringify([tenantId, policy, rate.count, rate.periodMs, whose]);
}
