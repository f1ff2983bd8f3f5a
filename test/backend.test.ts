// The tenant's backend, by its API key: it asks for the site's users, reads and changes what all of them wrote, and
// nothing of another site.
import { beforeAll, describe, expect, test } from "bun:test";
import { createHash, createHmac, randomBytes } from "node:crypto";
import { SignJWT } from "jose";
import { drain } from "./client.ts";
import { guardedRoutes, tryRoute } from "./routes.ts";
import { expectProblem, type Site, siteOf, startSite } from "./site.ts";
import { within } from "./support.ts";
import { openSocket } from "./websocket.ts";

const newKey = () => randomBytes(24).toString("base64url");
const [key, hashedKey, othersKey] = [newKey(), newKey(), newKey()];
const sha256 = (text: string) => createHash("sha256").update(text).digest("hex");
const secret = "the shop's secret, which is longer than 32 bytes";

let site: Site;
let acme: ReturnType<typeof siteOf>;
beforeAll(async () => {
  site = await startSite({
    tenants: {
      acme: `API_KEYS=${key}, sha256:${sha256(hashedKey)}\nIDENTITY_SECRET=${secret}`,
      globex: `API_KEYS=${othersKey}`,
      plain: "",
      read: `API_KEYS=${key}\nIDENTITY_SECRET=${secret}`,
      empty: `API_KEYS=${key}`,
    },
  });
  acme = siteOf(site.url, "acme");
});

const asked = (token: string, body: object, at = acme) =>
  at.on("POST", "/turns", {
    token,
    body: { message: "Hi", ...body },
    headers: { accept: "application/json" },
  });

async function ask(token: string, body: object, at = acme) {
  const answer = await asked(token, body, at);
  expect(answer.status).toBe(200);
  return ((await answer.json()) as { turn: { id: string; conversation_id: string } }).turn;
}

/** A token of a user that the site `read` vouches for. */
async function vouched(id: string, claims: object = {}): Promise<string> {
  const jwt = new SignJWT({ sub: id, aud: "read", ...claims });
  const identity = await jwt
    .setExpirationTime("1h")
    .setProtectedHeader({ alg: "HS256" })
    .sign(Buffer.from(secret));
  const answer = await siteOf(site.url, "read").on("POST", "/visitors", { body: { identity } });
  return ((await answer.json()) as { token: string }).token;
}

describe("an API key", () => {
  test("is known as it is and as its hash, beside others", async () => {
    for (const token of [key, hashedKey])
      expect((await acme.on("GET", "/conversations", { token })).status).toBe(200);
  });

  test.each([
    ["another site's", othersKey],
    ["one that nobody has", newKey()],
    ["a part of one", key.slice(0, -1)],
    ["more than one", `${key}A`],
    ["one in other letters", key.toUpperCase()],
    ["the stored hash itself", sha256(hashedKey)],
    ["the stored hash as it is written", `sha256:${sha256(hashedKey)}`],
    ["all of them", `${key},${hashedKey}`],
  ])("opens no route where it is %s", async (_name, token) => {
    for (const route of await guardedRoutes(site.url)) {
      const attempt = {
        tenant: "acme",
        token,
        more: route.name.endsWith("/turns") ? { user_id: "ann" } : {},
      };
      await expectProblem(await tryRoute(site.url, route, attempt), 401, "unauthorized");
    }
  });

  test("opens nothing on a site that has none, nor does none", async () => {
    const plain = siteOf(site.url, "plain");
    for (const token of [key, sha256(""), "undefined"])
      await expectProblem(await plain.on("GET", "/conversations", { token }), 401, "unauthorized");
  });

  test("opens every route that needs somebody, and the document says so", async () => {
    for (const route of await guardedRoutes(site.url)) {
      const { status } = await tryRoute(site.url, route, { tenant: "acme", token: key });
      expect(status, route.name).not.toBe(401);
      expect(route.security, route.name).toEqual([{ visitor: [] }, { backend: [] }]);
    }
  });

  test("is for the backend alone: it makes no visitor and opens no socket", async () => {
    const refused = await acme.on("POST", "/visitors", { token: key, body: {} });
    expect((await expectProblem(refused, 401, "unauthorized")).detail).toContain("user_id");
    const { closed } = await openSocket(site.url, key, "acme");
    expect(await within(closed, "the socket is closed")).toBe(4401);
  });
});

