// A run that ends and finds its turn no longer its own: its readers hear how the turn goes on, not how the run ended.
import { beforeAll, expect, test } from "bun:test";
import { Chat, type Question, type Reader, type Visitor } from "../src/chat/chat.ts";
import { follow } from "../src/chat/follow.ts";
import { Queue } from "../src/chat/queue.ts";
import { Runs } from "../src/chat/runs.ts";
import { load } from "../src/config/config.ts";
import { type Database, openDatabase } from "../src/db/db.ts";
import { migrate } from "../src/db/migrate.ts";
import { loadKeys } from "../src/identity/keys.ts";
import { sweep } from "../src/rows/claims.ts";
import { type ScriptedModel, scriptedModel } from "./model.ts";
import { postgresCluster } from "./postgres.ts";
import { atTheEnd, temporaryFolder, until, within } from "./support.ts";

let db: Database;
let model: ScriptedModel;
let visitor: Visitor & Reader;
let process: { runs: Runs; chat: Chat };
/** What happens to what is asked of the database for a tenant after its commit. */
let afterCommit: () => void = () => {};

beforeAll(async () => {
  model = await scriptedModel();
  const real = openDatabase({ url: await (await postgresCluster()).createDatabase(), poolSize: 5 });
  db = {
    ...real,
    of: (tenantId) => ({
      tenantId,
      async call(steps) {
        const result = await real.of(tenantId).call(steps);
        afterCommit();
        return result;
      },
    }),
  };
  atTheEnd(() => db.close());
  await migrate(db);
  const { tenants } = load(temporaryFolder(), { LLM_BASE_URL: model.baseUrl, LLM_MODEL: "scripted" });
  const tenant = tenants.get("default");
  if (!tenant) throw new Error("there is no tenant");
  visitor = { tenant, userId: "ann", whose: "ann", address: undefined };
  const lease = { instanceId: Bun.randomUUIDv7(), leaseMs: 45_000 };
  const runs = new Runs(db, await loadKeys(db, undefined), lease, 10_000);
  const queue = new Queue(db, runs, tenants, true);
  atTheEnd(() => queue.close());
  atTheEnd(() => runs.drain(0));
  process = { runs, chat: new Chat(db, runs, queue) };
});

async function ask(message: string) {
  const { signal } = new AbortController();
  const question: Question = {
    message,
    conversationId: undefined,
    replaces: undefined,
    queue: false,
    detached: false,
    idempotencyKey: undefined,
    language: undefined,
    context: undefined,
    trace: { request_id: "r" },
  };
  const opened = await process.chat.open(visitor, question, signal);
  const read = async () => {
    let text = "";
    let last = "";
    for await (const { chunk } of follow(opened, opened.answer, 0, signal)) {
      last = chunk.type;
      if ("delta" in chunk) text += chunk.delta;
    }
    return { text, last };
  };
  return { id: opened.id, reading: read() };
}

test("an answer whose storing was not acknowledged is told as it was stored", async () => {
  const gate = Promise.withResolvers<void>();
  model.next([{ text: "All of it." }, { hold: gate.promise }, { finish: "stop" }, { done: true }]);
  const { id, reading } = await ask("Hello?");
  let lost = 0;
  afterCommit = () => {
    afterCommit = () => {};
    lost++;
    throw new Error("the connection dropped after the commit");
  };
  gate.resolve();
  expect(await within(reading, "the reader hears the end")).toEqual({ text: "All of it.", last: "finish" });
  expect(lost).toBe(1);
  expect(await process.chat.snapshot(visitor, id)).toMatchObject({ status: "done" });
});

test("a silent run that this very process was thought dead for gives way to the next, which is the turn's", async () => {
  model.next([{ hold: new Promise(() => {}) }]);
  const second = Promise.withResolvers<void>();
  model.next([
    { text: "Here " },
    { hold: second.promise },
    { text: "I am." },
    { finish: "stop" },
    { done: true },
  ]);
  const before = model.calls.length;
  const { id, reading } = await ask("Are you there?");
  await until(() => model.calls.length > before, "the model is asked");
  expect(await db.system((tx) => sweep(tx, "all"))).toMatchObject([{ id, status: "queued" }]);
  await until(() => (process.runs.answerOf(id)?.length ?? 0) > 0, "the second run speaks");
  expect(await within(model.calls.at(-2)?.ended as Promise<string>, "the first call is let go")).toBe(
    "broken",
  );
  expect(process.runs.answerOf(id)?.length).toBe("Here ".length); // the first one's end did not take it along
  second.resolve();
  expect(await within(reading, "the reader hears the end")).toEqual({ text: "Here I am.", last: "finish" });
});

test("what was replaced while it ran in silence is not run again when its process dies", async () => {
  model.next([{ hold: new Promise(() => {}) }]);
  const { id, reading } = await ask("The old question");
  await db.system((tx) => tx`update turns set superseded_by = ${Bun.randomUUIDv7()} where id = ${id}`);
  expect(await db.system((tx) => sweep(tx, "all"))).toMatchObject([{ id, status: "interrupted" }]);
  expect((await within(reading, "the reader hears the end")).last).toBe("error");
});
