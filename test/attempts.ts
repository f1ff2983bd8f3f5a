// What each function of a tenant's rows does when another tenant's ids are given to it. A new function is named here.

import type { Tenant } from "../src/config/tenants.ts";
import type { Database, SystemTx, TenantTx } from "../src/db/db.ts";
import type { Keys } from "../src/identity/keys.ts";
import * as exporting from "../src/keep/export.ts";
import * as retention from "../src/keep/retention.ts";
import * as budgets from "../src/rows/budgets.ts";
import * as claims from "../src/rows/claims.ts";
import * as conversations from "../src/rows/conversations.ts";
import * as copies from "../src/rows/copies.ts";
import * as limits from "../src/rows/limits.ts";
import type { Ending } from "../src/rows/turns.ts";
import * as turns from "../src/rows/turns.ts";
import * as users from "../src/rows/users.ts";

export type Prey = {
  conversationId: string;
  turnId: string;
  runningId: string;
  claim: claims.Claim;
  /** A conversation in which all is answered, and its turn, which has replaced `turnId`. */
  restingId: string;
  restingTurnId: string;
  /** One without a turn. */
  emptyId: string;
};
export type Attempt = (tx: TenantTx, prey: Prey) => Promise<unknown>;

/** The modules of tenant rows, as they are or as somebody has changed them. */
export const modules = {
  budgets,
  claims,
  conversations,
  copies,
  export: exporting,
  limits,
  retention,
  turns,
  users,
};
export type Modules = typeof modules;

/** A tenant without a row of its own before it tries something. */
export const newcomer = () => `acme-${Bun.randomUUIDv7()}`;
export const user = "the same name in both"; // user ids are unique within a tenant only
const lease: claims.Lease = { instanceId: Bun.randomUUIDv7(), leaseMs: 45_000 };
const idempotency = { key: "the same key in both", requestHash: "the same request" };
const newTurn = (conversationId: string, id = Bun.randomUUIDv7()): turns.NewTurn => ({
  id,
  conversationId,
  userId: user,
  message: "secret",
  language: undefined,
  context: undefined,
  idempotency: undefined,
  versions: [],
  trace: { request_id: "the same in both" },
});
const ending: Ending = { status: "done", finishReason: "stop", usage: null };

/** Days ago: older than that is everything. */
const tomorrow = -1;

const time = "2026-01-01T00:00:00.000Z";
const copyOf = (conversation_id: string): copies.Turn => ({
  id: Bun.randomUUIDv7(),
  conversation_id,
  user_id: user,
  status: "done",
  message: "mine",
  parts: [],
  finish_reason: null,
  input_tokens: null,
  output_tokens: null,
  error_code: null,
  versions: [],
  superseded_by: null,
  rating: null,
  comment: null,
  context: null,
  idempotency_key: idempotency.key,
  request_hash: idempotency.requestHash,
  created_at: time,
  finished_at: time,
});

const turnOf = ({ turnId, conversationId }: Prey) =>
  ({ id: turnId, conversation_id: conversationId }) as turns.Turn;

const keys = { holder: (_tenantId, whose) => whose } as Keys;
const manyAnHour = { count: 1_000_000, periodMs: 3_600_000 };
const buckets = [{ policy: "the same in both", rate: manyAnHour, whose: user }];
const spenderOf = (dailyTokensMax: number) => ({
  tenant: { limits: { dailyTokensMax }, model: { maxTokens: 1 } } as Tenant,
  userId: user,
});
/** What globex has used of its day. */
const spent: budgets.Reservation = {
  day: new Date().toISOString().slice(0, 10),
  holders: [user, ""],
  tokens: 0,
  requestTokens: 1_000,
};

