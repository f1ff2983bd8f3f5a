// Behind PgBouncer in transaction mode, without prepared statements (Debian's 1.18), turns are what they are without it.
import { expect, test } from "bun:test";
import { openDatabase } from "../src/db/db.ts";
import { drain } from "./client.ts";
import { fleet } from "./fleet.ts";
import { answer } from "./model.ts";
import { pgbouncer } from "./pgbouncer.ts";
import { siteOf } from "./site.ts";
import { leftOut } from "./support.ts";

test("two instances behind PgBouncer: many at once, stop, resume, queue", async () => {
  const { databaseUrl, model, sql, start } = await fleet({}, { acme: "", globex: "CONCURRENT_RUNS_MAX=2" });
  const pooled = await pgbouncer(databaseUrl);
  if (!pooled) return leftOut("turns through PgBouncer in transaction mode", "pgbouncer is not installed");
  const place = { env: { DATABASE_URL: pooled, DATABASE_POOL_SIZE: "10" } };
  const servers = await Promise.all([start(place), start(place)]);
  const [a, b] = servers.map(({ url }) => siteOf(url, "acme")) as [Site, Site];
  const token = await a.visitor();

  // From the first moment more at once than the pooler has connections.
  const texts = Array.from({ length: 40 }, (_, i) => `message ${i}`);
  const readings = await Promise.all(
    texts.map(async (text, i) => drain(await (i % 2 ? a : b).stream(token, text))),
  );
  expect(readings.map(({ text }) => text)).toEqual(texts.map((text) => `echo: ${text}`));
  for (const { stderr } of servers) expect(stderr()).toContain("reached through a pooler");
  expect(servers.map(({ stderr }) => stderr()).join()).not.toContain('"level":"error"');

  const gate = Promise.withResolvers<void>();
  model.next([{ text: "So far" }, { hold: gate.promise }, ...answer(", so good")]);
  const { id, conversation_id } = await a.begin(token, "Tell");
  await b.said(token, id, "So far");
  const rest = b.follow(token, id, "?after=3").then(drain);
  const next = await b.begin(token, "And then?", { conversation_id, queue: true } as object);
  expect(next.status).toBe("queued");
  gate.resolve();
  expect(await rest).toMatchObject({ text: "far, so good", terminal: { type: "finish" } });
  expect(await a.ended(token, next.id)).toMatchObject({ status: "done", answer: "echo: And then?" });

  model.next([{ text: "Endless" }, { hold: new Promise(() => {}) }]);
  const endless = await a.begin(token, "Go on");
  await b.said(token, endless.id, "Endless");
  expect(await b.stop(token, endless.id)).toMatchObject({ status: "stopped", answer: "Endless" });

  const bounded = siteOf(a.url, "globex");
  const other = await bounded.visitor();
  const queued = await Promise.all(texts.slice(0, 8).map((text) => bounded.begin(other, text)));
  for (const { id } of queued) expect(await bounded.ended(other, id)).toMatchObject({ status: "done" });
  expect(await sql`select from turns where tenant_id = 'globex' and status = 'done'`).toHaveLength(8);
  for (const server of servers) expect(await server.stop()).toBe(0);
});

test("without a pooler statements are prepared, which saves every one of them a round trip", async () => {
  const { databaseUrl } = await fleet();
  const db = openDatabase({ url: databaseUrl, poolSize: 2 });
  const prepared = () => db.system((tx) => tx`select name from pg_prepared_statements`);
  await prepared();
  expect((await prepared()).length).toBeGreaterThan(0);
  await db.close();
});

type Site = ReturnType<typeof siteOf>;
