// Whatever follows on whatever in a turn's life, it ends once, and so does each of its readers' streams.
import { beforeAll, expect, test } from "bun:test";
import fc from "fast-check";
import { type Reader as Caller, Chat, type Opened, type Visitor } from "../src/chat/chat.ts";
import type { Chunk } from "../src/chat/chunks.ts";
import { follow } from "../src/chat/follow.ts";
import { Queue } from "../src/chat/queue.ts";
import { Runs } from "../src/chat/runs.ts";
import { load } from "../src/config/config.ts";
import { type Database, openDatabase } from "../src/db/db.ts";
import { migrate } from "../src/db/migrate.ts";
import { loadKeys } from "../src/identity/keys.ts";
import { sweep } from "../src/rows/claims.ts";
import { fleet } from "./fleet.ts";
import { recordEndings } from "./ledger.ts";
import type { ScriptedModel, Step } from "./model.ts";
import { atTheEnd, temporaryFolder, until, within } from "./support.ts";

/** What may happen to a turn; `at` is which of the two instances it happens through. */
const event = fc.oneof(
  fc.record({ what: fc.constant("follow"), at: fc.nat(1) }),
  fc.record({ what: fc.constant("stop"), at: fc.nat(1) }),
  fc.record({ what: fc.constant("disconnect"), at: fc.nat(1) }),
  // Its run is taken for dead: as after a crash or a sleep, with the old process still there to come back.
  fc.record({ what: fc.constant("crash"), at: fc.nat(1) }),
  fc.record({ what: fc.constant("say"), at: fc.constant(0) }),
  fc.record({ what: fc.constant("settle"), at: fc.constant(0) }),
  fc.record({ what: fc.constant("wait"), at: fc.nat(600) }),
);
type Event = { what: string; at: number };
const life = fc.array(event, { minLength: 1, maxLength: 8 });
const words = ["One ", "two ", "three ", "four ", "five "];
const whole = words.join("");

type Reader = { chunks: Chunk[]; gone: AbortController; over: Promise<void> };

let db: Database;
let model: ScriptedModel;
let chats: Chat[];
let visitor: Visitor & Caller;
/** The words and the end of each turn's answer, by its message: let go one after the other, on whatever call. */
const gates = new Map<string, PromiseWithResolvers<void>[]>();

beforeAll(async () => {
  const ground = await fleet();
  ({ model } = ground);
  db = openDatabase({ url: ground.databaseUrl, poolSize: 20 });
  atTheEnd(() => db.close());
  await migrate(db);
  await recordEndings(ground.sql);
  const { tenants } = load(temporaryFolder(), {
    LLM_BASE_URL: model.baseUrl,
    LLM_MODEL: "scripted",
    CONCURRENT_RUNS_PER_VISITOR_MAX: "1000",
    LIMIT_MESSAGES_PER_VISITOR: "off",
    LIMIT_MESSAGES_PER_TENANT: "off",
  });
  const keys = await loadKeys(db, undefined);
  chats = [1, 2].map(() => {
    const runs = new Runs(db, keys, { instanceId: Bun.randomUUIDv7(), leaseMs: 45_000 }, 100);
    const queue = new Queue(db, runs, tenants, true);
    atTheEnd(() => queue.close());
    atTheEnd(() => runs.drain(0));
    return new Chat(db, runs, queue);
  });
  const tenant = tenants.get("default");
  if (!tenant) throw new Error("there is no tenant");
  visitor = { tenant, userId: "ann", whose: "ann", address: undefined };
  model.always(({ messages }) => {
    const held = (gates.get(messages.at(-1)?.content ?? "") ?? []).map(({ promise }) => ({ hold: promise }));
    const end = { finish: "stop" };
    const script = [...words.map((text) => ({ text })), end].flatMap((step, i): Step[] => [
      held[i] as Step,
      step,
    ]);
    return [...script, { done: true }];
  });
});

