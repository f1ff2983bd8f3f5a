// How much visitors may spend: tokens are reserved before the model is asked, never too many of them, and settled on
// what was used.
import { beforeAll, beforeEach, describe, expect, test } from "bun:test";
import type { Tenant } from "../src/config/tenants.ts";
import type { Database } from "../src/db/db.ts";
import { CipError } from "../src/errors.ts";
import type { Keys } from "../src/identity/keys.ts";
import { budgetsOf, type Reservation, reserve, settle, sweep } from "../src/rows/budgets.ts";
import type { Ending, Part } from "../src/rows/turns.ts";
import { drain } from "./client.ts";
import { databases } from "./database.ts";
import { type Fleet, fleet } from "./fleet.ts";
import { answer, type Script } from "./model.ts";
import { opened, opening } from "./openings.ts";
import type { Server } from "./server.ts";
import { expectProblem, siteOf } from "./site.ts";
import { until } from "./support.ts";

describe.each(databases)("on %s", (_name, open) => {
  const keys = { holder: (_tenantId, whose) => `hash of ${whose}` } as Keys;
  let db: Database;
  let tenantId: string;
  beforeAll(async () => {
    db = await open();
  });
  beforeEach(() => {
    tenantId = `site-${Bun.randomUUIDv7()}`;
  });

  /** 100 tokens of answer at most, and 9 bytes of request, which count as 3 tokens. */
  const spender = (userId: string, dailyTokensMax?: number, dailyTokensPerVisitorMax?: number) => ({
    tenant: { limits: { dailyTokensMax, dailyTokensPerVisitorMax }, model: { maxTokens: 100 } } as Tenant,
    userId,
  });
  const messages = [{ role: "user" as const, content: "nine byte" }];
  const ask = (who: ReturnType<typeof spender>) =>
    db.tenant(tenantId, (tx) => reserve(tx, keys, who, messages));
  const reserved = async (who: ReturnType<typeof spender>) => {
    const outcome = await ask(who);
    if (outcome instanceof CipError || !outcome) throw new Error(`nothing is reserved: ${outcome}`);
    return outcome;
  };
  const end = (reservation: Reservation, ending: Ending, ...parts: Part[]) =>
    db.tenant(tenantId, (tx) => settle(tx, reservation, ending, parts));
  const used = async () => {
    const rows = await db.system(
      (tx) => tx<{ holder: string; tokens: string }[]>`
        select holder, tokens from budgets where tenant_id = ${tenantId}`,
    );
    return Object.fromEntries(
      rows.map(({ holder, tokens }) => [holder.replace("hash of ", "") || "all", Number(tokens)]),
    );
  };

  test("a request and its answer are reserved, for the visitor and for all of them", async () => {
    await reserved(spender("a", 1000, 1000));
    await reserved(spender("b", 1000, 1000));
    expect(await used()).toEqual({ a: 103, b: 103, all: 206 });
  });

  test("without a bound nothing is counted", async () => {
    expect(await ask(spender("a"))).toBeUndefined();
    await ask(spender("a", undefined, 1000));
    expect(await used()).toEqual({ a: 103 });
  });

  test("what does not fit is reserved of neither, and the refusal says when the day ends", async () => {
    await reserved(spender("a", 300, 205));
    expect(await ask(spender("a", 300, 205))).toMatchObject({
      code: "budget_exhausted",
      message: "What is left of your tokens of this day (UTC) is not enough.",
    });
    const refused = (await ask(spender("b", 205, 300))) as CipError;
    expect(refused.message).toBe("What is left of this site's tokens of this day (UTC) is not enough.");
    expect(refused.details.retryAfterSeconds).toBeWithin(1, 86_401);
    expect(await used()).toEqual({ a: 103, b: 0, all: 103 });
    await reserved(spender("b", 206, 103));
  });

  test("a budget that no request fits into is said to be one", async () => {
    const refused = (await ask(spender("a", 102))) as CipError;
    expect(refused.message).toBe(
      "One question and its answer may use 103 tokens, and the budget of a whole day is 102.",
    );
    expect(refused.details.retryAfterSeconds).toBeUndefined();
  });

  const said = (text: string): Part => ({ type: "text", text });
  const done = (usage: { input_tokens: number; output_tokens: number } | null): Ending => ({
    status: "done",
    finishReason: "stop",
    usage,
  });
  test.each<[string, Ending, Part[], number]>([
    ["on what the model reports", done({ input_tokens: 7, output_tokens: 5 }), [said("x".repeat(300))], 12],
    ["on more than was reserved", done({ input_tokens: 7, output_tokens: 500 }), [said("x")], 507],
    ["on request and answer where it reports nothing", done(null), [said("x".repeat(30))], 13],
    ["on reasoning too", done(null), [{ type: "reasoning", text: "é".repeat(30) }, said("xyz")], 24],
    ["on what had been said when it was stopped", { status: "stopped" }, [said("x".repeat(30))], 13],
    ["on the request where it was stopped before", { status: "stopped" }, [], 3],
    ["on what had been said when it failed", { status: "failed", code: "model_failed" }, [said("xyz")], 4],
    ["on nothing where it failed before", { status: "failed", code: "model_failed" }, [], 0],
    ["on what an interrupted answer had", { status: "interrupted" }, [said("xyz")], 4],
  ])("it is settled %s", async (_what, ending, parts, tokens) => {
    await end(await reserved(spender("a", 1000, 1000)), ending, ...parts);
    expect(await used()).toEqual({ a: tokens, all: tokens });
  });

  test("a new day has a new budget; what was begun before is settled on its own day", async () => {
    const reservation = await reserved(spender("a", 110));
    const yesterday = async () =>
      (
        await db.system(
          (tx) => tx<{ day: string; tokens: string }[]>`
            update budgets set day = day - 1 where tenant_id = ${tenantId} and day = ${reservation.day}::text::date
            returning day::text, tokens`,
        )
      )[0]?.day ?? "";
    expect(await ask(spender("a", 110))).toBeInstanceOf(CipError);
    const day = await yesterday();
    await reserved(spender("a", 110));
    await end({ ...reservation, day }, done({ input_tokens: 1, output_tokens: 1 }));
    const rows = await db.system(
      (tx) => tx`select tokens::integer from budgets where tenant_id = ${tenantId} order by day`,
    );
    expect([...rows]).toEqual([{ tokens: 2 }, { tokens: 103 }]);
  });

  test("a turn that will wait is refused where there is no room now, and reserves nothing", async () => {
    const wait = (who: ReturnType<typeof spender>) => {
      const budgets = budgetsOf(keys, who);
      const what = opening({ userId: who.userId, detached: true, tokens: 103, budgets });
      return opened(db.of(tenantId), what, { instanceId: Bun.randomUUIDv7(), leaseMs: 45_000 });
    };
    const waits = { id: expect.any(String) };
    expect(await wait(spender("a", 103, 103))).toEqual(waits);
    expect(await used()).toEqual({});
    await reserved(spender("a", 110, 1000));
    expect(await wait(spender("b", 110, 1000))).toMatchObject({ refused: "budget_exhausted", holder: "" });
    expect(await wait(spender("a", 1000, 110))).toMatchObject({ holder: "hash of a", tokens: 103 });
    expect(await wait(spender("b", 1000, 110))).toEqual(waits);
    expect(await wait(spender("b"))).toEqual(waits);
    const stored = await db.system((tx) => tx`select from turns where tenant_id = ${tenantId}`);
    expect(stored).toHaveLength(3);
  });

  test("days that nobody asks about any more are deleted", async () => {
    await reserved(spender("a", 1000));
    await db.system((tx) => tx`update budgets set day = day - 32 where tenant_id = ${tenantId}`);
    await reserved(spender("a", 1000));
    await db.system(
      (tx) =>
        tx`update budgets set day = day - 31 where tenant_id = ${tenantId} and day > now() - interval '2 days'`,
    );
    await reserved(spender("a", 1000));
    await db.system(sweep);
    const rows = await db.system((tx) => tx`select day from budgets where tenant_id = ${tenantId}`);
    expect(rows).toHaveLength(2);
  });
});

