// A database that restarts, refuses to write or has no room: who asks is told so at once, who was acknowledged loses nothing.
import { describe, expect, test } from "bun:test";
import postgres from "postgres";
import { type Database, openDatabase } from "../src/db/db.ts";
import { drain } from "./client.ts";
import { askHere, type Fleet, fleet } from "./fleet.ts";
import { answer } from "./model.ts";
import { postgresCluster, privateCluster } from "./postgres.ts";
import { expectProblem, siteOf } from "./site.ts";
import { until, within } from "./support.ts";

type Site = ReturnType<typeof siteOf>;

/** Asks until the database serves again. */
const recovered = (site: Site, token: string) =>
  until(
    async () =>
      (
        await site
          .stream(token, "Back?")
          .then(drain)
          .catch(() => undefined)
      )?.terminal,
    "cip is back",
  );

/** A refusal that says when to come back, and that took no longer than `withinMs`. */
async function expectUnavailable(response: Promise<Response>, withinMs: number): Promise<void> {
  const begun = performance.now();
  const answered = await response;
  expect(performance.now() - begun).toBeLessThan(withinMs);
  expect(Number(answered.headers.get("retry-after"))).toBeGreaterThan(0);
  await expectProblem(answered, 503, "database_unavailable");
}

test("fifty running turns outlive two restarts of the database, for near and far readers", async () => {
  const cluster = await privateCluster();
  const { model, sql, start } = await fleet({}, {}, cluster);
  const near = siteOf((await start()).url);
  const far = siteOf((await start()).url);
  const token = await near.visitor();
  const [crash, stop] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  // Half of them end while the database is away for the first time, half of them outlive both times.
  model.always(({ messages }) => {
    const message = messages.at(-1)?.content ?? "";
    const gate = Number(message) % 2 === 0 ? crash : stop;
    return [{ text: `${message} ` }, { hold: gate.promise }, ...answer("whole")];
  });

  const begun = await Promise.all(Array.from({ length: 50 }, (_, i) => askHere(near, token, String(i))));
  const readers = begun.map(({ id, reader }, i) => (i < 40 ? reader : far.follow(token, id).then(drain)));
  const spoken = () => sql`select from turns where parts <> '[]'`;
  await until(async () => (await spoken()).length === 50, "all speak");

  const away = cluster.restart("immediate", 700);
  await expectUnavailable(
    until(() => refused(near, token), "the database is away"),
    4_000,
  );
  crash.resolve();
  await away;
  const readings = () => readers.slice(0, 40).filter((_, i) => i % 2 === 0);
  await within(Promise.all(readings()), "the first half ends");
  const again = cluster.restart("fast", 300);
  await Bun.sleep(100);
  stop.resolve();
  await again;

  for (const [i, reader] of readers.entries())
    expect(await within(reader, `reader ${i} comes to the end`)).toMatchObject({
      text: `${i} whole`,
      terminal: { type: "finish" },
    });
  const rows = await sql`
    select message, status, parts -> 0 ->> 'text' as text from turns where message ~ '^\\d+$' order by message::integer`;
  expect([...rows]).toEqual(
    Array.from({ length: 50 }, (_, i) => ({ message: String(i), status: "done", text: `${i} whole` })),
  );
  expect(await recovered(far, token)).toMatchObject({ type: "finish" });

  async function refused(site: Site, token: string): Promise<Response | undefined> {
    const response = await site.on("POST", "/turns", { token, body: { message: "Now?" } });
    return response.status === 200 ? void response.body?.cancel() : response;
  }
});

