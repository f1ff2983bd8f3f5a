// A turn as its client sees it: the stream's frames, the same as JSON, and the work that goes on without a reader.
import { beforeAll, describe, expect, test } from "bun:test";
import { drain, sse } from "./client.ts";
import { answer } from "./model.ts";
import { type Site, startSite } from "./site.ts";

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const time = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;

let site: Site;
beforeAll(async () => {
  site = await startSite();
});

describe.each([
  ["PostgreSQL", undefined],
  ["the embedded database", "embedded"],
] as const)("on %s", (_name, database) => {
  test("a visitor asks, is answered, comes back to it, renames it and deletes it", async () => {
    const here = await startSite({}, database);
    const token = await here.visitor();
    const first = await drain(await here.stream(token, "Hello"));
    expect(first).toMatchObject({ text: "echo: Hello", terminal: { type: "finish", finishReason: "stop" } });
    const second = await here.ask(token, "And?", { conversation_id: first.conversationId });
    expect(second).toMatchObject({ status: "done", answer: "echo: And?" });
    expect(here.model.calls[1]?.body.messages.slice(1).map(({ content }) => content)).toEqual([
      "Hello",
      "echo: Hello",
      "And?",
    ]);

    const { conversation, turns } = await here.conversation(token, first.conversationId);
    expect(turns.map(({ id, answer }) => [id, answer])).toEqual([
      [first.turnId, "echo: Hello"],
      [second.id, "echo: And?"],
    ]);
    expect(conversation.title).toBe("Hello");
    expect((await here.rename(token, conversation.id, "Greetings")).title).toBe("Greetings");
    expect((await here.conversations(token)).conversations).toMatchObject([{ title: "Greetings" }]);

    const gone = await here.on("DELETE", `/conversations/${conversation.id}`, { token });
    expect([gone.status, await gone.text()]).toEqual([204, ""]);
    expect((await here.conversations(token)).conversations).toEqual([]);
    for (const path of [`/conversations/${conversation.id}`, `/turns/${second.id}`])
      expect((await here.on("GET", path, { token })).status).toBe(404);
    expect(await here.server.stop()).toBe(0);
  });
});

test("a visitor's token names the visitor and says when it ends", async () => {
  const response = await site.on("POST", "/visitors", { body: {} });
  expect([response.status, response.headers.get("cache-control")]).toEqual([201, "no-store"]);
  const body = (await response.json()) as {
    token: string;
    user_id: string;
    anonymous: boolean;
    expires_at: string;
  };
  expect(body).toEqual({
    token: expect.stringMatching(/^[\w-]+\.[\w-]+\.[\w-]+$/),
    user_id: expect.stringMatching(uuid),
    anonymous: true,
    expires_at: expect.stringMatching(time),
  });
  const days = (Date.parse(body.expires_at) - Date.now()) / 86_400_000;
  expect(days).toBeWithin(89.9, 90.1);
});

test("a stream begins before the model has answered, and each text says how far its reader is", async () => {
  const { release } = site.hold([{ pauseMs: 0 }, { text: "Hé " }, { text: "👋" }, { text: " there" }]);
  const response = await site.stream(await site.visitor(), "Hi");
  expect(Object.fromEntries(response.headers)).toMatchObject({
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-store, no-transform",
    "x-accel-buffering": "no",
    "x-vercel-ai-ui-message-stream": "v1",
    "x-request-id": expect.stringMatching(uuid),
  });
  const frames = [];
  for await (const { id, data } of sse(response)) {
    frames.push([id, data === "[DONE]" ? data : JSON.parse(data)]);
    if (/"type":"(start|text-delta)"/.test(data)) release();
  }
  const [, { messageMetadata }] = frames[0] as [undefined, { messageMetadata: Record<string, string> }];
  const { turn_id, conversation_id } = messageMetadata;
  expect(response.headers.get("location")).toBe(`/v1/default/turns/${turn_id}`);
  expect(frames).toEqual([
    [undefined, { type: "start", messageId: turn_id, messageMetadata: { turn_id, conversation_id } }],
    [undefined, { type: "text-start", id: "0" }],
    ["3", { type: "text-delta", id: "0", delta: "Hé " }],
    ["5", { type: "text-delta", id: "0", delta: "👋" }],
    ["11", { type: "text-delta", id: "0", delta: " there" }],
    [undefined, { type: "text-end", id: "0" }],
    [
      undefined,
      {
        type: "finish",
        finishReason: "stop",
        messageMetadata: { usage: { input_tokens: 7, output_tokens: 0 } },
      },
    ],
    [undefined, "[DONE]"],
  ]);
});

