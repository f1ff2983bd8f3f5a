// Asking twice under one key: the same turn, by whatever delivery and whatever has become of it, and one call of the model.
import { beforeAll, describe, expect, test } from "bun:test";
import { drain } from "./client.ts";
import { expectProblem, type Site, siteOf, startSite, type Turn } from "./site.ts";
import { openSocket } from "./websocket.ts";

let site: Site;
let token: string;
beforeAll(async () => {
  site = await startSite({ tenants: { default: "", other: "" } });
  token = await site.visitor();
});

let keys = 0;
const newKey = () => `key-${++keys}`;
const post = (key: string, body: object, headers: Record<string, string> = {}, as = token) =>
  site.on("POST", "/turns", { token: as, body, headers: { "idempotency-key": key, ...headers } });

type Asked = { id: string; text: string | undefined };
const deliveries = {
  async JSON(key: string, body: object): Promise<Asked> {
    const { turn } = (await (await post(key, body, { accept: "application/json" })).json()) as { turn: Turn };
    return { id: turn.id, text: turn.answer };
  },
  async SSE(key: string, body: object): Promise<Asked> {
    const { turnId, text } = await drain(await post(key, body));
    return { id: turnId, text };
  },
  async WebSocket(key: string, body: object): Promise<Asked> {
    const socket = await openSocket(site.url, token);
    const { turnId, text } = await socket.say({ type: "turn", ...body, idempotency_key: key });
    socket.close();
    return { id: turnId, text };
  },
  async "202"(key: string, body: object): Promise<Asked> {
    const { turn } = (await (await post(key, body, { prefer: "respond-async" })).json()) as { turn: Turn };
    return { id: turn.id, text: undefined };
  },
};

describe("the same key and body are the same turn by every delivery", () => {
  const bodies: [name: string, body: () => Promise<object>][] = [
    ["a message", async () => ({ message: "Hi" })],
    ["a message in a conversation", async () => ({ message: "Hi", conversation_id: crypto.randomUUID() })],
    ["a turn that replaces another", async () => ({ replaces: (await site.ask(token, "Again")).id })],
    [
      "a turn that may wait",
      async () => ({ message: "Hi", conversation_id: crypto.randomUUID(), queue: true }),
    ],
  ];
  test.each(bodies)("%s", async (_name, bodyOf) => {
    for (const first of Object.values(deliveries)) {
      const [key, body] = [newKey(), await bodyOf()];
      const calls = site.model.calls.length;
      const { id } = await first(key, body);
      const others = await Promise.all(Object.values(deliveries).map((deliver) => deliver(key, body)));
      const { answer } = (await site.ended(token, id)) as Turn;
      for (const asked of others)
        expect(asked).toEqual({ id, text: asked.text === undefined ? undefined : answer });
      expect(site.model.calls).toHaveLength(calls + 1);
    }
  });
});

test.each([
  ["a message", { replaces: false, queue: false }],
  ["a turn that replaces another", { replaces: true, queue: false }],
  ["a turn that replaces another and may wait", { replaces: true, queue: true }],
])("fifty at once, by all deliveries, make one turn and one call: %s", async (_name, { replaces, queue }) => {
  const { id, conversation_id } = await site.ask(token, "Fifty");
  const body = {
    ...(replaces ? { replaces: id } : { message: "Fifty", conversation_id }),
    ...(queue && { queue }),
  };
  const [key, calls] = [newKey(), site.model.calls.length];
  const all = Object.values(deliveries);
  const asked = await Promise.all(
    Array.from({ length: 50 }, (_, i) => (all[i % all.length] as (typeof all)[0])(key, body)),
  );
  expect(new Set(asked.map(({ id }) => id)).size).toBe(1);
  for (const { text } of asked) expect(text ?? "echo: Fifty").toBe("echo: Fifty");
  expect(site.model.calls).toHaveLength(calls + 1);
  expect((await site.conversation(token, conversation_id)).turns).toHaveLength(replaces ? 1 : 2);
});

