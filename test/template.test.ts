// Frames that are read by comparing: whatever a model's frames have in common, what they say is what parsing them says.
import { expect, spyOn, test } from "bun:test";
import fc from "fast-check";
import { Completion } from "../src/model/completion.ts";
import { Frames } from "../src/model/frames.ts";
import { Splitter } from "../src/model/reasoning.ts";
import { Template } from "../src/model/template.ts";

type Frame = { text: string; wrap: keyof typeof wraps };

const choice = (content: string, more: object = {}) => ({
  choices: [{ index: 0, delta: { content }, ...more }],
});
/** Frames alike in most, and what differs in them. */
const wraps = {
  usual: (text: string) => JSON.stringify({ id: "a", ...choice(text, { finish_reason: null }) }),
  spaced: (text: string) => `{"choices": [{"index": 0, "delta": {"content": ${JSON.stringify(text)}}}]}`,
  escaped: (text: string) => `{"choices":[{"delta":{"content":"${escaped(text)}"}}]}`,
  another: (text: string) => JSON.stringify({ id: "a", choices: [{ index: 1, delta: { content: text } }] }),
  twice: (text: string) => `{"choices":[{"delta":{"content":${JSON.stringify(text)},"content":"last"}}]}`,
  elsewhere: (text: string) => JSON.stringify({ "": { content: text }, ...choice(text) }),
  beside: (text: string) => JSON.stringify({ "": { content: text }, ...choice("a") }),
  thinking: (text: string) => JSON.stringify({ choices: [{ delta: { content: text, reasoning: "hm" } }] }),
};

function escaped(text: string): string {
  return Array.from(
    { length: text.length },
    (_, i) => `\\u${text.charCodeAt(i).toString(16).padStart(4, "0")}`,
  ).join("");
}

/** A splitter, and what has come out of it: reasoning behind a bar. */
function listening() {
  let said = "";
  const splitter = new Splitter({
    append: (kind, text) => {
      said += `${kind === "text" ? "" : "|"}${text}`;
    },
  });
  return { splitter, said: () => said };
}

/** However the bytes are cut on their way. */
function saidOf(frames: Frame[], blankLine: string, cuts: number[]): string {
  const { splitter, said } = listening();
  const completion = new Completion(splitter, 1_000_000);
  const stream = new Frames(completion);
  const bytes = Buffer.from(
    frames.map(({ wrap, text }) => `data: ${wraps[wrap](text)}${blankLine}`).join(""),
  );
  const ends = [...new Set(cuts.map((cut) => cut % bytes.length)), bytes.length].sort((a, b) => a - b);
  let from = 0;
  for (const to of ends) {
    stream.push(bytes, from, to);
    from = to;
  }
  completion.flush();
  splitter.end();
  return said();
}

/** The same, each frame parsed. */
function parsedOf(frames: Frame[]): string {
  const { splitter, said } = listening();
  for (const { wrap, text } of frames) {
    const [first] = JSON.parse(wraps[wrap](text)).choices;
    if ((first.index ?? 0) !== 0) continue;
    if (first.delta.reasoning) splitter.reasoning(first.delta.reasoning);
    splitter.text(first.delta.content);
  }
  splitter.end();
  return said();
}

test("frames of any kinds, in any order, say what parsing them says", () => {
  const unit = fc.constantFrom(
    "a",
    "b ",
    '"',
    "\\",
    "\n",
    "\u2028",
    "é",
    "🙂",
    "\ud83d",
    "\ufeff",
    "{",
    "}",
    ",",
  );
  const text = fc.array(unit, { maxLength: 4 }).map((units) => units.join(""));
  const names = Object.keys(wraps) as Frame["wrap"][];
  // Two kinds at a time, so that what is learnt of one is also used.
  const kinds = fc.tuple(fc.constantFrom(...names), fc.constantFrom(...names));
  const frames = kinds.chain((pair) =>
    fc.array(fc.record({ wrap: fc.constantFrom(...pair), text }), { minLength: 1, maxLength: 20 }),
  );
  fc.assert(
    fc.property(
      frames,
      fc.constantFrom("\n\n", "\r\n\r\n"),
      fc.array(fc.nat(), { maxLength: 5 }),
      (frames, blankLine, cuts) => {
        expect(saidOf(frames, blankLine, cuts)).toBe(parsedOf(frames));
      },
    ),
    { numRuns: 2_000 },
  );
});

