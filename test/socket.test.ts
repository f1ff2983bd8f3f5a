// The WebSocket: who may speak on it, what it says to nonsense, and that a turn is no more tied to it than to a request.
import { beforeAll, describe, expect, test } from "bun:test";
import { answer } from "./model.ts";
import { expectProblem, type Site, siteOf, startSite } from "./site.ts";
import { unreadPongs } from "./stalled.ts";
import { type Heard, openSocket, type Socket } from "./websocket.ts";

let site: Site;
let token: string;
let socket: Socket;
let speechless: Promise<[code: number, afterMs: number]>;
beforeAll(async () => {
  site = await startSite({ tenants: { default: "MESSAGE_CHARS_MAX=100", other: "" } });
  token = await site.visitor();
  socket = await openSocket(site.url, token);
  const { closed } = await openSocket(site.url);
  const begun = performance.now();
  speechless = closed.then((code) => [code, performance.now() - begun]);
});

const ask = (message: string, more: object = {}) => socket.say({ type: "turn", message, ...more });
const hasBegun = ({ text }: Heard) => text !== "";

describe("who does not say who it is", () => {
  test.each([
    ["a frame before auth", { type: "turn", message: "Hi" }],
    ["a token that is none", { type: "auth", token: "none" }],
    ["an empty token", { type: "auth", token: "" }],
  ])("is sent away: %s", async (_name, frame) => {
    const stranger = await openSocket(site.url);
    const calls = site.model.calls.length;
    stranger.send(frame);
    expect(await stranger.closed).toBe(4401);
    expect(site.model.calls).toHaveLength(calls);
  });

  test("or has another site's token is sent away", async () => {
    const stranger = await openSocket(site.url, await siteOf(site.url, "other").visitor());
    expect(await stranger.closed).toBe(4401);
  });

  test("nor gets a socket of a site that there is not, nor by a plain request", async () => {
    const headers = {
      upgrade: "websocket",
      connection: "upgrade",
      "sec-websocket-version": "13",
      "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
    };
    await expectProblem(siteOf(site.url, "nobody").on("GET", "/socket", { headers }), 404, "not_found");
    await expectProblem(site.on("GET", "/socket"), 400, "bad_request");
  });

  test("may speak right behind the auth frame, before it is checked", async () => {
    const hasty = await openSocket(site.url);
    hasty.send({ type: "auth", token });
    expect(await hasty.say({ type: "turn", message: "Hi" })).toMatchObject({ text: "echo: Hi" });
    hasty.close();
  });
});