/** An attempt on globex's ids for each exported function; null where it takes no tenant's transaction. */
export const attemptsOn = ({
  budgets,
  claims,
  conversations,
  copies,
  export: exporting,
  limits,
  retention,
  turns,
  users,
}: Modules): Record<string, Record<string, Attempt | null>> => ({
  budgets: {
    // What was refused has seen that somebody spent something.
    reserve: async (tx) => (await budgets.reserve(tx, keys, spenderOf(1e12), [])) instanceof Error,
    refusal: async (tx) => (await budgets.refusal(tx, keys, spenderOf(1_000), "mine")) && "secret",
    settle: (tx) => budgets.settle(tx, spent, ending, []),
    usedToday: null, // the system's
    secondsToMidnight: null, // reads no database
    sweep: null, // the system's
  },
  limits: {
    take: async (tx) => (await limits.take(tx, keys, buckets))[0]?.remaining !== manyAnHour.count - 1,
    ofMessages: null, // reads no database
    ofReads: null, // reads no database
    ofVisitors: null, // reads no database
    refusalOf: null, // reads no database
    secondsOf: null, // reads no database
    sweep: null, // the system's
  },
  conversations: {
    open: (tx, { conversationId }) => conversations.open(tx, user, conversationId, "mine"),
    get: (tx, { conversationId }) => conversations.get(tx, user, conversationId),
    list: (tx) => conversations.list(tx, user, 100),
    rename: (tx, { conversationId }) => conversations.rename(tx, user, conversationId, "mine"),
    remove: (tx, { conversationId }) => conversations.remove(tx, user, conversationId),
    inOrder: (tx) => conversations.inOrder(tx, user, 100, undefined),
    removeAll: async (tx) => (await conversations.removeAll(tx, user)).turns,
    titleOf: null, // reads no database
  },
  copies: {
    addUsers: async (tx) => {
      await copies.addUsers(tx, [
        { id: `user:${Bun.randomUUIDv7()}`, name: "mine", email: null, updated_at: time },
      ]);
    },
    // What is somebody else's may be counted, and nothing more.
    addConversations: async (tx) => {
      const row = { user_id: user, title: "mine", created_at: time, updated_at: time };
      await copies.addConversations(tx, [{ ...row, id: Bun.randomUUIDv7() }]);
    },
    addTurns: async (tx, { restingId }) => (await copies.addTurns(tx, [copyOf(restingId)])).added,
  },
  export: {
    users: (tx) => exporting.users(tx, 100, undefined),
    conversations: (tx) => exporting.conversations(tx, 100, undefined),
    turnsAfter: (tx) => exporting.turnsAfter(tx, 100, 1_000_000, undefined),
    countTurns: async (tx) => (await exporting.countTurns(tx)) > 0,
    pieces: null, // takes the database
  },
  retention: {
    page: async (tx) => ((await retention.page(tx, 100, undefined)).length > 0 ? "secret" : undefined),
    hold: (tx, { restingId }) => retention.hold(tx, [restingId], tomorrow),
    removeTurns: (tx, { restingId }) => retention.removeTurns(tx, [restingId], tomorrow, 100),
    unlist: (tx, { restingId, turnId }) => retention.unlist(tx, [restingId], [turnId]),
    oldest: (tx, { restingId }) => retention.oldest(tx, restingId),
    removeEmpty: (tx, { emptyId }) => retention.removeEmpty(tx, [emptyId], tomorrow),
    removeUnseen: (tx) => retention.removeUnseen(tx, tomorrow, 100),
    enforce: null, // takes the database
  },
  turns: {
    get: (tx, { turnId }) => turns.get(tx, user, turnId),
    page: async (tx, { conversationId, runningId }) => [
      ...(await turns.page(tx, conversationId, 100)),
      ...(await turns.page(tx, conversationId, 100, runningId)),
    ],
    inOrder: (tx, { conversationId }) => turns.inOrder(tx, conversationId, 100, undefined),
    rate: (tx, { turnId }) => turns.rate(tx, user, turnId, { rating: "up", comment: "mine" }),
    history: (tx, { conversationId, runningId }) => turns.history(tx, conversationId, runningId, 100_000),
    findByKey: (tx) => turns.findByKey(tx, user, idempotency),
    findLive: (tx, { conversationId }) => turns.findLive(tx, user, conversationId),
    supersede: (tx, prey) => turns.supersede(tx, turnOf(prey), Bun.randomUUIDv7()),
    endingOf: null, // reads no database
    usageOf: null, // reads no database
  },
  users: {
    remember: (tx) => users.remember(tx, user, { name: "mine", email: null }),
    profiles: async (tx) => [...(await users.profiles(tx, [user])).values()],
    remove: (tx) => users.remove(tx, user),
    keyOf: null, // reads no database
    userOf: null, // reads no database
    of: null, // a condition of others' queries
  },
  claims: {
    store: (tx, { conversationId }) => claims.store(tx, newTurn(conversationId), undefined),
    isFull: (tx) => claims.isFull(tx, 1),
    unfinished: async (tx, { runningId }) =>
      (await claims.unfinished(tx, user)).some(({ id }) => id === runningId),
    claimOldest: (tx) => claims.claimOldest(tx, lease),
    settle: (tx, { claim }) => claims.settle(tx, claim, [{ type: "text", text: "mine" }], ending),
    requestStop: (tx, { runningId }) => claims.requestStop(tx, runningId),
    checkpoint: null, // the system's
    look: null, // the system's
    sweep: null, // the system's
    tenantsWaiting: null, // the system's
    countWaiting: null, // the system's
  },
});

