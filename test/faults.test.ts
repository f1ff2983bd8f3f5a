// The matrix of model faults: for each, what the reader sees, what JSON answers, what is stored, how often the model was
// called, and whether the second endpoint was. None of the upstream's words, all of which name the canary, come out.
import { beforeAll, describe, expect, test } from "bun:test";
import { createServer, type ServerResponse } from "node:http";
import { type ErrorCode, errors } from "../src/errors.ts";
import { drain } from "./client.ts";
import { postgresCluster } from "./postgres.ts";
import { startServer } from "./server.ts";
import { expectProblem, siteOf } from "./site.ts";
import { atTheEnd } from "./support.ts";

const canary = "CANARY-7f3a";

type Fault = {
  name: string;
  /** Answers one call; undefined where nothing listens. */
  upstream: ((response: ServerResponse) => unknown) | undefined;
  code: ErrorCode;
  calls: number;
  /** What had been said before. */
  kept?: string;
  /** The least time that one answer takes. */
  ms?: number;
};

const refuse =
  (status: number, headers: Record<string, string> = {}) =>
  (response: ServerResponse) => {
    response.writeHead(status, { "content-type": "application/json", "x-upstream": canary, ...headers });
    response.end(JSON.stringify({ error: { message: canary, type: canary, code: canary } }));
  };
const begin = (response: ServerResponse) => {
  response.writeHead(200, { "content-type": "text/event-stream", "x-upstream": canary }).flushHeaders();
  return response;
};
const chunk = (delta: object, finish_reason: string | null = null, more: object = {}) =>
  `data: ${JSON.stringify({ id: canary, model: canary, choices: [{ index: 0, delta, finish_reason }], ...more })}\n\n`;
const half = chunk({ content: "Half a" });
/** Says half an answer, so that it is out before what follows it. */
const after = (then: (response: ServerResponse) => unknown) => (response: ServerResponse) => {
  begin(response).write(half);
  setTimeout(() => then(response), 50);
};
const comments = (response: ServerResponse) => {
  const timer = setInterval(() => response.write(`: ${canary}\n\n`), 40);
  response.once("close", () => clearInterval(timer));
};
const whole = (response: ServerResponse) =>
  begin(response).end(`${chunk({ content: "From the second" })}${chunk({}, "stop")}data: [DONE]\n\n`);

