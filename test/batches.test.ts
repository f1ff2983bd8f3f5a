// Requests that travel to the database together: each comes back with its own answer, and none of them waits for
// another's lock, fails with another's mistake or is acknowledged before the disk has it.
import { beforeAll, expect, test } from "bun:test";
import { batches, type CameOf, Line, StepError } from "../src/db/batch.ts";
import { type Database, openDatabase } from "../src/db/db.ts";
import { migrate } from "../src/db/migrate.ts";
import type { Bucket } from "../src/rows/limits.ts";
import { ask as askWith } from "../src/rows/openings.ts";
import { claimed, keys, opened, opening } from "./openings.ts";
import { postgresCluster, privateCluster } from "./postgres.ts";
import { tapped } from "./statements.ts";
import { atTheEnd, until, within } from "./support.ts";

const lease = { instanceId: Bun.randomUUIDv7(), leaseMs: 45_000 };
let db: Database;
let journeys: () => number;
beforeAll(async () => {
  const line = await tapped(await (await postgresCluster()).createDatabase());
  journeys = () => line.transactions.filter(([first]) => first?.sql.includes("call do_batch")).length;
  db = openDatabase({ url: line.url, poolSize: 5 });
  atTheEnd(() => db.close());
  await migrate(db);
});

const ask = (tenantId: string, userId: string) => claimed(db.of(tenantId), opening({ userId }), lease);

test("many that ask at once, of several tenants, travel in few batches, and each gets its own turn", async () => {
  const before = journeys();
  const asked = Array.from({ length: 60 }, (_, i) => [`site-${i % 3}`, `visitor ${i}`] as const);
  const claims = await Promise.all(asked.map(([tenantId, userId]) => ask(tenantId, userId)));
  expect(journeys() - before).toBeLessThan(10);
  const rows = await db.system(
    (tx) => tx<{ id: string; tenant_id: string; user_id: string }[]>`
      select id, tenant_id, user_id from turns where tenant_id like 'site-%'`,
  );
  const found = new Map(rows.map((row) => [row.id, [row.tenant_id, row.user_id]]));
  expect(claims.map(({ turnId }) => found.get(turnId))).toEqual(asked.map((one) => [...one]));
});

/** Holds the locks of visitors ("tenant user") for as long as `until` takes; returns once it has them. */
async function locked(visitors: string[], until: () => Promise<void>): Promise<{ released: Promise<void> }> {
  const begun = Promise.withResolvers<void>();
  const released = db.system(async (tx) => {
    for (const visitor of visitors)
      await tx`select pg_advisory_xact_lock(hashtextextended(${`cip visitor ${visitor}`}, 0))`;
    begun.resolve();
    await until();
  }, 6_000);
  await Promise.race([begun.promise, released]);
  return { released };
}

test("one alone is on its way at once", async () => {
  const before = journeys();
  await ask("alone", "ann");
  expect(journeys() - before).toBe(1);
});

test("what is wrong with one of a batch is no other's trouble", async () => {
  const asked = Array.from({ length: 20 }, (_, i) =>
    opened(db.of("mixed"), opening({ userId: `${i}`, ...(i === 7 && { conversationId: "no id" }) }), lease),
  );
  const outcomes = await Promise.allSettled(asked);
  const failed = outcomes.flatMap((outcome, i) =>
    outcome.status === "rejected" ? [[i, outcome.reason]] : [],
  );
  expect(failed).toEqual([[7, expect.objectContaining({ code: "22P02" })]]);
  expect(failed[0]?.[1]).toBeInstanceOf(StepError);
});

