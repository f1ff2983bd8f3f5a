// The model client against real servers that are scripted byte by byte: every ending, every retry, every deadline.
import { describe, expect, test } from "bun:test";
import type { Socket } from "node:net";
import fc from "fast-check";
import type { Model } from "../src/config/config.ts";
import { Secret } from "../src/config/secret.ts";
import { CipError } from "../src/errors.ts";
import { complete, type Outcome } from "../src/model/llm.ts";
import { Splitter } from "../src/model/reasoning.ts";
import { read } from "../src/model/upstream.ts";
import { type Script, upstream } from "./scripted.ts";
import { until } from "./support.ts";

const sseHead = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
const frame = (chunk: unknown) => `data: ${JSON.stringify(chunk)}\n\n`;
const delta = (fields: object, finish_reason: string | null = null) =>
  frame({ choices: [{ index: 0, delta: fields, finish_reason }] });
const say = (content: string) => delta({ content });
const finish = delta({}, "stop");
const usage = frame({ choices: [], usage: { prompt_tokens: 7, completion_tokens: 2, total_tokens: 9 } });
const done = "data: [DONE]\n\n";
const hello = say("Hel") + say("lo") + finish + usage + done;
const keepAlive = ": keep-alive\n\n";

const sends = (...texts: string[]) => upstream((socket) => socket.end(sseHead + texts.join("")));
const refuses = (status: number, headers = "", body = "{}") =>
  upstream((socket) =>
    socket.end(
      `HTTP/1.1 ${status} X\r\n${headers}content-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
    ),
  );

function modelAt(baseUrl: string, settings: Partial<Model> = {}): Model {
  return {
    baseUrl,
    apiKey: new Secret("sk-secret-1234"),
    name: "gpt-test",
    temperature: undefined,
    maxTokens: 4096,
    thinking: undefined,
    extraBody: {},
    connectTimeoutMs: 10_000,
    firstTimeoutMs: 10_000,
    idleTimeoutMs: 10_000,
    totalTimeoutMs: 30_000,
    fallback: undefined,
    demo: false,
    ...settings,
  };
}

type Ended = { text: string; reasoning: string; flushes: number; outcome?: Outcome; error?: unknown };

/** Asks and tells all that came of it. */
async function ask(
  model: Model,
  signal = new AbortController().signal,
  onAppend = (_: string) => {},
): Promise<Ended> {
  const ended: Ended = { text: "", reasoning: "", flushes: 0 };
  const sink = {
    append(kind: "reasoning" | "text", piece: string) {
      ended[kind] += piece;
      onAppend(piece);
    },
    flush() {
      ended.flushes++;
    },
  };
  const messages = [{ role: "user" as const, content: "Hi" }];
  try {
    ended.outcome = await complete({ model, messages, user: "opaque", sink, signal, headers: {}, marks: {} });
  } catch (error) {
    ended.error = error;
  }
  return ended;
}

const codeOf = ({ error }: Ended) => (error instanceof CipError ? error.code : `no CipError: ${error}`);

describe("the request", () => {
  test("carries the messages, the limits, the pseudonym and the key", async () => {
    const server = await sends(hello);
    await ask(modelAt(server.baseUrl));
    const [request] = server.requests;
    expect(request?.head).toStartWith("POST /v1/chat/completions HTTP/1.1");
    expect(request?.head.toLowerCase()).toContain("authorization: bearer sk-secret-1234");
    expect(request?.body).toEqual({
      model: "gpt-test",
      messages: [{ role: "user", content: "Hi" }],
      stream: true,
      stream_options: { include_usage: true },
      max_tokens: 4096,
      user: "opaque",
    });
  });

  test("has temperature and thinking only when they are set", async () => {
    const server = await sends(hello);
    await ask(modelAt(server.baseUrl, { temperature: 0, thinking: "off" }));
    await ask(modelAt(server.baseUrl, { thinking: "on" }));
    expect(server.requests.map(({ body }) => [body.temperature, body.thinking])).toEqual([
      [0, { type: "disabled" }],
      [undefined, { type: "enabled" }],
    ]);
  });

  test("is patched by LLM_EXTRA_BODY: null removes, objects are merged, the rest replaces", async () => {
    const server = await sends(hello);
    const extraBody = {
      max_tokens: null,
      max_completion_tokens: 9,
      stream_options: { obfuscation: false },
      nested: { a: { b: null, c: [null] } },
    };
    await ask(modelAt(server.baseUrl, { extraBody }));
    expect(server.requests[0]?.body).toEqual({
      model: "gpt-test",
      messages: [{ role: "user", content: "Hi" }],
      stream: true,
      stream_options: { include_usage: true, obfuscation: false },
      max_completion_tokens: 9,
      user: "opaque",
      nested: { a: { c: [null] } },
    });
  });

  test("has no authorization where no key is set", async () => {
    const server = await sends(hello);
    expect((await ask(modelAt(server.baseUrl, { apiKey: undefined }))).text).toBe("Hello");
    expect(server.requests[0]?.head.toLowerCase()).not.toContain("authorization");
  });

  test("of the next call goes over the same connection", async () => {
    const chunk = `${Buffer.byteLength(hello).toString(16)}\r\n${hello}\r\n`;
    const server = await upstream(async (socket) => {
      socket.write(sseHead.replace("connection: close", "transfer-encoding: chunked") + chunk);
      await Bun.sleep(20);
      socket.write("0\r\n\r\n");
    });
    for (let i = 0; i < 3; i++) {
      expect((await ask(modelAt(server.baseUrl))).text).toBe("Hello");
      await Bun.sleep(60);
    }
    expect(server.connections).toBe(1);
  });
});

describe("a whole answer", () => {
  test("is appended as it comes, with the usage of the last chunk", async () => {
    const server = await sends(hello);
    const ended = await ask(modelAt(server.baseUrl));
    expect(ended).toMatchObject({
      text: "Hello",
      outcome: { finishReason: "stop", usage: { input_tokens: 7, output_tokens: 2 } },
    });
  });

  test("reaches the reader with every read, and is flushed once for all deltas of a read", async () => {
    const gate = Promise.withResolvers<void>();
    const server = await upstream(async (socket) => {
      socket.write(sseHead + say("a") + say("b") + say("c"));
      await gate.promise;
      socket.end(say("d") + say("e") + finish + done);
    });
    const ended = await ask(
      modelAt(server.baseUrl),
      undefined,
      (piece) => piece.endsWith("c") && gate.resolve(),
    );
    expect(ended.text).toBe("abcde");
    expect(ended.flushes).toBe(3); // two reads, and the end
  });

  test("may end without [DONE], without usage, or with the usage in every chunk", async () => {
    const running = (tokens: number) => ({ usage: { prompt_tokens: 7, completion_tokens: tokens } });
    const counted = frame({ choices: [{ delta: { content: "a" } }], ...running(1) });
    const last = frame({ choices: [{ delta: {}, finish_reason: "stop" }], ...running(2) });
    const ended = await Promise.all(
      [say("a") + finish, counted + last].map(async (sent) => ask(modelAt((await sends(sent)).baseUrl))),
    );
    expect(ended.map(({ text, outcome }) => [text, outcome?.usage])).toEqual([
      ["a", null],
      ["a", { input_tokens: 7, output_tokens: 2 }],
    ]);
  });

  test.each([
    ["stop", "stop"],
    ["length", "length"],
    ["content_filter", "content-filter"],
  ] as const)("that finishes with %s says so", async (reason, finishReason) => {
    const ended = await ask(modelAt((await sends(say("a"), delta({}, reason), done)).baseUrl));
    expect(ended.outcome?.finishReason).toBe(finishReason);
  });

  test("does not wait for a server that keeps the connection after [DONE], and lets go of it", async () => {
    const server = await upstream((socket) => socket.write(sseHead + hello));
    const startedAt = performance.now();
    expect((await ask(modelAt(server.baseUrl))).outcome?.finishReason).toBe("stop");
    expect(performance.now() - startedAt).toBeLessThan(500);
    await until(() => server.requests[0]?.closedAt, "the connection is closed", 3_000);
  });

  test("stays one if the server breaks the connection or falls silent after the finish reason", async () => {
    const broken = await upstream((socket) => {
      socket.write(sseHead + say("a") + finish);
      setTimeout(() => socket.resetAndDestroy(), 50);
    });
    const silent = await upstream((socket) => socket.write(sseHead + say("a") + finish));
    const ended = await Promise.all([
      ask(modelAt(broken.baseUrl)),
      ask(modelAt(silent.baseUrl, { idleTimeoutMs: 200 })),
    ]);
    expect(ended.map(({ outcome }) => outcome?.finishReason)).toEqual(["stop", "stop"]);
  });

  test("may be one JSON document from a server that does not stream", async () => {
    const message = { role: "assistant", content: "<think>Hm.</think>Hello", reasoning_content: "So. " };
    const body = JSON.stringify(
      {
        choices: [{ index: 0, message, finish_reason: "stop" }],
        usage: { prompt_tokens: 7, completion_tokens: 2 },
      },
      null,
      2,
    );
    const server = await refuses(200, "", body);
    expect(await ask(modelAt(server.baseUrl))).toMatchObject({
      text: "Hello",
      reasoning: "So. Hm.",
      outcome: { finishReason: "stop", usage: { input_tokens: 7, output_tokens: 2 } },
    });
  });
});

describe("what providers send", () => {
  test("every way to send reasoning becomes reasoning", async () => {
    const answers = [
      delta({ reasoning_content: "Hm." }) + delta({ reasoning_content: null, content: "Yes." }),
      delta({ content: "", reasoning: "Hm." }) + say("Yes."),
      delta({ reasoning: "Hm.", reasoning_content: "Hm." }) + say("Yes."),
      say("<th") + say("ink>\nHm.</") + say("think>") + say("\n\nYes."),
    ];
    for (const sent of answers) {
      const ended = await ask(modelAt((await sends(sent, finish, done)).baseUrl));
      expect([ended.reasoning, ended.text]).toEqual(["Hm.", "Yes."]);
    }
  });

  test("what has no use or another shape is passed over", async () => {
    const server = await sends(
      frame({}),
      frame({ choices: null, usage: null, error: null }),
      frame({ choices: [] }),
      frame({ choices: {} }),
      frame({ choices: [null] }),
      frame({ choices: [{ index: 0 }] }),
      frame({ choices: [{ index: 0, delta: null, finish_reason: "" }] }),
      frame({ choices: [{ index: 1, delta: { content: "another answer" }, finish_reason: "length" }] }),
      delta({ role: "assistant", content: null }),
      delta({ content: 42, reasoning: { no: "text" } }),
      frame({ choices: [{ delta: { content: "a" } }], usage: { prompt_tokens: "7", completion_tokens: -1 } }),
      finish,
      done,
    );
    expect(await ask(modelAt(server.baseUrl))).toMatchObject({
      text: "a",
      reasoning: "",
      outcome: { finishReason: "stop", usage: null },
    });
  });

  test("frames may have other line ends, comments, several data lines, other fields and no space", async () => {
    const sent = [
      `\ufeff${keepAlive}event: message\ndata: {"choices":\ndata: [{"delta":{"content":"a"}}]}\n\n\n`,
      `id: 1\r\ndata:{"choices":[{"delta":{"content":"b"}}]}\r\n\r\n`,
      `retry: 5\rdata: {"choices":[{"delta":{"content":"c"}}]}\r\r`,
      `data\n\ndata:\n\n`,
      finish,
      done,
    ];
    expect(await ask(modelAt((await sends(...sent)).baseUrl))).toMatchObject({ text: "abc" });
  });

  test("an answer that arrives one byte at a time is the same answer", async () => {
    const bytes = Buffer.from(
      `${say("é😀")}data: {"choices":[{"delta":{"content":"\\ud83d"}}]}\r\n\r\n${hello}`,
    );
    const server = await upstream(async (socket) => {
      socket.write(sseHead);
      for (const byte of bytes) {
        socket.write(Uint8Array.of(byte));
        await new Promise(setImmediate);
      }
      socket.end();
    });
    expect((await ask(modelAt(server.baseUrl))).text).toBe("é😀\ufffdHello");
  });

  test("any split of the bytes gives the same answer", async () => {
    const parts = fc.constantFrom(
      say("é😀"),
      say("<thi"),
      say("nk>"),
      say("a</think>b"),
      `data: {"choices":\r\ndata: [{"delta":{"reasoning":"c\\ud83d"}}]}\r\n\r\n`,
      `data: {"choices":[{"delta":{"reasoning":"\\ude00\\u0000"}}]}\r\r`,
      keepAlive,
      "\n",
      "\r\n",
      "\r",
    );
    const readAll = async (chunks: Uint8Array[]) => {
      const said = { reasoning: "", text: "" };
      const splitter = new Splitter({
        append: (kind, piece) => {
          expect(piece.isWellFormed()).toBe(true);
          said[kind] += piece;
        },
      });
      const response = new Response(
        new ReadableStream({
          start(controller) {
            for (const chunk of chunks) controller.enqueue(chunk);
            controller.close();
          },
        }),
      );
      return [
        await read(response, {
          splitter,
          progress: () => {},
          charsMax: 1_000_000,
          signal: new AbortController().signal,
        }),
        said,
      ];
    };
    await fc.assert(
      fc.asyncProperty(fc.array(parts), fc.array(fc.nat(40)), async (texts, lengths) => {
        const bytes = new TextEncoder().encode(`${texts.join("")}\n\n${finish}${usage}${done}`);
        const chunks: Uint8Array[] = [];
        let at = 0;
        for (const length of lengths) {
          chunks.push(bytes.subarray(at, at + length));
          at += length;
        }
        expect(await readAll([...chunks, bytes.subarray(at)])).toEqual(await readAll([bytes]));
      }),
      { numRuns: 300 },
    );
  });
});

describe("an answer that fails keeps its text and is not asked for again", () => {
  test.each([
    ["an end without a finish reason", say("a"), "model_incomplete"],
    ["[DONE] without a finish reason", say("a") + done, "model_incomplete"],
    ["a finish frame that is cut off", say("a") + finish.slice(0, -1), "model_incomplete"],
    ["tool_calls", say("a") + delta({}, "tool_calls") + done, "model_incomplete"],
    ["function_call", say("a") + delta({}, "function_call") + done, "model_incomplete"],
    ["abort", say("a") + delta({}, "abort") + done, "model_incomplete"],
    [
      "insufficient_system_resource",
      say("a") + delta({}, "insufficient_system_resource"),
      "model_incomplete",
    ],
    ["a finish reason nobody knows", say("a") + delta({}, "constructor"), "model_incomplete"],
    [
      "an error in mid-stream",
      say("a") + frame({ error: { message: "sk-secret-1234 is poor" } }) + done,
      "model_failed",
    ],
    ["malformed JSON", `${say("a")}data: {"choices":\n\n${finish}${done}`, "model_failed"],
    ["a chunk that is no object", `${say("a")}data: null\n\n${finish}${done}`, "model_failed"],
  ])("%s", async (_, sent, code) => {
    const server = await sends(sent);
    const fallback = await sends(hello);
    const model = modelAt(server.baseUrl, {
      fallback: { baseUrl: fallback.baseUrl, apiKey: undefined, name: "b" },
    });
    const ended = await ask(model);
    expect([codeOf(ended), ended.text]).toEqual([code, "a"]);
    expect(ended.flushes).toBeGreaterThan(0);
    expect([server.requests.length, fallback.requests.length]).toEqual([1, 0]);
    const { message, details, cause } = ended.error as CipError;
    expect([message, details]).toEqual([new CipError((ended.error as CipError).code).message, {}]);
    expect(String(cause)).not.toContain("secret");
  });

  test("a connection that breaks in mid-answer, with what was held back for a tag", async () => {
    const server = await upstream((socket) => {
      socket.write(sseHead + say("<think>a</thi"));
      setTimeout(() => socket.resetAndDestroy(), 50);
    });
    const ended = await ask(modelAt(server.baseUrl));
    expect([codeOf(ended), ended.reasoning, server.requests.length]).toEqual([
      "model_incomplete",
      "a</thi",
      1,
    ]);
  });

  test("a line of 10 MB is refused long before it has been read, and the connection closed", async () => {
    let written = 0;
    const server = await upstream(async (socket) => {
      socket.write(`${sseHead}${say("a")}data: {"choices":[{"delta":{"content":"`);
      const block = "x".repeat(64 * 1024);
      while (written < 10 * 1024 * 1024 && !socket.destroyed) {
        written += block.length;
        if (!socket.write(block))
          await Promise.race([new Promise((r) => socket.once("drain", r)), Bun.sleep(200)]);
      }
    });
    const ended = await ask(modelAt(server.baseUrl));
    expect([codeOf(ended), ended.text]).toEqual(["model_failed", "a"]);
    await until(() => server.requests[0]?.closedAt, "the connection is closed", 1_000);
    expect(written).toBeLessThan(8 * 1024 * 1024);
  });

  test("a long frame is refused whether it comes in one read or in many, a shorter one is not", async () => {
    const long = await sends(say("x".repeat(1024 * 1024)), finish, done);
    const short = await sends(say("x".repeat(1024 * 1023)), finish, done);
    expect(codeOf(await ask(modelAt(long.baseUrl)))).toBe("model_failed");
    expect((await ask(modelAt(short.baseUrl))).text.length).toBe(1024 * 1023);
  });

  test.each([
    ["HTML", "text/html", "<p>Welcome</p>"],
    ["an error as JSON", "application/json", `{"error":{"message":"no"}}`],
    ["JSON that is no completion", "application/json", `{"status":"ok"}`],
    ["JSON that is none", "application/json", "ok"],
  ])("a response with status 200 that is %s", async (_, type, body) => {
    const head = `HTTP/1.1 200 OK\r\ncontent-type: ${type}\r\nconnection: close\r\n\r\n`;
    const server = await upstream((socket) => socket.end(head + body));
    expect(codeOf(await ask(modelAt(server.baseUrl)))).toBe("model_failed");
    expect(server.requests.length).toBe(1);
  });
});

describe("retries", () => {
  test.concurrent.each([
    [400, "model_rejected", 1],
    [401, "model_unauthorized", 1],
    [402, "model_unauthorized", 1],
    [403, "model_unauthorized", 1],
    [404, "model_rejected", 1],
    [409, "model_rejected", 1],
    [422, "model_rejected", 1],
    [429, "model_overloaded", 3],
    [500, "model_failed", 3],
    [501, "model_failed", 1],
    [502, "model_failed", 3],
    [503, "model_overloaded", 3],
    [504, "model_failed", 3],
  ] as const)("status %d is %s after %d calls", async (status, code, calls) => {
    const server = await refuses(
      status,
      "",
      `{"error":{"message":"Wrong key: sk-secret-1234, sk-se***34."}}`,
    );
    const ended = await ask(modelAt(server.baseUrl));
    expect([codeOf(ended), server.requests.length, ended.flushes]).toEqual([code, calls, 0]);
    const { message, details, cause } = ended.error as CipError;
    expect(JSON.stringify([message, details])).not.toContain("Wrong key");
    expect(String(cause)).toContain("Wrong key: [key], sk-[key]");
  });

  test.concurrent("succeed with the third call", async () => {
    const server = await upstream((socket, call) =>
      socket.end(call < 3 ? "HTTP/1.1 503 X\r\ncontent-length: 0\r\n\r\n" : sseHead + hello),
    );
    expect((await ask(modelAt(server.baseUrl))).text).toBe("Hello");
    expect(server.requests.length).toBe(3);
  });

  test.concurrent("follow a connection that breaks before the first content", async () => {
    const server = await upstream((socket, call) => {
      if (call === 2) return socket.end(sseHead + hello);
      socket.write(
        sseHead.replace("connection: close", "content-length: 1000") + keepAlive + delta({ content: "" }),
      );
      setTimeout(() => socket.resetAndDestroy(), 50);
    });
    expect((await ask(modelAt(server.baseUrl))).text).toBe("Hello");
    expect(server.requests.length).toBe(2);
  });

  test.concurrent("end in model_failed where nothing listens", async () => {
    const ended = await ask(modelAt("http://127.0.0.1:1/v1"));
    expect(codeOf(ended)).toBe("model_failed");
    expect(String((ended.error as CipError).cause)).toMatch(/connect/i);
  });

  test.concurrent("wait as long as Retry-After says", async () => {
    const server = await upstream((socket, call) =>
      socket.end(
        call < 2 ? "HTTP/1.1 429 X\r\nretry-after: 1\r\ncontent-length: 0\r\n\r\n" : sseHead + hello,
      ),
    );
    const startedAt = performance.now();
    expect((await ask(modelAt(server.baseUrl))).text).toBe("Hello");
    expect(performance.now() - startedAt).toBeWithin(1_000, 3_000);
  });

  test.concurrent.each(["11", new Date(Date.now() + 60_000).toUTCString()])(
    "are given up at once where Retry-After is %s",
    async (value) => {
      const server = await refuses(429, `retry-after: ${value}\r\n`);
      expect(codeOf(await ask(modelAt(server.baseUrl)))).toBe("model_overloaded");
      expect(server.requests.length).toBe(1);
    },
  );

  test.concurrent("are given up where the whole time would not suffice", async () => {
    const server = await refuses(503, "retry-after: 5\r\n");
    const startedAt = performance.now();
    expect(codeOf(await ask(modelAt(server.baseUrl, { totalTimeoutMs: 1_000 })))).toBe("model_overloaded");
    expect(performance.now() - startedAt).toBeLessThan(900);
  });
});

describe("the fallback", () => {
  test("answers, under its own name and key, where the first refuses", async () => {
    const server = await refuses(401);
    const other = await sends(hello);
    const fallback = { baseUrl: other.baseUrl, apiKey: new Secret("sk-other"), name: "other" };
    const ended = await ask(modelAt(server.baseUrl, { fallback, temperature: 1 }));
    expect(ended.text).toBe("Hello");
    expect(server.requests.length).toBe(1);
    expect(other.requests[0]?.head.toLowerCase()).toContain("bearer sk-other");
    expect(other.requests[0]?.body).toMatchObject({ model: "other", temperature: 1, max_tokens: 4096 });
  });

  test("answers where the first does not begin in time, or breaks off before it begins", async () => {
    const silent = await upstream((socket) => socket.write(sseHead));
    const cut = await sends(say("<thi"));
    const other = await sends(hello);
    const fallback = { baseUrl: other.baseUrl, apiKey: undefined, name: "other" };
    expect((await ask(modelAt(silent.baseUrl, { fallback, firstTimeoutMs: 100 }))).text).toBe("Hello");
    expect((await ask(modelAt(cut.baseUrl, { fallback }))).text).toBe("Hello");
  });

  test("that fails too has the last word", async () => {
    const server = await refuses(401);
    const other = await refuses(404, "", `{"error":{"message":"for sk-secret-1234 and other-key"}}`);
    const fallback = { baseUrl: other.baseUrl, apiKey: new Secret("other-key"), name: "other" };
    const ended = await ask(modelAt(server.baseUrl, { fallback }));
    expect(codeOf(ended)).toBe("model_rejected");
    expect(String((ended.error as CipError).cause)).toContain("for [key] and [key]");
  });
});

describe("deadlines", () => {
  const closes = async (script: Script, settings: Partial<Model>, text: string, atLeastMs: number) => {
    const server = await upstream(script);
    const startedAt = performance.now();
    const ended = await ask(modelAt(server.baseUrl, settings));
    expect([codeOf(ended), ended.text]).toEqual(["model_timeout", text]);
    expect(performance.now() - startedAt).toBeWithin(atLeastMs, atLeastMs + 400);
    await until(() => server.requests[0]?.closedAt, "the connection is closed", 1_000);
    expect(server.requests.length).toBe(1);
  };
  const repeatedly = (socket: Socket, sent: string) => {
    const timer = setInterval(() => socket.write(sent), 20);
    socket.once("close", () => clearInterval(timer));
  };

  test("no headers: the times to connect and to begin are both granted", () =>
    closes(() => {}, { connectTimeoutMs: 100, firstTimeoutMs: 200 }, "", 300));

  test("no content: neither headers, nor comments, nor empty deltas are content", () =>
    closes(
      (socket) => {
        socket.write(sseHead);
        repeatedly(socket, keepAlive + delta({ role: "assistant", content: "" }));
      },
      { firstTimeoutMs: 300 },
      "",
      300,
    ));

  test("silence: comments in mid-answer are none of the answer", () =>
    closes(
      (socket) => {
        socket.write(sseHead + say("a"));
        repeatedly(socket, keepAlive);
      },
      { idleTimeoutMs: 300 },
      "a",
      300,
    ));

  test("an answer that goes on longer than the silence allowed is not cut", async () => {
    const server = await upstream(async (socket) => {
      socket.write(sseHead);
      for (let i = 0; i < 8; i++) {
        socket.write(say("a"));
        await Bun.sleep(50);
      }
      socket.end(finish + done);
    });
    expect(await ask(modelAt(server.baseUrl, { idleTimeoutMs: 200 }))).toMatchObject({ text: "aaaaaaaa" });
  });

  test("the whole: an answer without end is cut", async () => {
    const server = await upstream((socket) => {
      socket.write(sseHead);
      repeatedly(socket, say("a"));
    });
    const ended = await ask(modelAt(server.baseUrl, { totalTimeoutMs: 300, idleTimeoutMs: 200 }));
    expect([codeOf(ended), ended.text.slice(0, 3)]).toEqual(["model_timeout", "aaa"]);
    await until(() => server.requests[0]?.closedAt, "the connection is closed", 1_000);
  });

  test("an error body that never ends", () =>
    closes(
      (socket) => socket.write("HTTP/1.1 400 X\r\n\r\nno"),
      { connectTimeoutMs: 100, firstTimeoutMs: 200 },
      "",
      300,
    ));
});

describe("an abort", () => {
  const stopped = async (script: Script, abortAfterMs: number) => {
    const server = await upstream(script);
    const cut = new AbortController();
    let abortedAt = Number.POSITIVE_INFINITY;
    let appendedLater = false;
    setTimeout(() => {
      abortedAt = performance.now();
      cut.abort("stopped");
    }, abortAfterMs);
    const other = await sends(hello);
    const fallback = { baseUrl: other.baseUrl, apiKey: undefined, name: "other" };
    const ended = await ask(modelAt(server.baseUrl, { fallback }), cut.signal, () => {
      appendedLater ||= performance.now() > abortedAt;
    });
    expect(ended.error).toBe("stopped");
    expect(performance.now() - abortedAt).toBeLessThan(200);
    expect([appendedLater, other.requests.length]).toEqual([false, 0]);
    const closedAt = await until(() => server.requests[0]?.closedAt, "the connection is closed", 1_000);
    expect(closedAt - abortedAt).toBeLessThan(1_000);
    return { ended, server };
  };

  test("before the headers throws its reason and closes the connection", () => stopped(() => {}, 100));

  test("in mid-answer keeps what was said and closes the connection", async () => {
    const { ended } = await stopped((socket) => {
      socket.write(sseHead);
      const timer = setInterval(() => socket.write(say("a")), 5);
      socket.once("close", () => clearInterval(timer));
    }, 100);
    expect(ended.text).toMatch(/^a+$/);
  });

  test("after the finish reason but before the end is still an abort", () =>
    stopped((socket) => socket.write(sseHead + say("a") + finish), 100));

  test("while waiting to try again ends the waiting, and nothing is tried again", async () => {
    const { server } = await stopped(
      (socket) =>
        socket.end("HTTP/1.1 503 X\r\nretry-after: 9\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"),
      200,
    );
    expect(server.requests.length).toBe(1);
  });

  test("that came before the call makes no call", async () => {
    const server = await sends(hello);
    const ended = await ask(modelAt(server.baseUrl), AbortSignal.abort("interrupted"));
    expect([ended.error, server.requests.length]).toEqual(["interrupted", 0]);
  });

  test("leaves no listener on the caller's signal behind", async () => {
    const server = await sends(hello);
    const { signal } = new AbortController();
    let listeners = 0;
    const { addEventListener: add, removeEventListener: remove } = signal;
    signal.addEventListener = (...args: unknown[]) => {
      listeners++;
      add.apply(signal, args as Parameters<typeof add>);
    };
    signal.removeEventListener = (...args: unknown[]) => {
      listeners--;
      remove.apply(signal, args as Parameters<typeof remove>);
    };
    await ask(modelAt(server.baseUrl), signal);
    expect(listeners).toBe(0);
  });
});

test("a fault of the sink is not taken for one of the model", async () => {
  const server = await upstream((socket) => socket.write(sseHead + say("a")));
  const ended = await ask(modelAt(server.baseUrl), undefined, () => {
    throw new RangeError("a bug");
  });
  expect(ended.error).toBeInstanceOf(RangeError);
  expect(server.requests.length).toBe(1);
  await until(() => server.requests[0]?.closedAt, "the connection is closed", 1_000);
});
