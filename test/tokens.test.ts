// Who is nobody here: a visitor is whom a token of this server, for this site and not too old, names.
import { beforeAll, describe, expect, test } from "bun:test";
import { SignJWT } from "jose";
import type { Database } from "../src/db.ts";
import { loadKeys } from "../src/keys.ts";
import { expectProblem, type Site, siteOf, startSite } from "./site.ts";

const secretKey = "a key to sign with, of thirty-two bytes or more";

describe.each(["production", "development"])("a token in %s", (mode) => {
  let site: Site;
  let token: string;
  beforeAll(async () => {
    site = await startSite({
      env: { NODE_ENV: mode, SECRET_KEY: secretKey },
      tenants: { default: "", acme: "", brief: "VISITOR_TOKEN_TTL=1s" },
    });
    token = await site.visitor();
  });

  const signed = async (change: (jwt: SignJWT) => SignJWT, key?: Uint8Array) => {
    const { visitorToken } = await loadKeys({} as Database, secretKey);
    const whole = new SignJWT()
      .setProtectedHeader({ alg: "HS256" })
      .setIssuer("cip")
      .setAudience("default")
      .setSubject("ann")
      .setExpirationTime("1h");
    return change(whole).sign(key ?? visitorToken);
  };
  const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const claims = { iss: "cip", aud: "default", sub: "ann", exp: 4_000_000_000 };
  const cases: [name: string, header: () => string | undefined | Promise<string>][] = [
    ["none at all", () => undefined],
    ["an empty one", () => "Bearer "],
    ["no token but words", () => "Bearer let me in"],
    ["another scheme", () => `Basic ${token}`],
    ["one that says it needs no signature", () => `Bearer ${part({ alg: "none" })}.${part(claims)}.`],
    ["one that was cut", () => `Bearer ${token.slice(0, -2)}`],
    ["one without its signature", () => `Bearer ${token.split(".").slice(0, 2).join(".")}.`],
    [
      "one that names somebody else under its signature",
      () => `Bearer ${token.split(".")[0]}.${part(claims)}.${token.split(".")[2]}`,
    ],
    [
      "one signed with another key",
      async () => `Bearer ${await signed((jwt) => jwt, crypto.getRandomValues(new Uint8Array(32)))}`,
    ],
    [
      "one signed with the secret itself",
      async () => `Bearer ${await signed((jwt) => jwt, new TextEncoder().encode(secretKey))}`,
    ],
    ["one that has ended", async () => `Bearer ${await signed((jwt) => jwt.setExpirationTime("-1s"))}`],
    ["one of another issuer", async () => `Bearer ${await signed((jwt) => jwt.setIssuer("pic"))}`],
    ["one of another site", async () => `Bearer ${await siteOf(site.url, "acme").visitor()}`],
  ];

  test("as this server makes them is accepted, so what follows is refused for its fault alone", async () => {
    const good = await signed((jwt) => jwt);
    expect((await site.on("GET", "/conversations", { token: good })).status).toBe(200);
  });

  test.each(cases)("is needed, and %s is none", async (_name, header) => {
    const authorization = await header();
    const headers: Record<string, string> = authorization === undefined ? {} : { authorization };
    for (const [method, path] of [
      ["GET", "/conversations"],
      ["GET", "/turns/x"],
      ["POST", "/turns"],
    ] as const) {
      const request = method === "POST" ? { headers, body: { message: "Hi" } } : { headers };
      const answer = await site.on(method, path, request);
      await expectProblem(answer, 401, "unauthorized");
      expect(answer.headers.get("www-authenticate")).toBe('Bearer realm="cip"');
    }
  });

  test("ends when it says", async () => {
    const brief = siteOf(site.url, "brief");
    const response = await brief.on("POST", "/visitors", { body: {} });
    const { token, expires_at } = (await response.json()) as { token: string; expires_at: string };
    await Bun.sleep(Date.parse(expires_at) - Date.now() + 20);
    await expectProblem(await brief.on("GET", "/conversations", { token }), 401, "unauthorized");
  });
});