describe("two instances on one database", () => {
  const requests = 200;
  /** A request is 2 tokens (of the prompt and the message one each), its answer 1000 at most. */
  const each = 1002;
  const tenants = {
    site: `DAILY_TOKENS_MAX=${each * 5 + 1}`,
    visitor: `DAILY_TOKENS_PER_VISITOR_MAX=${each * 5 + 1}`,
    single: `DAILY_TOKENS_MAX=${each}`,
    tiny: "LLM_MAX_TOKENS=100\nDAILY_TOKENS_MAX=101",
    brief: "LLM_MAX_TOKENS=10\nDAILY_TOKENS_MAX=100000",
  };
  let crew: Fleet;
  let servers: Server[];
  beforeAll(async () => {
    crew = await fleet({ LLM_MAX_TOKENS: "1000", PROMPT_FILE: "prompt.md" }, tenants);
    const start = () => crew.start({ files: { "prompt.md": "Hi!" } });
    servers = await Promise.all([start(), start()]);
  });
  beforeEach(async () => {
    await crew.sql`delete from budgets`;
  });

  const site = (tenant: keyof typeof tenants, i = 0) => siteOf(servers[i % 2]?.url ?? "", tenant);
  const ask = (tenant: keyof typeof tenants, token: string, i = 0, headers: Record<string, string> = {}) =>
    site(tenant, i).on("POST", "/turns", { token, headers, body: { message: "Hi!" } });
  const later = { prefer: "respond-async" };
  const used = async (tenant: keyof typeof tenants) => {
    const rows = await crew.sql<{ tokens: string }[]>`
      select tokens from budgets where tenant_id = ${tenant}`;
    return rows.map(({ tokens }) => Number(tokens));
  };
  const toBeUsed = (tenant: keyof typeof tenants, tokens: number) =>
    until(async () => (await used(tenant))[0] === tokens, `${tokens} tokens are used`);
  /** Every answer waits until it is released. */
  const holdAll = () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    crew.model.always(() => [{ hold: promise }, ...answer("done")]);
    return resolve;
  };
  const script = (steps: Script) => crew.model.always(() => steps);

  test.each(["site", "visitor"] as const)("of a %s's budget no token is reserved twice", async (tenant) => {
    const release = holdAll();
    const calls = crew.model.calls.length;
    const tokens = await Promise.all(Array.from({ length: 20 }, (_, i) => site(tenant, i).visitor()));
    const asker = (i: number) => (tenant === "visitor" ? tokens[0] : tokens[i % 20]) as string;
    const answers = await Promise.all(Array.from({ length: requests }, (_, i) => ask(tenant, asker(i), i)));
    const accepted = answers.filter(({ status }) => status === 200);
    expect(accepted).toHaveLength(5);
    expect(await used(tenant)).toEqual([each * 5]);
    for (const response of answers.filter((response) => !accepted.includes(response))) {
      await expectProblem(response.clone(), 429, "budget_exhausted");
      expect(Number(response.headers.get("retry-after"))).toBeWithin(1, 86_401);
    }
    expect(crew.model.calls.length - calls).toBeLessThanOrEqual(5);
    release();
    await Promise.all(accepted.map((response) => drain(response)));
    await toBeUsed(tenant, 5 * 8);
    expect((await drain(await ask(tenant, asker(0)))).text).toBe("done");
    if (tenant === "visitor") expect((await ask(tenant, tokens[1] as string)).status).toBe(200);
  });

  test("the log says once that a site has used up its day, not each time, and nothing of a visitor", () => {
    const told = (server: Server | undefined) =>
      [...(server?.stderr() ?? "").matchAll(/"level":"warn".*"tenant_id":"(\w+)".*the day are used up/g)].map(
        ([, tenant]) => tenant,
      );
    // Of the 200 messages each has refused many.
    expect(servers.map(told)).toEqual([["site"], ["site"]]);
  });

  test("an answer is settled on what the model reports, else on what was sent and said", async () => {
    const token = await site("single").visitor();
    script([
      { text: "Hello!" },
      { finish: "stop" },
      { usage: { prompt_tokens: 90, completion_tokens: 9 } },
      { done: true },
    ]);
    await drain(await ask("single", token));
    await toBeUsed("single", 99);
    await crew.sql`delete from budgets`;
    script([{ text: "Hello!" }, { finish: "stop" }, { done: true }]);
    await drain(await ask("single", token));
    await toBeUsed("single", 4);
  });

  test("an answer whose conversation is deleted is settled as far as it came", async () => {
    script([{ text: "Hello!" }, { hold: new Promise(() => {}) }]);
    const token = await site("single").visitor();
    const response = await ask("single", token);
    const id = response.headers.get("location")?.split("/").at(-1) ?? "";
    const { conversation_id } = await site("single").said(token, id, "Hello!");
    await site("single", 1).on("DELETE", `/conversations/${conversation_id}`, { token });
    await toBeUsed("single", 2 + 2);
  });

  test("also where it ends before anybody has noticed that", async () => {
    const release = holdAll();
    const token = await site("single").visitor();
    const response = await ask("single", token);
    const id = response.headers.get("location")?.split("/").at(-1) ?? "";
    const { conversation_id } = await site("single").turn(token, id);
    // Every look at the turns that run waits for this lock, and so does the deletion; then the answer ends.
    await crew.sql.begin(async (tx) => {
      await tx`delete from conversations where tenant_id = 'single' and id = ${conversation_id}`;
      release();
      await until(
        async () =>
          (
            await crew.sql`select from pg_stat_activity where wait_event_type = 'Lock' and query ilike '%call do_batch%'`
          ).length > 0,
        "the end of the answer is to be stored",
      );
    });
    await drain(response);
    await toBeUsed("single", 7 + 1);
  });

  test("a model that refuses costs nothing", async () => {
    const token = await site("single").visitor();
    script({ status: 400 });
    for (let i = 0; i < 2; i++) {
      expect((await drain(await ask("single", token))).terminal).toMatchObject({ code: "model_rejected" });
      await toBeUsed("single", 0);
    }
  });

  test("a request that has its turn gets it again when nothing is left", async () => {
    const release = holdAll();
    const token = await site("single").visitor();
    const key = { "idempotency-key": "the-first" };
    const first = await ask("single", token, 0, key);
    await expectProblem(ask("single", token), 429, "budget_exhausted");
    const again = await ask("single", token, 1, key);
    expect([again.status, again.headers.get("location")]).toEqual([200, first.headers.get("location")]);
    release();
    expect((await drain(again)).turnId).toBe((await drain(first)).turnId);
  });

  test("a turn that is to wait is refused at once when nothing is left", async () => {
    const release = holdAll();
    const token = await site("single").visitor();
    const first = await ask("single", token);
    await expectProblem(ask("single", token, 1, later), 429, "budget_exhausted");
    release();
    await drain(first);
  });

  test("and one that finds nothing left when its time has come fails, and its reader is told why", async () => {
    const { on, ended } = site("single");
    const release = holdAll();
    const token = await site("single").visitor();
    const first = await ask("single", token);
    const turn = first.headers.get("location")?.split("/").at(-1) ?? "";
    const { conversation_id } = await site("single").turn(token, turn);
    await crew.sql`update budgets set tokens = 0`;
    const body = { message: "Hi!", conversation_id, queue: true };
    const second = await on("POST", "/turns", { token, body });
    const [id] = second.headers.get("location")?.split("/").slice(-1) ?? [""];
    await crew.sql`update budgets set tokens = 1000000`;
    release();
    expect((await drain(second)).terminal).toMatchObject({ type: "error", code: "budget_exhausted" });
    expect(await ended(token, id as string)).toMatchObject({
      status: "failed",
      error: { code: "budget_exhausted" },
    });
    await drain(first);
    const asked = on("POST", "/turns", { token, headers: { accept: "application/json" }, body });
    await expectProblem(asked, 429, "budget_exhausted");
  });

  test("a budget that no request fits into says so, and not to come back", async () => {
    const response = await ask("tiny", await site("tiny").visitor());
    expect(response.headers.get("retry-after")).toBeNull();
    const { detail } = await expectProblem(response, 429, "budget_exhausted");
    expect(detail).toContain("may use 102 tokens, and the budget of a whole day is 101.");
  });

  test("a model that will not stop is stopped, and its answer counted as far as it came", async () => {
    const { ask: read, visitor } = site("brief");
    const token = await visitor();
    const calls = crew.model.calls.length;
    script([
      ...Array.from({ length: 100 }, () => ({ text: "x".repeat(100) })),
      { hold: new Promise(() => {}) },
    ]);
    const turn = await read(token, "Hi!");
    expect(turn).toMatchObject({ status: "done", finish_reason: "length", usage: null });
    expect(turn.answer).toBe("x".repeat(700));
    expect(await crew.model.calls[calls]?.ended).toBe("broken");
    await toBeUsed("brief", 2 + Math.ceil(700 / 3));
  });
});
