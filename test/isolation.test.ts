// Every query of a tenant's rows, tried on another tenant's ids, on PostgreSQL and on PGlite. Row-level security and
// the queries' own conditions each hold without the other.
import { beforeAll, describe, expect, test } from "bun:test";
import * as claims from "../src/claims.ts";
import * as conversations from "../src/conversations.ts";
import type { Database, TenantTx } from "../src/db.ts";
import type { Ending } from "../src/turns.ts";
import * as turns from "../src/turns.ts";
import { databases } from "./database.ts";

type Prey = { conversationId: string; turnId: string; runningId: string; claim: claims.Claim };
type Attempt = (tx: TenantTx, prey: Prey) => Promise<unknown>;

/** Without a row of its own before it tries something. */
const newcomer = () => `acme-${Bun.randomUUIDv7()}`;
const user = "the same name in both"; // user ids are unique within a tenant only
const lease: claims.Lease = { instanceId: Bun.randomUUIDv7(), leaseMs: 45_000 };
const idempotency = { key: "the same key in both", requestHash: "the same request" };
const newTurn = (conversationId: string, id = Bun.randomUUIDv7()): turns.NewTurn => ({
  id,
  conversationId,
  userId: user,
  message: "secret",
  language: undefined,
  idempotency: undefined,
  versions: [],
});
const ending: Ending = { status: "done", finishReason: "stop", usage: null };

const turnOf = ({ turnId, conversationId }: Prey) =>
  ({ id: turnId, conversation_id: conversationId }) as turns.Turn;

/** What each exported function does when globex's ids are given to it; null where it takes no tenant's transaction. */
const attempts: Record<string, Record<string, Attempt | null>> = {
  conversations: {
    open: (tx, { conversationId }) => conversations.open(tx, user, conversationId, "mine"),
    get: (tx, { conversationId }) => conversations.get(tx, user, conversationId),
    list: (tx) => conversations.list(tx, user, 100),
    rename: (tx, { conversationId }) => conversations.rename(tx, user, conversationId, "mine"),
    remove: (tx, { conversationId }) => conversations.remove(tx, user, conversationId),
  },
  turns: {
    get: (tx, { turnId }) => turns.get(tx, user, turnId),
    page: (tx, { conversationId }) => turns.page(tx, conversationId, 100),
    history: (tx, { conversationId, runningId }) => turns.history(tx, conversationId, runningId, 100_000),
    findByKey: (tx) => turns.findByKey(tx, user, idempotency),
    findLive: (tx, { conversationId }) => turns.findLive(tx, conversationId),
    supersede: (tx, prey) => turns.supersede(tx, turnOf(prey), Bun.randomUUIDv7()),
    endingOf: null, // reads no database
    usageOf: null, // reads no database
  },
  claims: {
    store: (tx, { conversationId }) => claims.store(tx, newTurn(conversationId), undefined),
    isFull: (tx) => claims.isFull(tx, 1),
    claimOldest: (tx) => claims.claimOldest(tx, lease),
    settle: (tx, { claim }) => claims.settle(tx, claim, [{ type: "text", text: "mine" }], ending),
    requestStop: (tx, { runningId }) => claims.requestStop(tx, runningId),
    checkpoint: null, // the system's
    look: null, // the system's
    sweep: null, // the system's
    tenantsWaiting: null, // the system's
  },
};
const named = Object.entries(attempts).flatMap(([module, functions]) =>
  Object.entries(functions).flatMap(([name, attempt]) =>
    attempt ? [[`${module}.${name}`, attempt] as const] : [],
  ),
);

test("every exported function is tried", () => {
  for (const [name, module] of Object.entries({ claims, conversations, turns })) {
    const exported = Object.entries(module).flatMap(([name, value]) =>
      typeof value === "function" ? [name] : [],
    );
    expect(Object.keys(attempts[name] ?? {}).sort(), `${name}.ts`).toEqual(exported.sort());
  }
});

