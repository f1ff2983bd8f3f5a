// Model calls over connections of our own, against servers that are scripted byte by byte.
import { describe, expect, test } from "bun:test";
import type { Socket } from "node:net";
import zlib from "node:zlib";
import { egressIsSet } from "../src/config/config.ts";
import { Connection } from "../src/model/connection.ts";
import { Pool } from "../src/model/pool.ts";
import { Splitter } from "../src/model/reasoning.ts";
import { read } from "../src/model/upstream.ts";
import { wireFetch } from "../src/model/wire.ts";
import { type Script, upstream } from "./scripted.ts";
import { freePort, leftOut, repository, until, untilItExits, within } from "./support.ts";

const ok = "HTTP/1.1 200 OK\r\n";
const said = (text: string) => `${ok}content-length: ${Buffer.byteLength(text)}\r\n\r\n${text}`;
const chunk = (text: string) => `${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`;
const chunked = `${ok}transfer-encoding: chunked\r\n\r\n`;
const last = "0\r\n\r\n";

const post = (url: string, init: RequestInit = {}) =>
  within(wireFetch(url, { method: "POST", body: "{}", ...init }), "a response", 20_000);
const askText = async (url: string) => (await post(url)).text();

/** What a promise rejects with. */
async function failure(promise: Promise<unknown>) {
  const outcome = await within(promise, "an end", 20_000).then(
    (value) => ({ value }),
    (error: unknown) => ({ error }),
  );
  if (!("error" in outcome)) throw new Error(`it did not fail: ${outcome.value}`);
  return outcome.error as Error & { code?: string };
}

const reading = (response: Response) => (response.body as ReadableStream<Uint8Array>).getReader();

async function readAll(response: Response): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  const reader = reading(response);
  for (;;) {
    const { value } = await within(reader.read(), "more of the body", 20_000);
    if (!value) return Buffer.concat(parts);
    parts.push(value);
  }
}