/** A conversation of globex with an answered turn and a running one. */
export const plant = (db: Database): Promise<Prey> =>
  db.tenant("globex", async (tx) => {
    const [conversationId, turnId, runningId, restingId, restingTurnId, emptyId] = Array.from(
      { length: 6 },
      () => Bun.randomUUIDv7(),
    ) as [string, string, string, string, string, string];
    await conversations.open(tx, user, conversationId, "secret");
    await users.remember(tx, user, { name: "secret", email: null });
    await budgets.settle(tx, spent, ending, []);
    await limits.take(tx, keys, buckets);
    // A key is one turn's for ever: the last prey's is freed.
    await tx`update turns set idempotency_key = null where tenant_id = 'globex'`;
    const first = await claims.store(tx, { ...newTurn(conversationId, turnId), idempotency }, lease);
    if (first) await claims.settle(tx, first, [{ type: "text", text: "secret" }], ending);
    const claim = await claims.store(tx, newTurn(conversationId, runningId), lease);
    // One that waits, in an idle conversation of its own.
    const idleId = Bun.randomUUIDv7();
    await conversations.open(tx, user, idleId, "secret");
    await claims.store(tx, newTurn(idleId), undefined);
    await conversations.open(tx, user, restingId, "secret");
    const resting = await claims.store(
      tx,
      { ...newTurn(restingId, restingTurnId), versions: [turnId] },
      lease,
    );
    if (resting) await claims.settle(tx, resting, [{ type: "text", text: "secret" }], ending);
    await conversations.open(tx, user, emptyId, "secret");
    await users.remember(tx, users.keyOf("whom nobody knows"), { name: "secret", email: null });
    if (!claim) throw new Error("no turn could be stored");
    return { conversationId, turnId, runningId, claim, restingId, restingTurnId, emptyId };
  });

/** What an attempt came to that found nothing: so it says, or it was refused by a policy, or for want of the row it needs. */
export const nothing = [undefined, false, 0, "not_found", "42501", "23503"];

/** What the attempt found (of a list, how much), or the code of its refusal. */
export async function outcomeOf(attempt: Promise<unknown>): Promise<unknown> {
  const found = await attempt.catch((error: { code?: unknown }) => error.code ?? error);
  return Array.isArray(found) ? found.length : found;
}

/** All rows of globex, table by table, as the owner sees them. */
export async function rowsIn(tx: SystemTx): Promise<unknown> {
  const tables = await tx<{ name: string }[]>`
    select c.relname as name from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attname = 'tenant_id'
    where c.relkind = 'r' and c.relnamespace = 'public'::regnamespace order by 1`;
  const rows: Record<string, unknown> = {};
  for (const { name } of tables)
    rows[name] = (
      await tx`select to_jsonb(t) as row from ${tx(name)} t where tenant_id = 'globex' order by t::text`
    ).map(({ row }) => row);
  return rows;
}
export const rowsOf = (db: Database) => db.system(rowsIn);
