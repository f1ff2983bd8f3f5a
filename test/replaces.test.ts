// Answering again: a turn takes another one's place, what came after it leaves the conversation, and nothing is lost.
import { beforeAll, describe, expect, test } from "bun:test";
import postgres from "postgres";
import { answer } from "./model.ts";
import { expectProblem, type Site, startSite, type Turn } from "./site.ts";
import { until } from "./support.ts";

let site: Site;
let token: string;
beforeAll(async () => {
  site = await startSite();
  token = await site.visitor();
  const said = new Map<string, number>();
  // Each message is answered with itself and how often it has been asked.
  site.model.always(({ messages }) => {
    const message = messages.at(-1)?.content ?? "";
    said.set(message, (said.get(message) ?? 0) + 1);
    return answer(`${message} ${said.get(message)}`);
  });
});

const post = (body: object, headers: Record<string, string> = {}) =>
  site.on("POST", "/turns", { token, body, headers: { accept: "application/json", ...headers } });
const replaced = async (body: object) => {
  const response = await post(body);
  expect(response.status).toBe(200);
  return ((await response.json()) as { turn: Turn }).turn;
};

/** A conversation of some turns, each asked when the one before has ended. */
async function conversation(...messages: string[]): Promise<Turn[]> {
  const conversation_id = crypto.randomUUID();
  const turns: Turn[] = [];
  for (const message of messages) turns.push(await site.ask(token, message, { conversation_id }));
  return turns;
}

/** What the model was told last, without its instructions. */
const told = () =>
  site.model.calls
    .at(-1)
    ?.body.messages.slice(1)
    .map(({ content }) => content);
const shown = async (id: string) => (await site.conversation(token, id)).turns.map(({ answer }) => answer);

test("a turn without a message asks the replaced one's again, with what came before it", async () => {
  const [a, b] = (await conversation("a", "b")) as [Turn, Turn];
  const again = await replaced({ replaces: b.id });
  expect(again).toMatchObject({
    message: "b",
    answer: "b 2",
    versions: [b.id],
    superseded_by: null,
    conversation_id: b.conversation_id,
  });
  expect(told()).toEqual(["a", a.answer, "b"]);
  expect(await site.turn(token, b.id)).toEqual({ ...b, superseded_by: again.id });
  expect((await site.conversation(token, b.conversation_id)).turns).toEqual([a, again]);
});

test("a turn that was asked again and again names the newest fifty of those it replaced", async () => {
  const [first] = (await conversation("again")) as [Turn];
  const ids = Array.from({ length: 50 }, () => crypto.randomUUID());
  const sql = postgres(site.databaseUrl, { max: 1 });
  await sql`update turns set versions = ${sql.json(ids)} where id = ${first.id}`;
  await sql.end();
  expect((await replaced({ replaces: first.id })).versions).toEqual([...ids.slice(1), first.id]);
});

test("an edited message takes the place of the old one and of all that followed", async () => {
  const [c, d, e] = (await conversation("c", "d", "e")) as [Turn, Turn, Turn];
  const edited = await replaced({ replaces: d.id, message: "D" });
  expect(edited).toMatchObject({ message: "D", answer: "D 1", versions: [d.id] });
  expect(told()).toEqual(["c", c.answer, "D"]);
  for (const old of [d, e])
    expect(await site.turn(token, old.id)).toEqual({ ...old, superseded_by: edited.id });
  expect(await shown(c.conversation_id)).toEqual(["c 1", "D 1"]);
  const next = await site.ask(token, "f", { conversation_id: c.conversation_id });
  expect(next.versions).toEqual([]);
  expect(told()).toEqual(["c", "c 1", "D", "D 1", "f"]);
});

test("the first turn of a conversation can be replaced, again and again, and every version can be read", async () => {
  const chain = await conversation("g");
  for (let i = 2; i <= 4; i++) {
    const turn = await replaced({ replaces: chain.at(-1)?.id });
    expect(told()).toEqual(["g"]);
    expect(turn).toMatchObject({ answer: `g ${i}`, versions: chain.map(({ id }) => id) });
    chain.push(turn);
  }
  for (const [i, { id, answer }] of chain.entries()) {
    const superseded_by = chain[i + 1]?.id ?? null;
    expect(await site.turn(token, id)).toMatchObject({ answer, superseded_by });
  }
  expect(await shown(chain[0]?.conversation_id ?? "")).toEqual(["g 4"]);
});

test("an answer that failed is asked for again", async () => {
  site.model.next({ status: 400 });
  const conversation_id = crypto.randomUUID();
  const { turn_id } = await expectProblem(post({ message: "h", conversation_id }), 502, "model_rejected");
  expect(await replaced({ replaces: turn_id })).toMatchObject({ answer: "h 1", versions: [turn_id] });
  expect(await shown(conversation_id)).toEqual(["h 1"]);
});

