// How often visitors may come: buckets that are exact over instances, and what a client is told of them.
import { beforeAll, describe, expect, test } from "bun:test";
import { createHmac } from "node:crypto";
import { Gate } from "../src/chat/gate.ts";
import type { Database } from "../src/db/db.ts";
import { CipError } from "../src/errors.ts";
import type { Keys } from "../src/identity/keys.ts";
import { type Bucket, secondsOf, sweep } from "../src/rows/limits.ts";
import { ask } from "../src/rows/openings.ts";
import { canary } from "./canary.ts";
import { call, drain } from "./client.ts";
import { databases } from "./database.ts";
import { type Fleet, fleet } from "./fleet.ts";
import { answer } from "./model.ts";
import { opened, opening } from "./openings.ts";
import type { Server } from "./server.ts";
import { expectProblem, siteOf } from "./site.ts";
import { until } from "./support.ts";
import { openSocket } from "./websocket.ts";

describe.each(databases)("on %s", (_name, open) => {
  const keys = { holder: (_tenantId, whose) => `hash of ${whose.length}` } as Keys;
  const hourly = (count: number) => ({ count, periodMs: 3_600_000 });
  const few = { policy: "few", rate: hourly(3), whose: "somebody" };
  const many = { policy: "many", rate: hourly(100), whose: undefined };
  let db: Database;
  beforeAll(async () => {
    db = await open();
  });

  /** Through a gate of its own, which remembers nothing. */
  const takeFrom = async (tenantId: string, ...buckets: Bucket[]) => {
    const standing = await new Gate(db, keys).pass(tenantId, buckets);
    if (!standing) throw new Error("nothing was taken");
    return standing;
  };
  const pass = (tenantId: string, minutes: number) =>
    db.system(
      (tx) => tx`
        update buckets set full_at = full_at - ${minutes} * interval '1 minute' where tenant_id = ${tenantId}`,
    );

  test("a bucket gives what it holds, then one for each part of its period that passes", async () => {
    const remaining = [];
    for (let i = 0; i < 3; i++) remaining.push((await takeFrom("a", few)).remaining);
    expect(remaining).toEqual([2, 1, 0]);
    const refusal = { code: "too_many_requests", details: { standing: { bucket: few, remaining: 0 } } };
    await expect(takeFrom("a", few)).rejects.toMatchObject(refusal);
    await pass("a", 19);
    await expect(takeFrom("a", few)).rejects.toMatchObject(refusal);
    await pass("a", 1);
    expect((await takeFrom("a", few)).remaining).toBe(0);
    await expect(takeFrom("a", few)).rejects.toMatchObject(refusal);
    await pass("a", 10_000);
    expect((await takeFrom("a", few)).remaining).toBe(2);
  });

  test("who is refused learns when the next one is there, who is not when all are or, of none, the next", async () => {
    expect(secondsOf(await takeFrom("b", few))).toBe(20 * 60);
    expect(secondsOf(await takeFrom("b", few))).toBeWithin(39 * 60, 40 * 60 + 1);
    expect(secondsOf(await takeFrom("b", few))).toBeWithin(19 * 60, 20 * 60 + 1);
    const error = (await takeFrom("b", few).catch((error: unknown) => error)) as CipError;
    expect(error.details.retryAfterSeconds).toBeWithin(19 * 60, 20 * 60 + 1);
  });

  test("of several buckets one is taken from each or none from any, and the tightest is told", async () => {
    for (let i = 0; i < 3; i++) expect((await takeFrom("c", few, many)).bucket).toBe(few);
    for (let i = 0; i < 5; i++) await expect(takeFrom("c", many, few)).rejects.toThrow('"few" is reached');
    expect((await takeFrom("c", many)).remaining).toBe(96);
  });

  test("counts that do not divide the period are held exactly", async () => {
    const odd = { policy: "odd", rate: { count: 7, periodMs: 3_600_000 }, whose: undefined };
    const taken = await Promise.allSettled(Array.from({ length: 20 }, () => takeFrom("d", odd)));
    expect(taken.filter(({ status }) => status === "fulfilled")).toHaveLength(7);
  });

  test("a limit that was made smaller waits no longer than its own period", async () => {
    for (let i = 0; i < 3; i++) await takeFrom("e", few);
    const smaller = { ...few, rate: { count: 1, periodMs: 60_000 } };
    const error = await takeFrom("e", smaller).catch((error: unknown) => error);
    expect(error).toMatchObject({ details: { retryAfterSeconds: 60 } });
  });

  test("a tenant's buckets are its own, and say nothing of whose they are", async () => {
    for (const tenantId of ["f", "g"]) expect((await takeFrom(tenantId, few)).remaining).toBe(2);
    const rows = await db.system(
      (tx) => tx<{ name: string }[]>`select name from buckets where tenant_id = 'f'`,
    );
    expect(rows.map(({ name }) => name)).toEqual(["few hash of 8"]);
  });

  test("who is refused and goes on asking does not reach the database", async () => {
    const gate = new Gate(db, keys);
    for (let i = 0; i < 3; i++) await gate.pass("i", [few]);
    await expect(gate.pass("i", [few])).rejects.toThrow('"few" is reached');
    await db.system((tx) => tx`delete from buckets where tenant_id = 'i'`);
    await expect(gate.pass("i", [many, few])).rejects.toThrow('"few" is reached');
    expect(await db.system((tx) => tx`select from buckets where tenant_id = 'i'`)).toHaveLength(0);
    expect((await gate.pass("i", [many]))?.remaining).toBe(99);
    expect((await takeFrom("i", few)).remaining).toBe(2);
  });

  test("who comes in hundreds at once holds one connection, and is refused from memory after the first time", async () => {
    let now = 0;
    let most = 0;
    let all = 0;
    const counted: Database = {
      ...db,
      of: (tenantId) => ({
        tenantId,
        call: async (steps) => {
          all++;
          most = Math.max(most, ++now);
          return db
            .of(tenantId)
            .call(steps)
            .finally(() => now--);
        },
      }),
    };
    const gate = new Gate(counted, keys);
    const come = (bucket: Bucket) => Array.from({ length: 300 }, () => gate.pass("l", [bucket, many]));
    const came = await Promise.allSettled(come(few));
    expect(came.filter(({ status }) => status === "fulfilled")).toHaveLength(3);
    expect({ most, all }).toEqual({ most: 1, all: 4 });
  });

  test("who stands behind one that finds no database does not wait to find none", async () => {
    let tries = 0;
    const away: Database = {
      ...db,
      of: (tenantId) => ({
        tenantId,
        call: async () => {
          tries++;
          await Bun.sleep(50);
          throw new CipError("database_unavailable");
        },
      }),
    };
    const gate = new Gate(away, keys);
    const came = await Promise.allSettled(Array.from({ length: 100 }, () => gate.pass("m", [few])));
    expect(came.filter(({ status }) => status === "rejected")).toHaveLength(100);
    expect(tries).toBe(1);
    await expect(gate.pass("m", [few])).rejects.toThrow("database");
    expect(tries).toBe(2);
  });

  test("and passes again once the time has come", async () => {
    const gate = new Gate(db, keys);
    const brief = { policy: "brief", rate: { count: 1, periodMs: 1_000 }, whose: undefined };
    const passes = () =>
      gate.pass("k", [brief]).then(
        () => true,
        () => false,
      );
    await until(async () => !(await passes()), "it is refused");
    await until(passes, "it passes again");
  });

  test("what is known passes, though nothing is left, and takes nothing", async () => {
    const gate = new Gate(db, keys);
    const lease = { instanceId: Bun.randomUUIDv7(), leaseMs: 45_000 };
    const pass = (bucket: Bucket, key?: string) => {
      const idempotency = key === undefined ? undefined : { key, requestHash: "asked" };
      const admission = { reads: [], messages: [bucket], userId: "ann", idempotency };
      return gate.admit("j", admission, () => ask(db.of("j"), keys, { admission }, lease));
    };
    const idempotency = { key: "k", requestHash: "asked" };
    const stored = await opened(db.of("j"), opening({ userId: "ann", idempotency }), lease);
    for (let i = 0; i < 3; i++) await pass(few);
    await expect(pass(few)).rejects.toThrow('"few" is reached');
    await expect(pass(few, "another")).rejects.toThrow('"few" is reached');
    const { id } = stored as { id: string };
    expect(await pass(few, "k")).toMatchObject({ known: { id }, standing: undefined });
    expect(await pass(many, "k")).toMatchObject({ known: { id }, standing: undefined });
    expect((await pass(many, "another")).standing?.remaining).toBe(99);
  });

  test("full buckets are cleared away, the others stay", async () => {
    await takeFrom("h", few, many);
    await db.system((tx) => tx`update buckets set full_at = now() - interval '1 second' where name = 'many'`);
    expect(await db.system(sweep)).toBe(false);
    const rows = await db.system(
      (tx) => tx<{ name: string }[]>`select name from buckets where tenant_id = 'h'`,
    );
    expect(rows.map(({ name }) => name)).toEqual(["few hash of 8"]);
    expect((await takeFrom("h", few, many)).remaining).toBe(1);
  });
});