describe("a database", () => {
  const superuser = async (ground: Fleet) => {
    const url = new URL((await postgresCluster()).superuserUrl);
    url.pathname = new URL(ground.databaseUrl).pathname;
    return postgres(url.href, { max: 1 });
  };

  test("that may not be written to, as a standby after a failover, is said to be unavailable until it may", async () => {
    const ground = await fleet();
    const site = siteOf((await ground.start()).url);
    const token = await site.visitor();
    const { id } = await site.ask(token, "Hi");
    const sql = await superuser(ground);
    const [{ name } = { name: "" }] = await sql<{ name: string }[]>`select current_database() as name`;
    await sql`alter database ${sql(name)} set default_transaction_read_only = on`;
    await sql`select pg_terminate_backend(pid) from pg_stat_activity where datname = ${name} and application_name = 'cip'`;
    const readable = () => site.turn(token, id).catch(() => undefined);
    await until(readable, "reads are served");
    for (let i = 0; i < 3; i++) await expectUnavailable(site.stream(token, "Write"), 1_000);
    expect(await site.turn(token, id)).toMatchObject({ status: "done" });
    await sql`alter database ${sql(name)} reset default_transaction_read_only`;
    expect(await recovered(site, token)).toMatchObject({ type: "finish" });
    await sql.end();
  });

  test("whose connections are all waiting is said to be unavailable within two seconds", async () => {
    const ground = await fleet();
    const site = siteOf((await ground.start({ env: { DATABASE_POOL_SIZE: "2" } })).url);
    const token = await site.visitor();
    const locked = Promise.withResolvers<void>();
    const release = Promise.withResolvers<void>();
    const holding = ground.sql.begin(async (tx) => {
      await tx`lock table turns in access exclusive mode`;
      locked.resolve();
      await release.promise;
    });
    await locked.promise;
    const stuck = [1, 2].map((i) => site.ask(token, String(i)));
    await Bun.sleep(100);
    await Promise.all([3, 4, 5].map((i) => expectUnavailable(site.stream(token, String(i)), 2_500)));
    release.resolve();
    await holding;
    for (const turn of await Promise.all(stuck)) expect(turn.status).toBe("done");
    expect(await site.ask(token, "6")).toMatchObject({ status: "done" });
  });

  test("that fails a hundred requests at once is in the log once a second", async () => {
    const ground = await fleet();
    const server = await ground.start({ env: { DATABASE_POOL_SIZE: "1" } });
    const site = siteOf(server.url);
    const token = await site.visitor();
    const lines = () =>
      `${server.stdout()}${server.stderr()}`.split('"code":"database_unavailable"').length - 1;
    const begun = performance.now();
    await ground.sql.begin(async (tx) => {
      await tx`lock table conversations in access exclusive mode`;
      const asked = Array.from({ length: 100 }, () => site.on("GET", "/conversations", { token }));
      const statuses = (await Promise.all(asked)).map(({ status }) => status);
      expect(statuses).toEqual(asked.map(() => 503));
    });
    await until(() => lines() > 0, "it is logged");
    expect(lines()).toBeLessThanOrEqual(Math.ceil((performance.now() - begun) / 1_000));
  });

  test("is asked once whether it is there, however many want to know", async () => {
    const ground = await fleet();
    const site = siteOf((await ground.start()).url);
    const token = await site.visitor();
    const ask = () => fetch(`${site.url}/readyz`).then(({ status }) => status);
    const looks = () => ground.sql`
      select from pg_stat_activity
      where datname = current_database() and wait_event_type = 'Lock' and query like '%from migrations%'`;
    const asked: Promise<number>[] = [];
    await ground.sql.begin(async (tx) => {
      await tx`lock table migrations in access exclusive mode`;
      // What was seen before is good for a second.
      await until(async () => asked.push(ask()) && (await looks()).length > 0, "it is looked at");
      for (let i = 0; i < 50; i++) asked.push(ask());
      expect((await site.on("GET", "/conversations", { token })).status).toBe(200);
      expect(await looks()).toHaveLength(1);
    });
    expect(new Set(await Promise.all(asked))).toEqual(new Set([200]));
  });
});

test("locks of a process that fell asleep in mid-transaction are free again after five seconds", async () => {
  const { databaseUrl } = await fleet();
  const [sleeper, other] = [1, 2].map(() => openDatabase({ url: databaseUrl, poolSize: 1 })) as [
    Database,
    Database,
  ];
  const locked = Promise.withResolvers<void>();
  const asleep = sleeper.system(async (tx) => {
    await tx`select pg_advisory_xact_lock(1)`;
    locked.resolve();
    await Bun.sleep(5_900);
    await tx`select 1`;
  });
  const outcome = asleep.catch((error: { code?: string }) => error.code);
  await locked.promise;
  await Bun.sleep(1_000);
  await other.system((tx) => tx`select pg_advisory_xact_lock(1)`);
  expect(await outcome).toBe("database_unavailable");
  expect(await sleeper.system((tx) => tx`select 1 as one`)).toMatchObject([{ one: 1 }]);
  await Promise.all([sleeper.close(), other.close()]);
});