describe("a request", () => {
  test("is what was asked for, with a body of any size in UTF-8", async () => {
    const server = await upstream((socket, _, { text }) => socket.write(said(text)));
    const body = JSON.stringify({ text: `é😀${"x".repeat(8_000_000)}` });
    const headers = { Authorization: "Bearer sk-1", "x-Latin": "é", connection: "close", host: "elsewhere" };
    const response = await post(`${server.baseUrl}/chat?a=b%20c#d`, { body, headers });
    expect((await response.text()) === body).toBe(true);
    const [line, ...fields] = server.requests[0]?.head.split("\r\n") ?? [];
    expect(line).toBe("POST /v1/chat?a=b%20c HTTP/1.1");
    expect(
      fields
        .map((field) => field.toLowerCase())
        .filter((field) => !field.startsWith("x-latin"))
        .sort(),
    ).toEqual([
      "accept-encoding: identity",
      "authorization: bearer sk-1",
      `content-length: ${Buffer.byteLength(body)}`,
      `host: 127.0.0.1:${server.port}`,
    ]);
  });

  test("cannot be split by what stands in a header", async () => {
    const server = await upstream((socket) => socket.write(said("")));
    await failure(post(server.baseUrl, { headers: { a: "b\r\nc: d" } }));
    await failure(post(server.baseUrl, { headers: { "a\r\nb": "c" } }));
    expect(server.connections).toBe(0);
  });

  test("that is no POST of text goes the way of fetch", async () => {
    const server = await upstream((socket, _, { head }) => socket.end(said(head.split(" ")[0] ?? "")));
    const methods = [
      wireFetch(server.baseUrl),
      wireFetch(new Request(server.baseUrl, { method: "PUT", body: "{}" })),
      wireFetch(new URL(server.baseUrl), { method: "POST", body: new TextEncoder().encode("{}") }),
    ].map(async (response) => (await response).text());
    expect(await Promise.all(methods)).toEqual(["GET", "PUT", "POST"]);
  });

  test("goes through the proxy that the environment sets, and past it where NO_PROXY says so", async () => {
    const frames = `data: {"choices":[{"delta":{"content":"a"},"finish_reason":"stop"}]}\n\n`;
    const answer = `${ok}content-type: text/event-stream\r\ncontent-length: ${frames.length}\r\n\r\n${frames}`;
    const proxy = await upstream((socket) => socket.write(answer));
    const near = await upstream((socket) => socket.write(answer));
    const script = `const { complete } = await import("${repository}/src/model/llm.ts");
      const limits = { connectTimeoutMs: 9e3, firstTimeoutMs: 9e3, idleTimeoutMs: 9e3, totalTimeoutMs: 9e3 };
      for (const baseUrl of ["http://model.example/v1", "${near.baseUrl}"])
        await complete({
          model: { baseUrl, name: "m", maxTokens: 9, extraBody: {}, demo: false, ...limits },
          messages: [], user: "u", headers: {}, marks: {}, sink: { append() {}, flush() {} },
          signal: new AbortController().signal,
        });`;
    const child = Bun.spawn([process.execPath, "-e", script], {
      env: {
        PATH: process.env.PATH ?? "",
        http_proxy: `http://127.0.0.1:${proxy.port}`,
        no_proxy: "127.0.0.1",
      },
      stderr: "inherit",
    });
    untilItExits(child, child.exited);
    expect(await within(child.exited, "both have answered", 20_000)).toBe(0);
    const lines = [proxy, near].map(({ requests }) => requests.map(({ head }) => head.split("\r\n")[0]));
    expect(lines).toEqual([
      ["POST http://model.example/v1/chat/completions HTTP/1.1"],
      ["POST /v1/chat/completions HTTP/1.1"],
    ]);
  });

  test("goes through fetch where the environment sets a proxy or takes any certificate", () => {
    expect(egressIsSet({ PATH: "/bin", HTTP_PROXY: "", NO_PROXY: "localhost" })).toBe(false);
    for (const name of ["HTTP_PROXY", "https_proxy", "ALL_PROXY", "NODE_TLS_REJECT_UNAUTHORIZED"])
      expect(egressIsSet({ [name]: "0" })).toBe(true);
  });
});

