// Every answer of every route says how it may be used: what it is, who may hold it, and what it may load.
import { beforeAll, describe, expect, test } from "bun:test";
import { load } from "../src/config/config.ts";
import { createApp } from "../src/http/app.ts";
import { headersOfAll } from "../src/http/headers.ts";
import type { Services } from "../src/http/services.ts";
import { openChat } from "./chat.ts";
import { call } from "./client.ts";
import { raw } from "./rawhttp.ts";
import { type Site, startSite } from "./site.ts";

const listed = "https://shop.example https://*.shop.example";

let site: Site;
let token: string;
let routes: { method: string; path: string }[];
beforeAll(async () => {
  site = await startSite({
    env: { PUBLIC_URL: "https://chat.example" },
    tenants: { default: "", listed: `ALLOWED_ORIGINS=${listed}`, open: "ALLOWED_ORIGINS=*" },
  });
  token = await site.visitor();
  const services = { config: load(site.server.cwd, {}), db: {}, keys: {}, runs: {}, chat: {} } as Services;
  routes = (await createApp(services, true)).routes.map(({ method, path }) => ({ method, path }));
});

const strict = {
  "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
  "cross-origin-resource-policy": "same-origin",
};

/** What holds for every answer. */
function expectSafe(answer: { headers: Headers }, name: string) {
  const headers = Object.fromEntries(answer.headers);
  expect(headers, name).toMatchObject({
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "strict-transport-security": "max-age=31536000",
    "permissions-policy": expect.stringContaining("camera=(), "),
    "content-security-policy": expect.stringMatching(/^default-src 'none'; (?!.*unsafe)/),
    "cross-origin-resource-policy": expect.stringMatching(/^(same|cross)-origin$/),
    "x-request-id": expect.stringMatching(/^[0-9a-f-]{36}$/),
  });
  for (const header of ["x-frame-options", "server", "x-powered-by", "set-cookie"])
    expect(Object.keys(headers), name).not.toContain(header);
}

test("every route says so, whatever it answers", async () => {
  const told: string[] = [];
  for (const { method, path } of routes) {
    for (const tenant of ["default", "nobody"]) {
      for (const headers of [{}, { accept: "text/html" }, { authorization: `Bearer ${token}` }]) {
        const at = path.replace(":tenant", tenant).replace(/:\w+/, "x");
        const verb = method === "WS" ? "GET" : method;
        const answer = await call(site.url, verb, at, { headers });
        expectSafe(answer, `${verb} ${at} ${answer.status}`);
        if (at.startsWith("/v1/default/")) expect(answer.headers.get("vary"), at).toBe("origin");
        told.push(`${answer.status}`);
        await answer.body?.cancel();
      }
    }
  }
  expect([...new Set(told)].sort()).toEqual(expect.arrayContaining(["200", "400", "401", "404", "415"]));
});

test("so do answers to OPTIONS and HEAD, refusals, streams and what is not modified", async () => {
  const ask = (headers: Record<string, string>) =>
    site.on("POST", "/turns", { token, headers, body: { message: "Hi" } });
  const { id } = await site.ask(token, "Hi");
  const script = await call(site.url, "GET", "/embed.js");
  const answers = [
    [200, await ask({ accept: "text/event-stream" })],
    [200, await ask({ accept: "application/json" })],
    [202, await ask({ prefer: "respond-async" })],
    [204, await site.follow(token, id, "?after=8")],
    [204, await site.on("OPTIONS", "/turns")],
    [204, await call(site.url, "OPTIONS", "/default")],
    [200, await call(site.url, "HEAD", "/default")],
    [401, await call(site.url, "HEAD", "/v1/default/conversations")],
    [405, await site.on("PUT", "/turns")],
    [406, await ask({ accept: "text/html" })],
    [404, await call(site.url, "GET", "/a/b/c")],
    [400, await site.on("POST", "/turns", { token, body: "{" })],
    [413, await site.on("POST", "/turns", { token, body: "x".repeat(70_000) })],
    [422, await site.on("POST", "/turns", { token, body: {} })],
    [
      304,
      await call(site.url, "GET", "/embed.js", {
        headers: { "if-none-match": script.headers.get("etag") ?? "" },
      }),
    ],
    [400, await raw(site.url, "GET /default HTTP/1.1\r\nhost: a b\r\nconnection: close\r\n\r\n")],
  ] as const;
  for (const [status, answer] of answers) {
    expect(answer.status).toBe(status);
    expectSafe(answer, `${status}`);
  }
});

