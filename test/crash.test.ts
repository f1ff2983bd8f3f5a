// The process dies without a word: whatever was acknowledged is there again, and what was running says that it is not.
import { beforeAll, describe, expect, test } from "bun:test";
import { cpSync, existsSync, mkdirSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import postgres from "postgres";
import { type Chunk, call, drain, sse, visitor } from "./client.ts";
import { echo, type ScriptedModel, scriptedModel } from "./model.ts";
import { postgresCluster } from "./postgres.ts";
import { binary, type Server, startServer } from "./server.ts";
import { repository, temporaryFolder, until, untilItExits } from "./support.ts";

const killed = 128 + 9;

/** A turn whose `start` was received, and what its reader had when the process died. */
type Acknowledged = { token: string; turnId: string; message: string; text: string; done: boolean };
type Stored = { status: string; message: string; answer: string };

let model: ScriptedModel;
let connected: Record<string, string>;
beforeAll(async () => {
  model = await scriptedModel();
  connected = { LLM_BASE_URL: model.baseUrl, LLM_MODEL: "scripted" };
  // Slow enough that at any moment some answers are unfinished; one that is asked to hang never ends.
  model.always((request) =>
    request.messages.at(-1)?.content === "hang"
      ? [{ text: "half of " }, { text: "an answer" }, { hold: new Promise(() => {}) }]
      : echo(request).flatMap((step) => [step, { pauseMs: 25 }]),
  );
});

function post(url: string, token: string, message: string, more: object = {}, accept = "text/event-stream") {
  return call(url, "POST", "/v1/default/turns", { token, body: { message, ...more }, headers: { accept } });
}

async function stored(url: string, { token, turnId }: { token: string; turnId: string }): Promise<Stored> {
  const response = await call(url, "GET", `/v1/default/turns/${turnId}`, { token });
  expect(response.status).toBe(200);
  return ((await response.json()) as { turn: Stored }).turn;
}

/** Opens a turn that never ends, and returns once its reader has the text. */
async function hang(url: string) {
  const token = await visitor(url);
  const frames = sse(await post(url, token, "hang"));
  let text = "";
  let ids: Record<string, string> = {};
  while (text !== "half of an answer") {
    const { value } = await frames.next();
    const chunk = JSON.parse(value?.data ?? "null") as Chunk;
    if (chunk.type === "start") ids = chunk.messageMetadata as Record<string, string>;
    if (chunk.type === "text-delta") text += chunk.delta;
  }
  const rest = (async () => {
    const all: unknown[] = [];
    for await (const { data } of frames) all.push(data === "[DONE]" ? data : JSON.parse(data));
    return all;
  })();
  rest.catch(() => {}); // The connection may break with the process.
  return { token, turnId: ids.turn_id ?? "", conversation_id: ids.conversation_id ?? "", rest };
}

/** Writes one turn after the other until the connection breaks, and records in `log` what was acknowledged. */
async function write(url: string, writer: number, log: Acknowledged[]): Promise<void> {
  const token = await visitor(url);
  let conversation: { conversation_id?: string } = {};
  for (let n = 0; ; n++) {
    const message = `message ${n} of writer ${writer}`;
    if (n % 3 === 2) {
      const response = await post(url, token, message, conversation, "application/json");
      const { turn } = (await response.json()) as { turn: { id: string; answer: string } };
      log.push({ token, turnId: turn.id, message, text: turn.answer, done: true });
      continue;
    }
    let entry: Acknowledged | undefined;
    for await (const { data } of sse(await post(url, token, message, conversation))) {
      const chunk = (data === "[DONE]" ? { type: data } : JSON.parse(data)) as Chunk;
      if (chunk.type === "start") {
        const { turn_id, conversation_id } = chunk.messageMetadata as Record<string, string>;
        conversation = { conversation_id: conversation_id ?? "" };
        entry = { token, turnId: turn_id ?? "", message, text: "", done: false };
        log.push(entry);
      }
      if (chunk.type === "text-delta" && entry) entry.text += chunk.delta;
      if (chunk.type === "finish" && entry) entry.done = true;
    }
  }
}

test("the embedded database survives kill -9 under constant writes, again and again, with all that was acknowledged", async () => {
  const log: Acknowledged[] = [];
  let server = await startServer({ env: connected });
  for (const round of [1, 2, 3]) {
    const acknowledged = log.length;
    const hanging = await hang(server.url);
    let dead = false;
    const writers = Array.from({ length: 8 }, (_, writer) =>
      write(server.url, writer, log).catch((error) => {
        if (!dead) throw error;
      }),
    );
    // Longer than the 500 ms after which what has been said is stored.
    await Promise.race([Bun.sleep(1_200 + Math.random() * 500), Promise.all(writers)]);
    dead = true;
    server.kill("SIGKILL");
    expect(await server.exited).toBe(killed);
    await Promise.all(writers);
    expect(log.length - acknowledged, `turns of round ${round}`).toBeGreaterThan(16);

    server = await startServer({ from: "binary", cwd: server.cwd, env: connected });
    expect(await stored(server.url, hanging)).toMatchObject({
      status: "interrupted",
      message: "hang",
      answer: "half of an answer",
    });
    for (const entry of log) {
      const { status, message, answer } = await stored(server.url, entry);
      const whole = `echo: ${entry.message}`;
      expect(message).toBe(entry.message);
      if (entry.done) expect([status, answer, entry.text]).toEqual(["done", whole, whole]);
      else if (status === "done") expect(answer).toBe(whole);
      else {
        // What had said something is kept as it is; what had not is run again.
        expect(["interrupted", "queued", "running"]).toContain(status);
        expect(whole).toStartWith(answer);
      }
    }
    const { token, conversation_id } = hanging;
    const next = await drain(await post(server.url, token, "go on", { conversation_id }));
    expect([next.text, next.terminal?.type]).toEqual(["echo: go on", "finish"]);
  }
  expect(
    log.some(({ done }) => !done),
    "some were cut off",
  ).toBe(true);
  expect(await server.stop()).toBe(0);
});

describe("kill -9 during the first start", () => {
  /** When to kill: so long after the file or folder has appeared under DATA_DIR. */
  type Moment = readonly [path: string, afterMs: number];

  /** Starts cip in `cwd` and kills it in that moment. */
  async function killAt(command: string[], cwd: string, [path, afterMs]: Moment): Promise<void> {
    const env = { PORT: "0", ...connected };
    const child = Bun.spawn(command, { cwd, env, stdin: "ignore", stdout: "ignore", stderr: "ignore" });
    untilItExits(child, child.exited);
    await until(
      () => existsSync(join(cwd, "data", path)) || child.exitCode !== null,
      `${path} is there`,
      60_000,
    );
    await Bun.sleep(afterMs);
    child.kill("SIGKILL");
    expect(await child.exited).toBe(killed);
  }

  async function works(server: Server): Promise<void> {
    const reading = await drain(await post(server.url, await visitor(server.url), "hello"));
    expect([reading.text, reading.terminal?.type]).toEqual(["echo: hello", "finish"]);
  }

  test.concurrent("leaves a folder in which the next start works, wherever it was cut short", async () => {
    const moments: Moment[] = [
      ["lock", 0],
      ["postgres.unfinished/pg_wal", 20],
      ["postgres", 0],
      ["postgres", 100],
    ];
    const program = await binary();
    const next = async () => {
      for (let moment = moments.shift(); moment; moment = moments.shift()) {
        const cwd = temporaryFolder();
        await killAt([program], cwd, moment);
        const server = await startServer({ from: "binary", cwd, env: connected });
        await works(server);
        server.kill("SIGKILL");
      }
    };
    await Promise.all([next(), next()]);
  });

  test.concurrent("may come in the middle of initdb, which runs where no prepared directory came along", async () => {
    const copy = temporaryFolder();
    cpSync(join(repository, "src"), join(copy, "src"), { recursive: true });
    mkdirSync(join(copy, "dist"));
    for (const path of [
      "sql",
      "prompts",
      "public",
      "package.json",
      "tsconfig.json",
      "node_modules",
      "dist/public",
    ])
      symlinkSync(join(repository, path), join(copy, path));
    const command = [
      process.execPath,
      `--config=${join(repository, "bunfig.toml")}`,
      join(copy, "src/index.ts"),
    ];
    const cwd = temporaryFolder();
    await killAt(command, cwd, ["postgres.unfinished", 500]);
    expect(existsSync(join(cwd, "data/postgres"))).toBe(false);
    await killAt(command, cwd, ["postgres", 100]);
    const server = await startServer({ cwd, env: connected });
    await works(server);
    expect(await server.stop()).toBe(0);
  });
});

test.concurrent("on PostgreSQL the turns of a process that died or was long away end with its lease, and it can write no more", async () => {
  const DATABASE_URL = await (await postgresCluster()).createDatabase();
  const env = { ...connected, DATABASE_URL };
  const [dying, pausing, living] = await Promise.all(
    [1, 2, 3].map(() => startServer({ from: "binary", env })),
  );
  if (!dying || !pausing || !living) throw new Error("three were started");
  const sql = postgres(DATABASE_URL, { max: 1 });
  try {
    const turns = [await hang(dying.url), await hang(pausing.url)] as const;
    await until(async () => {
      const rows =
        await sql`select from turns where parts = '[{"type": "text", "text": "half of an answer"}]'`;
      return rows.length === 2;
    }, "both answers are stored as far as they were said");
    dying.kill("SIGKILL");
    pausing.kill("SIGSTOP");
    const readers = turns.map(async ({ token, turnId }) =>
      drain(await call(living.url, "GET", `/v1/default/turns/${turnId}/stream`, { token })),
    );
    for (const turn of turns) expect((await stored(living.url, turn)).status).toBe("running");

    // What the clock would do in 45 s.
    await sql`update turns set lease_until = now() - interval '1 second' where status = 'running'`;
    for (const { text, terminal } of await Promise.all(readers)) {
      expect(text).toBe("half of an answer");
      expect(terminal).toMatchObject({ type: "error", code: "interrupted" });
    }
    const interrupted = { status: "interrupted", answer: "half of an answer" };
    for (const { token, conversation_id } of turns) {
      const next = await drain(await post(living.url, token, "go on", { conversation_id }));
      expect(next.text).toBe("echo: go on");
    }
    pausing.kill("SIGCONT");
    const rest = await turns[1].rest;
    expect(rest.slice(-2)).toEqual([
      expect.objectContaining({ type: "error", code: "interrupted" }),
      "[DONE]",
    ]);
    for (const turn of turns) expect(await stored(pausing.url, turn)).toMatchObject(interrupted);
  } finally {
    pausing.kill("SIGCONT");
    await sql.end();
  }
  expect(await Promise.all([pausing.stop(), living.stop()])).toEqual([0, 0]);
});
