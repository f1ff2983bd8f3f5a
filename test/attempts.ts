// What each function of a tenant's rows does when another tenant's ids are given to it. A new function is named here.
import * as budgets from "../src/budgets.ts";
import * as claims from "../src/claims.ts";
import * as conversations from "../src/conversations.ts";
import type { Database, SystemTx, TenantTx } from "../src/db.ts";
import type { Keys } from "../src/keys.ts";
import * as limits from "../src/limits.ts";
import type { Tenant } from "../src/tenants.ts";
import type { Ending } from "../src/turns.ts";
import * as turns from "../src/turns.ts";
import * as users from "../src/users.ts";

export type Prey = { conversationId: string; turnId: string; runningId: string; claim: claims.Claim };
export type Attempt = (tx: TenantTx, prey: Prey) => Promise<unknown>;

/** The modules of tenant rows, as they are or as somebody has changed them. */
export const modules = { budgets, claims, conversations, limits, turns, users };
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
});
const ending: Ending = { status: "done", finishReason: "stop", usage: null };

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
  limits,
  turns,
  users,
}: Modules): Record<string, Record<string, Attempt | null>> => ({
  budgets: {
    // What was refused has seen that somebody spent something.
    reserve: async (tx) => (await budgets.reserve(tx, keys, spenderOf(1e12), [])) instanceof Error,
    refusal: async (tx) => (await budgets.refusal(tx, keys, spenderOf(1_000), "mine")) && "secret",
    settle: (tx) => budgets.settle(tx, spent, ending, []),
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
    removeAll: (tx) => conversations.removeAll(tx, user),
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
    isBusy: (tx) => claims.isBusy(tx, user, 1),
    claimOldest: (tx) => claims.claimOldest(tx, lease),
    settle: (tx, { claim }) => claims.settle(tx, claim, [{ type: "text", text: "mine" }], ending),
    requestStop: (tx, { runningId }) => claims.requestStop(tx, runningId),
    checkpoint: null, // the system's
    look: null, // the system's
    sweep: null, // the system's
    tenantsWaiting: null, // the system's
  },
});

/** A conversation of globex with an answered turn and a running one. */
export const plant = (db: Database): Promise<Prey> =>
  db.tenant("globex", async (tx) => {
    const [conversationId, turnId, runningId] = [0, 0, 0].map(() => Bun.randomUUIDv7()) as [
      string,
      string,
      string,
    ];
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
    if (!claim) throw new Error("no turn could be stored");
    return { conversationId, turnId, runningId, claim };
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
