// How much a turn reads of the database: as few pages beside many other rows as beside none, whether its plans were made
// when the tables were empty, without statistics or with them.
import { beforeEach, expect, test } from "bun:test";
import postgres from "postgres";
import { type Database, openDatabase, type TenantTx } from "../src/db/db.ts";
import { migrate } from "../src/db/migrate.ts";
import * as claims from "../src/rows/claims.ts";
import * as conversations from "../src/rows/conversations.ts";
import type { Bucket } from "../src/rows/limits.ts";
import { type Admission, ask, type Opening } from "../src/rows/openings.ts";
import * as turns from "../src/rows/turns.ts";
import { everyone } from "../src/rows/users.ts";
import { keys, opening } from "./openings.ts";
import { postgresCluster } from "./postgres.ts";
import { atTheEnd } from "./support.ts";

const tenantId = "acme";
const lease = { instanceId: Bun.randomUUIDv7(), leaseMs: 45_000 };
const today = new Date().toISOString().slice(0, 10);
/** Of one table with its indexes, in one act; what is written reads some pages of each index as well. */
const pagesMax = 100;

let url: string;
let fill: postgres.Sql;
beforeEach(async () => {
  const cluster = await postgresCluster();
  url = await cluster.createDatabase();
  const superuserUrl = new URL(cluster.superuserUrl);
  superuserUrl.pathname = new URL(url).pathname;
  fill = postgres(superuserUrl.href, { max: 1, connection: { session_replication_role: "replica" } });
  const db = session();
  atTheEnd(() => Promise.all([fill.end(), db.close()]));
  await migrate(db);
  // What the server would find out within a minute, or not yet.
  for (const table of ["turns", "conversations", "buckets", "budgets"])
    await fill`alter table ${fill(table)} set (autovacuum_enabled = off)`;
});

/** One connection, so that it keeps the plans that it has made. */
const session = () => openDatabase({ url, poolSize: 1 });
/** A prepared statement is planned anew five times before its plan is kept. */
const times = 7;

test.each([
  ["that nobody has counted", async () => {}],
  ["that were counted", () => fill`analyze`],
])("a turn reads as little beside many rows as beside few %s", async (_when, counted) => {
  const short = await conversation("ann", 1);
  for (let i = 0; i < 30; i++) await conversation(`early ${i}`, 3);
  await counted();
  const early = session();
  for (let i = 0; i < times; i++) await life(early, "ann", short);
  const long = await conversation("bob", 10_000);
  await others();
  const reads = { "as planned before": await life(early, "bob", long) };
  const late = session();
  for (let i = 0; i < times; i++) Object.assign(reads, { "as planned now": await life(late, "bob", long) });
  await fill`vacuum analyze`;
  const last = session();
  for (let i = 0; i < times; i++) Object.assign(reads, { "counted now": await life(last, "bob", long) });
  await Promise.all([early, late, last].map((db) => db.close()));
  const many = Object.entries(reads).flatMap(([when, acts]) =>
    acts.filter(({ pages }) => pages > pagesMax).map((act) => ({ when, ...act })),
  );
  expect(many).toEqual([]);
});

/** 2,000 turns that run, and 30,000 that are over, with all that goes with them. */
async function others(): Promise<void> {
  await fill`
    with made as (
      insert into conversations (tenant_id, id, user_id, title)
      select ${tenantId}, uuidv7(), 'other ' || i, '' from generate_series(1, 32000) i returning id, user_id
    )
    insert into turns (tenant_id, id, conversation_id, user_id, status, message, finished_at)
    select ${tenantId}, uuidv7(), id, user_id, case when n > 2000 then 'done' else 'running' end, 'hello',
      case when n > 2000 then now() end
    from (select id, user_id, row_number() over () as n from made) numbered`;
  await fill`
    insert into buckets select ${tenantId}, 'other ' || i, now() from generate_series(1, 30000) i`;
  await fill`
    insert into budgets select ${tenantId}, ${today}::text::date, 'other ' || i, 1 from generate_series(1, 30000) i`;
}