test("those who wait for a lock hold up nobody, and have their turns once it is free", async () => {
  const { promise: free, resolve: release } = Promise.withResolvers<void>();
  const { released } = await locked(["locks locked 0", "locks locked 1", "locks locked 2"], () => free);
  let over = 0;
  // As many as travel at once, and one more.
  const waiting = Array.from({ length: 3 }, (_, i) => ask("locks", `locked ${i}`).finally(() => over++));
  const others = Array.from({ length: 100 }, (_, i) => ask("locks", `${i}`));
  await within(Promise.all(others), "the others have their turns", 1_500);
  expect(over).toBe(0);
  release();
  await released;
  await within(Promise.all(waiting), "they have theirs");
});

test("who is let in and then waits for a lock is let in once", async () => {
  const { released } = await locked(["once ann"], () => Bun.sleep(300));
  const once: Bucket = { policy: "once", rate: { count: 1, periodMs: 3_600_000 }, whose: "ann" };
  const admission = { reads: [], messages: [once], userId: "ann", idempotency: undefined };
  const came = await askWith(db.of("once"), keys, { admission, opening: opening({ userId: "ann" }) }, lease);
  expect(came.admitted?.messages).toMatchObject([{ remaining: 0, refused: false }]);
  expect(came.outcome).toMatchObject({ epoch: 1 });
  await released;
});

test("a text that is no jsonb is its sender's trouble only", async () => {
  const asked = ["a", "\0", "c", "d", "e"].map((message, i) =>
    opened(db.of("text"), opening({ userId: `${i}`, message }), lease),
  );
  const outcomes = await Promise.allSettled(asked);
  expect(outcomes.map(({ status }) => status)).toEqual([
    "fulfilled",
    "rejected",
    "fulfilled",
    "fulfilled",
    "fulfilled",
  ]);
});

test("what would begin too late is not begun", async () => {
  const { released } = await locked(["late ann"], () => Bun.sleep(4_300));
  const requests = ["ann", "bob"].map((user_id) => ({
    tenant: "late",
    open_turn: {
      user_id,
      id: Bun.randomUUIDv7(),
      conversation_id: Bun.randomUUIDv7(),
      queue: false,
      budgets: [],
    },
  }));
  const came = await db.system(async (tx) => {
    // As db.ts has it done, with more patience.
    await tx`commit`.simple();
    const [row] = await tx`call do_batch(${tx.json(requests)}, 5000, null)`;
    return row?.came_of;
  }, 6_000);
  expect(came[1]).toEqual({ error: expect.objectContaining({ code: "53000" }) });
  await released;
});

test("who waits for a lock for too long is told that the database has no time", async () => {
  let journeys = 0;
  const line = batches(async () => {
    journeys++;
    return [new StepError("canceling statement due to lock timeout", "55P03", null, {})];
  }, true);
  const refused = await line.ask({ tenant: "acme" }).catch((error: { code?: string }) => error.code);
  expect([refused, journeys]).toEqual(["database_unavailable", 2]);
});

test("what is acknowledged is on the disk, also where many share one flush", async () => {
  const cluster = await privateCluster();
  const durable = openDatabase({ url: await cluster.createDatabase(), poolSize: 5 });
  atTheEnd(() => durable.close());
  await migrate(durable);
  const asked = Array.from({ length: 100 }, (_, i) =>
    claimed(durable.of("acme"), opening({ userId: `${i}` }), lease),
  );
  const claims = await Promise.all(asked);
  await cluster.restart("immediate", 0); // what was in its memory only is lost
  const rows = await until(
    () => durable.system((tx) => tx<{ id: string }[]>`select id from turns`).catch(() => undefined),
    "the database is back",
  );
  expect(new Set(rows.map(({ id }) => id))).toEqual(new Set(claims.map(({ turnId }) => turnId)));
});

test("who finds no batch to go with within two seconds is told so", async () => {
  const never = new Promise<(CameOf | Error)[]>(() => {});
  const line = new Line(() => never, { journeysMax: 1, requestsMax: 9, patienceMs: 0 });
  void line.ask({ tenant: "acme" });
  const refused = await line.ask({ tenant: "acme" }).catch((error: { code?: string }) => error.code);
  expect(refused).toBe("database_unavailable");
});
