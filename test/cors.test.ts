// ALLOWED_ORIGINS decides whose scripts may use the API: matched as browsers match frames, said on every answer.
import { beforeAll, describe, expect, test } from "bun:test";
import { isAmong } from "../src/config/origins.ts";
import { call } from "./client.ts";
import { expectProblem, type Site, siteOf, startSite } from "./site.ts";

let site: Site;
beforeAll(async () => {
  site = await startSite({
    tenants: {
      default: "",
      shop: "ALLOWED_ORIGINS=https://shop.example https://*.wild.example http://old.example",
      open: "ALLOWED_ORIGINS=*",
    },
  });
});

const from = (origin: string) => ({ origin });
const preflight = (origin: string) => ({
  origin,
  "access-control-request-method": "POST",
  "access-control-request-headers": "authorization,content-type",
});
const corsOf = (answer: Response) =>
  [...answer.headers.keys()].filter((name) => name.startsWith("access-control-"));

describe("an origin", () => {
  test.each([
    ["https://shop.example", "https://shop.example", true],
    ["https://shop.example", "http://shop.example", false],
    ["https://shop.example", "https://shop.example:8443", false],
    ["https://shop.example", "https://www.shop.example", false],
    ["https://shop.example", "https://evilshop.example", false],
    ["https://shop.example", "https://shop.example.evil.test", false],
    ["https://shop.example", "https://SHOP.example", false],
    ["https://shop.example", "https://shop.example/", false],
    ["https://shop.example", "https://shop.example:443", false],
    ["https://shop.example", "https://user@shop.example", false],
    ["https://shop.example", "null", false],
    ["https://shop.example", "", false],
    ["https://*.shop.example", "https://a.shop.example", true],
    ["https://*.shop.example", "https://a.b.shop.example", true],
    ["https://*.shop.example", "https://shop.example", false],
    ["https://*.shop.example", "https://evilshop.example", false],
    ["https://*.shop.example", "https://a.shop.example:8443", false],
    ["http://shop.example", "https://shop.example", true],
    ["http://shop.example", "http://shop.example", true],
    ["http://shop.example", "ftp://shop.example", false],
    ["http://shop.example", "https://shop.example:8443", false],
    ["http://shop.example:443", "https://shop.example", true],
    ["http://shop.example:8080", "https://shop.example:8080", true],
    ["http://shop.example:8080", "http://shop.example", false],
    ["https://shop.example:8443", "https://shop.example:8443", true],
    ["http://127.0.0.1:8080", "http://127.0.0.1:8080", true],
    ["http://127.0.0.1:8080", "http://127.0.0.2:8080", false],
  ])("listed %s, coming from %s: %p", (source, origin, expected) => {
    expect(isAmong([source], origin)).toBe(expected);
  });

  test("is among many where one of them matches, and among none never", () => {
    expect(isAmong(["https://a.example", "https://b.example"], "https://b.example")).toBe(true);
    expect(isAmong([], "https://b.example")).toBe(false);
  });
});

