// The site's word for its users: a JWT or a hash under its secret. What does not hold is refused, and a user that the
// site vouches for is never an anonymous one.
import { beforeAll, describe, expect, test } from "bun:test";
import { createHmac, generateKeyPairSync } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { SignJWT } from "jose";
import { guardedRoutes, tryRoute } from "./routes.ts";
import { run } from "./server.ts";
import { expectProblem, type Site, siteOf, startSite } from "./site.ts";
import { leftOut, repository, temporaryFolder, within } from "./support.ts";
import { openSocket } from "./websocket.ts";

const secret = "the shop's secret, which is longer than 32 bytes";
const othersSecret = "the other shop's secret, longer than 32 bytes too";
const inSeconds = (seconds: number) => Math.floor(Date.now() / 1000) + seconds;

/** A JWT of the site's as it should be, but for `claims`; undefined leaves one out. */
function jwt(
  claims: { [claim: string]: unknown } = {},
  key: Parameters<SignJWT["sign"]>[0] = Buffer.from(secret),
  alg = "HS256",
) {
  const whole = { sub: "ann", aud: "shop", exp: inSeconds(600), ...claims };
  return new SignJWT(whole).setProtectedHeader({ alg }).sign(key);
}
const hashOf = (id: string, key = secret) => createHmac("sha256", key).update(id).digest("hex");

let site: Site;
let shop: ReturnType<typeof siteOf>;
let other: ReturnType<typeof siteOf>;
beforeAll(async () => {
  site = await startSite({
    tenants: {
      shop: `IDENTITY_SECRET=${secret}`,
      other: `IDENTITY_SECRET=${othersSecret}`,
      club: `IDENTITY=required\nIDENTITY_SECRET=${secret}`,
      open: "",
    },
  });
  shop = siteOf(site.url, "shop");
  other = siteOf(site.url, "other");
});

type Given = { token: string; user_id: string; anonymous: boolean; expires_at: string };
async function vouched(body: object, at = shop): Promise<Given> {
  const answer = await at.on("POST", "/visitors", { body });
  expect({ status: answer.status, text: answer.ok ? "" : await answer.text() }).toEqual({
    status: 201,
    text: "",
  });
  return (await answer.json()) as Given;
}

describe("a user that the site vouches for", () => {
  test("is the same one by a JWT, by a hash, and in either case of its letters", async () => {
    const given = [
      await vouched({ identity: await jwt({ sub: "ann" }) }),
      await vouched({ identity: await jwt({ sub: "ann", aud: ["elsewhere", "shop"] }) }),
      await vouched({ user_id: "ann", user_hash: hashOf("ann") }),
      await vouched({ user_id: "ann", user_hash: hashOf("ann").toUpperCase() }),
    ];
    const { conversation_id } = await shop.ask(given[0]?.token ?? "", "It is me");
    for (const { token, user_id, anonymous } of given) {
      expect({ user_id, anonymous }).toEqual({ user_id: "ann", anonymous: false });
      expect((await shop.conversations(token)).conversations).toMatchObject([
        { id: conversation_id, user_id: "ann", anonymous: false },
      ]);
    }
  });

  test("may have an id in any language, an e-mail address, or dots and spaces", async () => {
    for (const id of ["Анна", "安", "ann@shop.example", "a b.c/d?e#f", "user:ann", "🦊", "x".repeat(200)]) {
      expect(await vouched({ user_id: id, user_hash: hashOf(id) })).toMatchObject({ user_id: id });
      expect(await vouched({ identity: await jwt({ sub: id }) })).toMatchObject({ user_id: id });
    }
  });

  test("is known no longer than the JWT says, nor than a token lasts", async () => {
    const exp = inSeconds(300);
    const short = await vouched({ identity: await jwt({ exp }) });
    expect(Date.parse(short.expires_at)).toBe(exp * 1000);
    const long = await vouched({ identity: await jwt({ exp: inSeconds(400 * 86_400) }) });
    expect(Date.parse(long.expires_at)).toBeLessThanOrEqual(inSeconds(90 * 86_400) * 1000);
    // A clock that is a little behind is forgiven, and the token can be used.
    const late = await vouched({ identity: await jwt({ exp: inSeconds(-5) }) });
    expect(Date.parse(late.expires_at)).toBeGreaterThan(Date.now());
    expect((await shop.conversations(late.token)).conversations).toBeArray();
  });

  test("is never an anonymous one whose id it has, nor the other way round", async () => {
    const answer = await shop.on("POST", "/visitors", { body: {} });
    const anonymous = (await answer.json()) as Given;
    const turn = await shop.ask(anonymous.token, "Nobody knows me");
    for (const id of [anonymous.user_id, `user:${anonymous.user_id}`]) {
      const namesake = await vouched({ user_id: id, user_hash: hashOf(id) });
      expect((await shop.conversations(namesake.token)).conversations).toEqual([]);
      await expectProblem(
        await shop.on("GET", `/turns/${turn.id}`, { token: namesake.token }),
        404,
        "not_found",
      );
    }
  });

  test("is vouched for anew by the site alone", async () => {
    const { token } = await vouched({ identity: await jwt() });
    await expectProblem(await shop.on("POST", "/visitors", { token, body: {} }), 401, "unauthorized");
  });
});