describe("refused is to replace", () => {
  test("a turn that has been replaced: its successor is named", async () => {
    const [old, later] = (await conversation("i", "j")) as [Turn, Turn];
    const { id } = await replaced({ replaces: old.id });
    for (const replaces of [old.id, later.id]) {
      const problem = await expectProblem(post({ replaces, queue: true }), 409, "turn_replaced");
      expect(problem.turn_id).toBe(id);
    }
    expect(await shown(old.conversation_id)).toEqual(["i 2"]);
  });

  test("a turn that is being answered, unless one waits for it", async () => {
    const { releaseAll } = site.hold([{ text: "k" }]);
    const { id, conversation_id } = await site.begin(token, "k");
    await site.said(token, id, "k");
    expect(await expectProblem(post({ replaces: id }), 409, "turn_running")).toMatchObject({ turn_id: id });
    const waiting = replaced({ replaces: id, message: "K", queue: true });
    await until(async () => (await site.turn(token, id)).superseded_by !== null, "its place is taken");
    expect(await site.turn(token, id)).toMatchObject({ status: "running" });
    releaseAll();
    expect(await waiting).toMatchObject({ answer: "K 1", versions: [id] });
    expect(told()).toEqual(["K"]);
    expect(await site.turn(token, id)).toMatchObject({ status: "done", answer: "k" });
    expect(await shown(conversation_id)).toEqual(["K 1"]);
  });

  test("somebody else's turn, one that there is not, and what is no id", async () => {
    const [mine] = (await conversation("l")) as [Turn];
    const other = await site.visitor();
    for (const replaces of [mine.id, crypto.randomUUID(), "l"]) {
      const response = site.on("POST", "/turns", { token: other, body: { replaces } });
      await expectProblem(response, 404, "not_found");
    }
    expect(await site.turn(token, mine.id)).toEqual(mine);
  });

  test("a turn of another conversation than the one that is named", async () => {
    const [mine] = (await conversation("m")) as [Turn];
    const [other] = (await conversation("n")) as [Turn];
    for (const conversation_id of [other.conversation_id, crypto.randomUUID()])
      await expectProblem(post({ replaces: mine.id, conversation_id }), 422, "invalid_body");
    expect(await site.turn(token, mine.id)).toEqual(mine);
    const conversation_id = mine.conversation_id.toUpperCase();
    expect(await replaced({ replaces: mine.id, conversation_id })).toMatchObject({ answer: "m 2" });
  });

  test("one by a blank message", async () => {
    const [mine] = (await conversation("o")) as [Turn];
    await expectProblem(post({ replaces: mine.id, message: " " }), 422, "message_empty");
    expect(await site.turn(token, mine.id)).toEqual(mine);
  });
});

test("of many that replace one turn at once, one does, and the others are told which", async () => {
  const [old] = (await conversation("p")) as [Turn];
  const calls = site.model.calls.length;
  const responses = await Promise.all(
    Array.from({ length: 12 }, () => post({ replaces: old.id, queue: true })),
  );
  const bodies = (await Promise.all(responses.map((response) => response.json()))) as { turn?: Turn }[];
  const winners = bodies.flatMap(({ turn }) => turn ?? []);
  expect(winners).toHaveLength(1);
  const { id = "" } = winners[0] ?? {};
  const refused = { status: 409, code: "turn_replaced", turn_id: id };
  expect(bodies.filter(({ turn }) => !turn)).toMatchObject(Array(11).fill(refused));
  expect(site.model.calls).toHaveLength(calls + 1);
  expect((await site.conversation(token, old.conversation_id)).turns.map((turn) => turn.id)).toEqual([id]);
});

test("a turn that waits and is replaced, or came after the replaced one, is not asked any more", async () => {
  const { asked, releaseAll } = site.hold([{ text: "q" }]);
  const running = await site.begin(token, "q");
  await asked();
  const { conversation_id } = running;
  const [r, s] = [
    await site.begin(token, "r", { conversation_id, queue: true } as object),
    await site.begin(token, "s", { conversation_id, queue: true } as object),
  ];
  const calls = site.model.calls.length;
  const edited = replaced({ replaces: r.id, message: "R", queue: true });
  await until(async () => (await site.turn(token, s.id)).superseded_by !== null, "its place is taken");
  for (const { id } of [r, s])
    expect(await site.turn(token, id)).toMatchObject({
      status: "stopped",
      answer: "",
      message: expect.any(String),
    });
  releaseAll();
  expect(await edited).toMatchObject({ answer: "R 1", versions: [r.id] });
  expect(told()).toEqual(["q", "q", "R"]);
  expect(site.model.calls).toHaveLength(calls + 1);
  expect(await shown(conversation_id)).toEqual(["q", "R 1"]);
});
