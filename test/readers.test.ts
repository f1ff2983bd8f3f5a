// Readers as they are: many, slow, gone without a word. None of them costs another one anything, nor the turn they read.
import { beforeAll, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { type Chunk, drain, sse } from "./client.ts";
import { answer, type Step } from "./model.ts";
import { type Site, startSite, type Turn } from "./site.ts";
import { type Stalled, stalledRequest, stalledSocket } from "./stalled.ts";
import { until } from "./support.ts";
import { openSocket } from "./websocket.ts";

const silence = { hold: new Promise(() => {}) };
const megabyte = 1024 * 1024;
const readerBytesMax = 256 * 1024;

let site: Site;
let patience: Awaited<ReturnType<typeof beginWaiting>>;
beforeAll(async () => {
  site = await startSite();
  patience = await beginWaiting();
});

const memoryBytes = ({ server }: Site) =>
  Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${server.pid}/status`, "utf8"))?.[1]) * 1024;
const openFiles = ({ server }: Site) => readdirSync(`/proc/${server.pid}/fd`).length;
const streamOf = (id: string) => `/v1/default/turns/${id}/stream`;

/** What takes long to show begins before everything else, on a server of its own, and is looked at last. */
async function beginWaiting() {
  const site = await startSite({ env: { LLM_MAX_TOKENS: "1000000" } });
  const token = await site.visitor();
  site.model.next([silence]);
  const heartbeats = readFor(11_000, await site.stream(token, "Be silent"));

  // 12 MB, more than the kernel takes off the server for a reader that does not read.
  const long = "0123456789abcdef".repeat(4096);
  const piece = `data: ${JSON.stringify({ choices: [{ delta: { content: long } }] })}\n\n`;
  const { release, releaseAll } = site.hold([{ text: "Well" }, { raw: piece.repeat(192) }]);
  const conversation_id = crypto.randomUUID();
  const body = { message: "Go on", conversation_id };
  const stalled = [await stalledRequest(site.url, "POST", "/v1/default/turns", token, body)];
  const [turn] = (await site.conversation(token, conversation_id)).turns as [Turn];
  const stallMore = async () => {
    for (let i = 0; i < 8; i++) {
      stalled.push(await stalledRequest(site.url, "GET", streamOf(turn.id), token));
      stalled.push(await stalledSocket(site.url, token, turn.id));
    }
  };
  await stallMore();
  const memoryBefore = memoryBytes(site);
  release();
  const text = `Well${long.repeat(192)}`;
  // Some read from the beginning, the others find it all there when they come.
  const saidAt = site.said(token, turn.id, text).then(async () => {
    await stallMore();
    releaseAll();
    return performance.now();
  });
  return { site, token, turn, text, heartbeats, stalled, saidAt, memoryBefore };
}

async function readFor(timeMs: number, response: Response): Promise<string> {
  let text = "";
  const read = async () => {
    for await (const piece of response.body?.pipeThrough(new TextDecoderStream()) ?? []) text += piece;
  };
  await Promise.race([read(), Bun.sleep(timeMs)]);
  return text;
}

test("fifty readers of one answer, of all kinds and whenever they come, read the same", async () => {
  const words = Array.from({ length: 60 }, (_, i) => `word ${i} 😀 `);
  site.model.next([...words.flatMap((text): Step[] => [{ text }, { pauseMs: 5 }]), ...answer()]);
  const token = await site.visitor();
  const { id } = await site.begin(token, "Go");
  const texts = Array.from({ length: 50 }, async (_, i) => {
    await Bun.sleep(i * 8);
    if (i % 5 > 0) return (await drain(await site.follow(token, id))).text;
    const socket = await openSocket(site.url, token);
    const { text } = await socket.say({ type: "follow", turn_id: id });
    socket.close();
    return text;
  });
  expect(new Set(await Promise.all(texts))).toEqual(new Set([words.join("")]));
});

test("two hundred turns at once are all whole, and none has a word of another", async () => {
  const words = (name: string) => Array.from({ length: 40 }, (_, i) => `${name}:${i} `);
  site.model.always(({ messages }) => [
    ...words(messages.at(-1)?.content ?? "").flatMap((text): Step[] => [{ text }, { pauseMs: 50 }]),
    ...answer(),
  ]);
  const tokens = await Promise.all(Array.from({ length: 20 }, () => site.visitor()));
  const names = Array.from({ length: 200 }, (_, i) => `turn-${i}`);
  const readings = names.map(async (name, i) => {
    await Bun.sleep(i * 6); // all of them in the time that one answer takes
    return drain(await site.stream(tokens[i % 20] ?? "", name));
  });
  const texts = (await Promise.all(readings)).map(({ text }) => text);
  expect(texts).toEqual(names.map((name) => words(name).join("")));
});

test("a thousand readers that do not read neither slow the one who does nor fill the memory", async () => {
  const words = Array.from({ length: 30 }, (_, i) => `${i} `.padEnd(4096, "."));
  const saidAt: number[] = [];
  const { asked, release } = site.hold(words.map((text) => ({ text })));
  const token = await site.visitor();
  const { id } = await site.begin(token, "Go on");
  await asked();
  const memoryBefore = memoryBytes(site);
  const reading = await site.follow(token, id);
  const stalled: Stalled[] = [];
  while (stalled.length < 1_000) {
    const some = Array.from({ length: 50 }, () => stalledRequest(site.url, "GET", streamOf(id), token));
    stalled.push(...(await Promise.all(some)));
  }

  // Each word is let out by the test, at a pace at which a thousand streams do not fill a processor.
  const speaking = (async () => {
    for (const _ of words) {
      saidAt.push(performance.now());
      release();
      await Bun.sleep(100);
    }
  })();
  let text = "";
  const lateMs: number[] = [];
  for await (const { data } of sse(reading)) {
    if (data === "[DONE]") break;
    const { delta } = JSON.parse(data) as Chunk;
    if (delta === undefined) continue;
    text += delta;
    // The word was let out when the one before it was released.
    const said = saidAt[text.length / 4096 - 2];
    if (said !== undefined) lateMs.push(performance.now() - said);
  }
  await speaking;
  expect(text).toBe(words.join(""));
  expect(Math.max(...lateMs)).toBeLessThan(1_000);
  expect(memoryBytes(site) - memoryBefore).toBeLessThan(stalled.length * readerBytesMax);
  expect(await site.ended(token, id)).toMatchObject({ status: "done", answer: text });
  for (const reader of stalled) reader.leave();
  await until(() => openFiles(site) < 500, "their connections are closed");
});

test("clients that leave at random leave nothing behind: no connection, no memory, no turn without an end", async () => {
  const words = Array.from({ length: 10 }, (): Step[] => [{ text: "word " }, { pauseMs: 10 }]).flat();
  site.model.always(() => [...words, ...answer()]);
  const tokens = await Promise.all(Array.from({ length: 20 }, () => site.visitor()));
  const leaveAgainAndAgain = async (timeMs: number) => {
    const end = performance.now() + timeMs;
    const clients = tokens.map(async (token) => {
      while (performance.now() < end) await askAndLeave(token);
    });
    await Promise.all(clients);
    return allEnded(tokens);
  };
  await leaveAgainAndAgain(1_000);
  const [filesBefore, memoryBefore] = [openFiles(site), memoryBytes(site)];
  expect(await leaveAgainAndAgain(4_000)).toBeGreaterThan(200);
  await until(() => openFiles(site) <= filesBefore + 5, "their connections are closed");
  expect(memoryBytes(site) - memoryBefore).toBeLessThan(64 * megabyte);
  expect((await fetch(`${site.url}/readyz`)).status).toBe(200);
});

/** Asks by one of the deliveries, and leaves at some time between the request and the end. */
async function askAndLeave(token: string): Promise<void> {
  if (Math.random() < 0.25) {
    const socket = await openSocket(site.url, token);
    for (const message of ["One", "Two"]) socket.send({ type: "turn", message });
    await Bun.sleep(Math.random() * 150);
    return socket.close();
  }
  const leaving = new AbortController();
  const timer = setTimeout(() => leaving.abort(), Math.random() * 200);
  try {
    const headers = { accept: Math.random() < 0.3 ? "application/json" : "text/event-stream" };
    const request = { token, body: { message: "Hi" }, headers, signal: leaving.signal };
    await (await site.on("POST", "/turns", request)).text();
  } catch (error) {
    if ((error as Error).name !== "AbortError") throw error;
  } finally {
    clearTimeout(timer);
  }
}

/** Waits until every turn of these visitors has ended, whole, and counts them. */
async function allEnded(tokens: string[]): Promise<number> {
  const counts = tokens.map(async (token) => {
    let count = 0;
    for (let before: string | null = ""; before !== null; ) {
      const page = await site.conversations(token, `?limit=100${before && `&before=${before}`}`);
      for (const { id } of page.conversations) {
        const [turn] = (await site.conversation(token, id)).turns;
        const ended = await site.ended(token, turn?.id ?? "");
        expect(ended).toMatchObject({ status: "done", answer: "word ".repeat(10) });
      }
      count += page.conversations.length;
      before = page.next_cursor;
    }
    return count;
  });
  return (await Promise.all(counts)).reduce((sum, count) => sum + count, 0);
}

test("a silent stream says every ten seconds that it is still there", async () => {
  expect((await patience.heartbeats).match(/^:$/gm)).toHaveLength(1);
});

test("who reads nothing of a long answer costs little and is disconnected in the end; the turn goes on", async () => {
  const { site, token, turn, text, stalled, memoryBefore } = patience;
  const saidAt = await patience.saidAt;
  expect(await site.ended(token, turn.id)).toMatchObject({ status: "done", answer: text });
  // What is left is the answer, in the several shapes that a garbage collector has not come to.
  const bound = memoryBefore + stalled.length * readerBytesMax + 6 * text.length;
  await until(() => memoryBytes(site) < bound, "they hold little", 20_000);
  await Bun.sleep(Math.max(0, saidAt + 26_000 - performance.now()));
  const cut = await Promise.all(stalled.map((reader) => reader.wasCutOff()));
  expect(cut).toEqual(stalled.map(() => true));
});