test("a frame like one before is not parsed again, one that says more or otherwise is", () => {
  const template = new Template();
  const textIn = (data: string) => JSON.parse(data).choices[0].delta.content;
  const frame = (data: string) => `data: ${data}\n\n`;
  const read = (frame: string | Buffer) => {
    const bytes = Buffer.from(frame);
    const end = template.read(bytes, 0, bytes.length);
    expect([0, bytes.length]).toContain(end);
    return end > 0 ? template.take() : undefined;
  };
  expect(read(frame(wraps.usual("a")))).toBeUndefined();
  template.learn(wraps.usual("a"), "a", textIn);
  expect(read(frame(wraps.usual(" naïve 🙂")))).toBe(" naïve 🙂");
  expect(read(`data: ${wraps.usual("a")}\r\n\r\n`)).toBe("a");
  for (const other of ['"', "\\", "\n", "a".repeat(300)])
    expect(read(frame(wraps.usual(other)))).toBeUndefined();
  const broken = wraps.usual("TAB").replace("TAB", "\t"); // as JSON must not have it
  for (const other of [broken, wraps.usual("")]) expect(read(frame(other))).toBeUndefined();
  expect(read(frame(wraps.spaced("a")))).toBeUndefined();
  const whole = Buffer.from(frame(wraps.usual("a")));
  for (let length = 1; length < whole.length; length++)
    expect([length, template.read(whole, 0, length)]).toEqual([length, 0]);
  for (let length = 1; length < whole.length; length++)
    expect(read(whole.subarray(0, length))).toBeUndefined();
  expect(read(`${whole.toString().slice(0, -1)}: more\n\n`)).toBeUndefined();
});

test("what is read of several frames is taken together, half a character of one not with half of the next", () => {
  const template = new Template();
  const data = '{"choices":[{"delta":{"content":"a"}}]}';
  template.learn(data, "a", (data) => JSON.parse(data).choices[0].delta.content);
  const [head, tail] = `data: ${data}\n\n`.split('"a"') as [string, string];
  const frame = (...text: number[]) =>
    Buffer.concat([Buffer.from(`${head}"`), Buffer.from(text), Buffer.from(`"${tail}`)]);
  const whole = Buffer.concat([frame(0x61), frame(0x62, 0xe2, 0x82)]);
  const half = template.read(whole, 0, whole.length);
  expect(half).toBeGreaterThan(0);
  expect(template.read(whole, half, whole.length)).toBe(whole.length);
  const rest = frame(0xac);
  expect(template.read(rest, 0, rest.length)).toBe(0);
  expect(template.take()).toBe("ab\ufffd");
  expect(template.take()).toBe("");
});

test("frames that differ in more than their text are not learnt from for ever", () => {
  const template = new Template();
  let asked = 0;
  for (let i = 0; i < 100; i++)
    template.learn(JSON.stringify({ id: i, ...choice("a") }), "a", () => void asked++);
  expect(asked).toBe(8);
});

const usualFrames = (count: number, blankLine: string) =>
  Buffer.from(Array.from({ length: count }, (_, i) => `data: ${wraps.usual(` é${i}`)}${blankLine}`).join(""));

test.each(["\n\n", "\r\n\r\n"])(
  "frames that are cut on their way are parsed, and no others: %j",
  (blankLine) => {
    for (let size = 150; size < 260; size++) {
      const completion = new Completion(new Splitter({ append: () => {} }), 1_000_000);
      const stream = new Frames(completion);
      const bytes = usualFrames(80, blankLine);
      const parse = spyOn(JSON, "parse");
      let cuts = 0;
      for (let from = 0; from < bytes.length; from += size, cuts++)
        stream.push(bytes, from, Math.min(bytes.length, from + size));
      // Beside them those that are learnt from, 8 at most, and one where a blank line is cut in two. All would be 80.
      expect([size, parse.mock.calls.length <= cuts + 12]).toEqual([size, true]);
      parse.mockRestore();
      expect(completion.count).toBe(80);
    }
  },
);

test("a known frame behind half a character is text of neither", () => {
  const { splitter, said } = listening();
  const completion = new Completion(splitter, 1_000_000);
  const stream = new Frames(completion);
  const push = (bytes: Buffer) => stream.push(bytes, 0, bytes.length);
  push(usualFrames(2, "\n\n"));
  push(Buffer.from([0xc3]));
  push(usualFrames(1, "\n\n")); // belongs to a line that is no data
  push(usualFrames(1, "\n\n"));
  completion.flush();
  expect(said()).toBe(" é0 é1 é0");
});

test("an answer is cut off at its bound of characters, however many bytes they are", () => {
  const { splitter, said } = listening();
  const completion = new Completion(splitter, 10);
  const stream = new Frames(completion);
  const bytes = usualFrames(40, "\n\n"); // three characters, or four
  stream.push(bytes, 0, bytes.length);
  completion.flush();
  expect(completion.full).toBe(true);
  expect(said()).toBe(" é0 é1 é2 é3");
  expect(completion.finishReason).toBe("length");
});
