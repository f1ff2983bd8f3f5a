// Who is nobody here: a visitor is whom a token of this server, for this site and not too old, names. Whatever is wrong
// with one, no route takes it, nor does the socket.
import { beforeAll, describe, expect, test } from "bun:test";
import { generateKeyPairSync, randomBytes } from "node:crypto";
import { type JWTHeaderParameters, SignJWT } from "jose";
import { Secret } from "../src/config/secret.ts";
import type { Database } from "../src/db/db.ts";
import { loadKeys } from "../src/identity/keys.ts";
import { postgresCluster } from "./postgres.ts";
import { guardedRoutes, type Route, tryRoute } from "./routes.ts";
import { startServer } from "./server.ts";
import { expectProblem, type Site, siteOf, startSite } from "./site.ts";
import { within } from "./support.ts";
import { openSocket } from "./websocket.ts";

const secretKey = "a key to sign with, of thirty-two bytes or more";
const signingKey = async (secret: string) =>
  (await loadKeys({} as Database, new Secret(secret))).visitorToken.sign;
const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");

/** A token as this server makes them, but for what `change` does to it. */
async function signed(
  change = (jwt: SignJWT) => jwt,
  key?: Parameters<SignJWT["sign"]>[0],
  header: JWTHeaderParameters = { alg: "HS256" },
) {
  const whole = new SignJWT()
    .setProtectedHeader(header)
    .setIssuer("cip")
    .setAudience("default")
    .setSubject("ann")
    .setExpirationTime("1h");
  return change(whole).sign(key ?? (await signingKey(secretKey)));
}

describe.each(["production", "development"])("a token in %s", (mode) => {
  let site: Site;
  let token: string;
  let routes: Route[];
  beforeAll(async () => {
    site = await startSite({
      env: { NODE_ENV: mode, SECRET_KEY: secretKey },
      tenants: { default: "", acme: "", brief: "VISITOR_TOKEN_TTL=1s" },
    });
    token = await site.visitor();
    routes = await guardedRoutes(site.url);
  });

  const claims = { iss: "cip", aud: "default", sub: "ann", exp: 4_000_000_000 };
  const unsigned = (alg: string) => `${part({ alg })}.${part(claims)}.`;
  const rsa = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const cases: [name: string, token: () => string | Promise<string>][] = [
    ["words", () => "letmein"],
    ["one that says it needs no signature", () => unsigned("none")],
    ["the same in other letters", () => unsigned("nOnE")],
    ["one that says so over a good signature", () => unsigned("none") + token.split(".")[2]],
    ["one that was cut", () => token.slice(0, -2)],
    ["one without its signature", () => `${token.split(".").slice(0, 2).join(".")}.`],
    [
      "one that names somebody else under its signature",
      () => `${token.split(".")[0]}.${part(claims)}.${token.split(".")[2]}`,
    ],
    ["one signed with another key", () => signed((jwt) => jwt, randomBytes(32))],
    ["one signed with the secret itself", () => signed((jwt) => jwt, new TextEncoder().encode(secretKey))],
    ["one signed with the right key by HS512", async () => signed((jwt) => jwt, undefined, { alg: "HS512" })],
    ["one signed with a key pair of its own", () => signed((jwt) => jwt, rsa.privateKey, { alg: "RS256" })],
    [
      "one signed by HS256 with what is a public key elsewhere",
      () => signed((jwt) => jwt, Buffer.from(rsa.publicKey.export({ type: "spki", format: "pem" }))),
    ],
    [
      "one that brings its own key along",
      () =>
        signed((jwt) => jwt, Buffer.from("k"), { alg: "HS256", jwk: { kty: "oct", k: part("k") } as object }),
    ],
    ["one that has ended", () => signed((jwt) => jwt.setExpirationTime("-1s"))],
    [
      "one that never ends",
      async () =>
        new SignJWT({ iss: "cip", aud: "default", sub: "ann" })
          .setProtectedHeader({ alg: "HS256" })
          .sign(await signingKey(secretKey)),
    ],
    ["one of another issuer", () => signed((jwt) => jwt.setIssuer("pic"))],
    ["one of another site", () => siteOf(site.url, "acme").visitor()],
    [
      "one of a user that the site no longer has vouched for",
      () => signed((jwt) => jwt.setSubject("user:ann")),
    ],
  ];

  test("as this server makes them is accepted, so what follows is refused for its fault alone", async () => {
    const good = await signed();
    expect((await site.on("GET", "/conversations", { token: good })).status).toBe(200);
    const { say } = await openSocket(site.url, good);
    expect((await say({ type: "turn", message: "Hi" })).terminal?.type).toBe("finish");
  });

  test.each(cases)("is needed, and %s is none", async (_name, made) => {
    const token = await made();
    for (const route of routes) {
      const answer = await tryRoute(site.url, route, { token });
      await expectProblem(answer, 401, "unauthorized");
      expect(answer.headers.get("www-authenticate")).toBe('Bearer realm="cip"');
    }
    await expectProblem(await site.on("POST", "/visitors", { token, body: {} }), 401, "unauthorized");
    const { closed } = await openSocket(site.url, token);
    expect(await within(closed, "the socket is closed")).toBe(4401);
  });

  test.each([
    ["nothing", undefined],
    ["an empty header", "Bearer "],
    ["two words", "Bearer let me in"],
    ["another scheme", "Basic dXNlcjpwYXNzd29yZA=="],
  ])("is needed, and %s is none", async (_name, authorization) => {
    const headers: Record<string, string> = authorization === undefined ? {} : { authorization };
    for (const route of routes)
      await expectProblem(await tryRoute(site.url, route, { headers }), 401, "unauthorized");
  });

  test("ends when it says, on an open socket too", async () => {
    const brief = siteOf(site.url, "brief");
    const response = await brief.on("POST", "/visitors", { body: {} });
    const { token, expires_at } = (await response.json()) as { token: string; expires_at: string };
    const { closed } = await openSocket(site.url, token, "brief");
    expect(await within(closed, "the socket is closed")).toBe(4401);
    expect(Date.now()).toBeGreaterThanOrEqual(Date.parse(expires_at));
    await expectProblem(await brief.on("GET", "/conversations", { token }), 401, "unauthorized");
  });
});

