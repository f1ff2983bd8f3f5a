// What bad input gets: a problem document with a request id, the same in production and development, and never a 500.
import { beforeAll, describe, expect, test } from "bun:test";
import { call } from "./client.ts";
import { expectProblem, type Site, startSite } from "./site.ts";

const secretKey = "a key to sign with, of thirty-two bytes or more";
const apiKey = "sk-the-key-of-the-model";
const bodyBytesMax = 64 * 1024;

describe.each(["production", "development"])("in %s", (mode) => {
  let site: Site;
  let token: string;
  beforeAll(async () => {
    site = await startSite({
      env: { NODE_ENV: mode, SECRET_KEY: secretKey, LLM_API_KEY: apiKey },
      tenants: { default: "", acme: "" },
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
      ["/v1/default/visitors", "POST"],
      ["/v1/default/turns", "POST"],
      ["/v1/default/turns/x", "GET"],
      ["/v1/default/turns/x/stream", "GET"],
      ["/v1/default/turns/x/stop", "POST"],
      ["/v1/default/conversations", "GET"],
      ["/v1/default/conversations/x", "GET, PATCH, DELETE"],
      ["/healthz", "GET"],
      ["/readyz", "GET"],
      ["/embed.js", "GET"],
      ["/default", "GET"],
    ])("says what it takes: %s takes %s", async (path, allow) => {
      for (const method of ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]) {
        if (allow.includes(method)) continue;
        const answer = await call(site.url, method, path, { token });
        await expectProblem(answer, 405, "method_not_allowed");
        expect(answer.headers.get("allow")).toBe(allow);
      }
    });

    test("is understood whatever the host is called", async () => {
      const answer = await call(site.url, "GET", "/healthz", { headers: { host: "cip" } });
      expect([answer.status, await answer.json()]).toEqual([200, { status: "ok" }]);
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
