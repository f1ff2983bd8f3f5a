// What each function of a tenant's rows does when another tenant's ids are given to it. A new function is named here.

import type { Tenant } from "../src/config/tenants.ts";
import { callWithin, type Steps } from "../src/db/batch.ts";
import type { Database, SystemTx, TenantTx } from "../src/db/db.ts";
import type { Keys } from "../src/identity/keys.ts";
import * as exporting from "../src/keep/export.ts";
import * as retention from "../src/keep/retention.ts";
import * as budgets from "../src/rows/budgets.ts";
import * as claims from "../src/rows/claims.ts";
import * as conversations from "../src/rows/conversations.ts";
import * as copies from "../src/rows/copies.ts";
import * as limits from "../src/rows/limits.ts";
import type { Opening } from "../src/rows/openings.ts";
import * as openings from "../src/rows/openings.ts";
import type { Ending } from "../src/rows/turns.ts";
import * as turns from "../src/rows/turns.ts";
import * as users from "../src/rows/users.ts";
import { claimed, opened, opening } from "./openings.ts";

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
  openings,
  retention,
  turns,
  users,
};
export type Modules = typeof modules;

/** A tenant without a row of its own before it tries something. */
export const newcomer = () => `acme-${Bun.randomUUIDv7()}`;
export const user = "the same name in both"; // user ids are unique within a tenant only
export const lease: claims.Lease = { instanceId: Bun.randomUUIDv7(), leaseMs: 45_000 };
const idempotency = { key: "the same key in both", requestHash: "the same request" };
/** That somebody opens in a conversation. */
const asking = (conversationId: string, more: Partial<Opening> = {}) =>
  opening({ userId: user, conversationId, message: "secret", ...more });
const ending: Ending = { status: "done", finishReason: "stop", usage: null };

/** A message that takes from no bucket. */
const admission = { reads: [], messages: [], userId: user };
/** Budgets of which nothing may have been used. */
const used = [{ holder: user, tokens_max: 1 }];

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
  openings,
  retention,
  turns,
  users,
}: Modules): Record<string, Record<string, Attempt | null>> => ({
  budgets: {
    // What was refused has seen that somebody spent something.
    reserve: async (tx) => (await budgets.reserve(tx, keys, spenderOf(1e12), [])) instanceof Error,
    budgetsOf: null, // reads no database
    correction: null, // reads no database
    exhausted: null, // reads no database
    reservationOf: null, // reads no database
    tokensNeeded: null, // reads no database
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
    standingsOf: null, // reads no database
    wanted: null, // reads no database
    secondsOf: null, // reads no database
    sweep: null, // the system's
  },
  conversations: {
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
    findLive: (tx, { conversationId }) => turns.findLive(tx, user, conversationId),
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
  openings: {
    // A turn in a conversation of the same id, which finds nothing there; of the same key, which finds none; and in the
    // place of a turn that it does not see.
    ask: async (tx, { conversationId, restingId, turnId }) => {
      const known = await openings.ask(tx, keys, { admission: { ...admission, idempotency } }, lease);
      const of = (what: Partial<Opening>) =>
        openings.ask(tx, keys, { opening: opening({ userId: user, message: "mine", ...what }) }, lease);
      const there = await of({
        conversationId: restingId,
        unfinishedMax: 1,
        runsMax: 1,
        tokens: 1,
        budgets: used,
      });
      const same = await of({ idempotency, unfinishedMax: 10 });
      const instead = await of({ conversationId, replaces: turnId, unfinishedMax: 10 });
      const found = [
        known.known,
        same.known,
        there.outcome && "said" in there.outcome ? there.outcome.said[0] : there.outcome,
        instead.outcome && "refused" in instead.outcome && instead.outcome.refused === "not_found"
          ? undefined
          : instead.outcome,
      ].filter((one) => one !== undefined);
      return found.length > 0 && ["secret", found];
    },
  },
  claims: {
    isFull: (tx) => claims.isFull(tx, 1),
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
    await users.remember(tx, user, { name: "secret", email: null });
    await budgets.settle(tx, spent, ending, []);
    await limits.take(tx, keys, buckets);
    // A key is one turn's for ever: the last prey's is freed.
    await tx`update turns set idempotency_key = null where tenant_id = 'globex'`;
    const end = async (what: Opening) =>
      claims.settle(tx, await claimed(tx, what, lease), [{ type: "text", text: "secret" }], ending);
    await end(asking(conversationId, { id: turnId, idempotency }));
    const claim = await claimed(tx, asking(conversationId, { id: runningId }), lease);
    // One that waits, in an idle conversation of its own.
    await opened(tx, asking(Bun.randomUUIDv7(), { detached: true }), lease);
    await end(asking(restingId, { id: restingTurnId, versions: [turnId] }));
    await tx`
      insert into conversations (tenant_id, id, user_id, title) values (${tx.tenantId}, ${emptyId}, ${user}, 'secret')`;
    await users.remember(tx, users.keyOf("whom nobody knows"), { name: "secret", email: null });
    return { conversationId, turnId, runningId, claim, restingId, restingTurnId, emptyId };
  });

/** The transaction as one that names that tenant in its queries, whatever its scope is. */
export const as = (tx: SystemTx | TenantTx, tenantId: string): TenantTx => {
  const call = (steps: Steps) => callWithin(tx, tenantId, steps);
  return Object.assign(tx, { tenantId, call }) as unknown as TenantTx;
};

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
