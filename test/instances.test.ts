// Two servers on one database are one service: a turn that runs on one is read and stopped through the other.
import { beforeAll, expect, test } from "bun:test";
import { type Chunk, drain, sse } from "./client.ts";
import { type Site, siteOf, startSite } from "./site.ts";

let a: Site;
let b: ReturnType<typeof siteOf>;
beforeAll(async () => {
  a = await startSite();
  b = siteOf((await startSite({ env: { LLM_BASE_URL: a.model.baseUrl } }, a.databaseUrl)).url);
});

test("a token of one is good for the other, without a key being configured", async () => {
  const token = await a.visitor();
  const { conversation_id } = await a.ask(token, "Hi");
  expect((await b.conversations(token)).conversations).toMatchObject([{ id: conversation_id }]);
});

test("an answer is followed while the other writes it", async () => {
  const { release, releaseAll } = a.hold([{ text: "Hé 👋" }, { text: " there" }]);
  const token = await a.visitor();
  const { id } = await a.begin(token, "Hi");
  const response = await b.follow(token, id);
  const deltas: unknown[] = [];
  for await (const { data } of sse(response)) {
    if (data === "[DONE]") break;
    const chunk = JSON.parse(data) as Chunk;
    if (chunk.type !== "text-delta") continue;
    deltas.push(chunk.delta);
    if (deltas.length === 1) expect((await b.turn(token, id)).status).toBe("running");
    if (deltas.length === 1) release();
    else releaseAll();
  }
  expect(deltas).toEqual(["Hé 👋", " there"]);
  expect((await drain(await b.follow(token, id, "?after=4"))).text).toBe("👋 there");
});

test("a conversation has one live turn, whichever is asked", async () => {
  const { releaseAll } = a.hold([{ text: "Wait" }]);
  const token = await a.visitor();
  const { id, conversation_id } = await a.begin(token, "Hi");
  const second = await b.stream(token, "And?", { conversation_id });
  expect([second.status, await second.json()]).toMatchObject([409, { turn_id: id }]);
  releaseAll();
  await b.ended(token, id);
});

test("an answer is stopped through the other, with what was said", async () => {
  const { asked } = a.hold([{ text: "So far" }]);
  const token = await a.visitor();
  const { id } = await a.begin(token, "Hi");
  const { ended } = await asked();
  await a.said(token, id, "So far");
  const reader = drain(await a.follow(token, id));
  expect(await b.stop(token, id)).toMatchObject({ status: "stopped", answer: "So far" });
  expect(await reader).toMatchObject({ text: "So far", terminal: { type: "abort" } });
  expect(await ended).toBe("broken");
});
