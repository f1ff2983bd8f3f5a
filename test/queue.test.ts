// Turns that wait in their conversation: in order, each with the answers before it, stopped, or gone with it.
import { beforeAll, expect, test } from "bun:test";
import { drain, sse } from "./client.ts";
import { expectProblem, type Site, startSite, type Turn } from "./site.ts";
import { until, within } from "./support.ts";
import { type Heard, openSocket } from "./websocket.ts";

let site: Site;
let token: string;
beforeAll(async () => {
  site = await startSite();
  token = await site.visitor();
});

const queued = (conversation_id: string) => ({ conversation_id, queue: true }) as object;
const messagesTold = (from: number) =>
  site.model.calls.slice(from).map(({ body }) => body.messages.slice(1).map(({ content }) => content));

test("turns that wait are answered in their order, each with the answers before it", async () => {
  const calls = site.model.calls.length;
  const { asked, releaseAll } = site.hold([{ text: "A" }]);
  const running = await site.begin(token, "a");
  await asked();
  const { conversation_id } = running;
  const b = await site.begin(token, "b", queued(conversation_id));
  expect(b.status).toBe("queued");
  const c = await site.stream(token, "c", queued(conversation_id));
  expect(c.status).toBe(200);
  const first = await within(sse(c).next(), "the stream begins while the turn waits");
  expect(first.value?.data).toContain('"type":"start"');
  const id = c.headers.get("location")?.split("/").at(-1) ?? "";
  const d = site.ask(token, "d", queued(conversation_id));
  const socket = await openSocket(site.url, token);
  await until(async () => (await site.conversation(token, conversation_id)).turns.length === 4, "d waits");
  const e = socket.say({ type: "turn", message: "e", ...queued(conversation_id) });
  await until(async () => (await site.conversation(token, conversation_id)).turns.length === 5, "e waits");
  expect(site.model.calls).toHaveLength(calls + 1);
  releaseAll();
  expect((await d).answer).toBe("echo: d");
  expect((await e).text).toBe("echo: e");
  expect((await drain(await site.follow(token, id))).text).toBe("echo: c");
  const all = ["a", "A", "b", "echo: b", "c", "echo: c", "d", "echo: d", "e"];
  expect(messagesTold(calls)).toEqual([1, 3, 5, 7, 9].map((length) => all.slice(0, length)));
  socket.close();
});

test("who does not want to wait is refused, also where the conversation's turn waits itself", async () => {
  const { releaseAll } = site.hold([{ text: "A" }]);
  const { id, conversation_id } = await site.begin(token, "a");
  const b = await site.begin(token, "b", queued(conversation_id));
  for (const more of [{}, { queue: false }]) {
    const body = { message: "c", conversation_id, ...more };
    const problem = await expectProblem(site.on("POST", "/turns", { token, body }), 409, "turn_running");
    expect(problem.turn_id).toBe(id);
  }
  releaseAll();
  expect((await site.ended(token, b.id)) as Turn).toMatchObject({ status: "done" });
});

test("a turn that waits can be stopped: its reader is told, it is never asked, and the next one goes on", async () => {
  const calls = site.model.calls.length;
  const { asked, releaseAll } = site.hold([{ text: "A" }]);
  const { id, conversation_id } = await site.begin(token, "a");
  await asked();
  const b = await site.begin(token, "b", queued(conversation_id));
  const c = await site.begin(token, "c", queued(conversation_id));
  const reader = drain(await site.follow(token, b.id));
  expect(await site.stop(token, b.id)).toMatchObject({ status: "stopped", answer: "", error: null });
  expect(await reader).toMatchObject({ text: "", terminal: { type: "abort" } });
  expect(await site.stop(token, b.id)).toMatchObject({ status: "stopped" });
  releaseAll();
  await site.ended(token, c.id);
  expect(messagesTold(calls)).toEqual([["a"], ["a", "A", "c"]]);
  expect((await site.turn(token, id)).status).toBe("done");
});

test("a conversation that is deleted takes its turns along: the model is let go, and every reader's stream ends", async () => {
  const { asked } = site.hold([{ text: "A" }]);
  const { id, conversation_id } = await site.begin(token, "a");
  const { ended } = await asked();
  await site.said(token, id, "A");
  const calls = site.model.calls.length;
  const waits = await site.begin(token, "b", queued(conversation_id));
  const socket = await openSocket(site.url, token);
  const body = { message: "c", ...queued(conversation_id) };
  const json = site.on("POST", "/turns", { token, body, headers: { accept: "application/json" } });
  const turns = [id, waits.id];
  const streams = await Promise.all(turns.map((turn) => site.follow(token, turn)));
  const hasBegun = ({ frames }: Heard) => frames.length > 0;
  const heard = await Promise.all(turns.map((turn_id) => socket.say({ type: "follow", turn_id }, hasBegun)));
  await until(async () => (await site.conversation(token, conversation_id)).turns.length === 3, "c waits");
  const response = await site.on("DELETE", `/conversations/${conversation_id}`, { token });
  expect(response.status).toBe(204);
  expect(await within(ended, "the model is let go", 2_000)).toBe("broken");
  const interrupted = { type: "error", code: "interrupted", errorText: expect.any(String) };
  for (const stream of streams) expect((await drain(stream)).terminal).toEqual(interrupted);
  for (const reader of heard)
    expect(await until(() => reader.terminal, "its reader is told")).toEqual(interrupted);
  await expectProblem(json, 404, "not_found");
  for (const turn of turns)
    await expectProblem(site.on("GET", `/turns/${turn}`, { token }), 404, "not_found");
  expect(await site.ask(token, "Anew", { conversation_id })).toMatchObject({ status: "done" });
  expect(messagesTold(calls)).toEqual([["Anew"]]);
  socket.close();
});
