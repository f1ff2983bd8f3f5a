// The embedded database keeps itself: backups that can be restored, a log and tables that do not grow for ever.
import { expect, test } from "bun:test";
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import * as backup from "../src/db/backup.ts";
import { instanceId } from "../src/db/datadir.ts";
import { type Database, openDatabase } from "../src/db/db.ts";
import { openEmbedded } from "../src/db/embedded.ts";
import { migrate } from "../src/db/migrate.ts";
import { call, drain, visitor } from "./client.ts";
import { binary, run, startServer } from "./server.ts";
import { repository, temporaryFolder, until, within } from "./support.ts";

const goesOn = new AbortController().signal;
const tenant = "acme";

async function opened(dataDir = join(temporaryFolder(), "data")) {
  const embedded = await openEmbedded(dataDir);
  const db = openDatabase(embedded);
  await migrate(db);
  const close = async () => {
    await db.close();
    await embedded.close();
  };
  return { dataDir, embedded, db, close };
}

async function insert(db: Database, title: string): Promise<void> {
  await db.tenant(tenant, async (tx) => {
    await tx`insert into conversations (tenant_id, id, user_id, title) values (${tenant}, ${Bun.randomUUIDv7()}, 'u', ${title})`;
  });
}

async function titles(db: Database): Promise<string[]> {
  const rows = await db.tenant(
    tenant,
    (tx) => tx<{ title: string }[]>`select title from conversations where tenant_id = ${tenant} order by id`,
  );
  return rows.map(({ title }) => title);
}

/** Inserts until told to stop; gives the titles of what was acknowledged. */
function writing(db: Database) {
  const acknowledged: string[] = [];
  let stopped = false;
  const ended = (async () => {
    for (let n = 0; !stopped; n++) {
      await insert(db, `${n}`);
      acknowledged.push(`${n}`);
      await Bun.sleep(1);
    }
  })();
  return {
    acknowledged,
    async stop() {
      stopped = true;
      await ended;
    },
  };
}

/** What tells one state of a folder from another. */
function stateOf(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && !["lock", "pid"].includes(entry.name))
    .map((entry) => {
      const path = join(entry.parentPath, entry.name);
      return `${path} ${Bun.hash(readFileSync(path))}`;
    })
    .sort();
}

test("a backup taken while visitors write has every row acknowledged before it began, and none of half a transaction", async () => {
  const { dataDir, embedded, db, close } = await opened();
  const writer = writing(db);
  await until(() => writer.acknowledged.length > 20, "something is written");
  const before = writer.acknowledged.length;
  const { path } = await backup.make(embedded, dataDir, 7, goesOn);
  const during = writer.acknowledged.length - before;
  await writer.stop();
  await close();
  expect(during).toBeGreaterThan(0); // it held nobody up to its end

  const aside = await backup.restore(dataDir, path);
  const restored = await opened(dataDir);
  const found = await titles(restored.db);
  expect(found.length).toBeGreaterThanOrEqual(before);
  expect(found).toEqual(writer.acknowledged.slice(0, found.length));
  await restored.close();

  // What was set aside is whole, too.
  const elsewhere = temporaryFolder();
  cpSync(aside ?? "", join(elsewhere, "postgres"), { recursive: true });
  const old = await opened(elsewhere);
  expect(await titles(old.db)).toEqual(writer.acknowledged);
  await old.close();
});

test("the server makes a backup by itself, and one command brings it back", async () => {
  const server = await startServer({ env: { BACKUPS_KEPT: "2" } });
  const dataDir = join(server.cwd, "data");
  const ask = async (message: string) => {
    const token = await visitor(server.url, "default");
    await drain(await call(server.url, "POST", "/v1/default/turns", { token, body: { message } }));
    return token;
  };
  const token = await ask("before the backup");
  const [made] = await until(
    () => backup.list(dataDir).length > 0 && backup.list(dataDir),
    "a backup is made",
    40_000,
  );
  await until(() => server.stderr().includes("backed up the embedded database"), "the log says so");
  for (const path of [join(dataDir, "backups"), made?.path ?? ""])
    expect(statSync(path).mode & 0o077).toBe(0);

  const refused = await run(["restore", made?.name ?? ""], { cwd: server.cwd });
  expect(refused.exitCode).toBe(1);
  expect(refused.stderr).toContain(`Another cip (process ${server.pid}) is using`);
  const late = await ask("after the backup");
  expect(await server.stop()).toBe(0);

  const listed = await run(["restore"], { cwd: server.cwd });
  expect(listed.stdout).toContain(`cip restore ${made?.name}`);
  const restored = await run(["restore", made?.name ?? ""], { cwd: server.cwd });
  expect([restored.exitCode, restored.stderr]).toEqual([0, ""]);
  const again = await startServer({ cwd: server.cwd });
  const conversations = async (token: string) => {
    const answer = await call(again.url, "GET", "/v1/default/conversations", { token });
    return ((await answer.json()) as { conversations: { title: string }[] }).conversations.map(
      ({ title }) => title,
    );
  };
  expect(await conversations(token)).toEqual(["before the backup"]);
  expect(await conversations(late)).toEqual([]);
  expect(await again.stop()).toBe(0);
});

