// RETENTION_DAYS: nothing said longer ago than that stays, on both databases and with several instances at it, and nothing else goes.
import { beforeAll, describe, expect, test } from "bun:test";
import type { Config } from "../src/config/config.ts";
import type { Database } from "../src/db/db.ts";
import { enforce } from "../src/keep/retention.ts";
import { tablesWith } from "./archive.ts";
import { databases } from "./database.ts";
import { fleet } from "./fleet.ts";
import { siteOf } from "./site.ts";
import { until } from "./support.ts";

const days = 30;
const tenantsWith = (...ids: string[]) =>
  new Map(ids.map((id) => [id, { id, retentionDays: days }])) as unknown as Config["tenants"];
const never = new AbortController().signal;

describe.each(databases)("on %s", (_name, open) => {
  let db: Database;
  beforeAll(async () => {
    db = await open();
  });

  type Said = { age: number; message: string; more?: Record<string, unknown> };
  /** A conversation of turns that are `age` days old, the oldest first; gives its id and theirs. */
  async function converse(tenantId: string, title: string, ...said: Said[]) {
    const id = Bun.randomUUIDv7();
    const ids = said.map(() => crypto.randomUUID()); // which say nothing of their time
    const ago = (age: number) => new Date(Date.now() - age * 86_400_000).toISOString();
    await db.system(async (tx) => {
      const [oldest, newest] = [said[0], said.at(-1)].map((turn) => ago(turn?.age ?? 100));
      await tx`
        insert into conversations (tenant_id, id, user_id, title, created_at, updated_at)
        values (${tenantId}, ${id}, 'user:ann', ${title}, ${oldest as string}, ${newest as string})`;
      for (const [n, { age, message, more = {} }] of said.entries()) {
        const row = {
          tenant_id: tenantId,
          id: ids[n],
          conversation_id: id,
          user_id: "user:ann",
          status: "done",
          message,
          created_at: ago(age),
          finished_at: ago(age),
          ...more,
        };
        await tx`insert into turns ${tx(row as Record<string, string>)}`;
      }
    });
    return { id, ids };
  }
  const left = (tenantId: string) =>
    db.system(async (tx) => ({
      titles: (await tx`select title from conversations where tenant_id = ${tenantId} order by title`).map(
        ({ title }) => title as string,
      ),
      messages: (await tx`select message from turns where tenant_id = ${tenantId} order by created_at`).map(
        ({ message }) => message as string,
      ),
    }));
  const newTenant = () => `t-${Bun.randomUUIDv7()}`;

  test("what is older goes, what is newer stays, and no title quotes what is gone", async () => {
    const tenantId = newTenant();
    const old = { age: 31, message: "  An old question\nwith more" };
    const young = { age: 29, message: "A newer one" };
    await converse(tenantId, "An old question", old);
    await converse(tenantId, "An old question", old, young);
    await converse(tenantId, "Named by its visitor", old, young);
    await enforce(db, tenantsWith(tenantId), never);
    expect(await left(tenantId)).toEqual({
      titles: ["A newer one", "Named by its visitor"],
      messages: ["A newer one", "A newer one"],
    });
  });

  test("of a tenant that keeps everything nothing goes", async () => {
    const [tenantId, other] = [newTenant(), newTenant()];
    await converse(tenantId, "Old", { age: 3_000, message: "Old" });
    const keeps = new Map([[tenantId, { id: tenantId, retentionDays: undefined }]]);
    await enforce(db, keeps as unknown as Config["tenants"], never);
    await enforce(db, tenantsWith(other), never);
    expect((await left(tenantId)).messages).toEqual(["Old"]);
  });

  test("a conversation in which something is being answered is left until it is", async () => {
    const tenantId = newTenant();
    const running = { status: "running", finished_at: null };
    const { ids } = await converse(
      tenantId,
      "Old",
      { age: 40, message: "Old" },
      { age: 35, message: "Still running", more: running },
    );
    await enforce(db, tenantsWith(tenantId), never);
    expect((await left(tenantId)).messages).toEqual(["Old", "Still running"]);
    await db.system(
      (tx) => tx`update turns set status = 'done', finished_at = now() where id = ${ids[1] as string}`,
    );
    await enforce(db, tenantsWith(tenantId), never);
    expect(await left(tenantId)).toEqual({ titles: [], messages: [] });
  });

  test("an answer lists no version that is gone", async () => {
    const tenantId = newTenant();
    const { id, ids } = await converse(tenantId, "T", { age: 40, message: "1" }, { age: 20, message: "2" });
    await db.system(
      (tx) =>
        tx`update turns set versions = ${tx.json([ids[0] as string, ids[1] as string])} where conversation_id = ${id}`,
    );
    await enforce(db, tenantsWith(tenantId), never);
    const [row] = await db.system((tx) => tx`select versions from turns where conversation_id = ${id}`);
    expect(row?.versions).toEqual([ids[1]]);
  });

  test("users whom the site has not vouched for since are forgotten, unless there is something of them", async () => {
    const tenantId = newTenant();
    await converse(tenantId, "T", { age: 20, message: "Mine" });
    await db.system(
      (tx) => tx`
        insert into users (tenant_id, id, name, updated_at)
        select ${tenantId}, id, id, now() - age * interval '1 day'
        from (values ('user:ann', 99), ('user:bob', 99), ('user:eve', 3)) v (id, age)`,
    );
    await enforce(db, tenantsWith(tenantId), never);
    const rows = await db.system((tx) => tx`select id from users where tenant_id = ${tenantId} order by id`);
    expect(rows.map(({ id }) => id)).toEqual(["user:ann", "user:eve"]);
  });

  test("of a long conversation all that is old goes, with several instances at it", async () => {
    const tenantId = newTenant();
    const { id } = await converse(tenantId, "Long", { age: 29, message: "New" });
    await db.system(
      (tx) => tx`
        insert into turns (tenant_id, id, conversation_id, user_id, status, message, created_at, finished_at)
        select ${tenantId}, gen_random_uuid(), ${id}, 'user:ann', 'done', 'Old', now() - interval '40 days', now()
        from generate_series(1, 1300)`,
    );
    const round = () => enforce(db, tenantsWith(tenantId), never);
    await Promise.all([round(), round()]);
    await round(); // the one that found the conversation taken left it to the other
    expect((await left(tenantId)).messages).toEqual(["New"]);
  });
});

test("two instances do so by themselves soon after their start, for the tenant whose file says so", async () => {
  const { start, sql } = await fleet({}, { acme: "RETENTION_DAYS=7", globex: "" });
  const first = await start();
  const [acme, globex] = ["acme", "globex"].map((id) => siteOf(first.url, id)) as [
    ReturnType<typeof siteOf>,
    ReturnType<typeof siteOf>,
  ];
  for (const site of [acme, globex]) await site.ask(await site.visitor(), "Words from long ago");
  await acme.ask(await acme.visitor(), "New words");
  await sql`
    update turns set created_at = now() - interval '8 days', finished_at = now() - interval '8 days'
    where message = 'Words from long ago'`;
  await sql`update conversations set updated_at = now() - interval '8 days' where title = 'Words from long ago'`;
  await Promise.all([start(), start()]);
  const gone = async () =>
    (await sql`select from turns where tenant_id = 'acme' and message = 'Words from long ago'`).length === 0;
  await until(gone, "the old words go", 30_000);
  expect(await tablesWith(sql, "New words")).toEqual(["conversations: New words", "turns: New words"]);
  expect(await sql`select from turns where tenant_id = 'globex'`).toHaveLength(1);
});
