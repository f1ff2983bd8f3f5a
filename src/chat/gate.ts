// Lets requests through as far as their buckets hold. It remembers which are empty, so that those who go on asking cost
// the database nothing: nobody can fill a bucket sooner than it fills by itself. Of each who asks, one request at a
// time holds a connection.
import type { Database } from "../db/db.ts";
import { CipError } from "../errors.ts";
import type { Keys } from "../identity/keys.ts";
import { type Bucket, refusalOf, type Standing, take } from "../rows/limits.ts";
import type { Admission, Admitted } from "../rows/openings.ts";

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

  /** Takes one from each of the buckets. Returns the tightest. Throws too_many_requests, database_unavailable. */
  async pass(tenantId: string, buckets: readonly Bucket[]): Promise<Standing | undefined> {
    const [first] = buckets;
    if (!first) return undefined;
    return this.#inLine(nameOf(tenantId, first), async () => {
      this.#check(tenantId, buckets);
      const sinceMs = performance.now();
      return this.#judge(tenantId, await take(this.db.of(tenantId), this.keys, buckets), sinceMs);
    });
  }

  /**
   * Has `ask` take a message out of its buckets, among what else it does. Returns what it gave, and the tightest of the
   * buckets. Throws too_many_requests, and what `ask` throws.
   */
  async admit<T extends { admitted: Admitted | undefined }>(
    tenantId: string,
    { reads, messages, userId, idempotency }: Admission,
    ask: () => Promise<T>,
  ): Promise<T & { standing: Standing | undefined }> {
    const own = messages.find(({ whose }) => whose === userId);
    const go = async () => {
      this.#check(tenantId, idempotency ? reads : messages);
      const sinceMs = performance.now();
      const came = await ask();
      this.#judge(tenantId, came.admitted?.reads ?? [], sinceMs);
      return { ...came, standing: this.#judge(tenantId, came.admitted?.messages ?? [], sinceMs) };
    };
    // Never the line of an address or of all visitors: behind one who waits for a lock, nobody else's message would come.
    return own ? this.#inLine(nameOf(tenantId, own), go) : go();
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

  /** The tightest. Throws too_many_requests, and remembers it, where one refused. */
  #judge(tenantId: string, standings: Standing[], sinceMs: number): Standing | undefined {
    const [longest] = standings.filter((s) => s.refused).sort((a, b) => b.resetMs - a.resetMs);
    if (!longest) return standings.sort((a, b) => a.remaining - b.remaining)[0];
    this.#remember(nameOf(tenantId, longest.bucket), {
      standing: longest,
      untilMs: sinceMs + longest.resetMs,
    });
    throw refusalOf(longest);
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
