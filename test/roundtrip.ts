// A tenant's archive on its way from the embedded database to PostgreSQL and out again, which must be the same file.
import { expect } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { openDatabase } from "../src/db/db.ts";
import { openEmbedded } from "../src/db/embedded.ts";
import { migrate } from "../src/db/migrate.ts";
import { fill } from "./archive.ts";
import { postgresCluster } from "./postgres.ts";
import { run } from "./server.ts";
import { temporaryFolder } from "./support.ts";

export async function roundTrip(turns: number, timeoutMs?: number): Promise<void> {
  const cwd = temporaryFolder();
  const embedded = await openEmbedded(join(cwd, "data"));
  const db = openDatabase(embedded);
  await migrate(db);
  await fill(db, "default", turns);
  await db.close();
  await embedded.close();

  const step = async (args: string[], env: Record<string, string> = {}) => {
    const { exitCode, stderr } = await run(args, { cwd, env, timeoutMs });
    expect([exitCode, stderr]).toEqual([0, ""]);
  };
  const env = { DATABASE_URL: await (await postgresCluster()).createDatabase() };
  await step(["export", "default", "first"]);
  await step(["import", "first"], env);
  await step(["export", "default", "second"], env);
  // The first line says when it was made.
  const [first, second] = ["first", "second"].map((file) =>
    readFileSync(join(cwd, file), "utf8").split("\n").slice(1),
  );
  expect(first?.at(-2)).toContain(`"turns":${turns}}`);
  expect(Bun.hash(second?.join("\n") ?? "")).toBe(Bun.hash(first?.join("\n") ?? ""));
}