describe("two instances on one database", () => {
  const held = 10;
  const requests = 200;
  const apiKey = "k".repeat(40);
  const secret = canary("IDENTITY_SECRET");
  const tenants = {
    visitor: `LIMIT_MESSAGES_PER_VISITOR=${held}/1h`,
    address: `LIMIT_MESSAGES_PER_ADDRESS=${held}/1h`,
    site: `LIMIT_MESSAGES_PER_TENANT=${held}/1h`,
    newcomers: `LIMIT_VISITORS_PER_ADDRESS=${held}/1h`,
    reads: `LIMIT_READS_PER_VISITOR=${held}/1h`,
    quick: "LIMIT_MESSAGES_PER_VISITOR=5/2s",
    runs: "CONCURRENT_RUNS_PER_VISITOR_MAX=3",
    once: "LIMIT_MESSAGES_PER_VISITOR=1/1h",
    alone: "CONCURRENT_RUNS_PER_VISITOR_MAX=1",
    socket: "LIMIT_MESSAGES_PER_VISITOR=1/1h\nLIMIT_READS_PER_VISITOR=1/1h",
    keyed: "LIMIT_READS_PER_VISITOR=3/1h",
    vouched: `IDENTITY_SECRET=${secret}\nLIMIT_READS_PER_VISITOR=2/1h`,
    open: "CONNECTIONS_PER_VISITOR_MAX=2",
    near: "CONNECTIONS_PER_ADDRESS_MAX=3",
    backend: `API_KEYS=${apiKey}
      LIMIT_READS_PER_VISITOR=1/1h
      LIMIT_MESSAGES_PER_ADDRESS=1/1h
      LIMIT_MESSAGES_PER_VISITOR=2/1h`,
  };
  let crew: Fleet;
  let urls: string[];
  beforeAll(async () => {
    crew = await fleet({ TRUSTED_PROXIES: "1" }, tenants);
    const servers = await Promise.all([crew.start(), crew.start()]);
    urls = servers.map(({ url }) => url);
  });

  const site = (tenant: keyof typeof tenants, i = 0) => siteOf(urls[i % 2] as string, tenant);
  const from = (i: number) => ({ "x-forwarded-for": `198.51.100.${i}` });
  const ask = (
    tenant: keyof typeof tenants,
    token: string,
    i: number,
    headers: Record<string, string> = {},
  ) =>
    site(tenant, i).on("POST", "/turns", {
      token,
      headers: { prefer: "respond-async", ...headers },
      body: { message: `message ${i}` },
    });
  const visitors = (tenant: keyof typeof tenants, count: number) =>
    Promise.all(Array.from({ length: count }, (_, i) => site(tenant, i).visitor()));
  const race = (request: (i: number) => Promise<Response>) =>
    Promise.all(Array.from({ length: requests }, (_, i) => request(i)));

  /** As many were accepted as there may be; the others are told so in full. */
  async function expectExactly(answers: Response[], accepted: number, status: number, policy: string) {
    const refused = answers.filter((response) => response.status !== status);
    expect(answers.length - refused.length).toBe(accepted);
    for (const response of refused) {
      await expectProblem(response.clone(), 429, "too_many_requests");
      const retryAfter = response.headers.get("retry-after");
      expect(retryAfter).toMatch(/^[1-9]\d*$/);
      expect(response.headers.get("ratelimit-policy")).toBe(`"${policy}";q=${held};w=3600`);
      expect(response.headers.get("ratelimit")).toBe(`"${policy}";r=0;t=${retryAfter}`);
    }
    const told = answers.filter(
      (response) => response.status === status && response.headers.has("ratelimit"),
    );
    return told
      .map((response) => Number(/r=(\d+)/.exec(response.headers.get("ratelimit") ?? "")?.[1]))
      .sort();
  }
  const countdown = Array.from({ length: held }, (_, i) => i);

  test("a visitor's messages are never one too many", async () => {
    const [token = ""] = await visitors("visitor", 1);
    const answers = await race((i) => ask("visitor", token, i, from(i)));
    expect(await expectExactly(answers, held, 202, "visitor")).toEqual(countdown);
    const [other = ""] = await visitors("visitor", 1);
    expect((await ask("visitor", other, 0)).status).toBe(202);
  });

  test("nor those from one address", async () => {
    const tokens = await visitors("address", 20);
    const answers = await race((i) => ask("address", tokens[i % 20] as string, i, from(1)));
    expect(await expectExactly(answers, held, 202, "address")).toEqual(countdown);
    expect((await ask("address", tokens[0] as string, 0, from(2))).status).toBe(202);
  });

  test("nor those of a whole site", async () => {
    const tokens = await visitors("site", 20);
    const answers = await race((i) => ask("site", tokens[i % 20] as string, i, from(i)));
    expect(await expectExactly(answers, held, 202, "site")).toEqual(countdown);
    const [other = ""] = await visitors("visitor", 1);
    expect((await ask("visitor", other, 0)).status).toBe(202);
  });

  test("nor new visitors from one address; who is known may still come for a new token", async () => {
    const [token = ""] = await visitors("newcomers", 1);
    const come = (i: number, headers: Record<string, string>, token?: string) =>
      site("newcomers", i).on("POST", "/visitors", { token, headers, body: {} });
    const answers = await race((i) => come(i, from(1)));
    expect(await expectExactly(answers, held, 201, "new-visitors")).toEqual(countdown);
    expect((await come(0, from(1), token)).status).toBe(201);
    expect((await come(0, from(2))).status).toBe(201);
  });

  test("nor the other requests of a visitor", async () => {
    const [token = ""] = await visitors("reads", 1);
    const answers = await race((i) => site("reads", i).on("GET", "/conversations", { token }));
    await expectExactly(answers, held, 200, "reads");
    expect((await ask("reads", token, 0)).status).toBe(202);
  });

  test("after the time that a refusal names it works again", async () => {
    const [token = ""] = await visitors("quick", 1);
    const answers = await race((i) => ask("quick", token, i));
    const refused = answers.filter(({ status }) => status === 429);
    expect(refused.length).toBeGreaterThan(0);
    await Bun.sleep(Number(refused.at(-1)?.headers.get("retry-after")) * 1000);
    expect((await ask("quick", token, 0)).status).toBe(202);
  });

  test("unfinished answers of a visitor are never one too many, and finished ones make room", async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    crew.model.always(() => [{ hold: promise }, ...answer("done")]);
    const [token = "", other = ""] = await visitors("runs", 2);
    const answers = await race((i) => ask("runs", token, i));
    const refused = answers.filter(({ status }) => status !== 202);
    expect(refused).toHaveLength(requests - 3);
    for (const response of refused) {
      await expectProblem(response.clone(), 429, "too_many_runs");
      expect(response.headers.get("retry-after")).toMatch(/^[1-9]\d*$/);
    }
    expect((await ask("runs", other, 0)).status).toBe(202);
    resolve();
    await until(async () => (await ask("runs", token, 0)).status === 202, "there is room again");
  });

  test.each([
    ["once", "too_many_requests"],
    ["alone", "too_many_runs"],
  ] as const)("a request that has its turn gets it again, whatever is used up: %s", async (tenant, code) => {
    const { promise, resolve } = Promise.withResolvers<void>();
    crew.model.always(() => [{ hold: promise }, ...answer("done")]);
    const [token = ""] = await visitors(tenant, 1);
    const keyed = (i: number, key: string) =>
      site(tenant, i).on("POST", "/turns", {
        token,
        headers: { prefer: "respond-async", "idempotency-key": key },
        body: { message: "Hi" },
      });
    const first = await keyed(0, "first");
    const { turn } = (await first.json()) as { turn: { id: string } };
    for (const i of [0, 1]) {
      await expectProblem(keyed(i, "second"), 429, code);
      const again = await keyed(i, "first");
      expect([again.status, await again.json()]).toMatchObject([202, { turn: { id: turn.id } }]);
    }
    resolve();
  });

  test("a WebSocket is no way around them, and its errors say when to come back", async () => {
    const [token = ""] = await visitors("socket", 1);
    const socket = await openSocket(urls[0] as string, token, "socket");
    const said = await socket.say({ type: "turn", message: "Hi" });
    expect(said.terminal).toMatchObject({ type: "finish" });
    const limited = { code: "too_many_requests", status: 429, retry_after: expect.any(Number) };
    expect((await socket.say({ type: "turn", message: "Hi" })).error).toMatchObject(limited);
    await socket.say({ type: "follow", turn_id: said.turnId });
    expect((await socket.say({ type: "follow", turn_id: said.turnId })).error).toMatchObject(limited);
    expect((await socket.say({ type: "stop", turn_id: said.turnId })).error).toMatchObject(limited);
    socket.close();
  });

  test("an Idempotency-Key is no way around them: to look for it is to read", async () => {
    const [token = ""] = await visitors("keyed", 1);
    const socket = await openSocket(urls[1] as string, token, "keyed");
    const key = "one-and-the-same";
    const keyed = () => ask("keyed", token, 0, { "idempotency-key": key });
    expect([(await keyed()).status, (await keyed()).status]).toEqual([202, 202]);
    const asked = { type: "turn", message: "message 0", idempotency_key: key };
    expect((await socket.say(asked)).error).toBeUndefined();
    const limited = { code: "too_many_requests", detail: expect.stringContaining('"reads"') };
    expect((await socket.say(asked)).error).toMatchObject(limited);
    expect(await expectProblem(keyed(), 429, "too_many_requests")).toMatchObject(limited);
    await expectProblem(ask("keyed", token, 0, { "idempotency-key": "new" }), 429, "too_many_requests");
    expect((await ask("keyed", token, 0)).status).toBe(202);
    socket.close();
  });

  test("who the site vouches for gets a token as often as he may read", async () => {
    const come = (user_id: string) =>
      site("vouched").on("POST", "/visitors", {
        body: { user_id, user_hash: createHmac("sha256", secret).update(user_id).digest("hex") },
      });
    expect([(await come("ann")).status, (await come("ann")).status]).toEqual([201, 201]);
    await expectProblem(come("ann"), 429, "too_many_requests");
    expect((await come("bob")).status).toBe(201);
  });

  test("streams and sockets of a visitor are open in such number only, whatever they read; closed ones make room", async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    crew.model.always(() => [{ text: "One" }, { hold: promise }, ...answer("done")]);
    const [token = "", other = ""] = await visitors("open", 2);
    const { on, stream, said, follow } = site("open");
    const asked = await stream(token, "Hi");
    const id = asked.headers.get("location")?.split("/").at(-1) ?? "";
    const { conversation_id } = await said(token, id, "One");
    const leaving = new AbortController();
    const read = () => on("GET", `/turns/${id}/stream`, { token, signal: leaving.signal });
    expect((await read()).status).toBe(200);
    const tooMany = [
      () => follow(token, id),
      () => on("GET", `/conversations/${conversation_id}/stream`, { token }),
      () => stream(token, "Hi again"),
      () => on("POST", "/turns", { token, headers: { accept: "application/json" }, body: { message: "Hi" } }),
    ];
    for (const open of tooMany) {
      const response = await open();
      expect(response.headers.get("retry-after")).toMatch(/^[1-9]\d*$/);
      await expectProblem(response, 429, "too_many_requests");
    }
    expect(await (await openSocket(urls[0] as string, token, "open")).closed).toBe(1008);
    expect((await stream(other, "Hi")).status).toBe(200);
    leaving.abort();
    const socket = await until(async () => {
      const socket = await openSocket(urls[0] as string, token, "open");
      const code = await Promise.race([socket.closed, socket.say({ type: "stop", turn_id: "none" })]);
      return code !== 1008 && socket;
    }, "there is room for a socket");
    await expectProblem(follow(token, id), 429, "too_many_requests");
    socket.close();
    resolve();
    await drain(asked);
    for (let i = 0; i < 4; i++)
      await until(
        async () => (await site("open").on("GET", `/turns/${id}/stream`, { token }).then(drain)).terminal,
        "it is read",
      );
  });

  test("nor more from one address, and who has not said who it is counts too", async () => {
    const url = urls[0] as string;
    const sockets = await Promise.all([1, 2, 3].map(() => openSocket(url, undefined, "near")));
    expect(await (await openSocket(url, undefined, "near")).closed).toBe(1008);
    sockets[0]?.close();
    const [token = ""] = await visitors("near", 1);
    const socket = await until(async () => {
      const socket = await openSocket(url, token, "near");
      const code = await Promise.race([socket.closed, socket.say({ type: "stop", turn_id: "none" })]);
      return code !== 1008 && socket;
    }, "there is room for a socket");
    for (const one of [socket, ...sockets]) one.close();
  });

  test("a site's backend reads as it likes and has no address, but its users have their limits", async () => {
    const { on } = site("backend");
    const tell = (user_id: string) =>
      on("POST", "/turns", {
        token: apiKey,
        headers: { prefer: "respond-async" },
        body: { message: "Hi", user_id },
      });
    for (let i = 0; i < 3; i++) {
      expect((await on("GET", "/conversations", { token: apiKey })).status).toBe(200);
      expect((await tell(`user ${i}`)).status).toBe(202);
    }
    expect((await tell("user 0")).status).toBe(202);
    await expectProblem(tell("user 0"), 429, "too_many_requests");
  });
});

