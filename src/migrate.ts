// Brings the schema up to date: the files of sql/ in the order of their names, each once, forward only.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { asset } from "./assets.ts";
import type { Database } from "./db.ts";

const migrateTimeoutMs = 600_000;
const lockKey = 0x636970; // "cip"

/**
 * Applies what is missing, in one transaction under an advisory lock: instances that start together wait for the
 * first, then find nothing to do. Returns the names applied now.
 */
export async function migrate(db: Database): Promise<string[]> {
  const files = readdirSync(asset("sql"))
    .filter((name) => name.endsWith(".sql"))
    .sort();
  return db.system(async (tx) => {
    await tx`select pg_advisory_xact_lock(${lockKey})`;
    await tx`create table if not exists migrations (name text primary key, applied_at timestamptz(3) not null default now())`;
    const applied = new Set(
      (await tx<{ name: string }[]>`select name from migrations`).map((row) => row.name),
    );
    const missing = files.filter((name) => !applied.has(name));
    for (const name of missing) {
      await tx.unsafe(readFileSync(join(asset("sql"), name), "utf8")).simple();
      await tx`insert into migrations (name) values (${name})`;
    }
    return missing;
  }, migrateTimeoutMs);
}