describe("asking for a user", () => {
  test("makes the conversation that user's, as if the site had vouched for it", async () => {
    const { conversation_id } = await ask(key, { user_id: "carol", message: "Where is my order?" });
    const hash = createHmac("sha256", secret).update("carol").digest("hex");
    const answer = await acme.on("POST", "/visitors", { body: { user_id: "carol", user_hash: hash } });
    const { token } = (await answer.json()) as { token: string };
    const { conversation, turns } = await acme.conversation(token, conversation_id);
    expect(conversation).toMatchObject({ user_id: "carol", anonymous: false });
    expect(turns).toMatchObject([{ message: "Where is my order?", status: "done" }]);
    // And on it goes, by either of them.
    await ask(token, { conversation_id });
    await ask(key, { user_id: "carol", conversation_id });
    expect((await acme.conversation(token, conversation_id)).turns).toHaveLength(3);
  });

  test("needs the user, and the right one", async () => {
    await expectProblem(await asked(key, {}), 422, "invalid_body");
    for (const user_id of ["", "a\nb", "x".repeat(201), 7])
      await expectProblem(await asked(key, { user_id }), 422, "invalid_body");
    const { conversation_id, id } = await ask(key, { user_id: "dave" });
    await expectProblem(await asked(key, { user_id: "erin", conversation_id }), 404, "not_found");
    await expectProblem(await asked(key, { user_id: "erin", replaces: id }), 404, "not_found");
  });

  test("never reaches an anonymous user, whatever the id", async () => {
    const token = await acme.visitor();
    const { conversation_id } = await acme.ask(token, "Nobody knows me");
    const [{ user_id } = { user_id: "" }] = (await acme.conversations(token)).conversations;
    await expectProblem(await asked(key, { user_id, conversation_id }), 404, "not_found");
  });

  test("is not for visitors, by HTTP or on a socket", async () => {
    const token = await acme.visitor();
    await expectProblem(await asked(token, { user_id: "carol" }), 422, "invalid_body");
    const { say } = await openSocket(site.url, token, "acme");
    const { error } = await say({ type: "turn", message: "Hi", user_id: "carol" });
    expect(error?.code).toBe("invalid_body");
  });
});