describe("an anonymous visitor who comes back", () => {
  type Given = { token: string; user_id: string; anonymous: boolean; expires_at: string };
  const renew = async (site: Site, token?: string) => {
    const answer = await site.on("POST", "/visitors", { token, body: {} });
    expect(answer.status).toBe(201);
    return (await answer.json()) as Given;
  };

  test("gets a new token for the same user, and none comes with a broken one", async () => {
    const site = await startSite();
    const first = await renew(site);
    expect(first.anonymous).toBe(true);
    const { conversation_id } = await site.ask(first.token, "Remember me");
    const again = await renew(site, first.token);
    expect(again).toMatchObject({ user_id: first.user_id, anonymous: true });
    expect((await site.conversations(again.token)).conversations).toMatchObject([
      { id: conversation_id, user_id: first.user_id, anonymous: true },
    ]);
    expect((await renew(site)).user_id).not.toBe(first.user_id);
    const unset = { authorization: "Bearer " };
    expect((await site.on("POST", "/visitors", { headers: unset, body: {} })).status).toBe(201);
    const headers = { authorization: "Basic dXNlcjpwYXNzd29yZA==" };
    await expectProblem(await site.on("POST", "/visitors", { headers, body: {} }), 401, "unauthorized");
  });

  test("is known after the key was changed as long as the old one is named, and then no more", async () => {
    const database = await (await postgresCluster()).createDatabase();
    const at = (env: Record<string, string>) => startServer({ env: { DATABASE_URL: database, ...env } });
    const next = "the next key to sign with, of thirty-two bytes";
    const before = siteOf((await at({ SECRET_KEY: secretKey })).url);
    const old = await before.visitor();
    const { conversation_id } = await before.ask(old, "Hi");

    const during = siteOf((await at({ SECRET_KEY: next, SECRET_KEY_PREVIOUS: secretKey })).url);
    expect((await during.conversation(old, conversation_id)).turns).toHaveLength(1);
    const answer = await during.on("POST", "/visitors", { token: old, body: {} });
    const renewed = ((await answer.json()) as Given).token;

    const after = siteOf((await at({ SECRET_KEY: next })).url);
    await expectProblem(await after.on("GET", "/conversations", { token: old }), 401, "unauthorized");
    await expectProblem(await before.on("GET", "/conversations", { token: renewed }), 401, "unauthorized");
    expect((await after.conversation(renewed, conversation_id)).turns).toHaveLength(1);
  });
});
