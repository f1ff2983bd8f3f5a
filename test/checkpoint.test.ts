// What is stored of an answer while it is written: what was added since the last time, and yet always the whole answer,
// whatever becomes of the words between cip and its database.
import { beforeAll, describe, expect, test } from "bun:test";
import fc from "fast-check";
import { Answer } from "../src/chat/answer.ts";
import { type Held, nothing, store, together } from "../src/chat/checkpoint.ts";
import type { Database } from "../src/db/db.ts";
import * as claims from "../src/rows/claims.ts";
import type { Part } from "../src/rows/turns.ts";
import * as turns from "../src/rows/turns.ts";
import { databases } from "./database.ts";
import { claimed, opening } from "./openings.ts";

const lease: claims.Lease = { instanceId: Bun.randomUUIDv7(), leaseMs: 45_000 };
const renewMs = 15_000;

describe.each(databases)("on %s", (_name, open) => {
  let db: Database;
  beforeAll(async () => {
    db = await open();
  });

  /** A turn that has just begun to run. */
  async function running(): Promise<Held> {
    const claim = await claimed(db.of("acme"), opening({ userId: "ann" }), lease);
    return { claim, answer: new Answer(), saved: nothing, renewAt: Date.now() + renewMs };
  }
  const say = ({ answer }: Held, type: Part["type"], text: string) => {
    answer.append(type, text);
    answer.flush();
  };
  const checkpoint = (...runs: Held[]) => store(db, runs, lease, renewMs);
  const row = ({ claim }: Held) => db.tenant("acme", (tx) => turns.get(tx, "ann", claim.turnId));
  const stored = async (run: Held) => (await row(run)).parts;
  const overwrite = ({ claim }: Held, parts: Part[]) =>
    db.system((tx) => tx`update turns set parts = ${tx.json(parts)} where id = ${claim.turnId}`);
  /** Has what is written arrive, and the word of it get lost. */
  const loseWord = async (run: Held) => {
    const system: Database["system"] = async (work) => {
      await db.system(work);
      throw new Error("no word came back");
    };
    const outcome = await store({ ...db, system }, [run], lease, renewMs).catch((error) => error.message);
    expect(outcome).toBe("no word came back");
  };

  test("reasoning and then text, in pieces, are the whole answer at every moment", async () => {
    const run = await running();
    const other = await running();
    for (const [type, text] of [
      ["reasoning", "Hm 👋"],
      ["reasoning", "👋, so"],
      ["text", "It's \""],
      ["text", "\\n\n é 🙂"],
      ["text", "🙂."],
      ["reasoning", "?"],
      ["text", "!"],
    ] as const) {
      say(run, type, text);
      expect(await checkpoint(run, other)).toEqual(
        new Map([
          [run.claim.turnId, false],
          [other.claim.turnId, false],
        ]),
      );
      expect(await stored(run)).toEqual(run.answer.parts());
    }
    expect(await stored(run)).toHaveLength(4);
    expect(await stored(other)).toEqual([]);
  });

  test("what is stored is not sent again", async () => {
    const run = await running();
    say(run, "text", "half");
    await checkpoint(run);
    await overwrite(run, [{ type: "text", text: "HALF" }]);
    say(run, "text", " of it");
    await checkpoint(run);
    say(run, "reasoning", "and");
    await checkpoint(run);
    expect(await stored(run)).toEqual([
      { type: "text", text: "HALF of it" },
      { type: "reasoning", text: "and" },
    ]);
  });

  test("where no word came back all is sent, and nothing is there twice", async () => {
    const run = await running();
    say(run, "text", "One");
    await loseWord(run);
    say(run, "text", ", two");
    await checkpoint(run);
    expect(await stored(run)).toEqual([{ type: "text", text: "One, two" }]);
    say(run, "text", ", three");
    await loseWord(run);
    await checkpoint(run);
    expect(await stored(run)).toEqual([{ type: "text", text: "One, two, three" }]);
  });

  test("what was added and arrives late, or twice, is not added again", async () => {
    const run = await running();
    say(run, "text", "One 🙂");
    await checkpoint(run);
    const late = { ...run.claim, parts: [], after: { parts: 1, chars: 5, more: ", two" } };
    const arrive = () => db.system((tx) => claims.checkpoint(tx, [late], lease));
    expect(await arrive()).toEqual([{ id: run.claim.turnId, stop_requested: false }]);
    expect(await arrive()).toEqual([]);
    expect(await stored(run)).toEqual([{ type: "text", text: "One 🙂, two" }]);
  });

  test("a row that is behind, as on a server that took over, is given all at once", async () => {
    const run = await running();
    const near = await running();
    for (const text of ["One", ", two"]) {
      for (const each of [run, near]) say(each, "text", text);
      await checkpoint(run, near);
    }
    for (const parts of [[], [{ type: "text", text: "One" }] satisfies Part[]]) {
      await overwrite(run, parts);
      for (const each of [run, near]) say(each, "text", ", more");
      expect((await checkpoint(run, near)).get(run.claim.turnId)).toBe(false);
      expect(await stored(run)).toEqual(run.answer.parts());
      expect(await stored(near)).toEqual(near.answer.parts());
    }
  });

  test("a turn that somebody else took over is given nothing, whole or in part", async () => {
    const run = await running();
    say(run, "text", "Mine");
    await checkpoint(run);
    await db.system((tx) => tx`update turns set epoch = epoch + 1 where id = ${run.claim.turnId}`);
    say(run, "text", " still");
    expect(await checkpoint(run)).toEqual(new Map());
    expect(await checkpoint(run)).toEqual(new Map());
    expect(await stored(run)).toEqual([{ type: "text", text: "Mine" }]);
  });

  test("a claim that is due is renewed, whether or not something was said", async () => {
    for (const text of ["", "Said"]) {
      const run = await running();
      say(run, "text", text);
      await db.system((tx) => tx`update turns set lease_until = now() where id = ${run.claim.turnId}`);
      run.renewAt = Date.now();
      await checkpoint(run);
      expect(run.renewAt).toBeGreaterThan(Date.now());
      const [due] = await db.system(
        (tx) => tx`select lease_until > now() as later from turns where id = ${run.claim.turnId}`,
      );
      expect(due).toEqual({ later: true });
    }
  });

  test("whatever is said, and whatever is lost, the row has all of it once word came back", async () => {
    const piece = fc.record({
      type: fc.constantFrom<Part["type"]>("reasoning", "text"),
      text: fc.string({ unit: "grapheme", minLength: 1, maxLength: 6 }),
      what: fc.constantFrom("checkpoint", "loss", "silence", "setback"),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(piece, { minLength: 1, maxLength: 10 }), async (pieces) => {
        const run = await running();
        for (const { type, text, what } of pieces) {
          const before = await stored(run);
          say(run, type, text.replaceAll("\0", "\ufffd"));
          if (what === "silence") continue;
          if (what === "loss") await loseWord(run);
          else await checkpoint(run);
          expect(await stored(run)).toEqual(run.answer.parts());
          if (what === "setback") await overwrite(run, before);
        }
        await checkpoint(run);
        say(run, "text", ".");
        await checkpoint(run);
        expect(await stored(run)).toEqual(run.answer.parts());
      }),
      { numRuns: 30 },
    );
  });
});

test("many are stored some at a time, long answers fewer", () => {
  const runs = (count: number, chars: number) =>
    Array.from({ length: count }, (): Held => {
      const answer = new Answer();
      answer.append("text", "a".repeat(chars));
      answer.flush();
      const claim = { tenantId: "acme", turnId: Bun.randomUUIDv7(), epoch: 1 };
      return { claim, answer, saved: nothing, renewAt: 0 };
    });
  const sizes = (all: Held[]) => {
    const groups = [...together(all)];
    expect(groups.flat()).toEqual(all);
    return groups.map(({ length }) => length);
  };
  expect(sizes([])).toEqual([]);
  expect(sizes(runs(600, 10))).toEqual([256, 256, 88]);
  expect(sizes(runs(5, 100_000))).toEqual([3, 2]);
  expect(sizes(runs(2, 1_000_000))).toEqual([1, 1]);
});