describe("a response", () => {
  test("has its status and headers, and a body to be read as text, JSON or a stream", async () => {
    const server = await upstream((socket) => {
      socket.write(chunked.replace("200 OK", "418 Teapot\r\nx-a: b") + chunk(`{"a":`) + chunk("1}") + last);
    });
    const asText = await post(server.baseUrl);
    expect([asText.status, asText.ok, asText.headers.get("x-a")]).toEqual([418, false, "b"]);
    expect(await asText.text()).toBe(`{"a":1}`);
    expect(await (await post(server.baseUrl)).json()).toEqual({ a: 1 });
    expect(await new Response((await post(server.baseUrl)).body).text()).toBe(`{"a":1}`);
    expect((await readAll(await post(server.baseUrl))).toString()).toBe(`{"a":1}`);
    expect(server.connections).toBe(1);
  });

  test("is read while it comes, and what came between two reads is one", async () => {
    let socket: Socket | undefined;
    const server = await upstream((opened) => {
      socket = opened;
      opened.write(chunked + chunk("a"));
    });
    const reader = reading(await post(server.baseUrl));
    const next = async () => Buffer.from((await reader.read()).value ?? []).toString();
    expect(await next()).toBe("a");
    const waiting = next();
    socket?.write(chunk("b"));
    expect(await waiting).toBe("b");
    socket?.write(chunk("c") + chunk("d") + chunk("e"));
    socket?.write(last);
    expect(await next()).toBe("cde");
    expect(await reader.read()).toEqual({ done: true });
  });

  test("that is kept stays as it was whatever comes after it", async () => {
    const blocks = Array.from({ length: 200 }, (_, i) => String.fromCharCode(33 + (i % 90)).repeat(5_000));
    const server = await upstream(async (socket) => {
      socket.write(chunked);
      for (const block of blocks) {
        socket.write(chunk(block));
        await new Promise(setImmediate);
      }
      socket.write(last);
    });
    expect((await readAll(await post(server.baseUrl))).toString() === blocks.join("")).toBe(true);
  });

  test.each([
    ["gzip", zlib.gzipSync],
    ["deflate", zlib.deflateSync],
    ["br", zlib.brotliCompressSync],
    ["zstd", zlib.zstdCompressSync],
  ])("that is compressed with %s though nobody asked is read all the same", async (coding, compress) => {
    const bytes = compress(Buffer.from("Hello"));
    const server = await upstream((socket) => {
      socket.write(`${ok}content-encoding: ${coding}\r\ncontent-length: ${bytes.length}\r\n\r\n`);
      socket.write(bytes);
    });
    expect(await askText(server.baseUrl)).toBe("Hello");
    expect((await readAll(await post(server.baseUrl))).toString()).toBe("Hello");
  });

  test("in a coding that nobody knows is refused, and the connection closed", async () => {
    const server = await upstream((socket) => socket.write(`${ok}content-encoding: x\r\n\r\nhello`));
    expect((await failure(post(server.baseUrl))).message).toContain("content coding x");
    await until(() => server.sockets.size === 0, "the connection is closed");
  });

  test("without a body has none, and the next goes over the same connection", async () => {
    const server = await upstream((socket) => socket.write("HTTP/1.1 204 No Content\r\n\r\n"));
    expect([(await post(server.baseUrl)).body, await askText(server.baseUrl)]).toEqual([null, ""]);
    expect(server.connections).toBe(1);
  });

  test.each([301, 307])(
    "that redirects (%d) is followed, and the key goes to no other origin",
    async (status) => {
      const other = await upstream((socket) => socket.end(said("there")));
      const server = await upstream((socket) =>
        socket.write(`HTTP/1.1 ${status} X\r\nlocation: ${other.baseUrl}/x\r\ncontent-length: 9\r\n\r\n`),
      );
      const response = await post(server.baseUrl, { headers: { authorization: "Bearer sk-secret" } });
      expect(await response.text()).toBe("there");
      expect(server.requests.every(({ head }) => head.includes("sk-secret"))).toBe(true);
      expect(other.requests.map(({ head }) => /sk-secret|authorization/i.test(head))).toEqual([false]);
      await until(() => server.sockets.size === 0, "no connection waits for the rest of a redirect");
    },
  );

  test("that is malformed, or breaks off, fails with what went wrong and closes the connection", async () => {
    const malformed = await upstream((socket) => socket.write("220 mail.example ESMTP\r\n\r\n"));
    expect((await failure(post(malformed.baseUrl))).message).toContain("does not begin");
    const broken = await upstream((socket) => {
      socket.write(chunked + chunk("a"));
      socket.write("nonsense\r\n");
    });
    expect((await failure(askText(broken.baseUrl))).message).toContain("no size");
    const cut = await upstream((socket) => socket.end(`${ok}content-length: 9\r\n\r\nhello`));
    const reader = reading(await post(cut.baseUrl));
    expect(Buffer.from((await reader.read()).value ?? []).toString()).toBe("hello");
    expect((await failure(reader.read())).message).toContain("in mid-response");
    const reset = await upstream((socket) => {
      socket.write(`${ok}\r\nhello`);
      setTimeout(() => socket.resetAndDestroy(), 20);
    });
    expect((await failure(askText(reset.baseUrl))).code).toBe("ECONNRESET");
    for (const server of [malformed, broken, cut])
      await until(() => server.sockets.size === 0, "the connection is closed");
  });
});

