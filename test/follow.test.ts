// follow() and the answer it reads: whatever the order of events, a reader gets the whole text and one ending.
import { expect, test } from "bun:test";
import fc from "fast-check";
import { Answer } from "../src/chat/answer.ts";
import type { Chunk } from "../src/chat/chunks.ts";
import { Follower, follow } from "../src/chat/follow.ts";
import type { Ending, Part } from "../src/rows/turns.ts";

const turn = { id: "t", conversation_id: "c" };
const ending: Ending = { status: "done", finishReason: "stop", usage: null };
const forever = () => new AbortController().signal;

const part = fc.record({
  type: fc.constantFrom<Part["type"]>("reasoning", "text"),
  text: fc.string({ unit: "grapheme", minLength: 1, maxLength: 8 }),
});

/** Says the parts piece by piece, with a flush after those for which `flushes` has true. */
async function speak(answer: Answer, parts: Part[], flushes: boolean[]): Promise<void> {
  for (const [i, { type, text }] of parts.entries()) {
    answer.append(type, text);
    if (flushes[i % flushes.length]) answer.flush();
    if (flushes[(i + 1) % flushes.length]) await new Promise(setImmediate); // and listeners are told
  }
  answer.end(ending);
}

async function read(answer: Answer, after: number, signal = forever()) {
  const chunks: Chunk[] = [];
  let offset = after;
  for await (const frame of follow(turn, answer, after, signal)) {
    chunks.push(frame.chunk);
    offset = frame.offset;
  }
  const text = chunks.map((chunk) => ("delta" in chunk ? chunk.delta : "")).join("");
  return { chunks, text, offset };
}

/** True where `start`, then each part opened, said and closed in turn, then one ending make a whole stream. */
function wellFormed(chunks: Chunk[]): boolean {
  const shape = chunks.map(({ type }) => type).join(" ");
  const part = (type: string) => ` ${type}-start( ${type}-delta)+ ${type}-end`;
  return new RegExp(`^start(${part("reasoning")}|${part("text")})* finish$`).test(shape);
}

const wholeText = (parts: Part[]) => parts.map(({ text }) => text).join("");
const splitsPair = (text: string, k: number) =>
  /^[\ud800-\udbff][\udc00-\udfff]/.test(text.slice(k - 1, k + 1));

test("from every offset the head and the rest are the whole, and the rest is a whole stream", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(part, { maxLength: 6 }),
      fc.array(fc.boolean(), { minLength: 1 }),
      async (parts, flushes) => {
        const whole = wholeText(parts);
        const answer = new Answer();
        await speak(answer, parts, flushes);
        for (let k = 0; k <= whole.length; k++) {
          const { chunks, text, offset } = await read(answer, k);
          expect(text).toBe(whole.slice(splitsPair(whole, k) ? k - 1 : k));
          expect(offset).toBe(whole.length);
          expect(wellFormed(chunks)).toBe(true);
        }
      },
    ),
    { numRuns: 60 },
  );
});

test("readers that come at any time, to any offset, read the same while it is being said", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(part, { minLength: 1, maxLength: 10 }),
      fc.array(fc.boolean(), { minLength: 1 }),
      fc.array(fc.nat(30), { maxLength: 5 }),
      async (parts, flushes, offsets) => {
        const whole = wholeText(parts);
        const answer = new Answer();
        const early = [0, ...offsets.filter((k) => k <= whole.length)].map((k) => ({
          k,
          reading: read(answer, k),
        }));
        await speak(answer, parts, flushes);
        for (const { k, reading } of early) {
          const { chunks, text } = await reading;
          expect(text).toBe(whole.slice(splitsPair(whole, k) ? k - 1 : k));
          expect(wellFormed(chunks)).toBe(true);
        }
      },
    ),
    { numRuns: 60 },
  );
});

test("an answer of many small pieces is read and stored whole, from wherever somebody begins meanwhile", async () => {
  const piece = fc.oneof(
    fc.constant("🙂"),
    fc.constant(" a word"),
    fc.string({ minLength: 250, maxLength: 300 }),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(piece, { minLength: 40, maxLength: 120 }), fc.nat(), async (pieces, seed) => {
      const answer = new Answer();
      const readers: { after: number; rest: Promise<{ text: string; offset: number }> }[] = [];
      for (const [i, text] of pieces.entries()) {
        answer.append(i % 50 === 49 ? "reasoning" : "text", text);
        answer.flush();
        if (i % 7 === seed % 7) {
          const after = Math.max(0, answer.length - (i % 3) * 6);
          readers.push({ after, rest: read(answer, after) });
        }
        if (i % 3 === seed % 3) answer.parts(Math.max(0, answer.length - (i % 4) * 5)); // as checkpoints do
        if (i % 5 === seed % 5) await Bun.sleep(0);
      }
      answer.end(ending);
      const whole = pieces.join("");
      expect(wholeText(answer.parts())).toBe(whole);
      for (const { after, rest } of readers) {
        const { text, offset } = await rest;
        expect(text).toBe(whole.slice(splitsPair(whole, after) ? after - 1 : after));
        expect(offset).toBe(whole.length);
      }
      for (let after = 0; after <= whole.length; after += 97)
        expect(wholeText(answer.parts(after))).toBe(whole.slice(after));
    }),
    { numRuns: 20 },
  );
});

