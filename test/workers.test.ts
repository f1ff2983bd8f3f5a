// Who runs which waiting turn: roles, order, fairness between sites, and bounds that hold over all instances together.
import { beforeAll, describe, expect, test } from "bun:test";
import { type Fleet, fleet, settled, shortLease } from "./fleet.ts";
import { answer, type Call, type Step } from "./model.ts";
import { run } from "./server.ts";
import { expectProblem, siteOf, type Turn } from "./site.ts";
import { until } from "./support.ts";

const silence: Step = { hold: new Promise(() => {}) };
const worker = { args: ["--role", "worker"] };
const web = { args: ["--role", "web"] };
const said = ({ body }: Call) => body.messages.at(-1)?.content;

describe("workers apart from web instances", () => {
  let ground: Fleet;
  let site: ReturnType<typeof siteOf>;
  let token: string;
  beforeAll(async () => {
    ground = await fleet(shortLease);
    site = siteOf((await ground.start(web)).url);
    token = await site.visitor();
  });

  test("a web instance answers who waits, and leaves what may wait to a worker, which serves nobody", async () => {
    const waiting = await site.begin(token, "Later");
    expect(await site.ask(token, "Now")).toMatchObject({ status: "done" });
    await Bun.sleep(1_000);
    expect(await site.turn(token, waiting.id)).toMatchObject({ status: "queued" });
    const { url, stop } = await ground.start(worker);
    expect(await settled(site, token, waiting.id)).toMatchObject({ status: "done", answer: "echo: Later" });
    expect((await siteOf(url).on("POST", "/visitors", { body: {} })).status).toBe(404);
    expect(await stop()).toBe(0);
  });

  test("a worker that dies leaves its turns to the next one", async () => {
    const { model, sql, start } = ground;
    const calls = model.calls.length;
    model.next([{ text: "Half" }, silence]);
    model.next([silence]);
    const victim = await start(worker);
    const spoken = await site.begin(token, "Speak");
    const saved = () => sql`select from turns where id = ${spoken.id} and parts <> '[]'`;
    await until(async () => (await saved()).length === 1, "the text is checkpointed");
    const silent = await site.begin(token, "Think");
    await until(() => model.calls.length === calls + 2, "both are asked");
    victim.kill("SIGKILL");
    await start(worker);
    expect(await settled(site, token, spoken.id)).toMatchObject({ status: "interrupted", answer: "Half" });
    expect(await settled(site, token, silent.id)).toMatchObject({ status: "done", answer: "echo: Think" });
  });
});

test("a role of its own needs a database of its own", async () => {
  for (const role of ["web", "worker"]) {
    const { exitCode, stderr } = await run(["--role", role]);
    expect([exitCode, stderr]).toEqual([
      1,
      expect.stringMatching(/^cip: --role \w+ needs DATABASE_URL: .+\.\n$/),
    ]);
  }
});

test("a site with much to do does not hold up another, and each is served in its order", async () => {
  const one = "CONCURRENT_RUNS_MAX=1";
  const { model, start } = await fleet({}, { many: one, few: one });
  const { url } = await start(web);
  const ask = async (tenant: string, count: number) => {
    const site = siteOf(url, tenant);
    const token = await site.visitor();
    for (let i = 0; i < count; i++) await site.begin(token, `${tenant} ${i}`);
  };
  await ask("many", 30);
  await ask("few", 3);
  model.always(() => [{ pauseMs: 20 }, ...answer("ok")]);
  await start(worker);
  await until(() => model.calls.length === 33, "all are answered", 20_000);
  const order = model.calls.map(said);
  for (const [tenant, count] of [["many", 30] as const, ["few", 3] as const])
    expect(order.filter((message) => message?.startsWith(tenant))).toEqual(
      Array.from({ length: count }, (_, i) => `${tenant} ${i}`),
    );
  expect(order.indexOf("few 2")).toBeLessThan(8);
});

