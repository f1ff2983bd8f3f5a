// A database that would show tenants each other's rows is refused at the start, and the SQL that is printed mends it.
import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { PGlite } from "@electric-sql/pglite";
import postgres from "postgres";
import { openDatabase } from "../src/db/db.ts";
import { verifyIsolation } from "../src/db/isolation.ts";
import { migrate } from "../src/db/migrate.ts";
import { privateCluster } from "./postgres.ts";
import { type Place, run, startServer } from "./server.ts";
import { atTheEnd, temporaryFolder } from "./support.ts";

type Sql = (statements: string) => Promise<unknown>;
type Installation = { place: Place; sql: Sql };

const breakages: [name: string, sql: string, said: string][] = [
  ["the role of requests is a superuser", "alter role cip_app superuser", "cip_app is a superuser"],
  ["it has bypassrls", "alter role cip_app bypassrls", "cip_app has bypassrls"],
  [
    "it can become a role that has, by way of another",
    "create role above bypassrls; create role between; grant above to between; grant between to cip_app",
    "cip_app can act as above, which no policy binds",
  ],
  [
    "it can become the owner of a table",
    "create role landlord; alter table buckets owner to landlord; grant landlord to cip_app",
    "cip_app can act as landlord, which no policy binds",
  ],
  ["it owns a table", "alter table turns owner to cip_app", "cip_app owns the table turns"],
  [
    "row-level security is off",
    "alter table conversations disable row level security",
    "row-level security of the table conversations is off",
  ],
  [
    "a policy is gone",
    "drop policy tenant on turns",
    "the table turns has no policy that keeps tenants apart",
  ],
  [
    "a policy shows everything",
    "drop policy tenant on turns; create policy tenant on turns to cip_app using (true)",
    "the policy tenant of the table turns is not of cip's making",
  ],
  [
    "there is a policy beside cip's own",
    `create policy "Support reads" on conversations for select to public using (true)`,
    `the policy "Support reads" of the table conversations is not of cip's making`,
  ],
  [
    "a new table of tenants has none of all that",
    "create table notes (tenant_id text, note text); grant select on notes to cip_app",
    "row-level security of the table notes is off",
  ],
];

/** A database for cip to make its tables in, and a superuser's way to it. */
async function postgresInstallation() {
  // Roles belong to the whole cluster, so one that is harmed must be nobody else's.
  const cluster = await privateCluster();
  const url = await cluster.createDatabase();
  const as = new URL(cluster.superuserUrl);
  as.pathname = new URL(url).pathname;
  const client = postgres(as.href, { max: 1, onnotice: () => {} });
  atTheEnd(() => client.end());
  const sql: Sql = (statements) => client.unsafe(statements).simple();
  return { place: { cwd: temporaryFolder(), env: { DATABASE_URL: url, PORT: "0" } }, sql };
}

async function embeddedInstallation() {
  const place = { cwd: temporaryFolder(), env: { PORT: "0" } };
  const sql: Sql = async (statements) => {
    const pglite = await PGlite.create(join(place.cwd, "data/postgres"));
    await pglite.exec(statements);
    await pglite.close();
  };
  return { place, sql };
}

const installations: [name: string, make: () => Promise<Installation>][] = [
  ["PostgreSQL", postgresInstallation],
  ["PGlite", embeddedInstallation],
];

const printedBy = (stderr: string) => stderr.split("As a superuser, run in the database:\n")[1] ?? "";

describe.each(installations)("on %s", (_name, make) => {
  test("all ways around row-level security are told at once, and the printed SQL closes them", async () => {
    const { place, sql } = await make();
    expect(await (await startServer(place)).stop()).toBe(0);
    // Of two that touch the same policy one would hide the other.
    const together = breakages.filter(([name]) => name !== "a policy shows everything");
    for (const [, statements] of together) await sql(statements);
    const { exitCode, stderr } = await run([], place);
    expect({ exitCode, stderr }).toMatchObject({ exitCode: 1 });
    for (const [name, , said] of together) expect(stderr, name).toContain(`\n  ${said}\n`);
    await sql(printedBy(stderr));
    expect(await (await startServer(place)).stop()).toBe(0);
  });
});

test("a start is refused for each of them alone, and not any more after its SQL", async () => {
  const { place, sql } = await postgresInstallation();
  expect(await (await startServer(place)).stop()).toBe(0);
  for (const [name, statements, said] of breakages) {
    await sql(statements);
    const { exitCode, stderr } = await run([], place);
    expect({ name, exitCode, stderr }).toMatchObject({ exitCode: 1 });
    expect(stderr, name).toStartWith("cip: Tenants could see each other's rows, so cip does not start:\n");
    expect(stderr, name).toContain(`\n  ${said}\n`);
    await sql(printedBy(stderr));
  }
  expect(await (await startServer(place)).stop()).toBe(0);
});

test("what the catalog does not tell is found by trying", async () => {
  const { place, sql } = await postgresInstallation();
  const url = place.env.DATABASE_URL;
  const open = async () => {
    const db = openDatabase({ url, poolSize: 1 });
    try {
      await migrate(db);
      return await verifyIsolation(db).catch((error: unknown) => error);
    } finally {
      await db.close();
    }
  };
  expect(await open()).toBeUndefined();
  // The policies read as ever, and ask somebody else.
  await sql(`
    create role helpdesk;
    grant helpdesk to cip_app;
    create function public.current_setting(text) returns text language sql as $$ select 'planter of a row' $$;
    alter database ${new URL(url).pathname.slice(1)} set search_path = public, pg_catalog;
    set search_path = public, pg_catalog;
    do $$ declare t text; begin
      for t in select tablename from pg_policies loop
        execute format('drop policy tenant on %I', t);
        execute format('create policy tenant on %I to cip_app using (tenant_id = current_setting(''app.tenant_id''))', t);
      end loop;
    end $$`);
  expect(await open()).toMatchObject({
    message: expect.stringContaining("rows of the table conversations are shown to a stranger"),
  });
  // Nor does the catalog's own question ask that somebody else.
  await sql("create policy more on users for select to helpdesk using (true)");
  expect(await open()).toMatchObject({
    message: expect.stringContaining("the policy more of the table users is not of cip's making"),
  });
});
