// Several frames of an answer are read at once while the loop is busy: those of a steady answer, a few at a time, never
// for long; and what a model says reaches its readers whatever it does next.
import { beforeAll, expect, test } from "bun:test";
import { Coalescer, Rhythm } from "../src/model/coalesce.ts";
import { canSetLowWater } from "../src/model/lowwater.ts";
import { Splitter } from "../src/model/reasoning.ts";
import { read } from "../src/model/upstream.ts";
import { wireFetch } from "../src/model/wire.ts";
import { upstream } from "./scripted.ts";
import { leftOut, until, within } from "./support.ts";

const isLinux = process.platform === "linux";
if (!isLinux) leftOut("coalescing", "only Linux can");

beforeAll(() => isLinux && until(canSetLowWater, "low-water marks can be set"));

const frameBytes = 200;

/** Has the thread work for so long, whoever else has the processor meanwhile. */
function work(ms: number): void {
  const begun = process.threadCpuUsage();
  const us = () => {
    const { user, system } = process.threadCpuUsage(begun);
    return user + system;
  };
  while (us() < ms * 1_000);
}

/** An answer and what is awaited of it. Its clock goes on without us, and its thread works for a share of that time. */
function scene() {
  const marks: number[] = [];
  const rhythm = new Rhythm(new Coalescer(), (bytes) => marks.push(bytes));
  let nowMs = performance.now();
  /** Frames come one by one, after such gaps. */
  const play = (gapsMs: readonly number[], { share = 0.5, bytes = frameBytes } = {}) => {
    for (const gapMs of gapsMs) {
      work(gapMs * share);
      nowMs += gapMs;
      rhythm.heard(bytes, 1, nowMs);
    }
  };
  return { marks, play };
}

const times = <T>(count: number, one: T) => Array.from({ length: count }, () => one);

test.if(isLinux)("two tokens of a steady answer are awaited at 50 a second, seven at 200, one at 20", () => {
  for (const [gapMs, frames] of [
    [20, 2],
    [5, 7],
    [50, 1],
  ] as const) {
    const { marks, play } = scene();
    play(times(Math.ceil(400 / gapMs), gapMs));
    expect([gapMs, marks.at(-1) ?? 1]).toEqual([gapMs, frames > 1 ? (frames - 0.5) * frameBytes : 1]);
  }
});

test.if(isLinux)("where the loop has time nothing is awaited, also when it had none before", () => {
  const { marks, play } = scene();
  play(times(20, 20), { share: 0 });
  expect(marks).toEqual([]);
  play(times(20, 20));
  expect(marks).toEqual([300]);
  play(times(20, 20), { share: 0 });
  expect(marks).toEqual([300, 1]);
});

test.if(isLinux)("what comes in bursts is read as it comes", () => {
  const { marks, play } = scene();
  play(times(8, [2, 2, 2, 2, 90]).flat());
  expect(marks).toEqual([]);
});

test.if(isLinux)("no more is awaited than the kernel has room for", () => {
  const { marks, play } = scene();
  play(times(80, 5), { bytes: 100_000 });
  expect(marks).toEqual([16 * 1024]);
});

test.if(isLinux)("a model that stops speaking in the middle is heard", async () => {
  const { marks, play } = scene();
  play(times(20, 20));
  expect(marks).toEqual([300]);
  await until(() => marks.length > 1, "nothing is awaited any more");
  expect(marks).toEqual([300, 1]);
});

test.if(isLinux)("of two that are held, the one that was not read meanwhile is let go first", async () => {
  const coalescer = new Coalescer();
  const released: string[] = [];
  const [quiet, read] = ["quiet", "read"].map(
    (name) => new Rhythm(coalescer, (bytes) => bytes === 1 && released.push(name)),
  ) as [Rhythm, Rhythm];
  let nowMs = performance.now();
  for (let i = 0; i < 20; i++) {
    work(10);
    nowMs += 20;
    quiet.heard(frameBytes, 1, nowMs);
    read.heard(frameBytes, 1, nowMs);
  }
  expect([quiet.releaseIfDue(nowMs + 44), released]).toEqual([false, []]);
  const aheadMs = nowMs - performance.now();
  const busy = setInterval(() => work(4), 1);
  const reads = setInterval(() => read.heard(2 * frameBytes, 2, performance.now() + aheadMs), 40);
  await until(() => released.length > 0, "the quiet one is released");
  clearInterval(reads);
  clearInterval(busy);
  await until(() => released.length > 1, "the other one is released as well");
  expect(released).toEqual(["quiet", "read"]);
});

const frame = (content: string, finish: string | null = null) =>
  `data: ${JSON.stringify({ id: "chatcmpl-1", choices: [{ index: 0, delta: { content }, finish_reason: finish }] })}\n\n`;
const chunk = (text: string) => `${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`;
const head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";

/** Asks the model on a connection that is kept, and tells how its answer comes. */
async function ask(baseUrl: string) {
  const came = { text: "", reads: 0 };
  const response = await wireFetch(`${baseUrl}/chat/completions`, { method: "POST", body: "{}" });
  const over = read(response, {
    splitter: new Splitter({
      append: (_kind, text) => {
        came.text += text;
      },
    }),
    progress: () => came.reads++,
    charsMax: 1_000_000,
    signal: new AbortController().signal,
  });
  return { came, over };
}

test.if(isLinux)(
  "on a connection: read together, whole, none kept back, and the next answer as it comes",
  async () => {
    const words = (from: number, to: number) =>
      Array.from({ length: to - from }, (_, i) => ` word${from + i}`);
    const heard = Promise.withResolvers<void>();
    const answered = Promise.withResolvers<void>();
    const server = await upstream(async (socket, call) => {
      const say = async (pieces: string[]) => {
        for (const piece of pieces) {
          socket.write(chunk(frame(piece)));
          await Bun.sleep(8);
        }
      };
      const end = `${chunk(`${frame("", "stop")}data: [DONE]\n\n`)}${chunk("")}`;
      socket.write(head);
      if (call === 1) {
        await say(words(0, 120)); // the last of which are less than is awaited
        await heard.promise;
        await say(words(120, 160));
        const rest = words(160, 200).map((word) => chunk(frame(word)));
        socket.write(rest.join("") + end); // so that more than one frame is awaited to the end
      } else {
        await answered.promise; // the head is shorter than what was awaited last
        await say(["Hel"]);
        await until(() => second.came.text === "Hel", "the first word of two is there by itself");
        socket.write(chunk(frame("lo")) + end);
      }
    });
    const busy = setInterval(() => work(4), 1);
    const first = await ask(server.baseUrl);
    const saidSoFar = words(0, 120).join("");
    await until(
      () => first.came.text === saidSoFar,
      "all that was said is there, though the model goes on holding",
    );
    expect(first.came.reads).toBeLessThan(90);
    heard.resolve();
    expect((await first.over).finishReason).toBe("stop");
    expect(first.came.text).toBe(words(0, 200).join(""));
    clearInterval(busy);

    const second = await within(ask(server.baseUrl), "the next answer begins");
    answered.resolve();
    expect((await second.over).finishReason).toBe("stop");
    expect(second.came.text).toBe("Hello");
    expect(server.connections).toBe(1);
  },
);