describe("a connection", () => {
  test("serves one request after the other, and one at a time", async () => {
    const gate = Promise.withResolvers<void>();
    const server = await upstream(async (socket, call) => {
      if (call <= 3) await gate.promise;
      socket.write(said(String(call)));
    });
    const first = [post(server.baseUrl), post(server.baseUrl), post(server.baseUrl)];
    await until(() => server.requests.length === 3, "three requests at once");
    gate.resolve();
    await Promise.all(first.map(async (response) => (await response).text()));
    for (let call = 4; call < 10; call++) expect(await askText(server.baseUrl)).toBe(String(call));
    expect(server.connections).toBe(3);
  });

  const reset: Script = (socket) => {
    socket.write(chunked + chunk("a"));
    setTimeout(() => socket.resetAndDestroy(), 10);
  };
  const ends: [string, Script][] = [
    ["ended with the connection", (socket) => socket.end(`${ok}\r\na`)],
    ["announced the close", (socket) => socket.write(`${ok}connection: close\r\ncontent-length: 1\r\n\r\na`)],
    ["was one of HTTP/1.0", (socket) => socket.write("HTTP/1.0 200 OK\r\ncontent-length: 1\r\n\r\na")],
    ["had something after its end", (socket) => socket.write(`${said("a")}HTTP/1.1 200 OK\r\n\r\n`)],
    [
      "said its length in two ways",
      (socket) => socket.write(`${ok}content-length: 9\r\n${chunked.slice(ok.length)}${chunk("a")}${last}`),
    ],
    ["was reset", reset],
  ];
  test.each(ends)("whose response %s is closed, and serves no other", async (_, script) => {
    const server = await upstream(script);
    for (let i = 0; i < 3; i++) await askText(server.baseUrl).catch(() => {});
    expect([server.connections, server.requests.length]).toEqual([3, 3]);
    await until(() => server.sockets.size === 0, "the connections are closed");
  });

  test("that is lost before it is used fails the request, and leaves it waiting for nothing", async () => {
    const { port } = await upstream((socket) => socket.write(said("")));
    const origin = { hostname: "127.0.0.1", port, tls: false };
    const connection = await Connection.open(origin, undefined, () => {});
    connection.close();
    const { answered } = connection.send(Buffer.from("POST / HTTP/1.1\r\n\r\n"), undefined);
    expect((await failure(answered)).message).toContain("lost before it was used");
  });

  test("is not kept when its response is given up", async () => {
    const server = await upstream((socket) => socket.write(chunked + chunk("a")));
    const reader = reading(await post(server.baseUrl));
    await reader.read();
    const waiting = reader.read();
    await reader.cancel();
    expect(await within(waiting, "the waiting read ends")).toEqual({ done: true });
    await (await post(server.baseUrl)).body?.cancel();
    await until(() => server.sockets.size === 0, "the connections are closed");
    expect(server.connections).toBe(2);
  });

  test("on which the server speaks unasked is closed", async () => {
    const server = await upstream((socket) => {
      socket.write(said("a"));
      setTimeout(() => socket.write(said("b")), 20);
    });
    await askText(server.baseUrl);
    await until(() => server.sockets.size === 0, "the connection is closed");
    expect(await askText(server.baseUrl)).toBe("a");
  });

  test("that the server closed meanwhile is not noticed by the next call", async () => {
    const server = await upstream((socket, call) =>
      call === 1 ? socket.end(said("1")) : socket.write(said("2")),
    );
    expect(await askText(server.baseUrl)).toBe("1");
    await until(() => server.sockets.size === 0, "the connection is closed");
    expect(await askText(server.baseUrl)).toBe("2");
    expect(server.requests.length).toBe(2);
  });

  test.each([
    ["closes just as the next request comes", (socket: Socket) => socket.destroy()],
    ["is reset just then", (socket: Socket) => socket.resetAndDestroy()],
    ["breaks off the next answer", (socket: Socket) => socket.end("HTTP/1.1 2")],
  ])("that %s fails, with nothing sent twice behind the caller's back", async (_, end) => {
    const server = await upstream((socket, call) => (call === 2 ? end(socket) : socket.write(said("a"))));
    expect(await askText(server.baseUrl)).toBe("a");
    expect((await failure(post(server.baseUrl))).message).toMatch(/closed|reset/);
    expect([server.connections, server.requests.length]).toEqual([1, 2]);
    expect(await askText(server.baseUrl)).toBe("a");
    expect([server.connections, server.requests.length]).toEqual([2, 3]);
  });

  test.each([
    ["that waits too long", new Pool(50, 9), 0],
    ["that would wait beside too many", new Pool(60_000, 2), 2],
  ])("%s is closed", async (_, pool, left) => {
    const server = await upstream((socket) => socket.write(said("a")));
    const origin = { hostname: "127.0.0.1", port: server.port, tls: false };
    const request = Buffer.from("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}");
    const opened = await Promise.all([1, 2, 3].map(() => pool.open(origin, undefined)));
    for (const connection of opened) await connection.send(request, undefined).read();
    await until(() => server.sockets.size === left, "those that may not wait are closed");
    expect([1, 2, 3].map(() => pool.take(origin)).filter((taken) => taken).length).toBe(left);
  });

  test("makes room for the newest where too many wait, also for another server's", async () => {
    const pool = new Pool(60_000, 2);
    const request = Buffer.from("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}");
    const origins: { hostname: string; port: number; tls: boolean }[] = [];
    for (let i = 0; i < 3; i++) {
      const server = await upstream((socket) => socket.write(said("a")));
      const origin = { hostname: "127.0.0.1", port: server.port, tls: false };
      origins.push(origin);
      await (await pool.open(origin, undefined)).send(request, undefined).read();
    }
    expect(origins.map((origin) => pool.take(origin) !== undefined)).toEqual([false, true, true]);
  });

  test("that waits keeps no process alive", async () => {
    const server = await upstream((socket) => socket.write(said("a")));
    const script = `const { wireFetch } = await import("${repository}/src/model/wire.ts");
      console.log(await (await wireFetch("${server.baseUrl}", { method: "POST", body: "{}" })).text());`;
    const child = Bun.spawn([process.execPath, "-e", script], { stdout: "pipe", stderr: "inherit" });
    untilItExits(child, child.exited);
    expect(await within(child.exited, "the process ends", 10_000)).toBe(0);
    expect(await new Response(child.stdout).text()).toBe("a\n");
  });
});