describe("a listed site", () => {
  test.each([
    "https://shop.example",
    "https://a.b.wild.example",
    "http://old.example",
    "https://old.example",
  ])("is named on every answer: %s", async (origin) => {
    const { on, visitor } = siteOf(site.url, "shop");
    const token = await visitor();
    const ask = (headers: Record<string, string>) =>
      on("POST", "/turns", { token, headers: { ...from(origin), ...headers }, body: { message: "Hi" } });
    const answers = [
      [201, await on("POST", "/visitors", { headers: from(origin), body: {} })],
      [200, await ask({ accept: "application/json" })],
      [200, await ask({ accept: "text/event-stream" })],
      [202, await ask({ prefer: "respond-async" })],
      [200, await on("GET", "/conversations", { token, headers: from(origin) })],
      [401, await on("GET", "/conversations", { headers: from(origin) })],
      [404, await on("GET", "/turns/x", { token, headers: from(origin) })],
      [404, await on("GET", "/nothing", { headers: from(origin) })],
      [405, await on("PUT", "/turns", { headers: from(origin) })],
      [415, await on("POST", "/visitors", { headers: from(origin) })],
      [422, await on("POST", "/turns", { token, headers: from(origin), body: {} })],
    ] as const;
    for (const [status, answer] of answers) {
      expect(answer.status).toBe(status);
      expect(answer.headers.get("access-control-allow-origin"), `${status}`).toBe(origin);
      expect(answer.headers.get("vary")).toBe("origin");
      expect(corsOf(answer)).toEqual(["access-control-allow-origin", "access-control-expose-headers"]);
      const exposed = answer.headers.get("access-control-expose-headers");
      for (const name of ["location", "retry-after", "ratelimit", "x-request-id"])
        expect(exposed).toContain(name);
    }
  });

  test("may ask beforehand, and learns the methods of that address and the headers of all", async () => {
    const { on } = siteOf(site.url, "shop");
    for (const [path, methods] of [
      ["/turns", "POST, OPTIONS"],
      ["/conversations", "GET, HEAD, OPTIONS"],
      ["/conversations/x", "GET, HEAD, PATCH, DELETE, OPTIONS"],
    ] as const) {
      const answer = await on("OPTIONS", path, { headers: preflight("https://shop.example") });
      expect(answer.status).toBe(204);
      expect(await answer.text()).toBe("");
      expect(Object.fromEntries(answer.headers)).toMatchObject({
        "access-control-allow-origin": "https://shop.example",
        "access-control-allow-methods": methods,
        "access-control-allow-headers":
          "accept, authorization, content-type, idempotency-key, last-event-id, prefer, traceparent, tracestate",
        "access-control-max-age": "86400",
        vary: "origin",
        allow: methods,
      });
      expect(answer.headers.has("access-control-allow-credentials")).toBe(false);
    }
  });
});

test("a site that is not listed is told nothing, neither beforehand nor with an answer", async () => {
  for (const tenant of ["shop", "default"]) {
    const { on } = siteOf(site.url, tenant);
    for (const origin of ["https://evil.test", "https://shop.example.evil.test", site.url, "null"]) {
      const asked = await on("OPTIONS", "/turns", { headers: preflight(origin) });
      const answered = await on("POST", "/visitors", { headers: from(origin), body: {} });
      expect([asked.status, answered.status]).toEqual([204, 201]);
      for (const answer of [asked, answered]) {
        expect(corsOf(answer), origin).toEqual([]);
        expect(answer.headers.get("vary")).toBe("origin");
      }
    }
  }
});

test("ALLOWED_ORIGINS=* is any site, even one that cannot be named", async () => {
  const { on } = siteOf(site.url, "open");
  for (const origin of ["https://evil.test", "null"]) {
    const asked = await on("OPTIONS", "/turns", { headers: preflight(origin) });
    expect(asked.headers.get("access-control-allow-origin")).toBe("*");
    expect(asked.headers.get("access-control-allow-methods")).toBe("POST, OPTIONS");
  }
  expect(corsOf(await on("POST", "/visitors", { body: {} }))).toEqual([]);
});

test("there is nothing to ask beforehand of a site that is not there, or of an address that is none", async () => {
  const headers = preflight("https://shop.example");
  await expectProblem(call(site.url, "OPTIONS", "/v1/nobody/turns", { headers }), 404, "not_found");
  await expectProblem(call(site.url, "OPTIONS", "/v1/shop/nothing", { headers }), 404, "not_found");
});

test("what is no tenant's API is not open to scripts of other sites", async () => {
  for (const path of ["/healthz", "/openapi.json", "/shop", "/"]) {
    const answer = await call(site.url, "GET", path, { headers: from("https://shop.example") });
    expect(corsOf(answer), path).toEqual([]);
  }
});