/** Lives one turn's life; gives all that is wrong with it. */
async function live(events: Event[]): Promise<string[]> {
  const message = crypto.randomUUID();
  const gate = [...words, "end"].map(() => Promise.withResolvers<void>());
  gates.set(message, gate);
  let said = 0;
  const trace = { request_id: "r" };
  const question = {
    message,
    conversationId: undefined,
    replaces: undefined,
    idempotencyKey: undefined,
    trace,
  };
  const [first] = chats as [Chat, Chat];
  const gone = new AbortController();
  const opened = await first.open(
    visitor,
    { ...question, queue: false, detached: false, language: undefined, context: undefined },
    gone.signal,
  );
  const readers = [read(opened, gone)];

  for (const { what, at } of events) {
    const chat = chats[at] ?? first;
    if (what === "say") gate[said++]?.resolve();
    else if (what === "settle") for (const { resolve } of gate) resolve();
    else if (what === "wait") await Bun.sleep(at);
    else if (what === "stop") void chat.stop(visitor, opened.id);
    else if (what === "disconnect") readers[at]?.gone.abort();
    else if (what === "crash") await crash(opened.id);
    else {
      const gone = new AbortController();
      readers.push(read(await chat.find(visitor, opened.id, gone.signal), gone));
    }
  }
  for (const { resolve } of gate) resolve();
  await within(Promise.all(readers.map(({ over }) => over)), "every reader's stream ends");
  const ended = async () => (await first.snapshot(visitor, opened.id)).finished_at !== null;
  await until(ended, "the turn ends");
  await Bun.sleep(50); // time for a second end to happen
  return [...(await wrongInRow(opened.id)), ...readers.flatMap(wrongInReader)];
}

/** As sweep() does it, for one turn. */
async function crash(id: string): Promise<void> {
  const [row] = await db.system(
    (tx) => tx<{ instance_id: string }[]>`
      update turns set instance_id = gen_random_uuid() where id = ${id} and status = 'running' returning instance_id`,
  );
  if (row) await db.system((tx) => sweep(tx, { instanceId: row.instance_id }));
}

function read(opened: Opened, gone: AbortController): Reader {
  const chunks: Chunk[] = [];
  const forward = async () => {
    for await (const { chunk } of follow(opened, opened.answer, 0, gone.signal)) chunks.push(chunk);
  };
  return { chunks, gone, over: forward() };
}

async function wrongInRow(id: string): Promise<string[]> {
  const [row] = await db.system(
    (tx) => tx<{ endings: number; status: string; text: string }[]>`
      select t.status, coalesce(t.parts -> 0 ->> 'text', '') as text,
        (select count(*)::integer from endings e where e.turn_id = t.id) as endings
      from turns t where id = ${id}`,
  );
  if (!row) return ["the turn is gone"];
  return [
    ...(row.endings === 1 ? [] : [`the turn ended ${row.endings} times`]),
    ...(whole.startsWith(row.text) ? [] : [`what is stored is not what was said: ${row.text}`]),
    ...(row.status !== "done" || row.text === whole ? [] : ["the turn is done but not whole"]),
  ];
}

const terminals = ["finish", "abort", "error"];

function wrongInReader({ chunks, gone }: Reader): string[] {
  const ends = chunks.filter(({ type }) => terminals.includes(type));
  const text = chunks.map((chunk) => ("delta" in chunk ? chunk.delta : "")).join("");
  const last = chunks.at(-1)?.type ?? "";
  return [
    ...(ends.length === 1 || (gone.signal.aborted && ends.length === 0)
      ? []
      : [`${ends.length} ends for a reader`]),
    ...(ends.length === 0 || terminals.includes(last) ? [] : [`${last} after the end`]),
    ...(whole.startsWith(text) ? [] : [`a reader was told ${text}`]),
    ...(last !== "finish" || text === whole ? [] : ["a reader's stream finished but was not whole"]),
  ];
}

test("any interleaving of follow, stop, disconnect, crash and settle leaves one end for the turn and each reader", async () => {
  // Many lives at once, as most of each is waiting.
  const lives = fc.array(life, { minLength: 25, maxLength: 25 });
  await fc.assert(
    fc.asyncProperty(lives, async (all) => {
      const wrong = await Promise.all(all.map(async (events) => ({ events, wrong: await live(events) })));
      expect(wrong.filter(({ wrong }) => wrong.length > 0)).toEqual([]);
    }),
    { numRuns: 4, endOnFailure: true },
  );
});