test("thinking comes as reasoning, before the text and counted with it", async () => {
  site.model.next([{ reasoning: "Let me " }, { reasoning: "see." }, ...answer("Yes.")]);
  const token = await site.visitor();
  const { frames, turnId } = await drain(await site.stream(token, "Is it?"));
  const chunks = frames.slice(0, -1).map(({ data }) => JSON.parse(data) as { type: string; id?: string });
  const order = chunks.map(({ type, id }) => (id === undefined ? type : `${type} ${id}`));
  expect(order.filter((name, i) => name !== order[i - 1])).toEqual([
    "start",
    "reasoning-start 0",
    "reasoning-delta 0",
    "reasoning-end 0",
    "text-start 1",
    "text-delta 1",
    "text-end 1",
    "finish",
  ]);
  expect(frames.findLast(({ id }) => id !== undefined)?.id).toBe(String("Let me see.Yes.".length));
  expect(await site.turn(token, turnId)).toMatchObject({
    answer: "Yes.",
    reasoning: "Let me see.",
    parts: [
      { type: "reasoning", text: "Let me see." },
      { type: "text", text: "Yes." },
    ],
  });
});

test("who asks for JSON gets the whole turn, the same that it is from then on", async () => {
  const token = await site.visitor();
  const turn = await site.ask(token, "Hello you");
  expect(turn).toEqual({
    id: expect.stringMatching(uuid),
    conversation_id: expect.stringMatching(uuid),
    status: "done",
    message: "Hello you",
    answer: "echo: Hello you",
    reasoning: "",
    parts: [{ type: "text", text: "echo: Hello you" }],
    finish_reason: "stop",
    usage: { input_tokens: 7, output_tokens: 3 },
    versions: [],
    superseded_by: null,
    feedback: null,
    context: null,
    error: null,
    created_at: expect.stringMatching(time),
    finished_at: expect.stringMatching(time),
  });
  expect(await site.turn(token, turn.id)).toEqual(turn);
  expect((await site.conversation(token, turn.conversation_id)).turns).toEqual([turn]);
});

test("who prefers not to wait gets the turn's address at once, and the answer is made without a reader", async () => {
  const { releaseAll } = site.hold([{ text: "later" }]);
  const token = await site.visitor();
  const headers = { prefer: "wait=5, respond-async", accept: "application/json" };
  const response = await site.on("POST", "/turns", { token, headers, body: { message: "Hi" } });
  expect(response.status).toBe(202);
  expect(response.headers.get("preference-applied")).toBe("respond-async");
  const { turn } = (await response.json()) as { turn: { id: string; status: string } };
  expect(turn).toMatchObject({ finish_reason: null, usage: null, finished_at: null });
  expect(turn.status).toBeOneOf(["queued", "running"]);
  expect(response.headers.get("location")).toBe(`/v1/default/turns/${turn.id}`);
  releaseAll();
  expect(await site.ended(token, turn.id)).toMatchObject({ status: "done", answer: "later" });
});

test.each([
  ["*/*", "text/event-stream; charset=utf-8"],
  ["text/event-stream", "text/event-stream; charset=utf-8"],
  ["text/html, */*;q=0.8", "text/event-stream; charset=utf-8"],
  ["application/json", "application/json;charset=utf-8"],
  ["application/*", "application/json;charset=utf-8"],
])("what is accepted decides: %s", async (accept, type) => {
  const body = { message: "Hi" };
  const response = await site.on("POST", "/turns", {
    token: await site.visitor(),
    headers: { accept },
    body,
  });
  expect([response.status, response.headers.get("content-type")]).toEqual([200, type]);
  await response.text();
});

test("an answer that the model cut short says so", async () => {
  site.model.next([{ text: "and so" }, { finish: "length" }, { done: true }]);
  const token = await site.visitor();
  expect(await site.ask(token, "Go on")).toMatchObject({
    status: "done",
    finish_reason: "length",
    usage: null,
  });
});

test("a client may choose the id of a new conversation, and asks on in it", async () => {
  const token = await site.visitor();
  const id = crypto.randomUUID();
  expect(await site.ask(token, "One", { conversation_id: id })).toMatchObject({ conversation_id: id });
  expect(await site.ask(token, "Two", { conversation_id: id.toUpperCase() })).toMatchObject({
    conversation_id: id,
  });
  const { turns } = await site.conversation(token, id);
  expect(turns.map(({ message }) => message)).toEqual(["One", "Two"]);
});

test("while an answer is being written the conversation takes no other message, and says which it waits for", async () => {
  const { releaseAll } = site.hold([{ text: "wait" }]);
  const token = await site.visitor();
  const { id, conversation_id } = await site.begin(token, "One");
  const second = await site.stream(token, "Two", { conversation_id });
  expect(second.status).toBe(409);
  expect(await second.json()).toMatchObject({ code: "turn_running", turn_id: id });
  releaseAll();
  await site.ended(token, id);
  expect(await site.ask(token, "Two", { conversation_id })).toMatchObject({ status: "done" });
  expect((await site.conversation(token, conversation_id)).turns).toHaveLength(2);
});