test("what is no whole backup is refused, and changes nothing", async () => {
  const { dataDir, embedded, db, close } = await opened();
  await insert(db, "kept");
  const { path } = await backup.make(embedded, dataDir, 7, goesOn);
  await close();
  const bytes = readFileSync(path);
  const flipped = Uint8Array.from(bytes);
  flipped[bytes.length >> 1] = (flipped[bytes.length >> 1] ?? 0) ^ 0xff;
  const folder = temporaryFolder();
  const bad: Record<string, Uint8Array> = {
    empty: new Uint8Array(),
    cut: bytes.subarray(0, bytes.length - 1000),
    half: bytes.subarray(0, bytes.length >> 1),
    flipped,
    other: new TextEncoder().encode("no backup at all"),
    hollow: Bun.zstdCompressSync(new Uint8Array(1024)),
  };
  const before = stateOf(dataDir);
  const place = { env: { DATA_DIR: dataDir } };
  for (const [name, content] of Object.entries(bad)) {
    const file = join(folder, name);
    writeFileSync(file, content);
    const told = await run(["restore", file], place);
    expect([name, told.exitCode, told.stdout]).toEqual([name, 1, ""]);
    expect(told.stderr).toStartWith(`cip: ${file} cannot be restored, and nothing was changed: `);
  }
  const directory = await run(["restore", folder], place);
  expect([directory.exitCode, directory.stderr]).toEqual([
    1,
    expect.stringContaining("nothing was changed: EISDIR"),
  ]);
  const missing = await run(["restore", "2020-01-01T00-00-00Z"], place);
  expect(missing.stderr).toContain("There is no backup '2020-01-01T00-00-00Z'");
  const elsewhere = await run(["restore"], { env: { DATABASE_URL: "postgres://cip@localhost/cip" } });
  expect([elsewhere.exitCode, elsewhere.stderr]).toEqual([
    1,
    expect.stringContaining("PostgreSQL's own tools"),
  ]);
  expect(stateOf(dataDir)).toEqual(before);
});

test("as many backups are kept as are wanted, and none is deleted for one that could not be made", async () => {
  const { dataDir, embedded, close } = await opened();
  const folder = join(dataDir, "backups");
  mkdirSync(folder);
  const old = ["2026-01-01T00-00-00Z", "2026-01-02T00-00-00Z", "2026-01-03T00-00-00Z"];
  for (const name of old) writeFileSync(join(folder, `${name}.tar.zst`), name);
  writeFileSync(join(folder, "mine.tar.zst"), "not one of cip's");

  await expect(backup.make(embedded, dataDir, 2, AbortSignal.abort())).rejects.toThrow();
  mkdirSync(join(folder, "unfinished")); // where it writes: the disk says no
  await expect(backup.make(embedded, dataDir, 2, goesOn)).rejects.toThrow();
  expect(backup.list(dataDir).map(({ name }) => name)).toEqual(old.toReversed());
  rmSync(join(folder, "unfinished"), { recursive: true });

  // Nothing of those that failed is in the way of the next.
  const { name } = await backup.make(embedded, dataDir, 2, goesOn);
  expect(readdirSync(folder).sort()).toEqual([`${old[2]}.tar.zst`, `${name}.tar.zst`, "mine.tar.zst"].sort());
  await close();
});

test("a restore that is killed leaves the old database or the new one, whole", async () => {
  const { dataDir, embedded, db, close } = await opened();
  await insert(db, "first");
  const { path } = await backup.make(embedded, dataDir, 7, goesOn);
  await insert(db, "second");
  await close();
  for (const delayMs of [200, 500, 800]) {
    const source = [
      `--config=${join(repository, "bunfig.toml")}`,
      join(repository, "src/index.ts"),
      "restore",
      path,
    ];
    const child = Bun.spawn([process.execPath, ...source], {
      cwd: temporaryFolder(),
      env: { DATA_DIR: dataDir },
      stdio: ["ignore", "ignore", "ignore"],
    });
    await Bun.sleep(delayMs);
    child.kill("SIGKILL");
    await child.exited;
    const after = await opened(dataDir);
    expect(["first", "first second"]).toContain((await titles(after.db)).join(" "));
    await after.close();
    expect(readdirSync(dataDir)).not.toContain("postgres.restored");
  }
});