describe("where a request comes from", () => {
  const once = { LIMIT_VISITORS_PER_ADDRESS: "1/1h" };
  let crew: Fleet;
  beforeAll(async () => {
    crew = await fleet(once);
  });
  const come = ({ url }: Server, forwarded: string) =>
    call(url, "POST", "/v1/default/visitors", { headers: { "x-forwarded-for": forwarded }, body: {} });
  const statuses = async (server: Server, ...forwarded: string[]) => {
    const seen = [];
    for (const list of forwarded) seen.push((await come(server, list)).status);
    return seen;
  };

  test("without a trusted proxy nobody is believed, and the log says once what to set", async () => {
    const server = await crew.start();
    expect(await statuses(server, "192.0.2.1", "192.0.2.2", "192.0.2.3")).toEqual([201, 429, 429]);
    const log = () => `${server.stdout()}${server.stderr()}`;
    await until(() => log().includes("TRUSTED_PROXIES"), "it is logged");
    expect(log().split("TRUSTED_PROXIES")).toHaveLength(2);
  });

  test("behind one proxy what it added counts, and nothing before that", async () => {
    const server = await crew.start({ env: { TRUSTED_PROXIES: "1" } });
    expect(
      await statuses(
        server,
        "203.0.113.1",
        "203.0.113.2",
        "192.0.2.9, 203.0.113.1",
        "203.0.113.3, 203.0.113.2",
      ),
    ).toEqual([201, 201, 429, 429]);
    expect(await statuses(server, "2001:db8::1", "2001:db8::2", "2001:db8:0:1::1")).toEqual([201, 429, 201]);
  });

  test("behind two the entry before the last", async () => {
    const server = await crew.start({ env: { TRUSTED_PROXIES: "2" } });
    expect(
      await statuses(
        server,
        "203.0.113.11, 10.0.0.1",
        "192.0.2.9, 203.0.113.11, 10.0.0.1",
        "203.0.113.12, 10.0.0.1",
      ),
    ).toEqual([201, 429, 201]);
  });
});
