// What a visitor thinks of an answer: kept with the turn, changed and taken back, and for nobody else to give.
import { beforeAll, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { expectProblem, type Site, startSite } from "./site.ts";

const apiKey = "a key of the site's backend, of 32 bytes or more".replaceAll(" ", "-");

let site: Site;
beforeAll(async () => {
  const hash = createHash("sha256").update(apiKey).digest("hex");
  site = await startSite({ env: { API_KEYS: `sha256:${hash}` } });
});

const rate = (token: string, id: string, body: unknown) =>
  site.on("PUT", `/turns/${id}/feedback`, { token, body });

const feedbackIn = async (response: Response) => {
  expect(response.status).toBe(200);
  return ((await response.json()) as { turn: { feedback: unknown } }).turn.feedback;
};

test("a thumb and a comment are kept with the turn, in place of what was said before, until they are taken back", async () => {
  const token = await site.visitor();
  const { id, conversation_id, feedback } = await site.ask(token, "Hello");
  expect(feedback).toBeNull();

  const first = { rating: "down", comment: "Too short 🙁" } as const;
  expect(await feedbackIn(await rate(token, id, first))).toEqual(first);
  expect((await site.turn(token, id)).feedback).toEqual(first);
  expect((await site.conversation(token, conversation_id)).turns[0]?.feedback).toEqual(first);

  expect(await feedbackIn(await rate(token, id, { rating: "up" }))).toEqual({ rating: "up", comment: null });
  expect(await feedbackIn(await rate(token, id, { rating: null }))).toBeNull();
  expect((await site.turn(token, id)).feedback).toBeNull();
});

test("the site's backend reads what its visitors think", async () => {
  const token = await site.visitor();
  const { id } = await site.ask(token, "Hello");
  await rate(token, id, { rating: "up", comment: "Thanks" });
  expect((await site.turn(apiKey, id)).feedback).toEqual({ rating: "up", comment: "Thanks" });
});

test("a comment of white space is none, and what the database cannot store is replaced", async () => {
  const token = await site.visitor();
  const { id } = await site.ask(token, "Hello");
  const given = async (comment: string) => feedbackIn(await rate(token, id, { rating: null, comment }));
  expect(await given(" \n\t")).toBeNull();
  expect(await given("a\0b\ud800")).toEqual({ rating: null, comment: "a\ufffdb\ufffd" });
  expect(await given("x".repeat(2000))).toEqual({ rating: null, comment: "x".repeat(2000) });
});

test("what is no feedback is refused, and changes nothing", async () => {
  const token = await site.visitor();
  const { id } = await site.ask(token, "Hello");
  await rate(token, id, { rating: "up" });
  for (const body of [
    {},
    { rating: "sideways" },
    { comment: "no rating" },
    { rating: "up", comment: "x".repeat(2001) },
    { rating: "up", comment: null },
    { rating: "up", more: true },
  ])
    await expectProblem(rate(token, id, body), 422, "invalid_body");
  expect((await site.turn(token, id)).feedback).toEqual({ rating: "up", comment: null });
});

test("an answer that is still being written cannot be judged; one that was stopped or replaced can", async () => {
  const token = await site.visitor();
  const { asked, releaseAll } = site.hold([{ text: "As far as this" }]);
  const running = await site.begin(token, "Tell me");
  await asked();
  const problem = await expectProblem(rate(token, running.id, { rating: "up" }), 409, "turn_running");
  expect(problem.turn_id).toBe(running.id);

  await site.stop(token, running.id);
  releaseAll();
  expect(await feedbackIn(await rate(token, running.id, { rating: "down" }))).toMatchObject({
    rating: "down",
  });
  const body = { replaces: running.id };
  await site.on("POST", "/turns", { token, body, headers: { accept: "application/json" } });
  expect(await feedbackIn(await rate(token, running.id, { rating: "up" }))).toMatchObject({ rating: "up" });
});

test("another visitor's turn is not there to be judged", async () => {
  const [owner, other] = [await site.visitor(), await site.visitor()];
  const { id } = await site.ask(owner, "Hello");
  const up = { rating: "up" };
  await expectProblem(rate(other, id, up), 404, "not_found");
  await expectProblem(rate(owner, crypto.randomUUID(), up), 404, "not_found");
  await expectProblem(rate(owner, "none", up), 404, "not_found");
  await expectProblem(rate("", id, up), 401, "unauthorized");
  expect((await site.turn(owner, id)).feedback).toBeNull();
});
