// `cip export` and `cip import`: what visitors said moves to another database whole, and what is broken is refused by its line.
import { beforeAll, describe, expect, test } from "bun:test";
import { readdirSync, readFileSync, readlinkSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { openDatabase } from "../src/db/db.ts";
import { migrate } from "../src/db/migrate.ts";
import { fill } from "./archive.ts";
import { call } from "./client.ts";
import { answer } from "./model.ts";
import { postgresCluster } from "./postgres.ts";
import { roundTrip } from "./roundtrip.ts";
import { run, startServer } from "./server.ts";
import { siteOf, startSite } from "./site.ts";
import { repository, temporaryFolder } from "./support.ts";

type Entry = { turn?: Record<string, unknown>; [field: string]: unknown };
const entriesIn = (text: string): Entry[] =>
  text
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as Entry);
const newDatabase = async () => (await postgresCluster()).createDatabase();

test("2,000 turns go from PGlite to PostgreSQL and out again byte for byte", async () => {
  await roundTrip(2_000);
});

describe("the embedded database grows up", () => {
  test("visitors find everything as it was, with the tokens they have", async () => {
    const before = await startSite({ tenants: { default: "" } }, "embedded");
    const { cwd } = before.server;
    const token = await before.visitor();
    before.model.next(answer("The first ", "answer"));
    const { id, conversation_id } = await before.ask(token, "What is it?");
    const again = { message: "And this?", replaces: id };
    await before.on("POST", "/turns", { token, body: again, headers: { accept: "application/json" } });
    const newest = (await before.conversation(token, conversation_id)).turns[0];
    await before.on("PUT", `/turns/${newest?.id}/feedback`, {
      token,
      body: { rating: "up", comment: "Thanks" },
    });
    const seen = await before.conversation(token, conversation_id);
    const replaced = await before.turn(token, id);
    await before.server.stop();

    const exported = await run(["export", "default", "default.jsonl"], { cwd });
    expect(exported).toMatchObject({ exitCode: 0, stderr: "" });
    expect(exported.stdout).toBe("Exported of default: 1 conversation with 2 turns, 0 users.\n");
    expect(statSync(join(cwd, "default.jsonl")).mode & 0o777).toBe(0o600);
    const key = (await run(["secret-key"], { cwd })).stdout;
    expect(key).toMatch(/^SECRET_KEY=[0-9a-f]{64}\n$/);

    const DATABASE_URL = await newDatabase();
    const place = { cwd, env: { DATABASE_URL }, files: { ".env": key } };
    const imported = await run(["import", "default.jsonl"], place);
    expect(imported).toMatchObject({ exitCode: 0, stderr: "" });
    expect(imported.stdout).toBe("Imported into default: 1 conversation, 2 turns, 0 users.\n");

    const after = siteOf((await startServer(place)).url);
    expect(await after.conversation(token, conversation_id)).toEqual(seen);
    expect(await after.turn(token, id)).toEqual(replaced);
    expect((await call(after.url, "GET", "/v1/default/visitors/me/export", { token })).status).toBe(200);
  });

  test("a configured key is not printed", async () => {
    const { exitCode, stdout, stderr } = await run(["secret-key"], {
      env: { SECRET_KEY: "a key to sign tokens with, long enough" },
    });
    expect([exitCode, stdout, stderr]).toEqual([
      1,
      "",
      "cip: SECRET_KEY is set already; take it along from there.\n",
    ]);
  });
});

