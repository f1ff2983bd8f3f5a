// The orderly end: what runs may finish, what cannot says so to its readers, and nothing new is begun.
import { beforeAll, describe, expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { createConnection } from "node:net";
import { join } from "node:path";
import postgres from "postgres";
import { type Chunk, call, drain, type Frame, sse, visitor } from "./client.ts";
import { answer, echo, type ScriptedModel, scriptedModel } from "./model.ts";
import { postgresCluster } from "./postgres.ts";
import { binary, run, type Server, startServer } from "./server.ts";
import { freePort, temporaryFolder, until, untilItExits, within } from "./support.ts";

let model: ScriptedModel;
/** The settings that connect the scripted model, and those that also name a database, which starts sooner. */
let connected: Record<string, string>;
let complete: Record<string, string>;
/** Lets the answers to "wait" have their second half. */
let release = () => {};
beforeAll(async () => {
  model = await scriptedModel();
  connected = { LLM_BASE_URL: model.baseUrl, LLM_MODEL: "scripted" };
  complete = { ...connected, DATABASE_URL: await (await postgresCluster()).createDatabase() };
  model.always((request) => {
    if (request.messages.at(-1)?.content !== "wait") return echo(request);
    const { promise, resolve } = Promise.withResolvers<void>();
    const others = release;
    release = () => {
      others();
      resolve();
    };
    return [{ text: "first half" }, { hold: promise }, ...answer(", second half")];
  });
});

const turns = "/v1/default/turns";
const post = (url: string, token: string, message: string, headers: Record<string, string> = {}) =>
  call(url, "POST", turns, { token, body: { message }, headers });

type Waiting = { token: string; turnId: string; rest: Promise<{ text: string; last: unknown[] }> };

/** Asks for an answer that waits, and returns when its first half is there; `rest` resolves at the stream's end. */
async function wait(url: string): Promise<Waiting> {
  const token = await visitor(url);
  const frames = sse(await post(url, token, "wait"));
  const first: Chunk[] = [];
  while (first.at(-1)?.type !== "text-delta") first.push(JSON.parse((await frames.next()).value?.data ?? ""));
  expect(first.at(-1)?.delta).toBe("first half");
  return { token, turnId: String(first[0]?.messageId), rest: read(frames, "first half") };
}

async function read(frames: AsyncGenerator<Frame>, begun = "") {
  const all: unknown[] = [];
  let text = begun;
  for await (const { data } of frames) {
    const chunk = data === "[DONE]" ? data : (JSON.parse(data) as Chunk);
    if (typeof chunk === "object" && chunk.type === "text-delta") text += chunk.delta;
    all.push(chunk);
  }
  return { text, last: all.slice(-2) };
}

const finished = [expect.objectContaining({ type: "finish", finishReason: "stop" }), "[DONE]"];
const interrupted = [expect.objectContaining({ type: "error", code: "interrupted" }), "[DONE]"];

/** Sends `signal`, and returns once the server says that it is no longer ready. */
async function drains(server: Server, signal: NodeJS.Signals): Promise<void> {
  server.kill(signal);
  await until(async () => (await call(server.url, "GET", "/readyz")).status === 503, "it is no longer ready");
}

/** Ended by itself: PostgreSQL's control file says "shut down", so the next start has nothing to recover. */
function closedCleanly(cwd: string): boolean {
  const states = { shutDown: 1, inProduction: 6 };
  const state = readFileSync(join(cwd, "data/postgres/global/pg_control")).readUInt32LE(16);
  expect(Object.values(states)).toContain(state);
  return state === states.shutDown;
}

async function statusOf(url: string, { token, turnId }: Waiting) {
  const response = await call(url, "GET", `${turns}/${turnId}`, { token });
  const { turn } = (await response.json()) as { turn: { status: string; answer: string } };
  return [turn.status, turn.answer];
}

for (const [signal, from] of [
  ["SIGTERM", "binary"],
  ["SIGINT", "source"],
] as const) {
  test(`${signal}, from ${from}: running answers end, nothing new is begun, and the database is closed`, async () => {
    const PORT = String(await freePort());
    const server = await startServer({ from, env: { ...connected, PORT } });
    const waiting = await wait(server.url);
    expect(closedCleanly(server.cwd)).toBe(false);
    await drains(server, signal);

    const { token, turnId } = waiting;
    for (const accept of ["text/event-stream", "application/json"]) {
      const refused = await post(server.url, token, "hello", { accept });
      expect([refused.status, refused.headers.get("retry-after")]).toEqual([503, "5"]);
      expect(await refused.json()).toMatchObject({ code: "shutting_down", status: 503 });
    }
    const health = await run(["health"], { from, env: { PORT } });
    expect([health.exitCode, health.stderr]).toEqual([1, "cip: not ready (503)\n"]);
    expect((await call(server.url, "GET", "/healthz")).status).toBe(200);
    const follower = read(sse(await call(server.url, "GET", `${turns}/${turnId}/stream`, { token })));
    server.kill("SIGTERM");
    server.kill("SIGINT");
    expect((await call(server.url, "GET", "/healthz")).status).toBe(200);

    release();
    for (const reader of [waiting.rest, follower])
      expect(await reader).toEqual({ text: "first half, second half", last: finished });
    expect(await within(server.exited, "it ends once nothing runs any more")).toBe(0);
    expect(closedCleanly(server.cwd)).toBe(true);
    const logged = server
      .stderr()
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(logged.filter(({ msg }) => msg === "shutting down")).toMatchObject([{ signal }]);

    const again = await startServer({ from, cwd: server.cwd, env: connected });
    expect(await statusOf(again.url, waiting)).toEqual(["done", "first half, second half"]);
    expect(await again.stop()).toBe(0);
  });
}

test.concurrent("after DRAIN_MS what still runs is interrupted, keeps its text, and every reader is told", async () => {
  const server = await startServer({ from: "binary", env: { ...complete, DRAIN_MS: "300" } });
  const waiting = await Promise.all(Array.from({ length: 5 }, () => wait(server.url)));
  const asker = await visitor(server.url);
  const json = post(server.url, asker, "wait", { accept: "application/json" });
  const { token, turnId } = waiting[0] as Waiting;
  const follower = read(sse(await call(server.url, "GET", `${turns}/${turnId}/stream`, { token })));
  await until(async () => {
    const response = await call(server.url, "GET", "/v1/default/conversations", { token: asker });
    return ((await response.json()) as { conversations: unknown[] }).conversations.length === 1;
  }, "the one who waits for JSON has asked");

  const begun = performance.now();
  server.kill("SIGTERM");
  for (const reader of [...waiting.map(({ rest }) => rest), follower])
    expect(await reader).toEqual({ text: "first half", last: interrupted });
  expect(performance.now() - begun).toBeGreaterThan(290);
  const told = await json;
  expect([told.status, await told.json()]).toMatchObject([
    503,
    { code: "interrupted", turn_id: expect.any(String) },
  ]);
  expect(await within(server.exited, "it ends")).toBe(0);

  const again = await startServer({ from: "binary", env: { ...complete, DRAIN_MS: "0" } });
  for (const turn of waiting) expect(await statusOf(again.url, turn)).toEqual(["interrupted", "first half"]);
  const late = await wait(again.url);
  again.kill("SIGINT");
  expect(await late.rest).toEqual({ text: "first half", last: interrupted });
  expect(await again.exited).toBe(0);
});

test.concurrent("a message that is being stored when the signal comes is answered or interrupted like any other", async () => {
  const DATABASE_URL = await (await postgresCluster()).createDatabase();
  const server = await startServer({ from: "binary", env: { ...connected, DATABASE_URL, DRAIN_MS: "100" } });
  const token = await visitor(server.url);
  const sql = postgres(DATABASE_URL, { max: 1 });
  try {
    const response = await sql.begin(async (tx) => {
      await tx`lock table turns in share mode`;
      const response = post(server.url, token, "wait");
      const waits = () => tx`
        select from pg_locks where not granted and relation = 'turns'::regclass
          and database = (select oid from pg_database where datname = current_database())`;
      await until(async () => (await waits()).length > 0, "it waits for the lock");
      await drains(server, "SIGTERM");
      await Bun.sleep(300);
      return [response] as const;
    });
    expect((await read(sse(await response[0]))).last).toEqual(interrupted);
    expect(await within(server.exited, "it ends")).toBe(0);
    expect(await sql`select status from turns`).toEqual([{ status: "interrupted" }] as never);
  } finally {
    await sql.end();
  }
});

test.concurrent("clients that are idle, slow or silent do not hold up the end", async () => {
  const server = await startServer({ from: "binary", env: complete });
  const { port } = new URL(server.url);
  const sockets = [
    "",
    "GET /healthz HTTP/1.1\r\nhost: cip\r\n\r\n",
    "POST /v1/default/visitors HTTP/1.1\r\nhost",
  ];
  for (const text of sockets)
    createConnection(Number(port), "127.0.0.1")
      .on("error", () => {})
      .write(text);
  await call(server.url, "GET", "/healthz");
  const begun = performance.now();
  expect(await server.stop()).toBe(0);
  expect(performance.now() - begun).toBeLessThan(10_000);
});

describe("a signal during the start", () => {
  /** Starts the binary and sends the signal `afterMs` later; how it ended and what it had to say about that. */
  async function interrupt(
    signal: NodeJS.Signals,
    afterMs: number,
    env: Record<string, string>,
    cwd: string,
  ) {
    const child = Bun.spawn([await binary()], {
      cwd,
      env: { PORT: "0", ...env },
      stdout: "pipe",
      stderr: "pipe",
    });
    untilItExits(child, child.exited);
    await Bun.sleep(afterMs);
    child.kill(signal);
    const exitCode = await within(child.exited, "it ends");
    return {
      exitCode,
      stdout: await new Response(child.stdout).text(),
      stderr: await new Response(child.stderr).text(),
    };
  }

  test.concurrent("ends the process without a complaint, and the next one starts", async () => {
    const cwd = temporaryFolder();
    for (const [i, afterMs] of [20, 150, 250, 350].entries()) {
      const { exitCode, stderr } = await interrupt(i % 2 ? "SIGINT" : "SIGTERM", afterMs, connected, cwd);
      // Before the program has taken over, the signal itself ends the process.
      expect([0, 130, 143]).toContain(exitCode);
      expect(stderr).not.toMatch(/cip:|error/i);
    }
    const server = await startServer({ from: "binary", cwd, env: connected });
    expect((await drain(await post(server.url, await visitor(server.url), "hello"))).terminal?.type).toBe(
      "finish",
    );
    expect(await server.stop()).toBe(0);
  });

  test.concurrent("is not lost while another instance migrates the database", async () => {
    const DATABASE_URL = await (await postgresCluster()).createDatabase();
    const sql = postgres(DATABASE_URL, { max: 1 });
    try {
      await sql.begin(async (tx) => {
        await tx`select pg_advisory_xact_lock(${0x636970})`;
        const begun = performance.now();
        const ended = await interrupt("SIGTERM", 1_500, { ...connected, DATABASE_URL }, temporaryFolder());
        expect(ended).toMatchObject({ exitCode: 0, stdout: "" });
        expect(JSON.parse(ended.stderr)).toMatchObject({ msg: "shutting down" });
        expect(performance.now() - begun).toBeLessThan(4_000);
      });
    } finally {
      await sql.end();
    }
  });
});

test("a start that fails after the database was opened closes it again", async () => {
  const cwd = temporaryFolder();
  using other = Bun.serve({ port: 0, fetch: () => new Response() });
  const { exitCode } = await run([], { from: "binary", cwd, env: { PORT: `${other.port}` } });
  expect(exitCode).toBe(1);
  expect(existsSync(join(cwd, "data/postgres"))).toBe(true);
  expect(closedCleanly(cwd)).toBe(true);
});