describe("turns", () => {
  test("many at once do not mix, and each chunk says which frame it answers", async () => {
    const messages = Array.from({ length: 30 }, (_, i) => `number ${i} `.repeat(i % 7).padEnd(5, "."));
    const heard = await Promise.all(messages.map((message) => ask(message)));
    expect(heard.map(({ text }) => text)).toEqual(messages.map((message) => `echo: ${message}`));
    expect(new Set(heard.map(({ turnId }) => turnId)).size).toBe(messages.length);
    for (const { frames } of heard) {
      expect(new Set(frames.map(({ ref }) => ref)).size).toBe(1);
      expect(frames[0]?.ref).toBeString();
    }
  });

  test("that are stopped by a frame end for their readers, and the model is let go", async () => {
    const { asked } = site.hold([{ text: "So far" }]);
    const whole = ask("Tell me");
    const { ended } = await asked();
    const turnId = await newest();
    await site.said(token, turnId, "So far");
    socket.send({ type: "stop", turn_id: turnId });
    expect(await whole).toMatchObject({ text: "So far", terminal: { type: "abort" }, turnId });
    expect(await ended).toBe("broken");
    expect((await site.turn(token, turnId)).status).toBe("stopped");
  });

  test("go on when the socket closes, and are read on from where it was", async () => {
    const { release, releaseAll, asked } = site.hold([
      { text: "One 👋 " },
      { text: "two " },
      { text: "three" },
    ]);
    const first = await openSocket(site.url, token);
    const begun = await first.say({ type: "turn", message: "Count" }, hasBegun);
    const { offset } = begun.frames.at(-1) ?? { offset: 0 };
    first.close();
    await first.closed;
    release();
    await site.said(token, begun.turnId, "One 👋 two ");
    const second = await openSocket(site.url, token);
    const rest = second.say({ type: "follow", turn_id: begun.turnId, after: offset });
    releaseAll();
    expect(begun.text + (await rest).text).toBe("One 👋 two three");
    expect((await rest).terminal).toMatchObject({ type: "finish" });
    expect(await (await asked()).ended).toBe("sent");
    second.close();
  });

  test("that have ended are read to their end, from any offset and once more", async () => {
    const { turnId } = await ask("Hi");
    for (const after of [undefined, 0, 3, "echo: Hi".length]) {
      const heard = await socket.say({ type: "follow", turn_id: turnId, after });
      expect(heard).toMatchObject({ text: "echo: Hi".slice(after ?? 0), terminal: { type: "finish" } });
    }
  });

  test("asked twice under a key are one turn, also when one of them comes by HTTP", async () => {
    const calls = site.model.calls.length;
    const both = await Promise.all([1, 2].map(() => ask("Once", { idempotency_key: "socket-1" })));
    const headers = { "idempotency-key": "socket-1", accept: "application/json" };
    const response = await site.on("POST", "/turns", { token, headers, body: { message: "Once" } });
    const { turn } = (await response.json()) as { turn: { id: string; answer: string } };
    expect(both.map(({ turnId, text }) => [turnId, text])).toEqual(Array(2).fill([turn.id, turn.answer]));
    expect(site.model.calls).toHaveLength(calls + 1);
  });

  test("are asked with text that the database cannot store as it is", async () => {
    const { turnId } = await ask("a\0b\ud800 c 😀");
    expect((await site.turn(token, turnId)).message).toBe("a\ufffdb\ufffd c 😀");
  });
});

describe("a frame that makes no sense", () => {
  test.each([
    ["no JSON", "{", "invalid_json"],
    ["no JSON at all", "hello", "invalid_json"],
    ["an empty frame", "", "invalid_json"],
    ["null", "null", "invalid_body"],
    ["a number", "42", "invalid_body"],
    ["a list", "[]", "invalid_body"],
    ["bytes", new Blob([new Uint8Array([0, 1, 255])]), "invalid_body"],
    ["without a type", {}, "invalid_body"],
    ["of an unknown type", { type: "dance" }, "invalid_body"],
    ["with an unknown field", { type: "turn", message: "Hi", colour: "red" }, "invalid_body"],
    ["with a field of another type", { type: "turn", message: 1 }, "invalid_body"],
    ["without what it needs", { type: "follow" }, "invalid_body"],
    ["with a ref that is too long", { type: "turn", message: "Hi", ref: "r".repeat(101) }, "invalid_body"],
    ["with a ref that is no text", { type: "turn", message: "Hi", ref: { a: [1] } }, "invalid_body"],
  ])("is refused, and the socket goes on: %s", async (_name, frame, code) => {
    const one = await openSocket(site.url, token);
    const calls = site.model.calls.length;
    one.send(frame);
    expect((await one.say({ type: "turn", message: "Still here" })).text).toBe("echo: Still here");
    expect(one.refused).toEqual([{ error: expect.objectContaining({ code, type: "about:blank" }) }]);
    expect(site.model.calls).toHaveLength(calls + 1);
    one.close();
  });

  test("but JSON with blanks around it does", async () => {
    const one = await openSocket(site.url);
    one.send(`\n ${JSON.stringify({ type: "auth", token })} `);
    expect((await one.say({ type: "turn", message: "Hi" })).text).toBe("echo: Hi");
    one.close();
  });

  test("and is larger than a body may be closes its own socket only", async () => {
    const one = await openSocket(site.url, token);
    one.send({ type: "turn", message: "x".repeat(64 * 1024) });
    expect(await one.closed).toBeOneOf([1006, 1009]);
    expect((await ask("And me?")).text).toBe("echo: And me?");
  });
});