describe("an abort", () => {
  const silent = () => upstream(() => {});
  const endsWith = async (url: string, when: (cut: () => void) => unknown) => {
    const reason = new Error("stopped");
    const controller = new AbortController();
    const response = post(url, { signal: controller.signal });
    await when(() => controller.abort(reason));
    expect(await failure(response.then((it) => it.text()))).toBe(reason);
  };

  test("before the call makes none", async () => {
    const server = await silent();
    expect(await failure(post(server.baseUrl, { signal: AbortSignal.abort("early") }))).toBe(
      "early" as never,
    );
    expect(server.connections).toBe(0);
  });

  test("while connecting leaves no connection behind, and nothing written to it", async () => {
    const server = await silent();
    await endsWith(server.baseUrl, (cut) => cut());
    await askText((await upstream((socket) => socket.write(said("")))).baseUrl);
    await until(() => server.sockets.size === 0, "no connection is left");
    expect(server.requests.length).toBe(0);
  });

  test("during the TLS handshake closes the connection", async () => {
    const server = await silent();
    await endsWith(server.baseUrl.replace("http://127.0.0.1", "https://localhost"), async (cut) => {
      await until(() => server.sockets.size === 1, "it is connected");
      cut();
    });
    await until(() => server.sockets.size === 0, "the connection is closed");
  });

  test("before the head, or in mid-body, closes the connection", async () => {
    const mute = await silent();
    await endsWith(mute.baseUrl, async (cut) => {
      await until(() => mute.requests.length === 1, "it is asked");
      cut();
    });
    const begun = await upstream((socket) => socket.write(chunked + chunk("a")));
    const controller = new AbortController();
    const reader = reading(await post(begun.baseUrl, { signal: controller.signal }));
    await reader.read();
    const waiting = reader.read();
    controller.abort("late");
    expect(await failure(waiting)).toBe("late" as never);
    for (const server of [mute, begun])
      await until(() => server.sockets.size === 0, "the connection is closed");
  });

  test("of the reading alone ends it too", async () => {
    const frame = `data: {"choices":[{"delta":{"content":"a"}}]}\n\n`;
    const server = await upstream((socket) => socket.write(chunked + chunk(frame)));
    const controller = new AbortController();
    const outcome = read(await post(server.baseUrl), {
      splitter: new Splitter({ append: () => {} }),
      progress: () => void setImmediate(() => controller.abort("stopped")),
      charsMax: 100,
      signal: controller.signal,
    });
    expect(await failure(outcome)).toBe("stopped" as never);
    await until(() => server.sockets.size === 0, "the connection is closed");
  });

  test("after the end does nothing to the connection", async () => {
    const server = await upstream((socket) => socket.write(said("a")));
    const controller = new AbortController();
    await (await post(server.baseUrl, { signal: controller.signal })).text();
    controller.abort();
    expect(await askText(server.baseUrl)).toBe("a");
    expect(server.connections).toBe(1);
  });
});