async function conversation(userId: string, count: number): Promise<string> {
  const id = Bun.randomUUIDv7();
  await fill`
    insert into conversations (tenant_id, id, user_id, title) values (${tenantId}, ${id}, ${userId}, '')`;
  await fill`
    insert into turns (tenant_id, id, conversation_id, user_id, status, message, parts, created_at, finished_at)
    select ${tenantId}, uuidv7(), ${id}, ${userId}, 'done', 'hello', '[{"type": "text", "text": "hello"}]',
      now() - (${count} - i) * interval '1 second', now()
    from generate_series(1, ${count}::integer) i`;
  return id;
}

type Read = { act: string; table: string; pages: number };

/** All that a visitor's turns ask of the database, and how many pages of which table each act has read. */
async function life(db: Database, userId: string, conversationId: string): Promise<Read[]> {
  const within = (work: (tx: TenantTx) => Promise<unknown>) => db.tenant(tenantId, work);
  const messages = (count: number): Admission => ({
    reads: [bucket("reads", 1_000)],
    messages: [bucket(`${count} messages`, count)],
    userId,
    idempotency: { key: crypto.randomUUID(), requestHash: "" },
  });
  const asks = async (more: Partial<Opening>, admission?: Admission): Promise<string> => {
    const what = opening({ userId, conversationId, budgets: [{ holder: userId, tokens_max: 1e9 }], ...more });
    const { outcome } = await ask(db.of(tenantId), keys, { admission, opening: what }, lease);
    expect(outcome).toMatchObject({ id: what.id });
    return what.id;
  };
  const settles = (turnId: string, epoch = 1) =>
    claims.settle(db.of(tenantId), { tenantId, turnId, epoch }, [], { status: "stopped" }, used);
  const used = { day: today, holders: [userId], spent: -1 };

  let id = "";
  const acts: Record<string, () => Promise<unknown>> = {
    asks: async () => (id = await asks({}, messages(1_000))),
    settles: () => settles(id),
    "asks in a new conversation": async () => settles(await asks({ conversationId: Bun.randomUUIDv7() })),
    "asks in place of the last": async () => settles(await asks({ replaces: id })),
    "is refused": async () => {
      for (let i = 0; i < 2; i++) await ask(db.of(tenantId), keys, { admission: messages(1) }, lease);
    },
    "waits, and is answered": async () => {
      const waiting = await asks({ detached: true });
      await within((tx) => claims.isFull(tx, 10));
      const claimed = await db.tenant(tenantId, (tx) => claims.claimOldest(tx, lease));
      expect(claimed?.claim.turnId).toBe(waiting);
      await within((tx) => turns.history(tx, conversationId, waiting, 1_000_000));
      await settles(waiting, claimed?.claim.epoch);
    },
    "opens the conversation": () => within((tx) => turns.page(tx, conversationId, 50)),
    "looks further back": () => within((tx) => turns.page(tx, conversationId, 50, id)),
    "looks for the live turn": () => within((tx) => turns.findLive(tx, userId, conversationId)),
    "reads a turn": () => within((tx) => turns.get(tx, userId, id)),
    "lists conversations": () => within((tx) => conversations.list(tx, userId, 50)),
    "lists everyone's": () => within((tx) => conversations.list(tx, everyone, 50)),
    "names it": () => within((tx) => conversations.rename(tx, userId, conversationId, "")),
  };
  const reads: Read[] = [];
  let before = await pagesRead(db);
  for (const [act, does] of Object.entries(acts)) {
    await does();
    const after = await pagesRead(db);
    for (const [table, pages] of after) reads.push({ act, table, pages: pages - (before.get(table) ?? 0) });
    before = after;
  }
  return reads;
}

const bucket = (policy: string, count: number): Bucket => ({
  policy,
  rate: { count, periodMs: 3_600_000 },
  whose: undefined,
});

/** By this connection's word and all others', so far. */
async function pagesRead(db: Database): Promise<Map<string, number>> {
  await db.system((tx) => tx`select pg_stat_force_next_flush()`);
  const rows = await db.system(
    (tx) => tx<{ name: string; pages: number }[]>`
      select relname as name, (heap_blks_hit + heap_blks_read + idx_blks_hit + idx_blks_read)::integer as pages
      from pg_statio_user_tables where idx_blks_hit is not null`,
  );
  return new Map(rows.map(({ name, pages }) => [name, pages]));
}