const kept = "Half a";
const faults: Fault[] = [
  { name: "429", upstream: refuse(429), code: "model_overloaded", calls: 3 },
  {
    name: "429, later",
    upstream: refuse(429, { "retry-after": "1" }),
    code: "model_overloaded",
    calls: 3,
    ms: 2_000,
  },
  {
    name: "429, much later",
    upstream: refuse(429, { "retry-after": "11" }),
    code: "model_overloaded",
    calls: 1,
  },
  { name: "500", upstream: refuse(500), code: "model_failed", calls: 3 },
  { name: "502", upstream: refuse(502), code: "model_failed", calls: 3 },
  { name: "503", upstream: refuse(503), code: "model_overloaded", calls: 3 },
  { name: "504", upstream: refuse(504), code: "model_failed", calls: 3 },
  { name: "no connection", upstream: undefined, code: "model_failed", calls: 0 },
  { name: "a reset before the headers", upstream: (r) => r.destroy(), code: "model_failed", calls: 3 },
  { name: "400", upstream: refuse(400), code: "model_rejected", calls: 1 },
  { name: "401", upstream: refuse(401), code: "model_unauthorized", calls: 1 },
  { name: "402", upstream: refuse(402), code: "model_unauthorized", calls: 1 },
  { name: "403", upstream: refuse(403), code: "model_unauthorized", calls: 1 },
  { name: "404", upstream: refuse(404), code: "model_rejected", calls: 1 },
  { name: "422", upstream: refuse(422), code: "model_rejected", calls: 1 },
  { name: "no headers", upstream: () => {}, code: "model_timeout", calls: 1, ms: 750 },
  { name: "nothing after the headers", upstream: begin, code: "model_timeout", calls: 1, ms: 500 },
  { name: "comments only", upstream: (r) => comments(begin(r)), code: "model_timeout", calls: 1, ms: 500 },
  {
    name: "silence in mid-answer",
    upstream: after(comments),
    code: "model_timeout",
    calls: 1,
    kept,
    ms: 600,
  },
  { name: "an answer without end", upstream: endless, code: "model_timeout", calls: 1, kept: "…", ms: 4_000 },
  {
    name: "an end without a finish reason",
    upstream: after((r) => r.end()),
    code: "model_incomplete",
    calls: 1,
    kept,
  },
  {
    name: "a broken connection",
    upstream: after((r) => r.destroy()),
    code: "model_incomplete",
    calls: 1,
    kept,
  },
  ...["abort", "insufficient_system_resource", "tool_calls", canary].map((reason) => ({
    name: `the finish reason ${reason}`,
    upstream: after((r) => r.end(`${chunk({}, reason)}data: [DONE]\n\n`)),
    code: "model_incomplete" as const,
    calls: 1,
    kept,
  })),
  {
    name: "an error in mid-answer",
    upstream: after((r) => r.write(`data: {"error": {"message": "${canary}", "code": 500}}\n\n`)),
    code: "model_failed",
    calls: 1,
    kept,
  },
  {
    name: "an error at once",
    upstream: (r) => begin(r).end(`data: {"error": {"message": "${canary}"}}\n\n`),
    code: "model_failed",
    calls: 1,
  },
  {
    name: "malformed JSON",
    upstream: after((r) => r.write(`data: {"${canary}": \n\n`)),
    code: "model_failed",
    calls: 1,
    kept,
  },
  {
    name: "a line of 10 MB",
    upstream: after((r) => r.write(`data: ${JSON.stringify({ [canary]: "x".repeat(10_000_000) })}\n\n`)),
    code: "model_failed",
    calls: 1,
    kept,
  },
  { name: "HTML", upstream: html, code: "model_failed", calls: 1 },
  { name: "an empty body", upstream: (r) => begin(r).end(), code: "model_incomplete", calls: 1 },
  { name: "an error as JSON with 200", upstream: refuse(200), code: "model_failed", calls: 1 },
];

function endless(response: ServerResponse): void {
  const timer = setInterval(() => response.write(chunk({ content: "…" })), 40);
  response.once("close", () => clearInterval(timer));
  begin(response);
}

function html(response: ServerResponse): void {
  response.writeHead(200, { "content-type": "text/html" }).end(`<h1>${canary}</h1>`);
}

const calls = new Map<string, number>();
const callsOf = (path: string) => calls.get(path) ?? 0;
const short = { CONNECT: 250, FIRST: 500, IDLE: 600, TOTAL: 4_000 };
let url: string;

beforeAll(async () => {
  const model = createServer((request, response) => {
    const path = (request.url ?? "").split("/")[1] ?? "";
    calls.set(path, callsOf(path) + 1);
    request.resume().once("end", () => {
      if (path.startsWith("second-")) whole(response);
      else faults[Number(path.split("-")[1])]?.upstream?.(response);
    });
  });
  await new Promise<void>((listening) => model.listen(0, "127.0.0.1", listening));
  atTheEnd(() => model.close().closeAllConnections());
  const base = `http://127.0.0.1:${(model.address() as { port: number }).port}`;

  const tenants = faults.flatMap(({ upstream, code }, row) =>
    ["sse", "json", "fallback"].map((way) => {
      const timeouts = code === "model_timeout" ? Object.entries(short) : [];
      const lines = [
        `LLM_BASE_URL=${upstream ? `${base}/${way}-${row}/v1` : "http://127.0.0.1:9/v1"}`,
        ...timeouts.map(([name, ms]) => `LLM_${name}_TIMEOUT_MS=${ms}`),
        ...(way === "fallback"
          ? [`LLM_FALLBACK_BASE_URL=${base}/second-${row}/v1`, "LLM_FALLBACK_MODEL=second"]
          : []),
      ];
      return [`${way}-${row}`, lines.join("\n")] as const;
    }),
  );
  const database = await (await postgresCluster()).createDatabase();
  const env = { DATABASE_URL: database, LLM_MODEL: "scripted", LLM_API_KEY: canary, LOG_LEVEL: "fatal" };
  url = (await startServer({ env, tenants: Object.fromEntries(tenants) })).url;
});

