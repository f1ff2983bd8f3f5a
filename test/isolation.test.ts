// Every query of a tenant's rows, tried on another tenant's ids (attempts.ts), on PostgreSQL and on PGlite. Row-level
// security and the queries' own conditions each hold without the other.
import { beforeAll, describe, expect, test } from "bun:test";
import type { Database, TenantTx } from "../src/db/db.ts";
import {
  type Attempt,
  as,
  attemptsOn,
  lease,
  modules,
  newcomer,
  nothing,
  outcomeOf,
  type Prey,
  plant,
  rowsOf,
  user,
} from "./attempts.ts";
import { databases } from "./database.ts";
import { opened, opening } from "./openings.ts";

const named = Object.entries(attemptsOn(modules)).flatMap(([module, functions]) =>
  Object.entries(functions).flatMap(([name, attempt]) =>
    attempt ? [[`${module}.${name}`, attempt] as const] : [],
  ),
);

test("every exported function is tried", () => {
  for (const [name, module] of Object.entries(modules)) {
    const exported = Object.entries(module).flatMap(([name, value]) =>
      typeof value === "function" ? [name] : [],
    );
    expect(Object.keys(attemptsOn(modules)[name] ?? {}).sort(), `${name}.ts`).toEqual(exported.sort());
  }
});

describe.each(databases)("on %s", (_name, open) => {
  let db: Database;
  beforeAll(async () => {
    db = await open();
  });

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
      const prey = await plant(db);
      const before = await rowsOf(db);
      expect(nothing).toContain((await outcomeOf(run(attempt, prey))) as string);
      expect(await rowsOf(db)).toEqual(before);
    });
  });

  test("as globex itself every one of them finds or changes something", async () => {
    for (const [name, attempt] of named) {
      const prey = await plant(db);
      const before = await rowsOf(db);
      const outcome = await db
        .tenant("globex", (tx) => attempt(tx, prey))
        .catch((error: { code: string }) => error.code);
      const found = JSON.stringify(outcome ?? "").includes("secret");
      expect(
        found || outcome === prey.runningId || outcome === true || !Bun.deepEquals(await rowsOf(db), before),
        name,
      ).toBe(true);
    }
  });

  test("a query without any condition shows the tenant's own rows only", async () => {
    await plant(db);
    await opened(db.of("acme"), opening({ userId: user }), lease);
    const seen = await db.tenant("acme", async (tx) => [
      ...(await tx`select tenant_id from conversations`),
      ...(await tx`select tenant_id from turns`),
    ]);
    expect(new Set(seen.map((row) => row.tenant_id))).toEqual(new Set(["acme"]));
  });

  test("a query without any condition changes the tenant's own rows only", async () => {
    await plant(db);
    const before = await rowsOf(db);
    await db.tenant("acme", async (tx) => {
      await tx`update conversations set title = 'mine'`;
      await tx`update turns set message = 'mine'`;
      await tx`delete from turns`;
      await tx`delete from conversations`;
    });
    expect(await rowsOf(db)).toEqual(before);
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
        await opened(tx, opening({ userId: user }), lease);
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
    const prey = await plant(db);
    const before = await rowsOf(db);
    const error = await db
      .tenant("acme", async (tx) => {
        await statement(tx, prey);
      })
      .catch((error: unknown) => error);
    expect(error).toMatchObject({ code: "42501" });
    expect(await rowsOf(db)).toEqual(before);
  });
});
