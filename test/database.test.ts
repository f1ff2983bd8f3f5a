// The rules that the database keeps, on PostgreSQL and on PGlite alike.
import { beforeAll, describe, expect, test } from "bun:test";
import type { Database } from "../src/db/db.ts";
import { migrate } from "../src/db/migrate.ts";
import * as claims from "../src/rows/claims.ts";
import * as conversations from "../src/rows/conversations.ts";
import { ask, type Opening } from "../src/rows/openings.ts";
import type { Ending, Part } from "../src/rows/turns.ts";
import * as turns from "../src/rows/turns.ts";
import { databases } from "./database.ts";
import { claimed, keys, opened, opening } from "./openings.ts";

const done: Ending = { status: "done", finishReason: "stop", usage: { input_tokens: 3, output_tokens: 4 } };
const said = (text: string): Part[] => [{ type: "text", text }];
const lease: claims.Lease = { instanceId: Bun.randomUUIDv7(), leaseMs: 45_000 };
const code = (error: unknown) => (error as { code?: string }).code;

describe.each(databases)("on %s", (name, open) => {
  let db: Database;
  beforeAll(async () => {
    db = await open();
  });

  /** Opens a turn of Ann's. */
  const store = (conversationId: string, message = "hello", more: Partial<Opening> = {}) =>
    opened(db.of("acme"), opening({ userId: "ann", conversationId, message, ...more }), lease);
  /** The same, where it must run. */
  const run = (conversationId: string, message: string, more: Partial<Opening> = {}) =>
    claimed(db.of("acme"), opening({ userId: "ann", conversationId, message, ...more }), lease);

  /** A conversation with one running turn. */
  async function running(tenantId = "acme", userId = "ann", message = "hello") {
    const what = opening({ userId, message });
    const claim = await claimed(db.of(tenantId), what, lease);
    return { conversationId: what.conversationId, id: what.id, claim };
  }
  const settle = (claim: claims.Claim, parts: Part[], ending: Ending = done) =>
    db.tenant(claim.tenantId, (tx) => claims.settle(tx, claim, parts, ending));
  const read = (id: string, tenantId = "acme", userId = "ann") =>
    db.tenant(tenantId, (tx) => turns.get(tx, userId, id));

  test("migrating again changes nothing", async () => {
    expect(await migrate(db)).toEqual([]);
  });

  test("a turn is stored as it was asked and as it ended", async () => {
    const { id, claim, conversationId } = await running();
    const parts: Part[] = [{ type: "reasoning", text: "hm" }, ...said('Hi "you" \\ 👋\n')];
    expect(await settle(claim, parts)).toBe(true);
    expect(await read(id)).toMatchObject({
      id,
      conversation_id: conversationId,
      status: "done",
      message: "hello",
      parts,
      finish_reason: "stop",
      input_tokens: 3,
      output_tokens: 4,
      error_code: null,
    });
  });

  test("a turn is settled once, whoever tries", async () => {
    const { id, claim } = await running();
    const won = await Promise.all([
      settle(claim, said("one")),
      settle(claim, said("two"), { status: "stopped" }),
      settle(claim, said("three"), { status: "failed", code: "model_failed" }),
    ]);
    expect(won.filter(Boolean)).toHaveLength(1);
    expect(await settle(claim, said("late"))).toBe(false);
    expect((await read(id)).parts).toEqual(said(["one", "two", "three"][won.indexOf(true)] ?? ""));
  });

  test("a run whose epoch is over can write no more", async () => {
    const { id, claim } = await running();
    const old = { ...claim, epoch: claim.epoch - 1 };
    expect(await settle(old, said("from the dead"))).toBe(false);
    expect(
      await db.system((tx) => claims.checkpoint(tx, [{ ...old, parts: said("from the dead") }], lease)),
    ).toEqual([]);
    expect(await read(id)).toMatchObject({ status: "running", parts: [] });
  });

  test("a conversation has one running turn, and waiting ones are told apart from it", async () => {
    const { conversationId, id, claim } = await running();
    expect(await store(conversationId, "and?")).toEqual({ refused: "turn_running", id });
    expect(await store(conversationId, "later", { queue: true })).toEqual({ id: expect.any(String) });
    expect(await db.tenant("acme", (tx) => turns.findLive(tx, "ann", conversationId))).toBe(id);
    await settle(claim, said("there"));
    expect(await store(conversationId, "now?")).toEqual({ refused: "turn_running", id: expect.any(String) });
  });

  test("of many that open a turn at once one gets it", async () => {
    const { conversationId, claim } = await running();
    await settle(claim, said("there"));
    const tries = await Promise.all(Array.from({ length: 8 }, () => store(conversationId)));
    expect(tries.filter((outcome) => outcome && "epoch" in outcome)).toHaveLength(1);
    expect(tries.filter((outcome) => outcome && "refused" in outcome)).toHaveLength(7);
  });

  test("a key opens one turn, and only for what was asked under it", async () => {
    const { conversationId } = await running();
    const idempotency = { key: Bun.randomUUIDv7(), requestHash: "asked" };
    const asking = (userId: string) =>
      ask(
        db.of("acme"),
        keys,
        { opening: opening({ userId, conversationId, idempotency, queue: true }) },
        lease,
      );
    const tries = await Promise.all(Array.from({ length: 8 }, () => asking("ann")));
    const [won] = tries.flatMap(({ outcome }) => (outcome && "id" in outcome ? [outcome.id] : []));
    const known = { id: won as string, request_hash: "asked" };
    expect(tries.filter(({ outcome }) => outcome)).toHaveLength(1);
    expect(tries.flatMap(({ known }) => known ?? [])).toEqual(Array(7).fill(known));
    const admission = { reads: [], messages: [], userId: "ann", idempotency };
    expect(await ask(db.of("acme"), keys, { admission }, lease)).toMatchObject({ known });
    expect(
      (await ask(db.of("acme"), keys, { admission: { ...admission, userId: "bob" } }, lease)).known,
    ).toBeUndefined();
  });

  test("waiting turns are claimed oldest first, one a conversation, each by one claimer", async () => {
    const busy = await running();
    await store(busy.conversationId, "behind the running one", { detached: true, queue: true });
    const idle = Bun.randomUUIDv7();
    const first = await store(idle, "first", { detached: true });
    await store(idle, "second", { detached: true, queue: true });
    const claim = () => db.tenant("acme", (tx) => claims.claimOldest(tx, lease));
    const claimed: string[] = [];
    for (let waiting = await claim(); waiting; waiting = await claim()) {
      claimed.push(waiting.message);
      if (waiting.message === "first") {
        expect(waiting.claim).toMatchObject({ tenantId: "acme", epoch: 2 });
        expect(first).toEqual({ id: waiting.claim.turnId });
        expect((await claim())?.conversationId).not.toBe(idle);
        await settle(waiting.claim, said("1"));
      }
    }
    expect(claimed.filter((message) => ["first", "second"].includes(message))).toEqual(["first", "second"]);
    expect(claimed).not.toContain("behind the running one");
  });

  test("a tenant is full when as many turns run as may", async () => {
    const full = (runsMax: number | undefined) => db.tenant("initech", (tx) => claims.isFull(tx, runsMax));
    expect(await full(1)).toBe(false);
    await running("initech");
    expect(await full(1)).toBe(true);
    expect(await full(2)).toBe(false);
    expect(await full(undefined)).toBe(false);
  });

  test("a replaced turn and what came after it leave the conversation and its history", async () => {
    const { conversationId, id, claim } = await running("acme", "ann", "1");
    await settle(claim, said("one"));
    const ids = [id];
    for (const message of ["2", "3"]) {
      const next = await run(conversationId, message);
      await settle(next, said(message));
      ids.push(next.turnId);
    }
    const replaced = await read(ids[1] ?? "");
    const replaces = replaced.id;
    const again = await store(conversationId, "2, better", { versions: [replaces], replaces });
    expect(again).toMatchObject({ epoch: 1, said: [{ message: "1", answer: "one" }] });
    const id2 = (again as { id: string }).id;
    expect(await store(conversationId, "2, at last", { replaces, queue: true })).toEqual({
      refused: "turn_replaced",
      id: id2,
    });
    const shown = await db.tenant("acme", (tx) => turns.page(tx, conversationId, 10));
    expect(shown.map(({ message, versions }) => ({ message, versions }))).toEqual([
      { message: "1", versions: [] },
      { message: "2, better", versions: [replaced.id] },
    ]);
    expect(await db.tenant("acme", (tx) => turns.history(tx, conversationId, id2, 1_000))).toEqual([
      { message: "1", answer: "one" },
    ]);
    expect(await read(ids[2] ?? "")).toMatchObject({ message: "3", superseded_by: id2 });
  });

  test("a checkpoint stores the text of many turns, of several tenants, and hears of stops", async () => {
    const one = await running("acme", "ann");
    const two = await running("globex", "bob");
    await db.tenant("globex", (tx) => claims.requestStop(tx, two.id));
    const rows = await db.system((tx) =>
      claims.checkpoint(
        tx,
        [
          { ...one.claim, parts: said("half") },
          { ...two.claim, parts: undefined },
        ],
        lease,
      ),
    );
    expect(rows.sort((a, b) => Number(a.stop_requested) - Number(b.stop_requested))).toEqual([
      { id: one.id, stop_requested: false },
      { id: two.id, stop_requested: true },
    ]);
    expect((await read(one.id)).parts).toEqual(said("half"));
  });

  test("what the dead ran is interrupted with the text it had, or waits again where nothing was said", async () => {
    const expire = (id: string) =>
      db.system((tx) => tx`update turns set lease_until = now() - interval '1 second' where id = ${id}`);
    const spoken = await running();
    const silent = await running();
    const alive = await running();
    await db.system((tx) => claims.checkpoint(tx, [{ ...spoken.claim, parts: said("so far") }], lease));
    await expire(spoken.id);
    await expire(silent.id);
    const swept = await db.system((tx) => claims.sweep(tx, "expired"));
    expect(new Map(swept.map(({ id, status }) => [id, status]))).toEqual(
      new Map([
        [spoken.id, "interrupted"],
        [silent.id, "queued"],
      ]),
    );
    expect(await read(spoken.id)).toMatchObject({ status: "interrupted", parts: said("so far") });
    expect(await read(silent.id)).toMatchObject({ status: "queued", finished_at: null });
    expect(await read(alive.id)).toMatchObject({ status: "running" });
    expect(await settle(spoken.claim, said("I am back"))).toBe(false);
    expect(await settle(silent.claim, said("I am back"))).toBe(false);
  });

  test("a turn that every process dies of is given up", async () => {
    const { id } = await running("doomed");
    for (let deaths = 0; deaths < 5; deaths++) {
      await db.system((tx) => claims.sweep(tx, "all"));
      await db.tenant("doomed", (tx) => claims.claimOldest(tx, lease));
    }
    expect(await read(id, "doomed")).toMatchObject({ status: "interrupted" });
  });

  test("history is the newest answered turns that fit, oldest first, without reasoning", async () => {
    const { conversationId, claim } = await running("acme", "ann", "first");
    await settle(claim, [{ type: "reasoning", text: "long thought" }, ...said("1st")]);
    for (const [message, parts] of [
      ["second", said("2nd")],
      ["unanswered", []],
      ["third", said("3rd")],
    ] as const) {
      const next = await run(conversationId, message);
      await settle(next, [...parts], parts.length > 0 ? done : { status: "failed", code: "model_failed" });
    }
    const newest = await run(conversationId, "newest");
    const history = (bytesMax: number) =>
      db.tenant("acme", (tx) => turns.history(tx, conversationId, newest.turnId, bytesMax));
    const all = [
      { message: "first", answer: "1st" },
      { message: "second", answer: "2nd" },
      { message: "third", answer: "3rd" },
    ];
    expect(await history(1_000)).toEqual(all);
    expect(await history(8 + 9)).toEqual(all.slice(1));
    expect(await history(8 + 8)).toEqual(all.slice(2));
    expect(await history(0)).toEqual([]);
  });

  test("a failed transaction leaves nothing behind, and the next is not troubled by it", async () => {
    const id = Bun.randomUUIDv7();
    const broken = db.tenant("acme", async (tx) => {
      await opened(tx, opening({ userId: "ann", conversationId: id }), lease);
      await tx`select 1 / 0`;
    });
    expect(code(await broken.catch((error: unknown) => error))).toBe("22012");
    expect(await db.tenant("acme", (tx) => conversations.get(tx, "ann", id)).catch(code)).toBe("not_found");
  });

  test("who waits too long for a connection is told so, and the next is served", async () => {
    const outcomes = await Promise.all(
      Array.from({ length: 11 }, () => db.system(() => Bun.sleep(2_300)).catch(code)),
    );
    expect(outcomes).toContain(undefined);
    expect(outcomes).toContain("database_unavailable");
    expect(await db.system((tx) => tx`select 1 as one`)).toMatchObject([{ one: 1 }]);
  });

  if (name === "PostgreSQL")
    test("a slow statement is ended", async () => {
      const outcome = await db.system((tx) => tx`select pg_sleep(5)`, 100).catch(code);
      expect(outcome).toBe("database_unavailable");
    });

  test("deleting a conversation deletes its turns", async () => {
    const { conversationId, id, claim } = await running();
    await db.tenant("acme", (tx) => conversations.remove(tx, "ann", conversationId));
    expect(await read(id).catch(code)).toBe("not_found");
    expect(await settle(claim, said("too late"))).toBe(false);
  });
});