describe.each(databases)("on %s", (_name, open) => {
  let db: Database;
  beforeAll(async () => {
    db = await open();
  });

  /** A conversation of globex with an answered turn and a running one. */
  const plant = (): Promise<Prey> =>
    db.tenant("globex", async (tx) => {
      const [conversationId, turnId, runningId] = [0, 0, 0].map(() => Bun.randomUUIDv7()) as [
        string,
        string,
        string,
      ];
      await conversations.open(tx, user, conversationId, "secret");
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

  /** All rows of globex, as the owner sees them. */
  const rows = () =>
    db.system(async (tx) => [
      await tx`select * from conversations where tenant_id = 'globex' order by id`,
      await tx`select * from turns where tenant_id = 'globex' order by id`,
    ]);

  const as = (tx: object, tenantId: string) => Object.assign(tx, { tenantId }) as TenantTx;
  const ways: [name: string, run: (attempt: Attempt, prey: Prey) => Promise<unknown>][] = [
    ["another tenant", (attempt, prey) => db.tenant(newcomer(), (tx) => attempt(tx, prey))],
    [
      "another tenant, though the query names globex",
      (attempt, prey) => db.tenant(newcomer(), (tx) => attempt(as(tx, "globex"), prey)),
    ],
    [
      "another tenant, though row-level security is off",
      (attempt, prey) => db.system((tx) => attempt(as(tx, newcomer()), prey)),
    ],
  ];

  describe.each(ways)("for %s", (_way, run) => {
    test.each(named)("%s finds and changes nothing", async (_name, attempt) => {
      const prey = await plant();
      const before = await rows();
      const outcome = await run(attempt, prey).catch((error: { code: string }) => error.code);
      const found = Array.isArray(outcome) ? outcome.length : outcome;
      // Nothing, not found, or refused: by the policy (42501), for want of the conversation (23503).
      expect([undefined, false, 0, "not_found", "42501", "23503"]).toContain(found as string);
      expect(await rows()).toEqual(before);
    });
  });

  test("as globex itself every one of them finds or changes something", async () => {
    for (const [name, attempt] of named) {
      const prey = await plant();
      const before = await rows();
      const outcome = await db
        .tenant("globex", (tx) => attempt(tx, prey))
        .catch((error: { code: string }) => error.code);
      const found = JSON.stringify(outcome ?? "").includes("secret");
      expect(
        found || outcome === prey.runningId || outcome === true || !Bun.deepEquals(await rows(), before),
        name,
      ).toBe(true);
    }
  });

  test("a query without any condition shows the tenant's own rows only", async () => {
    await plant();
    await db.tenant("acme", (tx) => conversations.open(tx, user, Bun.randomUUIDv7(), "mine"));
    const seen = await db.tenant("acme", async (tx) => [
      ...(await tx`select tenant_id from conversations`),
      ...(await tx`select tenant_id from turns`),
    ]);
    expect(new Set(seen.map((row) => row.tenant_id))).toEqual(new Set(["acme"]));
  });

  test("a query without any condition changes the tenant's own rows only", async () => {
    await plant();
    const before = await rows();
    await db.tenant("acme", async (tx) => {
      await tx`update conversations set title = 'mine'`;
      await tx`update turns set message = 'mine'`;
      await tx`delete from turns`;
      await tx`delete from conversations`;
    });
    expect(await rows()).toEqual(before);
  });

  const forbidden: [name: string, statement: (tx: TenantTx, prey: Prey) => PromiseLike<unknown>][] = [
    [
      "a conversation cannot be written for another tenant",
      (tx) =>
        tx`insert into conversations (tenant_id, id, user_id, title) values ('globex', ${Bun.randomUUIDv7()}, ${user}, 'mine')`,
    ],
    [
      "a turn cannot be written for another tenant",
      (tx, { conversationId }) =>
        tx`insert into turns (tenant_id, id, conversation_id, status, message)
           values ('globex', ${Bun.randomUUIDv7()}, ${conversationId}, 'running', 'mine')`,
    ],
    [
      "a row cannot be given to another tenant",
      async (tx) => {
        await conversations.open(tx, user, Bun.randomUUIDv7(), "mine");
        await tx`update conversations set tenant_id = 'globex'`;
      },
    ],
    ["the keys of the server cannot be read", (tx) => tx`select * from instance_keys`],
    ["the keys of the server cannot be written", (tx) => tx`insert into instance_keys values ('x', 'y')`],
    ["the migrations cannot be read", (tx) => tx`select * from migrations`],
    ["tables cannot be emptied", (tx) => tx`truncate turns`],
    ["tables cannot be made", (tx) => tx`create table mine (id integer)`],
    ["row-level security cannot be switched off", (tx) => tx`alter table turns disable row level security`],
  ];

  test.each(forbidden)("%s", async (_name, statement) => {
    const prey = await plant();
    const before = await rows();
    const error = await db
      .tenant("acme", async (tx) => {
        await statement(tx, prey);
      })
      .catch((error: unknown) => error);
    expect(error).toMatchObject({ code: "42501" });
    expect(await rows()).toEqual(before);
  });
});