describe("the site's word does not hold", () => {
  const pair = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const claims = { sub: "ann", aud: "shop", exp: 4_000_000_000 };
  const jwts: [name: string, make: () => string | Promise<string>, detail: RegExp][] = [
    ["words", () => "I am Ann", /not a JWT/],
    ["nothing", () => "", /not a JWT/],
    ["one without signature", () => `${part({ alg: "none" })}.${part(claims)}.`, /HS256/],
    ["one by HS512", () => jwt({}, Buffer.from(secret.repeat(2)), "HS512"), /HS256/],
    ["one by RS256", () => jwt({}, pair.privateKey, "RS256"), /HS256/],
    ["one under another site's secret", () => jwt({}, Buffer.from(othersSecret)), /signature/],
    [
      "one under a public key",
      () => jwt({}, Buffer.from(pair.publicKey.export({ type: "spki", format: "pem" }))),
      /signature/,
    ],
    ["one that was cut", async () => (await jwt()).slice(0, -3), /signature/],
    ["one that has ended", () => jwt({ exp: inSeconds(-40) }), /expired/],
    ["one that never ends", () => jwt({ exp: undefined }), /exp is missing/],
    ["one that begins later", () => jwt({ nbf: inSeconds(60) }), /not valid yet: nbf/],
    [
      "one that ends in so many milliseconds",
      () => jwt({ exp: Date.now() + 600_000 }),
      /exp must be in seconds/,
    ],
    ["one for another site", () => jwt({ aud: "other" }), /aud must be "shop"/],
    ["one for no site", () => jwt({ aud: undefined }), /aud must be "shop"/],
    ["one of nobody", () => jwt({ sub: undefined }), /sub/],
    ["one of nobody in particular", () => jwt({ sub: "" }), /sub/],
    ["one of a number", () => jwt({ sub: 7 }), /sub/],
    ["one of an endless id", () => jwt({ sub: "x".repeat(201) }), /sub/],
    ["one of an id with a line break", () => jwt({ sub: "ann\nbob" }), /sub/],
    ["one of an id with NUL", () => jwt({ sub: "ann\0" }), /sub/],
    ["one of an id that is half a character", () => jwt({ sub: "ann\ud83e" }), /sub/],
    ["one with an endless name", () => jwt({ name: "x".repeat(201) }), /name/],
    ["one with an address that is none", () => jwt({ email: ["ann@shop.example"] }), /email/],
    ["this server's own token", async () => (await vouched({ identity: await jwt() })).token, /signature/],
  ];
  test.each(jwts)("in %s", async (_name, make, detail) => {
    const identity = await make();
    const answer = await expectProblem(
      await shop.on("POST", "/visitors", { body: { identity } }),
      401,
      "identity_invalid",
    );
    expect(answer.detail).toMatch(detail);
    expect(String(answer.detail)).not.toMatch(/ann|Ann/);
  });

  const hashes: [name: string, user_id: string, user_hash: string][] = [
    ["of another user", "ann", hashOf("bob")],
    ["of the same user of another site", "ann", hashOf("ann", othersSecret)],
    ["of one that looks the same", "ann", hashOf("аnn")],
    ["of one with a space after it", "ann", hashOf("ann ")],
    ["that was cut", "ann", hashOf("ann").slice(0, -2)],
    ["with something after it", "ann", `${hashOf("ann")}zz`],
    ["with a space before it", "ann", ` ${hashOf("ann")}`],
    ["in base64", "ann", createHmac("sha256", secret).update("ann").digest("base64")],
    ["that is empty", "ann", ""],
    ["without the secret", "ann", new Bun.CryptoHasher("sha256").update("ann").digest("hex")],
  ];
  test.each(hashes)("in a hash %s", async (_name, user_id, user_hash) => {
    const answer = shop.on("POST", "/visitors", { body: { user_id, user_hash } });
    await expectProblem(await answer, 401, "identity_invalid");
  });

  test("where it is not asked for", async () => {
    const answer = siteOf(site.url, "open").on("POST", "/visitors", {
      body: { identity: await jwt({ aud: "open" }) },
    });
    await expectProblem(await answer, 401, "identity_invalid");
  });

  test("on the site of another, though the user has the same name there", async () => {
    const { token } = await vouched({ user_id: "ann", user_hash: hashOf("ann") });
    await expectProblem(await other.on("GET", "/conversations", { token }), 401, "unauthorized");
    const stolen = { user_id: "ann", user_hash: hashOf("ann") };
    await expectProblem(await other.on("POST", "/visitors", { body: stolen }), 401, "identity_invalid");
  });

  test("where it is half, or two at once", async () => {
    const identity = await jwt();
    const user_hash = hashOf("ann");
    for (const body of [
      { user_id: "ann" },
      { user_hash },
      { identity, user_id: "ann" },
      { identity, user_hash },
      { identity, user_id: "ann", user_hash },
      { identity: { token: identity } },
      { user_id: 7, user_hash },
      { user_id: "", user_hash: hashOf("") },
      { user_id: "x".repeat(201), user_hash: hashOf("x".repeat(201)) },
      { user_id: "ann\nbob", user_hash: hashOf("ann\nbob") },
      { identity, name: "Ann" },
    ])
      await expectProblem(await shop.on("POST", "/visitors", { body }), 422, "invalid_body");
  });
});