test("the API is for its reader alone: no document, no cache, no other site's element", async () => {
  const paths = ["/v1/default/conversations", "/v1/default/turns/x", "/healthz", "/readyz", "/openapi.json"];
  for (const path of paths) {
    const { headers } = await call(site.url, "GET", path, { token });
    expect(Object.fromEntries(headers)).toMatchObject({ ...strict, "cache-control": "no-store" });
  }
  const stream = await site.stream(token, "Hi");
  expect(Object.fromEntries(stream.headers)).toMatchObject({
    ...strict,
    "cache-control": "no-store, no-transform",
  });
});

describe("a page", () => {
  const policyOf = async (path: string) => {
    const { headers } = await call(site.url, "GET", path);
    const directives = (headers.get("content-security-policy") ?? "").split("; ");
    return new Map(directives.map((directive) => directive.split(/ (.*)/s, 2) as [string, string]));
  };

  test("loads from this server only, runs no inline script, and makes no HTML of text", async () => {
    for (const path of ["/", "/default", "/open"]) {
      const policy = await policyOf(path);
      for (const directive of ["script-src", "connect-src"])
        expect(policy.get(directive), path).toBe("'self'");
      // The colours of a site are in its page, under their hash.
      const styles = path === "/" ? /^'self'$/ : /^'self' 'sha256-[\w+/]{43}='$/;
      expect(policy.get("style-src"), path).toMatch(styles);
      expect(policy.get("img-src")).toBe("'self' data:");
      for (const directive of ["default-src", "base-uri", "form-action"])
        expect(policy.get(directive)).toBe("'none'");
      expect(policy.get("require-trusted-types-for")).toBe("'script'");
      expect(policy.get("trusted-types")).toBe("'none'");
      expect(policy.get("frame-src"), path).toBe(path === "/" ? "'self'" : undefined);
    }
  });

  test("may be framed by the tenant's sites; the demo site by this server only", async () => {
    expect((await policyOf("/")).get("frame-ancestors")).toBe("'self'");
    expect((await policyOf("/default")).get("frame-ancestors")).toBe("'self'");
    expect((await policyOf("/listed")).get("frame-ancestors")).toBe(`'self' ${listed}`);
    expect((await policyOf("/open")).get("frame-ancestors")).toBe("*");
  });

  test("and its loader may be used by any site, its parts by this server alone", async () => {
    const policies = async (paths: string[]) =>
      Promise.all(
        paths.map(async (path) =>
          (await call(site.url, "GET", path)).headers.get("cross-origin-resource-policy"),
        ),
      );
    expect(await policies(["/default", "/embed.js"])).toEqual(["cross-origin", "cross-origin"]);
    const html = await (await call(site.url, "GET", "/default")).text();
    const parts = [...html.matchAll(/(?:src|href)="(\/assets\/[^"]+)"/g)].map(([, path = ""]) => path);
    expect(parts.length).toBeGreaterThan(1);
    expect(new Set(await policies(parts))).toEqual(new Set(["same-origin"]));
    for (const path of parts) {
      const { headers } = await call(site.url, "GET", path);
      expect(headers.get("cache-control")).toBe("public, max-age=31536000");
      const again = { headers: { "if-none-match": headers.get("etag") ?? "" } };
      expect((await call(site.url, "GET", path, again)).status).toBe(304);
    }
  });

  test("works under its policy, which lets nobody make HTML of text", async () => {
    const chat = await openChat(site.url, { expected: [/TrustedTypePolicy|trusted-types/] });
    await chat.ask("**Hello**");
    await chat.shows("echo: Hello");
    const made = await chat.page.evaluate(() => {
      const { trustedTypes } = window as unknown as {
        trustedTypes: { createPolicy(name: string, rules: object): void };
      };
      return ["another", "default"].filter((name) => {
        try {
          trustedTypes.createPolicy(name, {});
          return true;
        } catch {
          return false;
        }
      });
    });
    expect(made).toEqual([]);
  });
});

test("without PUBLIC_URL, or with one of http, nobody is told to come by https", () => {
  for (const url of [undefined, "http://chat.example"])
    expect(Object.keys(headersOfAll(url))).not.toContain("strict-transport-security");
});
