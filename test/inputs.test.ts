// What bad messages, cursors, ids and titles get: a problem document, or to be stored as well as they can be.
import { beforeAll, describe, expect, test } from "bun:test";
import { expectProblem, type Site, startSite } from "./site.ts";

const secretKey = "a key to sign with, of thirty-two bytes or more";
const apiKey = "sk-the-key-of-the-model";

describe.each(["production", "development"])("in %s", (mode) => {
  let site: Site;
  let token: string;
  beforeAll(async () => {
    site = await startSite({
      env: { NODE_ENV: mode, SECRET_KEY: secretKey, LLM_API_KEY: apiKey },
      tenants: { default: "", acme: "" },
    });
    token = await site.visitor();
  });

  describe("a message", () => {
    const ask = (message: string, more: object = {}) =>
      site.on("POST", "/turns", {
        token,
        body: { message, ...more },
        headers: { accept: "application/json" },
      });

    test.each(["", " ", "\n\t\r\u00a0\u2003\ufeff "])(
      "of nothing but blanks is refused: %j",
      async (message) => {
        await expectProblem(ask(message), 422, "message_empty");
      },
    );

    test("has at most 8,000 characters", async () => {
      expect((await ask("x".repeat(8_000))).status).toBe(200);
      const body = await expectProblem(ask("x".repeat(8_001)), 422, "message_too_long");
      expect(body.detail).toContain("8000");
    });

    test("for a conversation whose id is no UUID finds none, and nothing is stored", async () => {
      const newcomer = await site.visitor();
      for (const conversation_id of ["", "x", "1", `${crypto.randomUUID()} `, "'; drop table turns; --"]) {
        const body = { message: "Hi", conversation_id };
        await expectProblem(site.on("POST", "/turns", { token: newcomer, body }), 404, "not_found");
      }
      expect((await site.conversations(newcomer)).conversations).toEqual([]);
    });

    test("that can only be answered as what is not accepted is refused before it is stored", async () => {
      const newcomer = await site.visitor();
      for (const accept of ["text/html", "image/png, application/xml", "none"]) {
        const request = { token: newcomer, headers: { accept }, body: { message: "Hi" } };
        await expectProblem(site.on("POST", "/turns", request), 406, "not_acceptable");
      }
      expect((await site.conversations(newcomer)).conversations).toEqual([]);
    });

    test.each([
      ["control characters", "\u0001\u0008\u001b[2J\u007f\u0085", "\u0001\u0008\u001b[2J\u007f\u0085"],
      ["NUL", "a\0b", "a\ufffdb"],
      ["half a surrogate pair", "a\ud83db\ude00c\ud83d", "a\ufffdb\ufffdc\ufffd"],
      [
        "noncharacters and marks of direction",
        "\ufffe\uffff\u202e\u200b\ufeffx",
        "\ufffe\uffff\u202e\u200b\ufeffx",
      ],
      [
        "what looks like code",
        "'; drop table turns; -- $1 {{date}} \\u0000",
        "'; drop table turns; -- $1 {{date}} \\u0000",
      ],
    ])("with %s is stored, answered and titled", async (_name, sent, kept) => {
      const turn = await site.ask(token, `x${sent}x`);
      expect(turn).toMatchObject({ message: `x${kept}x`, answer: `echo: x${kept}x` });
      expect(site.model.calls.at(-1)?.body.messages.at(-1)?.content).toBe(`x${kept}x`);
      expect(await site.turn(token, turn.id)).toEqual(turn);
      const { conversation } = await site.conversation(token, turn.conversation_id);
      expect(conversation.title).toBe(`x${kept}x`);
      expect((await site.rename(token, turn.conversation_id, `t${sent}t`)).title).toBe(`t${kept}t`);
    });
  });

  describe("a question about conversations", () => {
    test("needs a limit from 1 to 100", async () => {
      const { conversation_id } = await site.ask(token, "Hi");
      for (const limit of ["0", "-1", "101", "1.5", "x", "", "NaN", "9".repeat(30)]) {
        for (const path of ["/conversations", `/conversations/${conversation_id}`])
          await expectProblem(site.on("GET", `${path}?limit=${limit}`, { token }), 400, "bad_request");
      }
      for (const limit of ["1", "100"]) await site.conversations(token, `?limit=${limit}`);
    });

    test("needs a cursor that this server gave", async () => {
      const { conversation_id } = await site.ask(token, "Hi");
      const id = crypto.randomUUID();
      for (const cursor of [
        "x",
        "1",
        ".",
        "1.x",
        `.${id}`,
        `-1.${id}`,
        `zzzzzzzzzz.${id}`,
        `${id}.1`,
        "%00",
        "'",
      ])
        await expectProblem(
          site.on("GET", `/conversations?before=${cursor}`, { token }),
          400,
          "invalid_cursor",
        );
      for (const cursor of ["x", "%00", `${id}x`, `1.${id}`]) {
        const path = `/conversations/${conversation_id}?before=${cursor}`;
        await expectProblem(site.on("GET", path, { token }), 400, "invalid_cursor");
      }
      const long = site.on("GET", `/conversations?before=${"x".repeat(201)}`, { token });
      await expectProblem(long, 400, "bad_request");
      const extreme = await site.conversations(token, `?before=zzzzzzzzz.${id}`);
      expect(extreme.conversations.length).toBeGreaterThan(0);
    });

    test("that is not there, or whose id is no UUID, finds nothing", async () => {
      for (const id of [crypto.randomUUID(), "x", "0", "%00", "..%2f..", `${crypto.randomUUID()}x`]) {
        for (const [method, path] of [
          ["GET", `/conversations/${id}`],
          ["DELETE", `/conversations/${id}`],
          ["PATCH", `/conversations/${id}`],
          ["GET", `/turns/${id}`],
          ["GET", `/turns/${id}/stream`],
          ["POST", `/turns/${id}/stop`],
        ] as const) {
          const request = method === "PATCH" ? { token, body: { title: "Mine" } } : { token };
          await expectProblem(site.on(method, path, request), 404, "not_found");
        }
      }
    });

    test("needs a title that says something, of at most 200 characters", async () => {
      const { conversation_id } = await site.ask(token, "Hi");
      for (const body of [
        {},
        { title: "" },
        { title: " \n" },
        { title: "x".repeat(201) },
        { title: 1 },
        { name: "x" },
      ]) {
        const answer = site.on("PATCH", `/conversations/${conversation_id}`, { token, body });
        await expectProblem(answer, 422, "invalid_body");
      }
      expect((await site.rename(token, conversation_id, "x".repeat(200))).title).toHaveLength(200);
    });
  });
});