/** Everything that a visitor can read of the turn, as it is on the wire. */
async function everything(site: ReturnType<typeof siteOf>, token: string, id: string): Promise<string> {
  const turn = await site.turn(token, id);
  const paths = [`/turns/${id}/stream`, `/conversations/${turn.conversation_id}`, "/conversations"];
  const responses = await Promise.all(paths.map((path) => site.on("GET", path, { token })));
  const texts = await Promise.all(
    responses.map(async (r) => JSON.stringify([...r.headers]) + (await r.text())),
  );
  return JSON.stringify(turn) + texts.join("");
}

/** Holds for what is said where the rows' texts differ with time: an answer without end is as long as it is. */
const saidAs = (kept = "") => (kept === "…" ? expect.stringMatching(/^…+$/) : kept);

const rows = faults.map((fault, row) => [fault.name, fault, row] as const);

describe("a model that answers with", () => {
  test.concurrent.each(rows)("%s, read as a stream", async (_name, { code, calls, kept, ms = 0 }, row) => {
    const site = siteOf(url, `sse-${row}`);
    const token = await site.visitor();
    const begun = performance.now();
    const { turnId, text, terminal, frames } = await drain(await site.stream(token, "Hi"));
    expect(performance.now() - begun).toBeWithin(ms, ms + (code === "model_timeout" ? 3_000 : 15_000));
    const error = { code, message: errors[code][1] };
    expect({ text, terminal }).toEqual({
      text: saidAs(kept),
      terminal: { type: "error", code, errorText: error.message },
    });
    expect(frames.filter(({ data }) => /"type":"(finish|abort|error)"/.test(data))).toHaveLength(1);
    expect(await site.turn(token, turnId)).toMatchObject({
      status: "failed",
      message: "Hi",
      answer: text,
      error,
      finish_reason: null,
      usage: null,
      finished_at: expect.any(String),
    });
    expect(callsOf(`sse-${row}`)).toBe(calls);
    expect(JSON.stringify(frames) + (await everything(site, token, turnId))).not.toContain(canary);
  });

  test.concurrent.each(rows)("%s, asked for as JSON", async (_name, { code, calls, kept }, row) => {
    const site = siteOf(url, `json-${row}`);
    const token = await site.visitor();
    const headers = { accept: "application/json" };
    const response = await site.on("POST", "/turns", { token, headers, body: { message: "Hi" } });
    const sent = JSON.stringify([...response.headers]);
    const problem = await expectProblem(response, errors[code][0], code);
    const turn = await site.turn(token, String(problem.turn_id));
    expect(turn).toMatchObject({ status: "failed", answer: saidAs(kept), error: { code } });
    expect(callsOf(`json-${row}`)).toBe(calls);
    expect(sent + JSON.stringify(problem) + (await everything(site, token, turn.id))).not.toContain(canary);
  });

  test.concurrent.each(rows)(
    "%s is helped out by the second, unless it had begun",
    async (_name, fault, row) => {
      const { code, calls, kept } = fault;
      const site = siteOf(url, `fallback-${row}`);
      const token = await site.visitor();
      const { turnId, text, terminal } = await drain(await site.stream(token, "Hi"));
      const helped = { text: "From the second", terminal: { type: "finish", finishReason: "stop" } };
      expect({ text, terminal }).toMatchObject(
        kept ? { text: saidAs(kept), terminal: { type: "error", code } } : helped,
      );
      expect(await site.turn(token, turnId)).toMatchObject({
        status: kept ? "failed" : "done",
        answer: text,
      });
      expect([callsOf(`fallback-${row}`), callsOf(`second-${row}`)]).toEqual([calls, kept ? 0 : 1]);
    },
  );
});