test.each([
  ["before the old database was set aside", ["postgres", "postgres.restored"], "old"],
  ["after it", ["postgres.restored", "postgres.before-2026-01-01T00-00-00Z"], "new"],
  ["while it unpacked", ["postgres", "postgres.unfinished"], "old"],
])("a restore that ended %s is finished or undone by the next start", async (_when, folders, which) => {
  const made = async (title: string) => {
    const { dataDir, db, close } = await opened();
    await insert(db, title);
    await close();
    return join(dataDir, "postgres");
  };
  const dataDir = temporaryFolder();
  for (const folder of folders) {
    const isNew = /restored|unfinished/.test(folder);
    cpSync(await made(isNew ? "new" : "old"), join(dataDir, folder), { recursive: true });
  }
  const { db, close } = await opened(dataDir);
  expect(await titles(db)).toEqual([which]);
  await close();
  expect(existsSync(join(dataDir, "postgres.restored"))).toBe(false);
});

test("answers that are written again and again fill neither the log nor the tables", async () => {
  const { embedded, db, close } = await opened();
  await insert(db, "long");
  await embedded.alone(`insert into turns (tenant_id, id, conversation_id, user_id, status, message, finished_at)
    select tenant_id, gen_random_uuid(), id, user_id, 'done', '', now() from conversations, generate_series(1, 50)`);
  const state = async () => {
    const [row] = await embedded.alone<{ log: number; tables: number; dead: number }>(`
      select (select sum(size) from pg_ls_waldir())::int as log, pg_total_relation_size('turns')::int as tables,
        (select sum(n_dead_tup) from pg_stat_all_tables where relname = 'turns'
          or relid = (select reltoastrelid from pg_class where relname = 'turns'))::int as dead`);
    return row ?? { log: Infinity, tables: Infinity, dead: Infinity };
  };
  for (let part = 0; part < 4; part++) {
    // Rewrites 50 answers of 20 kB that do not compress 40 times: 40 MB.
    for (let round = 0; round < 40; round++)
      await embedded.alone(`update turns set parts = to_jsonb(
        (select string_agg(md5(random()::text || n), '') from generate_series(1, 650) n) || id)`);
    await until(async () => (await state()).dead < 2000, "the tables are vacuumed", 30_000);
  }
  await until(async () => (await state()).log < 100e6, "the log is cut", 30_000);
  expect((await state()).tables).toBeLessThan(100e6);
  await close();
});

test("what the database answered is not kept in memory", async () => {
  const { db, close } = await opened();
  const ask = async (times: number) => {
    for (let n = 0; n < times; n++) await db.system((tx) => tx`select repeat('x', 20000) as long`);
    Bun.gc(true);
    return process.memoryUsage().heapUsed;
  };
  const before = await ask(100);
  expect((await ask(2000)) - before).toBeLessThan(20e6); // of 40 MB
  await close();
});

test("a folder that lost what makes it a database is refused, and nothing is made over what is left", async () => {
  const { dataDir, db, close } = await opened();
  await insert(db, "kept");
  await close();
  const version = join(dataDir, "postgres/PG_VERSION");
  const text = readFileSync(version);
  rmSync(version);
  await expect(openEmbedded(dataDir)).rejects.toMatchObject({
    cause: expect.objectContaining({ message: expect.stringContaining("there is no PG_VERSION in it") }),
  });
  writeFileSync(version, text);
  const again = await opened(dataDir);
  expect(await titles(again.db)).toEqual(["kept"]);
  await again.close();
});

test("a copy of the folder is another instance, and the folder itself stays who it was", () => {
  const dataDir = temporaryFolder();
  const id = instanceId(dataDir);
  expect(instanceId(dataDir)).toBe(id);
  const copy = join(temporaryFolder(), "copy");
  cpSync(dataDir, copy, { recursive: true, preserveTimestamps: true });
  expect(instanceId(copy)).not.toBe(id);
  expect(instanceId(dataDir)).toBe(id);
});

test("the database that the binary carries has its migrations and no rows, so that no two installations share a secret", async () => {
  await within(binary(), "the binary is built", 60_000);
  const dataDir = temporaryFolder();
  mkdirSync(join(dataDir, "postgres"), { mode: 0o700 });
  await new Bun.Archive(await Bun.file(join(repository, "dist/postgres.tar.gz")).bytes()).extract(
    join(dataDir, "postgres"),
  );
  const embedded = await openEmbedded(dataDir);
  const tables = await embedded.alone<{ name: string; rows: string }>(`
    select relname as name, (xpath('/row/n/text()', query_to_xml('select count(*) as n from ' || oid::regclass, false, true, '')))[1]::text as rows
    from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace order by 1`);
  const rows = Object.fromEntries(tables.map(({ name, rows }) => [name, Number(rows)]));
  const { migrations, ...others } = rows;
  expect(migrations).toBe(readdirSync(join(repository, "sql")).length);
  expect(Object.values(others).every((count) => count === 0)).toBe(true);
  await embedded.close();
});
