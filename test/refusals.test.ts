// What bad input gets: a problem document with a request id, the same in production and development, and never a 500.
import { beforeAll, describe, expect, test } from "bun:test";
import { errors } from "../src/errors.ts";
import { call } from "./client.ts";
import { type Answer, raw, request } from "./rawhttp.ts";
import { expectProblem, type Site, siteOf, startSite } from "./site.ts";

const secretKey = "a key to sign with, of thirty-two bytes or more";
const apiKey = "sk-the-key-of-the-model";
const bodyBytesMax = 64 * 1024;

/** The same of an answer that was read by hand. */
function expectBareProblem({ status, headers, body }: Answer, wanted: number, code: string) {
  expect([status, headers.get("content-type"), body]).toEqual([
    wanted,
    "application/problem+json",
    expect.any(String),
  ]);
  expect(JSON.parse(body)).toMatchObject({ status: wanted, code, request_id: headers.get("x-request-id") });
}

async function expectNoBody(answer: Promise<Response>, status: number) {
  const response = await answer;
  expect([response.status, await response.text()]).toEqual([status, ""]);
}

describe.each(["production", "development"])("in %s", (mode) => {
  let site: Site;
  let token: string;
  beforeAll(async () => {
    site = await startSite({
      env: { NODE_ENV: mode, SECRET_KEY: secretKey, LLM_API_KEY: apiKey },
      tenants: { default: "", acme: "", club: `IDENTITY=required\nIDENTITY_SECRET=${secretKey}` },
    });
    token = await site.visitor();
  });

  describe("an address", () => {
    test("of a site that is not there is not found", async () => {
      for (const tenant of ["nobody", "ACME", "acme%20", "..%2Facme", "%E0%A4%A", "__proto__"]) {
        await expectProblem(call(site.url, "GET", `/${tenant}`), 404, "not_found");
        await expectProblem(call(site.url, "POST", `/v1/${tenant}/visitors`, { body: {} }), 404, "not_found");
        await expectProblem(
          call(site.url, "GET", `/v1/${tenant}/conversations`, { token }),
          404,
          "not_found",
        );
      }
    });

    test.each(["/v1/default", "/v1/default/nothing", "/v2/default/turns", "/a/b/c", "/assets/none.js"])(
      "that is none is not found: %s",
      async (path) => {
        for (const method of ["GET", "POST"])
          await expectProblem(call(site.url, method, path, { token }), 404, "not_found");
      },
    );

    test.each([
      ["/v1/default/visitors", "POST, OPTIONS"],
      ["/v1/default/turns", "POST, OPTIONS"],
      ["/v1/default/turns/", "POST, OPTIONS"],
      ["/v1/default/turns/x", "GET, HEAD, OPTIONS"],
      ["/v1/default/turns/x/stream", "GET, HEAD, OPTIONS"],
      ["/v1/default/turns/x/stop", "POST, OPTIONS"],
      ["/v1/default/conversations", "GET, HEAD, OPTIONS"],
      ["/v1/default/conversations/x", "GET, HEAD, PATCH, DELETE, OPTIONS"],
      ["/v1/default/socket", "GET, OPTIONS"],
      ["/healthz", "GET, HEAD, OPTIONS"],
      ["/readyz", "GET, HEAD, OPTIONS"],
      ["/openapi.json", "GET, HEAD, OPTIONS"],
      ["/embed.js", "GET, HEAD, OPTIONS"],
      ["/default", "GET, HEAD, OPTIONS"],
      ["/", "GET, HEAD, OPTIONS"],
    ])("says what it takes: %s takes %s", async (path, allow) => {
      for (const method of ["GET", "POST", "PUT", "PATCH", "DELETE", "TRACE", "PROPFIND"]) {
        if (allow.includes(method)) continue;
        const answer = await raw(site.url, request(`${method} ${path}`));
        expectBareProblem(answer, 405, "method_not_allowed");
        expect(answer.headers.get("allow")).toBe(allow);
      }
      const answer = await call(site.url, "OPTIONS", path);
      expect([answer.status, answer.headers.get("allow"), await answer.text()]).toEqual([204, allow, ""]);
    });

    test("answers HEAD as it would GET, without a body", async () => {
      const { id } = await site.ask(token, "Hi");
      for (const path of ["/default", "/healthz", "/v1/default/conversations", `/v1/default/turns/${id}`]) {
        const [got, head] = await Promise.all(
          ["GET", "HEAD"].map((method) => call(site.url, method, path, { token })),
        );
        expect([head?.status, await head?.text()]).toEqual([200, ""]);
        for (const name of ["content-type", "cache-control"])
          expect(head?.headers.get(name), path).toBe(got?.headers.get(name) ?? "");
        expect(head?.headers.get("content-length")).toBe(String((await got?.bytes())?.length));
      }
      await expectNoBody(call(site.url, "HEAD", "/v1/default/conversations"), 401);
      await expectNoBody(call(site.url, "HEAD", "/v1/default/turns/x", { token }), 404);
    });

    test("does not keep HEAD until an answer is written whole", async () => {
      const held = site.hold([{ text: "so" }]);
      const { id } = await site.begin(token, "Hi");
      const head = await call(site.url, "HEAD", `/v1/default/turns/${id}/stream`, { token });
      expect([head.status, head.headers.get("content-type")]).toEqual([
        200,
        "text/event-stream; charset=utf-8",
      ]);
      expect((await site.turn(token, id)).finished_at).toBeNull();
      held.releaseAll();
      await site.ended(token, id);
    });

    test("is understood whatever the host is called, and in its absolute form", async () => {
      const ok = JSON.stringify({ status: "ok" });
      for (const line of ["GET /healthz", "GET http://elsewhere.example/healthz"])
        for (const host of ["cip", "LOCALHOST:1", "[::1]", "1.2.3.4:80"]) {
          const { status, body } = await raw(site.url, request(line, [`host: ${host}`]));
          expect([status, body]).toEqual([200, ok]);
        }
      const old = await raw(site.url, "GET /healthz HTTP/1.0\r\n\r\n");
      expect([old.status, old.body]).toEqual([200, ok]);
    });

    test("that is wrong twice is refused once, and the server lives", async () => {
      const lost = `/conversations/${crypto.randomUUID()}?before=nothing`;
      await expectProblem(site.on("GET", lost, { token }), 400, "invalid_cursor");
      expect((await call(site.url, "GET", "/readyz")).status).toBe(200);
    });

    test("needs a host that is one, where it is said", async () => {
      for (const host of ["", "a b", "a/../b", "[::1", "a:b:c", "<script>"])
        for (const line of ["GET /healthz", "GET /a/b/c", "HEAD /default", "GET /v1/default/socket"]) {
          const answer = await raw(site.url, request(line, [`host: ${host}`, "accept: text/html"]));
          expect([line, host, answer.status]).toEqual([line, host, 400]);
        }
      for (const second of ["b.example", "a.example", ""])
        for (const line of ["GET /healthz", "GET http://elsewhere.example/healthz"]) {
          const twice = request(line, ["host: a.example", `host: ${second}`]);
          expectBareProblem(await raw(site.url, twice), 400, "bad_request");
        }
      const answer = await raw(site.url, request("GET /healthz", ["host: a b"]));
      expectBareProblem(answer, 400, "bad_request");
      const lost = await raw(site.url, "GET /a/b/c HTTP/1.0\r\n\r\n");
      expectBareProblem(lost, 404, "not_found");
    });

    test("does not lead out of where it is", async () => {
      for (const path of [
        "/assets/../../package.json",
        "/assets/../../../../../../etc/passwd",
        "/assets/%2e%2e/%2e%2e/package.json",
        "/assets/..%2f..%2fpackage.json",
        "/assets/..%5c..%5cpackage.json",
        "/assets//etc/passwd",
        "/assets/%00",
        "/default%00",
        "/default%2f",
        "/v1/default%2fturns",
        "/v1/default/turns%2fx/stop",
        "/v1//turns",
        "//default",
        "/..;/default",
      ]) {
        const answer = await raw(site.url, request(`GET ${path}`));
        expect([path, answer.status]).toEqual([path, 404]);
        expectBareProblem(answer, 404, "not_found");
      }
    });
  });

  test.each([
    ["unauthorized", () => site.on("GET", "/conversations"), /Authorization: Bearer/],
    ["identity_required", () => siteOf(site.url, "club").on("POST", "/visitors", { body: {} }), /user_hash/],
    ["method_not_allowed", () => site.on("PUT", "/turns"), /POST, OPTIONS/],
    ["unsupported_media_type", () => site.on("POST", "/visitors"), /Content-Type: application\/json/],
    ["invalid_json", () => site.on("POST", "/visitors", { body: "{" }), /UTF-8/],
  ] as const)("of %s it says what to do, which is more than what is so", async (code, ask, remedy) => {
    const [status, title] = errors[code];
    const { detail } = await expectProblem(ask(), status, code);
    expect(detail).toMatch(remedy);
    expect(detail).not.toBe(title);
  });

  describe("a head", () => {
    test("that is not HTTP is refused, and its connection closed", async () => {
      const lines = (...given: string[]) => `${given.join("\r\n")}\r\n\r\n`;
      for (const [status, text] of [
        [400, lines("GET /healthz HTTP/1.1")],
        [400, lines("GET /healthz HTTP/1.1", "host : x")],
        [400, lines("OPTIONS * HTTP/1.1", "host: x")],
        [
          400,
          lines("POST /v1/default/visitors HTTP/1.1", "host: x", "content-length: 1", "content-length: 2"),
        ],
        [
          400,
          lines(
            "POST /v1/default/visitors HTTP/1.1",
            "host: x",
            "content-length: 1",
            "transfer-encoding: chunked",
          ),
        ],
        [400, lines("POST /v1/default/visitors HTTP/1.1", "host: x", "transfer-encoding: gzip")],
        [400, lines("POST /v1/default/visitors HTTP/1.1", "host: x", "content-length: -1")],
        [505, lines("GET /healthz\0 HTTP/1.1", "host: x")],
        [505, "GET /healthz HTTP/1.1\nhost: x\n\n"],
        [431, lines("GET /healthz HTTP/1.1", "host: x", `x-long: ${"x".repeat(20_000)}`)],
        [
          431,
          lines("GET /healthz HTTP/1.1", "host: x", ...Array.from({ length: 300 }, (_, i) => `x-${i}: x`)),
        ],
      ] as const) {
        const answer = await raw(site.url, text);
        expect([text.slice(0, 80), answer.status, answer.body]).toEqual([text.slice(0, 80), status, ""]);
      }
    });

    test("that says something twice is not believed", async () => {
      const authorization = `authorization: Bearer ${token}`;
      const list = (...headers: string[]) => raw(site.url, request("GET /v1/default/conversations", headers));
      expect((await list(authorization)).status).toBe(200);
      expectBareProblem(await list(authorization, "authorization: Bearer x"), 401, "unauthorized");
      const ask = (...headers: string[]) => {
        const body = '{"message": "Hi"}';
        const all = [authorization, "accept: application/json", `content-length: ${body.length}`, ...headers];
        return raw(site.url, request("POST /v1/default/turns", all, body));
      };
      const type = "content-type: application/json";
      expect((await ask(type)).status).toBe(200);
      expectBareProblem(await ask(type, "content-type: text/plain"), 415, "unsupported_media_type");
      expectBareProblem(await ask(type, "idempotency-key: a", "idempotency-key: b"), 400, "bad_request");
    });

    test("of half a WebSocket handshake is refused", async () => {
      for (const headers of [["upgrade: websocket"], ["connection: upgrade", "upgrade: WebSocket"]])
        expectBareProblem(
          await raw(site.url, request("GET /v1/default/socket", headers)),
          400,
          "bad_request",
        );
    });
  });

  describe("a body", () => {
    const ask = (body: unknown, headers: Record<string, string> = {}) =>
      site.on("POST", "/turns", { token, body, headers: { accept: "application/json", ...headers } });
    /** JSON of exactly this many bytes. */
    const sized = (bytes: number) => `{"message": "Hi"}${" ".repeat(bytes - '{"message": "Hi"}'.length)}`;
    const chunked = (text: string) =>
      fetch(`${site.url}/v1/default/turns`, {
        method: "POST",
        headers: {
          authorization: `Bearer ${token}`,
          accept: "application/json",
          "content-type": "application/json",
        },
        body: new ReadableStream({
          // Not at once, or its length would be known and said.
          async start(stream) {
            await Bun.sleep(1);
            stream.enqueue(new TextEncoder().encode(text));
            stream.close();
          },
        }),
      });

    test.each([
      ["nothing", ""],
      ["no JSON", "message=Hi"],
      ["cut short", '{"message": "Hi"'],
      ["followed by more", '{"message": "Hi"} {}'],
      ["not UTF-8", new Uint8Array([...new TextEncoder().encode('{"message": "'), 0xff, 0x22, 0x7d])],
      ["nested without end", "[".repeat(60_000)],
    ])("that is %s is refused", async (_name, body) => {
      await expectProblem(ask(body), 400, "invalid_json");
    });

    test.each([
      ["no object", "[]"],
      ["null", "null"],
      ["without a message", {}],
      ["with a message that is no text", { message: 7 }],
      ["with a field more", { message: "Hi", temperature: 2 }],
      ["with a prototype for a field", '{"message": "Hi", "__proto__": {}}'],
      ["with an id that is no text", { message: "Hi", conversation_id: 7 }],
    ])("that is JSON but %s is refused", async (_name, body) => {
      await expectProblem(ask(body), 422, "invalid_body");
    });

    test("says which field is wrong and does not repeat its value", async () => {
      const body = await expectProblem(ask({ message: "Hi", wish: "my-own-value" }), 422, "invalid_body");
      expect(body.detail).toContain("wish");
      expect(body.detail).not.toContain("my-own-value");
      const visitors = site.on("POST", "/visitors", { body: { user_id: "root" } });
      await expectProblem(visitors, 422, "invalid_body");
    });

    test("says which choices there are", async () => {
      const { id } = await site.ask(token, "Hi");
      const rated = site.on("PUT", `/turns/${id}/feedback`, { token, body: { rating: "good" } });
      const { detail } = await expectProblem(rated, 422, "invalid_body");
      expect(detail).toBe("rating: Expected up, down, or null");
    });

    test("must say that it is JSON", async () => {
      for (const type of [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "",
      ])
        await expectProblem(
          ask('{"message": "Hi"}', { "content-type": type }),
          415,
          "unsupported_media_type",
        );
      const answer = await ask({ message: "Hi" }, { "content-type": "Application/JSON; charset=UTF-8" });
      expect(answer.status).toBe(200);
      await expectProblem(
        ask('{"message": "Hi"}', { "content-encoding": "gzip" }),
        415,
        "unsupported_media_type",
      );
      const none = fetch(`${site.url}/v1/default/visitors`, { method: "POST" });
      await expectProblem(none, 415, "unsupported_media_type");
    });

    test("may have 64 KiB and not a byte more, whether its length is said or not", async () => {
      for (const send of [ask, chunked]) {
        expect((await send(sized(bodyBytesMax))).status).toBe(200);
        await expectProblem(send(sized(bodyBytesMax + 1)), 413, "body_too_large");
        await expectProblem(send(sized(3 * 1024 * 1024)), 413, "body_too_large");
      }
    });

    test("that a route does not take is not read", async () => {
      const { id } = await site.ask(token, "Hi");
      for (const body of ["{", "x".repeat(3 * 1024 * 1024)]) {
        expect((await site.on("POST", `/turns/${id}/stop`, { token, body })).status).toBe(200);
      }
    });
  });
});