describe("what is refused by HTTP is refused here with the same problem", () => {
  const unknown = crypto.randomUUID();
  test.each<[name: string, body: Record<string, unknown>, key: string | undefined]>([
    ["an empty message", { message: " \n" }, undefined],
    ["no message", {}, undefined],
    ["a message that is too long", { message: "x".repeat(101) }, undefined],
    ["a conversation that is no UUID", { message: "Hi", conversation_id: "mine" }, undefined],
    ["a turn to replace that there is not", { replaces: unknown }, undefined],
    ["a key that is none", { message: "Hi" }, "two words"],
  ])("%s", async (_name, body, key) => {
    const headers: Record<string, string> = key === undefined ? {} : { "idempotency-key": key };
    const response = await site.on("POST", "/turns", { token, headers, body });
    const { request_id: _, ...problem } = (await response.json()) as Record<string, unknown>;
    expect(response.status).toBeWithin(400, 500);
    const { error } = await socket.say({ type: "turn", ...body, idempotency_key: key });
    expect(error).toEqual({ ...problem, request_id: expect.any(String) } as unknown as NonNullable<
      typeof error
    >);
  });

  test("a conversation that is being answered, and a key that was used for something else", async () => {
    const { releaseAll, asked } = site.hold([{ text: "wait" }]);
    const conversation_id = crypto.randomUUID();
    const one = ask("One", { conversation_id, idempotency_key: "socket-2" });
    await asked();
    const turn_id = await newest();
    expect((await ask("Two", { conversation_id })).error).toMatchObject({
      code: "turn_running",
      status: 409,
      turn_id,
    });
    const other = await ask("Three", { conversation_id, idempotency_key: "socket-2" });
    expect(other.error).toMatchObject({ code: "idempotency_conflict", status: 422 });
    releaseAll();
    expect((await one).text).toBe("wait");
  });

  test("a cursor that is none, or past the end", async () => {
    const { turnId: turn_id } = await ask("Hi");
    for (const after of [-1, 1.5, "1", null])
      expect((await socket.say({ type: "follow", turn_id, after })).error).toMatchObject({
        code: "invalid_body",
      });
    const past = await socket.say({ type: "follow", turn_id, after: "echo: Hi".length + 1 });
    expect(past.error).toMatchObject({ code: "invalid_cursor", status: 400 });
  });

  test("somebody else's turn, or none", async () => {
    const { turnId } = await ask("Private");
    const other = await openSocket(site.url, await site.visitor());
    for (const turn_id of [turnId, unknown, "none"]) {
      for (const frame of [
        { type: "follow", turn_id },
        { type: "stop", turn_id },
        { type: "turn", replaces: turn_id },
      ])
        expect((await other.say(frame)).error).toMatchObject({ code: "not_found", status: 404 });
    }
    other.close();
  });

  test("a model that fails is an error chunk of its turn", async () => {
    site.model.next({ status: 400, body: "CANARY" });
    const heard = await ask("Hi");
    expect(heard.terminal).toMatchObject({ type: "error", code: "model_rejected" });
    expect(JSON.stringify(heard)).not.toContain("CANARY");
    site.model.next(answer("Better"));
    expect((await ask("Hi")).text).toBe("Better");
  });
});

test("who sends what is refused, again and again, is sent away", async () => {
  const one = await openSocket(site.url, token);
  for (let i = 0; i < 1_000; i++) one.send("{}");
  expect(await one.closed).toBe(1008);
  // The token, once it is checked, is a frame that was not refused.
  expect(one.refused.length).toBeWithin(100, 201);
});

test("who makes the server send pongs and does not read them is sent away", async () => {
  await unreadPongs(site.url);
  expect((await ask("Not me")).text).toBe("echo: Not me");
});

test("who says nothing for five seconds is sent away", async () => {
  const [code, afterMs] = await speechless;
  expect(code).toBe(4401);
  expect(afterMs).toBeWithin(4_500, 9_000);
  expect((await ask("Not me")).text).toBe("echo: Not me");
});

/** The visitor's newest turn. */
async function newest(): Promise<string> {
  const [conversation] = (await site.conversations(token)).conversations;
  const { turns } = await site.conversation(token, conversation?.id ?? "");
  return turns.at(-1)?.id ?? "";
}