test("a resumed part keeps the number it had", async () => {
  const answer = new Answer();
  answer.append("reasoning", "why");
  answer.append("text", "because");
  answer.end(ending);
  const { chunks } = await read(answer, 5);
  expect(chunks.slice(1)).toEqual([
    { type: "text-start", id: "1" },
    { type: "text-delta", id: "1", delta: "cause" },
    { type: "text-end", id: "1" },
    { type: "finish", finishReason: "stop", messageMetadata: { usage: null } },
  ]);
});

test.each<[Ending, Chunk]>([
  [{ status: "stopped" }, { type: "abort" }],
  [
    { status: "interrupted" },
    { type: "error", errorText: "The answer was interrupted", code: "interrupted" },
  ],
  [
    { status: "failed", code: "model_timeout" },
    { type: "error", errorText: "The model took too long", code: "model_timeout" },
  ],
])("an answer that ends as %j ends its stream accordingly", async (how, last) => {
  const answer = new Answer();
  answer.append("text", "half");
  answer.end(how);
  expect((await read(answer, 0)).chunks.at(-1)).toEqual(last);
});

test("a reader that leaves ends its own following and nothing else", async () => {
  const answer = new Answer();
  const gone = new AbortController();
  const left = read(answer, 0, gone.signal);
  const stayed = read(answer, 0);
  answer.append("text", "one");
  answer.flush();
  await Bun.sleep(0);
  gone.abort();
  expect((await left).text).toBe("one");
  answer.append("text", " two");
  answer.end(ending);
  expect((await stayed).text).toBe("one two");
});

test("what came while the reader was busy comes as one chunk", async () => {
  const answer = new Answer();
  const frames = follow(turn, answer, 0, forever());
  await frames.next();
  for (const word of ["a ", "b ", "c"]) {
    answer.append("text", word);
    answer.flush();
  }
  await frames.next();
  expect((await frames.next()).value).toEqual({
    offset: 5,
    chunk: { type: "text-delta", id: "0", delta: "a b c" },
  });
});

test("the start is there to be taken before anything is said", () => {
  const follower = new Follower(turn, new Answer(), 0, forever());
  expect(follower.waits).toBe(false);
  expect(follower.take().map(({ chunk }) => chunk.type)).toEqual(["start"]);
  expect(follower.waits).toBe(true);
});

test("a reader that cannot be told takes nothing from the others", async () => {
  const answer = new Answer();
  answer.subscribe({
    wake() {
      throw new Error("gone");
    },
  });
  const all = read(answer, 0);
  await speak(answer, [{ type: "text", text: "whole" }], [true]);
  expect((await all).text).toBe("whole");
});

test("readers are told when the loop has gone round, or when as many answers have changed as are waited for", async () => {
  const answers = Array.from({ length: 20 }, () => new Answer());
  const told: number[] = [];
  for (const [i, answer] of answers.entries()) answer.subscribe({ wake: () => told.push(i) });
  await new Promise(setImmediate);
  for (const answer of [answers[0] as Answer, ...answers]) {
    answer.append("text", "word");
    answer.flush();
  }
  expect(told).toEqual(Array.from({ length: 16 }, (_, i) => i));
  await new Promise(setImmediate);
  expect(told).toEqual(Array.from({ length: 20 }, (_, i) => i));
});

test("what was read to be stored lies in one piece", () => {
  const answer = new Answer();
  for (const [type, text] of [
    ["reasoning", "Hm"],
    ["reasoning", "."],
    ["text", "a "],
    ["text", "b "],
    ["text", "c"],
  ] as const) {
    answer.append(type, text);
    answer.flush();
  }
  expect(answer.parts(4)).toEqual([{ type: "text", text: " b c" }]);
  expect(answer.segments.map(({ text }) => text)).toEqual(["Hm", ".", "a b c"]);
  expect(answer.parts()).toEqual([
    { type: "reasoning", text: "Hm." },
    { type: "text", text: "a b c" },
  ]);
  expect(answer.segments).toHaveLength(2);
});
