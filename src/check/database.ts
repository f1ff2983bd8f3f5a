// Looks at the database as it stands: can it be reached, may cip do there what it must, is anything to be migrated.
// It opens one connection and changes nothing.
import type { Instance } from "../config/config.ts";
import { openDatabase } from "../db/db.ts";
import { verifyIsolation } from "../db/isolation.ts";
import { pending } from "../db/migrate.ts";
import { DatabaseStartError, databaseAt, explain } from "../explain.ts";
import { clock } from "./clock.ts";
import { about, type Result } from "./result.ts";

const { ok, unseen, fail } = about("database");

export async function* database({ databaseUrl, dataDir }: Instance): AsyncGenerator<Result> {
  if (databaseUrl === undefined)
    return yield unseen(
      `embedded, in ${dataDir}: it belongs to the server alone, whose /readyz speaks for it`,
    );
  const url = databaseUrl.reveal();
  const db = openDatabase({ url, poolSize: 1 });
  try {
    const askedMs = Date.now();
    const [it] = await db.system(
      (tx) => tx<{ version: string; ms: number; may_make: boolean }[]>`
        select current_setting('server_version') as version,
          (extract(epoch from clock_timestamp()) * 1000)::float8 as ms,
          exists (select from pg_roles where rolname = 'cip_app')
            or (select rolcreaterole or rolsuper from pg_roles where rolname = current_user) as may_make`,
    );
    const { name, user, host } = databaseAt(url);
    yield ok(`PostgreSQL ${it?.version}, ${name} at ${host} as ${user}`);
    yield clock("database clock", it?.ms ?? 0, (askedMs + Date.now()) / 2);
    const missing = await pending(db);
    if (missing.length > 0) yield about("migrations").ok(`${missing.length} to be applied at the next start`);
    else yield about("migrations").ok("all applied");
    if (!it?.may_make)
      yield about("database role").fail(
        `${user} may not create roles`,
        `as a superuser, run: alter role "${user}" createrole;`,
      );
    // Only with all tables there is something to look at.
    if (missing.length > 0) return;
    await verifyIsolation(db);
    yield about("tenants apart").ok("no tenant can see another's rows");
  } catch (error) {
    const [first = "", ...more] = explain(new DatabaseStartError(url, { cause: error })).split("\n");
    yield fail(
      first,
      more.map((line) => line.trim()).join("; ") || "see DATABASE_URL, and the log of the database",
    );
  } finally {
    await db.close();
  }
}