test("a response that breaks in the middle of a read loses nothing of what came before", async () => {
  const frame = (content: string) => chunk(`data: {"choices":[{"delta":{"content":"${content}"}}]}\n\n`);
  const heard = Promise.withResolvers<void>();
  const server = await upstream(async (socket) => {
    socket.write(chunked + frame("a"));
    await heard.promise; // from now on such frames are known
    socket.write(`${frame("b")}${frame("c")}no chunk\r\n`);
  });
  let text = "";
  const outcome = read(await post(server.baseUrl), {
    splitter: new Splitter({
      append: (_kind, piece) => {
        text += piece;
      },
    }),
    progress: () => heard.resolve(),
    charsMax: 100,
    signal: new AbortController().signal,
  });
  expect((await failure(outcome)).message).toContain("a chunk of the response has no size");
  expect(text).toBe("abc");
});

describe("an address", () => {
  test("where nobody listens says so as fetch does", async () => {
    const { code, message } = await failure(post(`http://127.0.0.1:${await freePort()}/`));
    expect([code, message]).toEqual(["ECONNREFUSED", "Failed to connect"]);
  });

  test.each([
    ["127.0.0.1", ["localhost", "127.0.0.1"]],
    ["::1", ["localhost", "[::1]"]],
  ] as const)("%s is reached by its names", async (host, names) => {
    const server = await upstream((socket) => socket.write(said("a")), host).catch(() => undefined);
    if (!server) return leftOut(`a model at ${host}`, "this machine has no such address");
    for (const name of names) expect(await askText(`http://${name}:${server.port}/`)).toBe("a");
  });
});

test("a body that nobody reads stops at its source, and comes whole once it is read", async () => {
  const bytes = 100_000_000;
  const block = Buffer.alloc(100_000, "x");
  let written = 0;
  const server = await upstream(async (socket) => {
    socket.write(`${ok}content-length: ${bytes}\r\n\r\n`);
    while (written < bytes) {
      written += block.length;
      if (!socket.write(block)) await new Promise((drained) => socket.once("drain", drained));
    }
  });
  const response = await post(server.baseUrl);
  let seen = -1;
  let still = 0;
  await until(() => {
    still = written === seen ? still + 1 : 0;
    seen = written;
    return still === 25;
  }, "the sender is stopped");
  // What the sockets of both sides take, and no more.
  expect(written).toBeLessThan(50_000_000);
  const reader = reading(response);
  let read = 0;
  for (let value = (await reader.read()).value; value; value = (await reader.read()).value)
    read += value.length;
  expect(read).toBe(bytes);
});

test("more calls at once than fetch would make do not wait for one another", async () => {
  const calls = 700;
  const gate = Promise.withResolvers<void>();
  const server = await upstream(async (socket, call) => {
    if (call === calls) gate.resolve();
    await gate.promise;
    socket.write(said(String(call)));
  });
  const answers = await Promise.all(Array.from({ length: calls }, () => askText(server.baseUrl)));
  expect(new Set(answers).size).toBe(calls);
});
