// The rules that the database keeps, on PostgreSQL and on PGlite alike.
import { beforeAll, describe, expect, test } from "bun:test";
import * as conversations from "../src/conversations.ts";
import type { Database } from "../src/db.ts";
import { migrate } from "../src/migrate.ts";
import type { Ending, Part } from "../src/turns.ts";
import * as turns from "../src/turns.ts";
import { databases } from "./database.ts";

const done: Ending = { status: "done", finishReason: "stop", usage: { input_tokens: 3, output_tokens: 4 } };
const said = (text: string): Part[] => [{ type: "text", text }];
const code = (error: unknown) => (error as { code?: string }).code;

describe.each(databases)("on %s", (name, open) => {
  let db: Database;
  beforeAll(async () => {
    db = await open();
  });

  /** A conversation with one running turn. */
  async function running(tenantId = "acme", userId = "ann", message = "hello") {
    const conversationId = Bun.randomUUIDv7();
    const id = Bun.randomUUIDv7();
    const claim = await db.tenant(tenantId, async (tx) => {
      await conversations.open(tx, userId, conversationId, message);
      return turns.open(tx, conversationId, id, message);
    });
    return { conversationId, id, claim };
  }
  const settle = (claim: turns.Claim, parts: Part[], ending: Ending = done) =>
    db.tenant(claim.tenantId, (tx) => turns.settle(tx, claim, parts, ending));
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
    expect(await db.system((tx) => turns.checkpoint(tx, [{ ...old, parts: said("from the dead") }]))).toEqual(
      [],
    );
    expect(await read(id)).toMatchObject({ status: "running", parts: [] });
  });

  test("a conversation has one live turn; the refusal names it", async () => {
    const { conversationId, id, claim } = await running();
    const second = () =>
      db.tenant("acme", (tx) => turns.open(tx, conversationId, Bun.randomUUIDv7(), "and?"));
    const error = await second().catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: "turn_running", details: { turn_id: id } });
    await settle(claim, said("there"));
    expect(await second()).toMatchObject({ epoch: 1 });
  });

  test("of many that open a turn at once one gets it", async () => {
    const { conversationId, claim } = await running();
    await settle(claim, said("there"));
    const tries = await Promise.allSettled(
      Array.from({ length: 8 }, () =>
        db.tenant("acme", (tx) => turns.open(tx, conversationId, Bun.randomUUIDv7(), "?")),
      ),
    );
    expect(tries.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
    const codes = tries.flatMap((outcome) => (outcome.status === "rejected" ? [code(outcome.reason)] : []));
    expect(new Set(codes)).toEqual(new Set(["turn_running"]));
  });

  test("a checkpoint stores the text of many turns, of several tenants, and hears of stops", async () => {
    const one = await running("acme", "ann");
    const two = await running("globex", "bob");
    await db.tenant("globex", (tx) => turns.requestStop(tx, two.id));
    const rows = await db.system((tx) =>
      turns.checkpoint(tx, [
        { ...one.claim, parts: said("half") },
        { ...two.claim, parts: undefined },
      ]),
    );
    expect(rows.sort((a, b) => Number(a.stop_requested) - Number(b.stop_requested))).toEqual([
      { id: one.id, stop_requested: false },
      { id: two.id, stop_requested: true },
    ]);
    expect((await read(one.id)).parts).toEqual(said("half"));
  });

  test("what no living instance runs is interrupted with the text it had, and the rest is left alone", async () => {
    const dead = await running();
    const alive = await running();
    await db.system((tx) => turns.checkpoint(tx, [{ ...dead.claim, parts: said("so far") }]));
    await db.system(
      (tx) => tx`update turns set lease_until = now() - interval '1 second' where id = ${dead.id}`,
    );
    expect(await db.system((tx) => turns.sweep(tx))).toBe(1);
    expect(await read(dead.id)).toMatchObject({ status: "interrupted", parts: said("so far") });
    expect(await settle(dead.claim, said("I am back"))).toBe(false);
    expect(await read(alive.id)).toMatchObject({ status: "running" });
  });

  test("history is the newest answered turns that fit, oldest first, without reasoning", async () => {
    const { conversationId, claim } = await running("acme", "ann", "first");
    await settle(claim, [{ type: "reasoning", text: "long thought" }, ...said("1st")]);
    for (const [message, parts] of [
      ["second", said("2nd")],
      ["unanswered", []],
      ["third", said("3rd")],
    ] as const) {
      const next = await db.tenant("acme", (tx) =>
        turns.open(tx, conversationId, Bun.randomUUIDv7(), message),
      );
      await settle(next, [...parts], parts.length > 0 ? done : { status: "failed", code: "model_failed" });
    }
    const history = (bytesMax: number) =>
      db.tenant("acme", (tx) => turns.history(tx, conversationId, bytesMax));
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
      await conversations.open(tx, "ann", id, "hello");
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