test("a turn that is being answered is joined in the middle, and one that waits while it waits", async () => {
  const { releaseAll } = site.hold([{ text: "So far" }]);
  const [key, body] = [newKey(), { message: "One" }];
  const running = ((await (await post(key, body, { prefer: "respond-async" })).json()) as { turn: Turn })
    .turn;
  await site.said(token, running.id, "So far");
  const joined = drain(await post(key, body));
  const second = { message: "Two", conversation_id: running.conversation_id, queue: true };
  const waiting = [1, 2].map(async () => drain(await post("waits", second)));
  releaseAll();
  expect(await joined).toMatchObject({ text: "So far", turnId: running.id, terminal: { type: "finish" } });
  const [one, two] = await Promise.all(waiting);
  expect(one).toMatchObject({ text: "echo: Two" });
  expect(two?.turnId).toBe(one?.turnId as string);
});

test("a turn that failed, was stopped or was replaced stays what it is", async () => {
  const json = { accept: "application/json" };
  const [failing, body] = [newKey(), { message: "Hi" }];
  site.model.next({ status: 400 });
  const { turn_id } = await expectProblem(post(failing, body, json), 502, "model_rejected");
  expect((await expectProblem(post(failing, body, json), 502, "model_rejected")).turn_id).toBe(turn_id);

  const { releaseAll } = site.hold([{ text: "Half" }]);
  const stopping = newKey();
  const reader = drain(await post(stopping, body));
  const again = await (await post(stopping, body, { prefer: "respond-async" })).json();
  const { id } = (again as { turn: Turn }).turn;
  await site.said(token, id, "Half");
  await site.stop(token, id);
  expect((await reader).terminal).toEqual({ type: "abort" });
  expect(await drain(await post(stopping, body))).toMatchObject({
    turnId: id,
    text: "Half",
    terminal: { type: "abort" },
  });
  releaseAll();

  const replaced = await deliveries.JSON(stopping, body);
  await deliveries.SSE(newKey(), { replaces: id });
  expect(await deliveries.JSON(stopping, body)).toEqual(replaced);
});

test("another body under the key is refused, in whatever it differs", async () => {
  const [key, conversation_id] = [newKey(), crypto.randomUUID()];
  const body = { message: "Hi", conversation_id };
  const { id } = await deliveries.JSON(key, body);
  const calls = site.model.calls.length;
  const others = [
    { ...body, message: "Hi!" },
    { message: "Hi" },
    { message: "Hi", conversation_id: crypto.randomUUID() },
    { ...body, queue: true },
    { ...body, replaces: id },
    { replaces: id },
  ];
  for (const other of others) {
    const headers = { accept: "application/json" };
    expect((await expectProblem(post(key, other, headers), 422, "idempotency_conflict")).turn_id).toBe(id);
  }
  expect(
    await deliveries.SSE(key, { ...body, conversation_id: conversation_id.toUpperCase() }),
  ).toMatchObject({ id });
  expect(await deliveries.SSE(key, { ...body, queue: false })).toMatchObject({ id });
  expect(site.model.calls).toHaveLength(calls);
});

test("a key is a visitor's own", async () => {
  const [key, body] = [newKey(), { message: "Hi" }];
  const mine = await deliveries.JSON(key, body);
  const theirs = await drain(await post(key, { message: "Something else" }, {}, await site.visitor()));
  expect(theirs).toMatchObject({ text: "echo: Something else" });
  const other = siteOf(site.url, "other");
  const headers = { "idempotency-key": key };
  const elsewhere = await drain(
    await other.on("POST", "/turns", { token: await other.visitor(), body, headers }),
  );
  expect(new Set([mine.id, theirs.turnId, elsewhere.turnId]).size).toBe(3);
});

test("what is no key is refused", async () => {
  for (const key of ["", "two words", "ключ", "x".repeat(256)].map((key) =>
    Buffer.from(key).toString("latin1"),
  ))
    await expectProblem(post(key, { message: "Hi" }), 400, "bad_request");
  const longest = `${newKey()}-`.padEnd(255, "~");
  expect(await deliveries.JSON(longest, { message: "Hi" })).toMatchObject({ text: "echo: Hi" });
});
