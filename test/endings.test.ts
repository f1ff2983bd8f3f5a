// How answers end when they do not end well: stopped, refused, broken off, too slow. What was said is kept.
import { beforeAll, describe, expect, test } from "bun:test";
import { drain, sse } from "./client.ts";
import type { Script } from "./model.ts";
import { expectProblem, type Site, siteOf, startSite } from "./site.ts";
import { until } from "./support.ts";

const silence = { hold: new Promise(() => {}) };

let site: Site;
let token: string;
beforeAll(async () => {
  const times = ["LLM_CONNECT_TIMEOUT_MS=250", "LLM_FIRST_TIMEOUT_MS=250", "LLM_IDLE_TIMEOUT_MS=500"];
  site = await startSite({ tenants: { default: "", hasty: times.join("\n") } });
  token = await site.visitor();
});

describe("a stopped answer", () => {
  test("keeps what was said, ends for its readers, and the model is let go", async () => {
    site.model.next([{ reasoning: "Well" }, { text: "So far" }, silence]);
    const response = await site.stream(token, "Tell me");
    let stopped: Promise<unknown> | undefined;
    const seen: string[] = [];
    for await (const { data } of sse(response)) {
      if (data === "[DONE]") break;
      const chunk = JSON.parse(data) as { type: string; messageId?: string };
      seen.push(chunk.type);
      if (chunk.type === "text-delta") {
        const id = response.headers.get("location")?.split("/").at(-1) ?? "";
        stopped = site.stop(token, id);
      }
    }
    expect(seen.slice(-3)).toEqual(["text-delta", "text-end", "abort"]);
    expect(await stopped).toMatchObject({
      status: "stopped",
      answer: "So far",
      reasoning: "Well",
      finish_reason: null,
      error: null,
      finished_at: expect.any(String),
    });
    expect(await site.model.calls.at(-1)?.ended).toBe("broken");
  });

  test("may be stopped again, and an answer that is done is not changed by a stop", async () => {
    site.model.next([{ text: "Ho" }, silence]);
    const { id } = await site.begin(token, "Hi");
    await site.said(token, id, "Ho");
    const [one, two] = await Promise.all([site.stop(token, id), site.stop(token, id)]);
    expect(one.status).toBe("stopped");
    expect([two, await site.stop(token, id), await site.turn(token, id)]).toEqual([one, one, one]);
    const done = await site.ask(token, "Hi");
    expect(await site.stop(token, done.id)).toEqual(done);
  });

  test("before its first word leaves the conversation free for the next message", async () => {
    const { asked } = site.hold([{ pauseMs: 0 }]);
    const { id, conversation_id } = await site.begin(token, "Hi");
    await asked();
    expect(await site.stop(token, id)).toMatchObject({ status: "stopped", answer: "", parts: [] });
    expect(await site.ask(token, "Again", { conversation_id })).toMatchObject({ status: "done" });
  });

  test("comes as JSON to who waits for it", async () => {
    const { asked } = site.hold([{ text: "Half" }]);
    const conversation_id = crypto.randomUUID();
    const waiting = site.ask(token, "Hi", { conversation_id });
    await asked();
    const [turn] = (await site.conversation(token, conversation_id)).turns;
    const { id } = await site.said(token, turn?.id ?? "", "Half");
    await site.stop(token, id);
    expect(await waiting).toMatchObject({ status: "stopped", answer: "Half" });
  });
});

const failures: [
  name: string,
  scripts: Script[],
  code: Parameters<typeof expectProblem>[2],
  status: number,
  kept: string,
][] = [
  ["fails each time it is tried", Array(3).fill({ status: 500 }), "model_failed", 502, ""],
  ["has too much to do each time", Array(3).fill({ status: 429 }), "model_overloaded", 503, ""],
  ["does not accept the key", [{ status: 401 }], "model_unauthorized", 502, ""],
  ["refuses the request", [{ status: 400 }], "model_rejected", 502, ""],
  ["breaks off", [[{ text: "Half a" }, { pauseMs: 50 }, { drop: true }]], "model_incomplete", 502, "Half a"],
  ["ends without an end", [[{ text: "Half a" }, { done: true }]], "model_incomplete", 502, "Half a"],
  ["talks nonsense", [[{ text: "Half a" }, { raw: "data: {no\n\n" }]], "model_failed", 502, "Half a"],
  ["falls silent", [[{ text: "Half a" }, silence]], "model_timeout", 504, "Half a"],
  ["never begins", [[silence]], "model_timeout", 504, ""],
];

describe.each(failures)("a model that %s", (_name, scripts, code, status, kept) => {
  const errorText = expect.any(String);
  let client: ReturnType<typeof siteOf>;
  let token: string;
  beforeAll(async () => {
    client = siteOf(site.url, code === "model_timeout" ? "hasty" : "default");
    token = await client.visitor();
  });

  test("ends the stream with an error that has its code", async () => {
    for (const script of scripts) site.model.next(script);
    const { terminal, text, turnId } = await drain(await client.stream(token, "Hi"));
    expect({ terminal, text }).toEqual({ terminal: { type: "error", code, errorText }, text: kept });
    expect(await client.turn(token, turnId)).toMatchObject({
      status: "failed",
      answer: kept,
      error: { code, message: errorText },
      finish_reason: null,
    });
    const replayed = await drain(await client.follow(token, turnId));
    expect([replayed.text, replayed.terminal]).toEqual([text, terminal]);
  });

  test("is a problem for who waits for JSON, and names the turn that has what was said", async () => {
    for (const script of scripts) site.model.next(script);
    const headers = { accept: "application/json" };
    const response = await client.on("POST", "/turns", { token, headers, body: { message: "Hi" } });
    const { turn_id } = await expectProblem(response, status, code);
    expect(await client.turn(token, String(turn_id))).toMatchObject({ status: "failed", answer: kept });
  });
});

test("nothing of a failed model's own words or of the key reaches the visitor or the log", async () => {
  const other = await startSite({ env: { LLM_API_KEY: "sk-very-secret-key" } });
  const visitor = await other.visitor();
  const body = JSON.stringify({ error: { message: "Incorrect key sk-very-secret-key at /srv/model.py" } });
  other.model.next({ status: 401, body });
  const { frames } = await drain(await other.stream(visitor, "Hi"));
  expect(JSON.stringify(frames)).not.toMatch(/secret|Incorrect|model\.py/);
  await until(() => other.server.stderr().includes("Incorrect key"), "the failure is logged");
  expect(other.server.stderr()).not.toContain("very-secret");
});

test("an unreachable model is a failed one", async () => {
  const other = await startSite({ env: { LLM_BASE_URL: "http://127.0.0.1:9/v1" } });
  const { terminal } = await drain(await other.stream(await other.visitor(), "Hi"));
  expect(terminal).toMatchObject({ type: "error", code: "model_failed" });
});