describe("a site that may have three answers written at once", () => {
  let ground: Fleet;
  let sites: ReturnType<typeof siteOf>[];
  let token: string;
  beforeAll(async () => {
    const bounded = "CONCURRENT_RUNS_MAX=3\nQUEUE_WAIT_MS=400";
    ground = await fleet({}, { bounded, patient: "CONCURRENT_RUNS_MAX=3", free: "" });
    const urls = [(await ground.start()).url, (await ground.start()).url];
    sites = urls.map((url) => siteOf(url, "bounded"));
    token = await (sites[0] as (typeof sites)[0]).visitor();
  });
  const on = (tenant: string) => sites.map(({ url }) => siteOf(url, tenant));

  /** From now on: how many calls of the model there are at once, at most. */
  function countCalls(script: Step[]) {
    const calls = { now: 0, most: 0 };
    ground.model.always(() => {
      calls.most = Math.max(calls.most, ++calls.now);
      ground.model.calls.at(-1)?.ended.then(() => calls.now--);
      return script;
    });
    return calls;
  }

  test("never has more over two instances, whoever asks", async () => {
    const calls = countCalls([{ pauseMs: 60 }, ...answer("ok")]);
    const [a, b] = on("patient") as [Site, Site];
    const patient = await a.visitor();
    const asked: Promise<Turn>[] = [];
    for (let i = 0; i < 24; i++) {
      const site = i % 2 ? a : b;
      asked.push(i % 3 ? site.ask(patient, `${i}`) : site.begin(patient, `${i}`));
    }
    for (const { id } of await Promise.all(asked))
      expect(await settled(a, patient, id)).toMatchObject({ status: "done" });
    expect(calls.most).toBe(3);
  });

  test("sends away who has waited for room too long, and nothing of that is stored", async () => {
    const gate = Promise.withResolvers<void>();
    countCalls([{ hold: gate.promise }, ...answer("ok")]);
    const [a, b] = sites as [Site, Site];
    const before = ground.model.calls.length + 3;
    const running = [a, b, a].map((site, i) => site.ask(token, `${i}`));
    await until(() => ground.model.calls.length === before, "three run");
    for (const site of [a, b]) {
      const begun = performance.now();
      const response = await site.stream(token, "Me too");
      const waitedMs = performance.now() - begun;
      expect(waitedMs).toBeGreaterThan(390);
      expect(waitedMs).toBeLessThan(2_000);
      expect(Number(response.headers.get("retry-after"))).toBeGreaterThan(0);
      await expectProblem(response, 503, "too_many_turns");
    }
    expect((await a.conversations(token)).conversations).toHaveLength(3);
    expect(await ground.sql`select from turns where message = 'Me too'`).toHaveLength(0);
    expect(ground.model.calls).toHaveLength(before);

    const late = a.ask(token, "In time");
    setTimeout(gate.resolve, 150);
    expect(await late).toMatchObject({ status: "done" });
    for (const turn of await Promise.all(running)) expect(turn.status).toBe("done");
  });

  test("does not hold up a site without a bound", async () => {
    const gate = Promise.withResolvers<void>();
    const calls = countCalls([{ hold: gate.promise }, ...answer("ok")]);
    const [a, b] = on("free") as [Site, Site];
    const free = await a.visitor();
    const asked = Array.from({ length: 20 }, (_, i) => (i % 2 ? a : b).ask(free, `${i}`));
    await until(() => calls.now === 20, "all are asked at once", 2_000);
    gate.resolve();
    for (const turn of await Promise.all(asked)) expect(turn.status).toBe("done");
  });

  test("asks the model once for fifty requests under one key, on both instances", async () => {
    const calls = ground.model.calls.length;
    countCalls([{ text: "on" }, { pauseMs: 300 }, ...answer("ce")]);
    for (const conversation_id of [undefined, crypto.randomUUID()]) {
      const headers = { "idempotency-key": crypto.randomUUID(), accept: "application/json" };
      const body = { message: "Once", conversation_id };
      const asked = await Promise.all(
        Array.from({ length: 50 }, (_, i) =>
          (sites[i % 2] as Site).on("POST", "/turns", { token, headers, body }),
        ),
      );
      const turns = await Promise.all(
        asked.map(async (response) => (await response.json()) as { turn: Turn }),
      );
      expect(turns.map(({ turn }) => turn?.answer)).toEqual(Array(50).fill("once"));
      expect(new Set(turns.map(({ turn }) => turn.id)).size).toBe(1);
    }
    expect(ground.model.calls).toHaveLength(calls + 2);
  });
});

type Site = ReturnType<typeof siteOf>;
