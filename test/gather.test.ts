// What is held for a moment while the loop is busy: pieces that are near each other, never the first, nor the ending, nor
// anything where the loop has time; and whatever is held, the answer is whole.
import { expect, test } from "bun:test";
import fc from "fast-check";
import { Answer } from "../src/chat/answer.ts";
import { Follower, follow } from "../src/chat/follow.ts";
import { Gather } from "../src/chat/gather.ts";
import { Pace } from "../src/chat/pace.ts";
import type { Part } from "../src/rows/turns.ts";
import { until } from "./support.ts";

const turn = { id: "t", conversation_id: "c" };
const ending = { status: "done", finishReason: "stop", usage: null } as const;
const forever = () => new AbortController().signal;

/** One whose loop has done nothing but work for as long as it takes. */
function busy(): Gather {
  const gather = new Gather();
  while (gather.holdMs < 25) gather.grown(new Answer(), 0, performance.now());
  return gather;
}

/** An answer, the model that says it, and a reader who counts how often he is woken. */
function scene(gather: Gather) {
  const answer = new Answer();
  const pace = new Pace(answer, gather);
  const follower = new Follower(turn, answer, 0, forever());
  const reader = { woken: 0 };
  follower.onMore(() => reader.woken++);
  const say = (text: string) => {
    pace.append("text", text);
    pace.flush(performance.now());
  };
  const deltas = () =>
    follower
      .take()
      .flatMap(({ offset, chunk }) => ("delta" in chunk ? [{ offset, delta: chunk.delta }] : []));
  return { answer, follower, reader, say, deltas };
}

test("while the loop is busy the first piece goes on at once, and those that follow together", async () => {
  const { answer, reader, say, deltas } = scene(busy());
  say("one");
  expect(reader.woken).toBe(1);
  expect(deltas()).toEqual([{ offset: 3, delta: "one" }]);
  say(" two");
  say(" 🙂");
  expect(reader.woken).toBe(1);
  expect(answer.parts()).toEqual([{ type: "text", text: "one two 🙂" }]); // as it would be stored
  await until(() => reader.woken === 2, "the reader is woken");
  expect(deltas()).toEqual([{ offset: 10, delta: " two 🙂" }]);
});

test("the ending takes with it what is held", () => {
  const { answer, follower, reader, say, deltas } = scene(busy());
  say("one");
  say(" two");
  answer.end(ending);
  expect(reader.woken).toBe(2);
  expect(deltas()).toEqual([{ offset: 7, delta: "one two" }]);
  expect(follower.over).toBe(true);
});

test("a piece that comes long after the one before is not held", () => {
  const gather = busy();
  const { answer, reader } = scene(gather);
  gather.grown(answer, gather.holdMs, performance.now());
  expect(reader.woken).toBe(1);
});

test("where the loop has time nothing is held, also when it had none before", async () => {
  for (const gather of [new Gather(), busy()]) {
    const looked = async () => {
      await Bun.sleep(150);
      gather.grown(new Answer(), 1_000, performance.now());
      return gather.holdMs === 0;
    };
    await until(looked, "the loop is found at ease");
    const { reader, say } = scene(gather);
    for (const word of ["one", " two", " three"]) say(word);
    expect(reader.woken).toBe(3);
  }
});

test("whatever is held, every reader reads all of it, at offsets that are exact", async () => {
  const gather = busy();
  const part = fc.record({
    type: fc.constantFrom<Part["type"]>("reasoning", "text"),
    text: fc.string({ unit: "grapheme", minLength: 1, maxLength: 8 }),
  });
  const said = fc.array(part, { minLength: 1, maxLength: 12 });
  await fc.assert(
    fc.asyncProperty(said, fc.array(fc.boolean(), { minLength: 1 }), async (parts, pauses) => {
      const answer = new Answer();
      const pace = new Pace(answer, gather);
      const read = async () => {
        let text = "";
        for await (const { offset, chunk } of follow(turn, answer, 0, forever())) {
          if ("delta" in chunk) text += chunk.delta;
          expect(offset).toBe(text.length);
          expect(text.isWellFormed()).toBe(true);
        }
        return text;
      };
      const readers = [read(), read()];
      for (const [i, { type, text }] of parts.entries()) {
        pace.append(type, text);
        pace.flush(performance.now());
        if (pauses[i % pauses.length]) await Bun.sleep(1);
      }
      answer.end(ending);
      const whole = parts.map(({ text }) => text).join("");
      expect(await Promise.all(readers)).toEqual([whole, whole]);
    }),
    { numRuns: 30 },
  );
});