describe("an export", () => {
  let site: Awaited<ReturnType<typeof startSite>>;
  let place: { env: Record<string, string> };
  beforeAll(async () => {
    site = await startSite();
    place = { env: { DATABASE_URL: site.databaseUrl } };
  });

  test("begins with what it is, ends with how much, and holds nothing of the inside", async () => {
    const token = await site.visitor();
    await site.ask(token, "Hi");
    const { stdout } = await run(["export", "default"], place);
    const lines = entriesIn(stdout);
    expect(lines[0]).toEqual({
      format: "cip",
      version: 1,
      tenant: "default",
      exported_at: expect.any(String),
    });
    expect(lines.map((line) => Object.keys(line)[0])).toEqual(["format", "conversation", "turn", "end"]);
    expect(lines.at(-1)).toEqual({ end: true, users: 0, conversations: 1, turns: 1 });
    expect(stdout).not.toMatch(/tenant_id|epoch|lease|instance|trace|request_id|stop_requested/);
  });

  test("of an answer that is being written brings it as far as it is, to end there as interrupted", async () => {
    const { asked, releaseAll } = site.hold([{ text: "So far" }]);
    const token = await site.visitor();
    const { id } = await site.begin(token, "Slowly");
    await asked();
    await site.said(token, id, "So far");
    const { stdout } = await run(["export", "default", "live.jsonl"], { ...place, cwd: site.server.cwd });
    expect(stdout).toStartWith("Exported");
    const env = { DATABASE_URL: await newDatabase() };
    await run(["import", "live.jsonl"], { cwd: site.server.cwd, env });
    releaseAll();
    const turns = entriesIn((await run(["export", "default"], { env })).stdout).flatMap(({ turn }) =>
      turn ? [turn] : [],
    );
    const turn = turns.find((turn) => turn.id === id);
    expect(turn).toMatchObject({ status: "interrupted", message: "Slowly" });
    expect(turn?.finished_at).toBeString();
  });

  test("of a tenant of whom nothing is stored says so", async () => {
    // `-` is standard output, as for `cip import`.
    const { exitCode, stdout, stderr } = await run(["export", "nobody", "-"], place);
    expect([exitCode, entriesIn(stdout).length]).toEqual([0, 2]);
    expect(stderr).toBe("cip: nothing is stored of a tenant nobody; the export is empty\n");
  });

  test("is whole or not there under its name", async () => {
    const cwd = temporaryFolder();
    const { exitCode, stderr } = await run(["export", "default", "no/such/folder.jsonl"], { ...place, cwd });
    expect([exitCode, readdirSync(cwd)]).toEqual([1, ["data"]]);
    expect(stderr).toStartWith("cip: no/such/folder.jsonl cannot be written:");
  });

  test("takes the place of a file, and of nothing else", async () => {
    const cwd = temporaryFolder();
    symlinkSync("/dev/null", join(cwd, "device"));
    symlinkSync("real.jsonl", join(cwd, "link.jsonl"));
    writeFileSync(join(cwd, "real.jsonl"), "older");
    for (const name of ["device", "."]) {
      const { exitCode, stderr } = await run(["export", "default", name], { ...place, cwd });
      expect([exitCode, stderr]).toEqual([
        1,
        `cip: ${name} is no regular file; name another one, or none for standard output.\n`,
      ]);
    }
    expect((await run(["export", "default", "link.jsonl"], { ...place, cwd })).exitCode).toBe(0);
    expect([readlinkSync(join(cwd, "device")), readlinkSync(join(cwd, "link.jsonl"))]).toEqual([
      "/dev/null",
      "real.jsonl",
    ]);
    expect(readFileSync(join(cwd, "real.jsonl"), "utf8")).toStartWith('{"format":"cip"');
    expect(readdirSync(cwd).sort()).toEqual(["data", "device", "link.jsonl", "real.jsonl"]);
  });
});

test("an import of what cannot be read, or of nothing, is refused in words that fit", async () => {
  const cwd = temporaryFolder();
  symlinkSync("loop", join(cwd, "loop"));
  const loop = await run(["import", "loop"], { cwd });
  expect([loop.exitCode, loop.stderr]).toEqual([
    1,
    expect.stringMatching(/^cip: loop cannot be read: ELOOP/),
  ]);
  expect(readdirSync(cwd)).toEqual(["loop"]);
  writeFileSync(join(cwd, "empty"), "");
  expect((await run(["import", "empty"], { cwd })).stderr).toBe(
    "cip: empty: line 1 is missing: the file is empty.\nMend the file, or export it anew, and import it again.\n",
  );
});

test("an export whose reader has read enough ends without a word", async () => {
  const url = await newDatabase();
  const db = openDatabase({ url, poolSize: 2 });
  await migrate(db);
  await fill(db, "default", 3_000);
  await db.close();
  const cip = `${process.execPath} --config=${join(repository, "bunfig.toml")} ${join(repository, "src/index.ts")}`;
  const shell = Bun.spawnSync(["sh", "-c", `${cip} export default | head -1`], {
    cwd: temporaryFolder(),
    env: { PATH: process.env.PATH ?? "", DATABASE_URL: url },
  });
  expect(shell.stdout.toString()).toStartWith('{"format":"cip"');
  expect(shell.stderr.toString()).toBe("");
});