describe("a site that requires it", () => {
  const member = { user_id: "ann", user_hash: hashOf("ann") };
  let club: ReturnType<typeof siteOf>;
  beforeAll(() => {
    club = siteOf(site.url, "club");
  });

  test("has no anonymous visitors, but those it vouches for", async () => {
    await expectProblem(await club.on("POST", "/visitors", { body: {} }), 401, "identity_required");
    const { token } = await vouched(member, club);
    const { id, answer } = await club.ask(token, "Hi");
    expect(await club.turn(token, id)).toMatchObject({ answer });
  });

  test("refuses, on every route and on the socket, anonymous tokens from before it did", async () => {
    const databaseUrl = site.databaseUrl;
    const key = { SECRET_KEY: "one key for both servers, of 32 bytes or more" };
    const lenient = await startSite({ env: key, tenants: { club: "" } }, databaseUrl);
    const strict = await startSite(
      { env: key, tenants: { club: `IDENTITY=required\nIDENTITY_SECRET=${secret}` } },
      databaseUrl,
    );
    const before = siteOf(lenient.url, "club");
    const token = await before.visitor();
    const { id, conversation_id } = await before.ask(token, "Hi");
    for (const route of await guardedRoutes(strict.url)) {
      const at = { tenant: "club", token, id: route.path.includes("/turns/") ? id : conversation_id };
      await expectProblem(await tryRoute(strict.url, route, at), 401, "identity_required");
    }
    const { closed } = await openSocket(strict.url, token, "club");
    expect(await within(closed, "the socket is closed")).toBe(4401);
    const again = siteOf(strict.url, "club").on("POST", "/visitors", { token, body: {} });
    await expectProblem(await again, 401, "identity_required");
    expect((await before.conversation(token, conversation_id)).turns).toHaveLength(1);
  });

  test("and one that has stopped to refuses the users that were vouched for", async () => {
    const key = { SECRET_KEY: "one key for both servers, of 32 bytes or more" };
    const strict = await startSite({ env: key, tenants: { club: `IDENTITY_SECRET=${secret}` } });
    const off = await startSite(
      { env: key, tenants: { club: `IDENTITY=off\nIDENTITY_SECRET=${secret}` } },
      strict.databaseUrl,
    );
    const { token } = await vouched(member, siteOf(strict.url, "club"));
    for (const route of await guardedRoutes(off.url))
      await expectProblem(await tryRoute(off.url, route, { tenant: "club", token }), 401, "unauthorized");
    expect((await siteOf(off.url, "club").visitor()).length).toBeGreaterThan(0);
  });
});

test.each(["SECRET_KEY", "SECRET_KEY_PREVIOUS", "IDENTITY_SECRET"])(
  "%s of 31 bytes is refused at the start",
  async (name) => {
    const env = { SECRET_KEY: "x".repeat(32), [name]: `${"é".repeat(15)}x` };
    const { exitCode, stderr } = await run([], { env });
    expect(exitCode).toBe(1);
    expect(stderr).toMatch(new RegExp(`${name} must have at least 32 bytes`));
    expect(stderr).not.toContain("é");
  },
);

describe("as README.md shows it", () => {
  const shown = (language: string) => {
    const [, text = ""] =
      new RegExp(`^\`\`\`${language} identity\\n([\\s\\S]*?)^\`\`\``, "m").exec(readme) ?? [];
    return text.replaceAll('"acme"', '"shop"');
  };
  const readme = readFileSync(join(repository, "README.md"), "utf8");
  const user = { id: "7", name: "Ann", email: "ann@shop.example" };
  const ways: [language: string, program: string, last: string][] = [
    [
      "js",
      process.execPath,
      `console.log(identity(${JSON.stringify(user)}), userHash("7"), identity({ id: "7" }));`,
    ],
    ["python", "python3", `print(identity("7", "Ann", "ann@shop.example"), user_hash("7"), identity("7"))`],
  ];

  test.each(ways)("in %s, a JWT and a hash are made", async (language, program, last) => {
    if (!Bun.which(program))
      return leftOut(`the identity of README.md in ${language}`, `${program} is needed`);
    const script = join(temporaryFolder(), `identity.${language}`);
    writeFileSync(script, `${shown(language)}\n${last}\n`);
    const child = Bun.spawn([program, script], { env: { ...process.env, IDENTITY_SECRET: secret } });
    const [full, hash, bare] = (await new Response(child.stdout).text()).trim().split(" ");
    for (const body of [{ identity: full }, { identity: bare }, { user_id: "7", user_hash: hash }])
      expect(await vouched(body)).toMatchObject({ user_id: "7", anonymous: false });
  });
});
