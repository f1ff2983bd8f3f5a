// Reading an answer from anywhere: again from any offset, by two at once, after the reader was gone.
import { beforeAll, describe, expect, test } from "bun:test";
import { type Chunk, drain, sse } from "./client.ts";
import { answer } from "./model.ts";
import { expectProblem, type Site, startSite } from "./site.ts";

const reasoning = ["Думаю 🤔", "…"];
const text = ["Да: 👩‍👩‍👧 ", "\n\n", "e\u0301 é 🇫🇷", "!"];
const whole = [...reasoning, ...text].join("");
const steps = [...reasoning.map((reasoning) => ({ reasoning })), ...text.map((text) => ({ text }))];
/** A cursor inside a surrogate pair counts as before it. */
const rest = (k: number) => whole.slice(/[\udc00-\udfff]/.test(whole[k] ?? "") ? k - 1 : k);
const offsets = Array.from({ length: whole.length + 1 }, (_, k) => k);

let site: Site;
let token: string;
beforeAll(async () => {
  site = await startSite();
  token = await site.visitor();
});

/** What a reader got, where its parts and its stream began and ended, and the last cursor it was given. */
async function read(response: Response) {
  const { frames, terminal, turnId } = await drain(response);
  const chunks = frames.slice(0, -1).map(({ data }) => JSON.parse(data) as Chunk);
  const got = chunks.map((chunk) => chunk.delta ?? "").join("");
  const cursor = frames.findLast(({ id }) => id !== undefined)?.id;
  return { got, terminal: terminal?.type, turnId, cursor, order: chunks.map(({ type }) => type).join(" ") };
}

const wellFormed =
  /^start( reasoning-start( reasoning-delta)+ reasoning-end)?( text-start( text-delta)+ text-end)? finish$/;

test("a reader that leaves in mid-answer does not stop it", async () => {
  const { releaseAll } = site.hold([{ text: "I go " }, { text: "on." }]);
  const leaving = new AbortController();
  const body = { message: "Go" };
  const response = await site.on("POST", "/turns", { token, body, signal: leaving.signal });
  let id = "";
  for await (const { data } of sse(response)) {
    const chunk = JSON.parse(data) as Chunk;
    if (chunk.type === "start") id = String(chunk.messageId);
    if (chunk.type === "text-delta") break;
  }
  leaving.abort();
  await Bun.sleep(100);
  expect(await site.turn(token, id)).toMatchObject({ status: "running", answer: "I go " });
  releaseAll();
  expect(await site.ended(token, id)).toMatchObject({ status: "done", answer: "I go on." });
  expect(await site.model.calls.at(-1)?.ended).toBe("sent");
});

test("who waits for JSON and leaves does not stop it either", async () => {
  const { asked, releaseAll } = site.hold([{ text: "Still " }, { text: "here." }]);
  const leaving = new AbortController();
  const conversation_id = crypto.randomUUID();
  const request = site.on("POST", "/turns", {
    token,
    headers: { accept: "application/json" },
    body: { message: "Go", conversation_id },
    signal: leaving.signal,
  });
  await asked();
  leaving.abort();
  await expect(request).rejects.toThrow();
  const [turn] = (await site.conversation(token, conversation_id)).turns;
  const { id, status } = await site.said(token, turn?.id ?? "", "Still ");
  expect(status).toBe("running");
  releaseAll();
  expect(await site.ended(token, id)).toMatchObject({ status: "done", answer: "Still here." });
});

test("two readers of one answer read the same, and the one who came later misses nothing", async () => {
  const { release, releaseAll } = site.hold([{ text: "one " }, { text: "two " }, { text: "three" }]);
  const first = await site.stream(token, "Count");
  const id = first.headers.get("location")?.split("/").at(-1) ?? "";
  const one = read(first);
  release();
  const two = read(await site.follow(token, id));
  releaseAll();
  expect((await one).got).toBe("one two three");
  expect(await two).toMatchObject({ got: "one two three", terminal: "finish", turnId: id });
});

describe("from every offset of an answer the rest comes, once and whole", () => {
  test("while it is being written", async () => {
    const { release, releaseAll } = site.hold(steps);
    const { id } = await site.begin(token, "Think");
    for (let i = 0; i < 3; i++) release();
    const responses = await Promise.all(
      offsets.map((k) =>
        k % 2 === 0
          ? site.follow(token, id, `?after=${k}`)
          : site.follow(token, id, "", { "last-event-id": String(k) }),
      ),
    );
    const readers = responses.map(read);
    releaseAll();
    for (const [k, reading] of (await Promise.all(readers)).entries()) {
      expect(reading).toMatchObject({ got: rest(k), terminal: "finish", turnId: id });
      expect(reading.order).toMatch(wellFormed);
      if (k < whole.length) expect(reading.cursor).toBe(String(whole.length));
    }
  });

  test("after it has ended, until there is no rest", async () => {
    site.model.next([...steps, ...answer()]);
    const { id } = await site.ask(token, "Think");
    for (const k of offsets.slice(0, -1)) {
      for (const [query, headers] of [
        [`?after=${k}`, undefined],
        ["", { "last-event-id": String(k) }],
        ["?after=0", { "last-event-id": String(k) }],
      ] as const) {
        const reading = await read(await site.follow(token, id, query, headers));
        expect(reading).toMatchObject({ got: rest(k), terminal: "finish" });
        expect(reading.order).toMatch(wellFormed);
      }
    }
    const over = await site.follow(token, id, `?after=${whole.length}`);
    expect([over.status, await over.text()]).toEqual([204, ""]);
  });

  test("from the cursor of each frame that was read", async () => {
    const { release } = site.hold(steps);
    const response = await site.stream(token, "Think");
    const id = response.headers.get("location")?.split("/").at(-1) ?? "";
    const heads: [string, string][] = [];
    let head = "";
    for await (const frame of sse(response)) {
      if (frame.data === "[DONE]") break;
      head += (JSON.parse(frame.data) as Chunk).delta ?? "";
      if (frame.id === undefined) continue;
      heads.push([frame.id, head]);
      release();
    }
    expect(heads).toHaveLength(steps.length);
    for (const [cursor, head] of heads.slice(0, -1)) {
      expect(head + (await read(await site.follow(token, id, `?after=${cursor}`))).got).toBe(whole);
    }
  });
});

test("an answer without a word is followed to its end", async () => {
  site.model.next(answer());
  const { id } = await site.ask(token, "Say nothing");
  expect(await read(await site.follow(token, id))).toMatchObject({ got: "", order: "start finish" });
});

test("what is no cursor, or past the end of an ended answer, is refused", async () => {
  const { id } = await site.ask(token, "Hi");
  for (const cursor of [
    "x",
    "-1",
    "1.5",
    "1e1",
    "0x1",
    "",
    " 1",
    "9".repeat(16),
    `${"echo: Hi".length + 1}`,
  ]) {
    const query = `?after=${encodeURIComponent(cursor)}`;
    await expectProblem(await site.follow(token, id, query), 400, "invalid_cursor");
  }
  const response = await site.follow(token, id, "", { "last-event-id": "none" });
  await expectProblem(response, 400, "invalid_cursor");
});