describe("reading", () => {
  let shop: ReturnType<typeof siteOf>;
  let ids: Record<"anonymous" | "ann" | "bob", string>;
  let anonymousId: string;
  let tokens: Record<"anonymous" | "ann" | "bob", string>;
  beforeAll(async () => {
    shop = siteOf(site.url, "read");
    tokens = {
      anonymous: await shop.visitor(),
      ann: await vouched("ann", { name: "Ann Example", email: "ann@shop.example" }),
      bob: await vouched("bob"),
    };
    const idOf = async (token: string) => (await shop.ask(token, "Hi")).conversation_id;
    ids = {
      anonymous: await idOf(tokens.anonymous),
      ann: await idOf(tokens.ann),
      bob: await idOf(tokens.bob),
    };
    const [mine] = (await shop.conversations(tokens.anonymous)).conversations;
    anonymousId = mine?.user_id ?? "";
  });
  const listed = async (query = "") => (await shop.conversations(key, query)).conversations;

  test("shows the conversations of all users, the newest first, with who they are", async () => {
    expect(await listed()).toMatchObject([
      { id: ids.bob, user_id: "bob", anonymous: false, name: null, email: null },
      { id: ids.ann, user_id: "ann", anonymous: false, name: "Ann Example", email: "ann@shop.example" },
      { id: ids.anonymous, user_id: anonymousId, anonymous: true, name: null, email: null },
    ]);
    const { conversation, turns } = await shop.conversation(key, ids.ann);
    expect(conversation).toMatchObject({ user_id: "ann", name: "Ann Example", email: "ann@shop.example" });
    expect(turns).toMatchObject([{ message: "Hi", status: "done" }]);
  });

  test("tells a visitor of itself only what it is called by", async () => {
    const [mine] = (await shop.conversations(tokens.ann)).conversations;
    expect(mine).toMatchObject({ user_id: "ann", anonymous: false });
    expect(Object.keys(mine ?? {})).not.toContain("name");
    expect(Object.keys((await shop.conversation(tokens.ann, ids.ann)).conversation)).not.toContain("email");
  });

  test("goes page by page through each conversation once", async () => {
    const seen: string[] = [];
    let before = "";
    do {
      const page = await shop.conversations(key, `?limit=1${before && `&before=${before}`}`);
      seen.push(...page.conversations.map(({ id }) => id));
      before = page.next_cursor ?? "";
    } while (before);
    expect(seen).toEqual([ids.bob, ids.ann, ids.anonymous]);
  });

  test("is narrowed to one user, of one kind", async () => {
    const idsOf = async (query: string) => (await listed(query)).map(({ id }) => id);
    expect(await idsOf("?user_id=ann")).toEqual([ids.ann]);
    expect(await idsOf("?user_id=ann&anonymous=false")).toEqual([ids.ann]);
    expect(await idsOf(`?user_id=${anonymousId}&anonymous=true`)).toEqual([ids.anonymous]);
    expect(await idsOf(`?user_id=${anonymousId}`)).toEqual([]);
    for (const id of ["ann", "user:ann"]) {
      const answer = shop.on("GET", `/conversations?user_id=${id}&anonymous=true`, { token: key });
      await expectProblem(await answer, 404, "not_found"); // an anonymous user's id is a UUID
    }
  });

  test("is narrowed to a time, its beginning included and its end not", async () => {
    const [bob, ann] = await listed();
    const at = (name: string, time = "") => `${name}=${encodeURIComponent(time)}`;
    const idsOf = async (...query: string[]) => (await listed(`?${query.join("&")}`)).map(({ id }) => id);
    expect(await idsOf(at("since", bob?.updated_at))).toEqual([ids.bob]);
    expect(await idsOf(at("until", ann?.updated_at))).toEqual([ids.anonymous]);
    expect(await idsOf(at("since", ann?.updated_at), at("until", bob?.updated_at))).toEqual([ids.ann]);
    expect(await idsOf("since=2020-01-01", "until=2020-01-02")).toEqual([]);
    expect(await idsOf("since=0001-01-01", "until=9999-12-31T23:59:59.999Z")).toHaveLength(3);
    expect(await idsOf("since=2024-02-29", "until=0000-12-31T23:30:00-01:00")).toEqual([]);
    const inIndia = new Date(Date.parse(bob?.updated_at ?? "") + 5.5 * 3_600_000).toISOString();
    expect(await idsOf(at("since", inIndia.replace("Z", "+05:30")))).toEqual([ids.bob]);
  });

  test.each([
    ["since=yesterday"],
    ["since=2025-13-01"],
    ["until=2025-01-01T10:00"],
    ["since=-271821-04-20T00:00:00Z"],
    ["since=2026-02-30"],
    ["until=2026-06-31T12:00:00Z"],
    // Not every year that a Date can have is one to PostgreSQL.
    ["until=0000-01-01"],
    ["since=0000-12-31T23:59:59Z"],
    ["since=0001-01-01T00:00:00%2B01:00"],
    ["since=9999-12-31T23:59:59-23:59"],
    ["anonymous=true"],
    ["user_id=ann&anonymous=maybe"],
    ["user_id="],
    ["user_id=%00"],
    [`user_id=${"x".repeat(201)}`],
  ])("refuses %s", async (query) => {
    await expectProblem(await shop.on("GET", `/conversations?${query}`, { token: key }), 400, "bad_request");
  });

  test.each([
    ["since=yesterday", "since: Expected text as 2026-01-31 or 2026-01-31T12:00:00Z"],
    ["user_id=%00", "user_id: Expected text as 42 or ann@shop.example"],
    ["anonymous=maybe", "anonymous: Expected true or false"],
    ["limit=101", "limit: Expected integer to be less or equal to 100"],
    ["limit=many", "limit: Expected integer"],
  ])("says in words what is wrong with %s", async (query, detail) => {
    const answer = shop.on("GET", `/conversations?${query}`, { token: key });
    expect((await expectProblem(answer, 400, "bad_request")).detail).toBe(detail);
  });

  test("is narrowed by the backend only", async () => {
    for (const query of [
      "user_id=ann",
      "user_id=bob",
      "anonymous=true",
      "since=2020-01-01",
      "until=2030-01-01",
    ]) {
      const answer = shop.on("GET", `/conversations?${query}`, { token: tokens.ann });
      await expectProblem(await answer, 400, "bad_request");
    }
  });

  test("follows what the site says of a user, and keeps what it no longer says", async () => {
    const token = await vouched("frank", { name: "Frank", email: "frank@shop.example" });
    const { conversation_id } = await shop.ask(token, "Hi");
    const known = async () => {
      const { name, email } = (await shop.conversation(key, conversation_id)).conversation;
      return [name, email];
    };
    expect(await known()).toEqual(["Frank", "frank@shop.example"]);
    await vouched("frank", { name: "Frank N." });
    expect(await known()).toEqual(["Frank N.", "frank@shop.example"]);
    await vouched("frank", { email: "f@shop.example" });
    expect(await known()).toEqual(["Frank N.", "f@shop.example"]);
    await vouched("frank", { name: "", email: null });
    expect(await known()).toEqual(["Frank N.", "f@shop.example"]);
  });

  test("is followed by changing: it renames, deletes, follows and stops what any user has", async () => {
    const { conversation_id, id } = await shop.ask(tokens.bob, "Hi");
    expect((await shop.rename(key, conversation_id, "Bob's")).title).toBe("Bob's");
    expect((await drain(await shop.follow(key, id))).text).toBe((await shop.turn(key, id)).answer);

    const { release } = site.hold([{ text: "I go on" }]);
    const running = await shop.begin(tokens.bob, "Go on", { conversation_id });
    await shop.said(key, running.id, "I go on");
    expect(await shop.stop(key, running.id)).toMatchObject({ status: "stopped", answer: "I go on" });
    release();

    expect((await shop.on("DELETE", `/conversations/${conversation_id}`, { token: key })).status).toBe(204);
    await expectProblem(await shop.on("GET", `/turns/${id}`, { token: tokens.bob }), 404, "not_found");
  });
});

test("two sites' backends see their own users' conversations only, though the users have one name", async () => {
  const globex = siteOf(site.url, "globex");
  const { conversation_id, id } = await ask(othersKey, { user_id: "ann", message: "Mine" }, globex);
  const own = siteOf(site.url, "empty");
  expect(await own.conversations(key)).toEqual({ conversations: [], next_cursor: null });
  for (const path of [`/conversations/${conversation_id}`, `/turns/${id}`, `/turns/${id}/stream`])
    await expectProblem(await own.on("GET", path, { token: key }), 404, "not_found");
  await expectProblem(
    await own.on("DELETE", `/conversations/${conversation_id}`, { token: key }),
    404,
    "not_found",
  );
  expect((await globex.conversations(othersKey)).conversations).toHaveLength(1);
});
