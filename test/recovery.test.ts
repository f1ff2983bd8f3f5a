// Processes that die, come back or were only asleep: whose turn it is then, and what becomes of it.
import { beforeAll, describe, expect, test } from "bun:test";
import { askHere, type Fleet, fleet, settled, shortLease } from "./fleet.ts";
import { answer, type Step } from "./model.ts";
import type { Server } from "./server.ts";
import { siteOf } from "./site.ts";
import { until } from "./support.ts";

const silence: Step = { hold: new Promise(() => {}) };

/** Waits until the text has come as far into the database, where it outlives the process. */
const saved = (sql: Fleet["sql"], id: string, text: string) =>
  until(
    async () =>
      (await sql`select from turns where id = ${id} and parts -> 0 ->> 'text' = ${text}`).length > 0,
    "the text is checkpointed",
  );

describe("an instance that is started again in its folder", () => {
  // With a lease that no test would sit out.
  let ground: Fleet;
  beforeAll(async () => {
    ground = await fleet({ LEASE_MS: "600000" });
  });

  test("does not wait for the lease of what it ran: the spoken is interrupted, the silent run again", async () => {
    const { model, sql, start } = ground;
    const first = await start();
    const site = siteOf(first.url);
    const token = await site.visitor();
    model.next([{ text: "So far" }, silence]);
    model.next([silence]);
    const spoken = await site.begin(token, "Speak");
    await saved(sql, spoken.id, "So far");
    const silent = await site.begin(token, "Think");
    await until(() => model.calls.length === 2, "both are asked");
    first.kill("SIGKILL");
    await first.exited;

    const again = siteOf((await start({ cwd: first.cwd })).url);
    expect(await settled(again, token, spoken.id)).toMatchObject({ status: "interrupted", answer: "So far" });
    expect(await settled(again, token, silent.id)).toMatchObject({ status: "done", answer: "echo: Think" });
  });

  test("beside another in the same folder takes nothing from that one", async () => {
    const { model, start } = ground;
    const first = await start();
    const site = siteOf(first.url);
    const token = await site.visitor();
    const gate = Promise.withResolvers<void>();
    model.next([{ text: "Still " }, { hold: gate.promise }, ...answer("here")]);
    const { id, reader } = await askHere(site, token, "Stay");
    await site.said(token, id, "Still ");

    const second = await start({ cwd: first.cwd });
    second.kill("SIGKILL");
    await second.exited;
    const third = await start({ cwd: first.cwd });
    expect(await siteOf(third.url).turn(token, id)).toMatchObject({ status: "running" });
    gate.resolve();
    expect(await reader).toMatchObject({ text: "Still here", terminal: { type: "finish" } });
  });
});

describe("an instance that sleeps past its lease", () => {
  let ground: Fleet;
  let sleeper: Server;
  let other: ReturnType<typeof siteOf>;
  beforeAll(async () => {
    ground = await fleet(shortLease);
    sleeper = await ground.start();
    other = siteOf((await ground.start()).url);
  });

  test("can write no more to its turns, ends them for its readers, and serves new ones", async () => {
    const { model, sql } = ground;
    const site = siteOf(sleeper.url);
    const token = await site.visitor();
    const gate = Promise.withResolvers<void>();
    const late = [{ hold: gate.promise }, ...answer(" and too late")];
    model.next([{ text: "Spoken" }, ...late]);
    model.next(late);
    const spoken = await askHere(site, token, "Speak");
    await saved(sql, spoken.id, "Spoken");
    const silent = await askHere(site, token, "Think");
    await until(() => model.calls.length === 2, "both are asked");

    sleeper.kill("SIGSTOP");
    expect(await settled(other, token, spoken.id)).toMatchObject({ status: "interrupted", answer: "Spoken" });
    expect(await settled(other, token, silent.id)).toMatchObject({ status: "done", answer: "echo: Think" });
    const rows = () => sql`select * from turns order by id`;
    const before = await rows();
    gate.resolve();
    sleeper.kill("SIGCONT");

    expect((await spoken.reader).terminal).toMatchObject({ type: "error", code: "interrupted" });
    expect((await silent.reader).terminal).toBeDefined();
    expect([...(await rows())]).toEqual([...before]);
    expect(await site.ask(token, "Awake?")).toMatchObject({ status: "done", answer: "echo: Awake?" });
  });

  test("gives who waits there for JSON the answer that the other made", async () => {
    const { model } = ground;
    const site = siteOf(sleeper.url);
    const token = await site.visitor();
    const calls = model.calls.length;
    const gate = Promise.withResolvers<void>();
    model.next([silence]);
    model.next([{ hold: gate.promise }, ...answer("At last")]);
    const waiting = site.ask(token, "Wait");
    await until(() => model.calls.length === calls + 1, "the model is asked");
    sleeper.kill("SIGSTOP");
    await until(() => model.calls.length === calls + 2, "it is asked again");
    sleeper.kill("SIGCONT");
    setTimeout(gate.resolve, 1_000);
    expect(await waiting).toMatchObject({ status: "done", answer: "At last" });
  });
});
