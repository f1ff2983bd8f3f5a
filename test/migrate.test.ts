// Migrations: they stop nobody who is at work, instances that start together apply each once, and a list of what is
// missing can be had before.
import { describe, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import postgres from "postgres";
import { openDatabase } from "../src/db/db.ts";
import { migrate } from "../src/db/migrate.ts";
import { wrongIn } from "./migrations.ts";
import { postgresCluster } from "./postgres.ts";
import { run, startServer } from "./server.ts";
import { atTheEnd, repository, temporaryFolder, until } from "./support.ts";
import { nextRelease } from "./tree.ts";

const newDatabase = async () => (await postgresCluster()).createDatabase();
const names = readdirSync(join(repository, "sql")).sort();

describe("cip migrate", () => {
  test("lists what it would do and changes nothing, then does it, then has nothing to do", async () => {
    const place = { env: { DATABASE_URL: await newDatabase() } };
    const sql = postgres(place.env.DATABASE_URL, { max: 1 });
    atTheEnd(() => sql.end());
    const dry = await run(["migrate", "--dry-run"], place);
    expect(dry.stdout).toStartWith(
      "Would apply:\n  0001_main.sql: Conversations and turns of every tenant, and who may see which rows.\n",
    );
    expect(dry.stdout.match(/^ {2}\d{4}_\w+/gm)).toHaveLength(names.length);
    expect(await sql`select from pg_class where relnamespace = 'public'::regnamespace`).toHaveLength(0);
    const done = await run(["migrate"], place);
    expect(done.stdout).toBe(dry.stdout.replace("Would apply", "Applied"));
    for (const args of [["migrate"], ["migrate", "--dry-run"]])
      expect(await run(args, place)).toEqual({
        exitCode: 0,
        stdout: "The database is up to date.\n",
        stderr: "",
      });
  });

  test("says who has the embedded database, and where there is none makes none to list it", async () => {
    const server = await startServer();
    const { exitCode, stderr } = await run(["migrate", "--dry-run"], { cwd: server.cwd });
    expect([exitCode, stderr]).toEqual([
      1,
      `cip: Another cip (process ${server.pid}) is using ${join(server.cwd, "data")}. Stop it, or give this one its own DATA_DIR.\n`,
    ]);
    const cwd = temporaryFolder();
    expect((await run(["migrate", "--dry-run"], { cwd })).stderr).toStartWith(
      "cip: There is no database yet",
    );
    expect(readdirSync(cwd)).toEqual([]);
    // As the server leaves the folder where its database is elsewhere.
    const beside = { cwd, files: { "data/instance": "", "data/lock": "" } };
    for (const words of [
      ["migrate", "--dry-run"],
      ["delete-user", "acme", "42"],
      ["export", "acme"],
    ])
      expect((await run(words, beside)).stderr).toStartWith("cip: There is no database yet");
    expect(readdirSync(join(cwd, "data")).sort()).toEqual(["instance", "lock"]);
  });
});

test("a migration that waits behind a long transaction lets everybody else pass, and comes when that ends", async () => {
  const DATABASE_URL = await newDatabase();
  await run(["migrate"], { env: { DATABASE_URL } });
  const sql = postgres(DATABASE_URL, { max: 3 });
  atTheEnd(() => sql.end());
  const over = Promise.withResolvers<void>();
  const long = sql.begin(async (tx) => {
    await tx`select from turns`;
    await over.promise;
  });
  const tree = nextRelease({ "9001_next.sql": "-- A column.\nalter table turns add column next text;" });
  const migrating = run(["migrate"], { tree, env: { DATABASE_URL } });
  const waits = () => sql`select from pg_locks where not granted and relation = 'turns'::regclass`;
  await until(async () => (await waits()).length > 0, "the migration waits for its lock", 20_000);
  // Who comes after it has to wait with it, and not for as long as the transaction lasts.
  await sql.begin(async (tx) => {
    await tx`set local statement_timeout = '10s'`;
    await tx`select from turns`;
  });
  over.resolve();
  await long;
  expect(await migrating).toMatchObject({ exitCode: 0, stdout: "Applied:\n  9001_next.sql: A column.\n" });
});

test("an index is built concurrently once, by one of several, and what was left unfinished is made anew", async () => {
  const DATABASE_URL = await newDatabase();
  await run(["migrate"], { env: { DATABASE_URL } });
  const sql = postgres(DATABASE_URL, { max: 3, onnotice: () => {} });
  atTheEnd(() => sql.end());
  // What fails half way leaves its index behind, invalid.
  await sql`insert into users (tenant_id, id, name) values ('a', '1', 'x'), ('a', '2', 'x')`;
  await sql`create unique index concurrently users_by_name on users (tenant_id, name)`.catch(() => {});
  const valid = async () =>
    (await sql`select indisvalid from pg_index where indexrelid = 'users_by_name'::regclass`)[0]?.indisvalid;
  expect(await valid()).toBe(false);
  const file = "-- For lists.\ncreate index concurrently users_by_name on users (tenant_id, name);\n";
  const tree = nextRelease({ "9001_names.concurrently.sql": file });
  const all = await Promise.all([1, 2, 3].map(() => run(["migrate"], { tree, env: { DATABASE_URL } })));
  expect(all.map(({ exitCode, stderr }) => [exitCode, stderr])).toEqual([1, 2, 3].map(() => [0, ""]));
  expect(await valid()).toBe(true);
  expect(await sql`select from migrations where name like '9001%'`).toHaveLength(1);
});

test("on the embedded database the same file builds it plainly", async () => {
  const file = "-- For lists.\ncreate index concurrently users_by_name on users (tenant_id, name);\n";
  const tree = nextRelease({ "9001_names.concurrently.sql": file });
  const { exitCode, stdout } = await run(["migrate"], { tree, timeoutMs: 50_000 });
  expect(exitCode).toBe(0);
  expect(stdout).toContain("  9001_names.concurrently.sql: For lists.\n");
});

test("several that start at once on an empty database apply each file once", async () => {
  const url = await newDatabase();
  const all = await Promise.all(
    [1, 2, 3].map(async () => {
      const db = openDatabase({ url, poolSize: 1 });
      return migrate(db).finally(() => db.close());
    }),
  );
  expect(all.flat().sort()).toEqual(names);
});

describe("a file of sql/", () => {
  test("holds no lock for long and takes nothing from the release before", () => {
    for (const name of names.filter((name) => name >= "0005"))
      expect(wrongIn(name, readFileSync(join(repository, "sql", name), "utf8")), name).toEqual([]);
  });

  const bad = [
    "alter table turns drop column rating;",
    "drop table users;",
    "alter table turns rename column rating to mark;",
    "alter table turns alter column message type varchar;",
    "alter table turns alter column rating set not null;",
    "alter table turns add column a text not null;",
    "alter table turns add column a text, add column b text not null;",
    "alter table turns add column a uuid default gen_random_uuid();",
    "alter table turns add column a text check (a <> '');",
    "alter table turns add constraint c check (message <> '');",
    "alter table turns add foreign key (tenant_id, user_id) references users (tenant_id, id);",
    "alter table turns add unique (tenant_id, message);",
    "create index i on turns (tenant_id, rating);",
    "create index concurrently i on turns (tenant_id, rating);",
    "update turns set rating = null;",
    "lock table turns;",
    "create function f() returns void language plpgsql as $$\nbegin\nend\n$$;\ndelete from turns;",
  ];
  test.each(bad)("may not say: %s", (sql) => {
    expect(wrongIn("9001_bad.sql", sql)).not.toEqual([]);
  });

  const good: [name: string, sql: string][] = [
    ["9001_a.sql", "alter table turns add column a text;"],
    ["9001_a.sql", "alter table turns add column a text not null default '', add column b jsonb;"],
    ["9001_a.sql", "alter table turns add constraint c check (message <> '') not valid;"],
    ["9001_a.sql", "create table n (tenant_id text, id uuid); create index i on n (tenant_id);"],
    [
      "9001_a.sql",
      "create function f() returns void language plpgsql as $$\nbegin\n  delete from turns;\nend\n$$;",
    ],
    ["9001_a.concurrently.sql", "create index concurrently i on turns (tenant_id, rating);"],
  ];
  test.each(good)("may be %s: %s", (name, sql) => {
    expect(wrongIn(name, sql)).toEqual([]);
  });
});
