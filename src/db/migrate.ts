// Brings the schema up to date: the files of sql/ in the order of their names, each once, forward only, and none of
// them may stop those who are at work: a lock that is not there soon is given up and asked for again.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { asset } from "../assets.ts";
import { log } from "../log.ts";
import type { Database, SystemTx } from "./db.ts";

export type Migration = { name: string; sql: string };

const migrateTimeoutMs = 600_000;
/** Everybody who comes later waits behind a migration that waits for its lock. */
const lockTimeoutMs = 2_000;
const lockKey = 0x636970; // "cip"
const pollMs = 200;
const pauseMaxMs = 5_000;
const tellEveryMs = 5_000;

/** What is not applied yet, in order; changes nothing. What a newer release has applied is not looked at. */
export function pending(db: Database): Promise<Migration[]> {
  return db.system(async (tx) => {
    const [table] = await tx<{ there: boolean }[]>`select to_regclass('migrations') is not null as there`;
    const rows = table?.there ? await tx<{ name: string }[]>`select name from migrations` : [];
    const applied = new Set(rows.map((row) => row.name));
    return readdirSync(asset("sql"))
      .filter((name) => name.endsWith(".sql") && !applied.has(name))
      .sort()
      .map((name) => ({ name, sql: readFileSync(join(asset("sql"), name), "utf8") }));
  });
}

/**
 * Applies what is missing, each file in a transaction of its own. Of instances that start together one at a time does
 * so, and the others wait. Returns the names applied by this one.
 */
export async function migrate(db: Database): Promise<string[]> {
  const applied: string[] = [];
  // Migrations may take their time, the first answer may not: then it is no database, whatever is at that address.
  for (const migration of await pending(db))
    if ((await patiently(db, migration)) === "applied") applied.push(migration.name);
  return applied;
}

type Outcome = "applied" | "there" | "busy" | "locked";

/** Tries until it is done, by this instance or another one, and says what it waits for. Throws after ten minutes. */
async function patiently(db: Database, migration: Migration): Promise<Outcome> {
  const startMs = performance.now();
  let toldMs = startMs;
  for (let attempt = 0; ; attempt++) {
    const outcome = await apply(db, migration).catch(lockedOrThrow);
    if (outcome === "applied" || outcome === "there") return outcome;
    const nowMs = performance.now();
    const what = outcome === "busy" ? "another instance that migrates" : "a lock that a transaction holds";
    if (nowMs - startMs > migrateTimeoutMs) throw new Error(`${migration.name} waited too long for ${what}`);
    if (nowMs - toldMs > tellEveryMs) {
      toldMs = nowMs;
      log.warn({ migration: migration.name }, `a migration waits for ${what}`);
    }
    await Bun.sleep(outcome === "busy" ? pollMs : Math.min(pollMs * 2 ** attempt, pauseMaxMs));
  }
}

function apply(db: Database, { name, sql }: Migration): Promise<Outcome> {
  return db.system(async (tx) => {
    // Asked for and not waited for: who waits in a statement has a snapshot, and an index built concurrently waits for
    // all older snapshots. The lock belongs to the transaction, so that it holds through a pooler as well.
    const [lock] = await tx<{ got: boolean }[]>`select pg_try_advisory_xact_lock(${lockKey}) as got`;
    if (!lock?.got) return "busy";
    await tx`create table if not exists migrations (name text primary key, applied_at timestamptz(3) not null default now())`;
    const [done] = await tx`select from migrations where name = ${name}`;
    if (done) return "there";
    const index = indexOf(name, sql);
    if (index && db.outside) await build(tx, db.outside, index, sql);
    else {
      await tx`select set_config('lock_timeout', ${String(lockTimeoutMs)}, true)`;
      await tx.unsafe(index ? sql.replace(/\bconcurrently\b/, "") : sql).simple();
    }
    await tx`insert into migrations (name) values (${name})`;
    return "applied";
  }, migrateTimeoutMs);
}

/** The one index of a `….concurrently.sql`; undefined for every other file. */
function indexOf(name: string, sql: string): string | undefined {
  if (!name.endsWith(".concurrently.sql")) return undefined;
  const [, index] = /\bcreate (?:unique )?index concurrently (\w+)/.exec(sql) ?? [];
  if (!index) throw new Error(`${name} creates no index concurrently`);
  return index;
}

/**
 * Builds the index while everybody reads and writes the table. `tx`, which holds the lock, stays open meanwhile. What an
 * earlier attempt left unfinished is no index, and is made anew.
 */
async function build(
  tx: SystemTx,
  outside: (statement: string) => Promise<void>,
  index: string,
  sql: string,
): Promise<void> {
  const [found] = await tx<{ valid: boolean }[]>`
    select indisvalid as valid from pg_index where indexrelid = to_regclass(${index})`;
  if (found?.valid) return;
  // In the simple protocol, which leaves no snapshot behind that the building would wait for.
  await tx.unsafe("set local idle_in_transaction_session_timeout = 0").simple();
  if (found) await outside(`drop index concurrently ${index}`);
  await outside(sql);
}

/** Codes of PostgreSQL's appendix A: lock_not_available, deadlock_detected. */
function lockedOrThrow(error: unknown): Outcome {
  const { code } = error as { code?: unknown };
  if (code === "55P03" || code === "40P01") return "locked";
  throw error;
}
