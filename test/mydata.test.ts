// A visitor's own data: taken along whole, as JSON and as Markdown, and deleted so that nothing of it is left.
import { beforeAll, describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { marked, type Token, type Tokens } from "marked";
import postgres from "postgres";
import { drain } from "./client.ts";
import { answer } from "./model.ts";
import { expectProblem, type Site, siteOf, startSite, type Turn } from "./site.ts";
import { until } from "./support.ts";

type Export = {
  version: number;
  exported_at: string;
  user: { user_id: string; anonymous: boolean; name: string | null; email: string | null };
  conversations: { id: string; title: string; turns: Turn[] }[];
};

const apiKey = "a-key-of-the-backend-of-32-bytes-or-more";

let site: Site;
let sql: postgres.Sql;
beforeAll(async () => {
  const hash = createHash("sha256").update(apiKey).digest("hex");
  site = await startSite({ env: { API_KEYS: `sha256:${hash}`, UI_TITLE: "Ask *Acme*" } });
  sql = postgres(site.databaseUrl, { max: 1, onnotice: () => {} });
});

const exported = (token: string, accept = "application/json") =>
  site.on("GET", "/visitors/me/export", { token, headers: { accept } });
const jsonOf = async (token: string) => (await (await exported(token)).json()) as Export;
const erase = async (token: string) => (await site.on("DELETE", "/visitors/me", { token })).status;
const userOf = (token: string) => (JSON.parse(atob(token.split(".")[1] ?? "")) as { sub: string }).sub;
const rowsOf = async (token: string) => {
  const user = userOf(token);
  const [row] = await sql<{ count: number }[]>`
    select (select count(*) from turns where user_id = ${user})::int
         + (select count(*) from conversations where user_id = ${user})::int as count`;
  return row?.count;
};

describe("as JSON", () => {
  test("is every conversation with every turn, oldest first, each as the API shows it", async () => {
    const token = await site.visitor();
    const first = await site.ask(token, "One");
    const second = await site.ask(token, "Two");
    const third = await site.ask(token, "Three", { conversation_id: first.conversation_id });
    await site.on("PUT", `/turns/${third.id}/feedback`, { token, body: { rating: "up" } });
    const again = await (
      await site.on("POST", "/turns", {
        token,
        headers: { accept: "application/json" },
        body: { replaces: second.id, context: { title: "A page" } },
      })
    ).json();

    const response = await exported(token);
    expect(Object.fromEntries(response.headers)).toMatchObject({
      "content-type": "application/json",
      "content-disposition": 'attachment; filename="chat.json"',
      "cache-control": "no-store",
    });
    const whole = (await response.json()) as Export;
    expect(whole).toMatchObject({
      version: 1,
      exported_at: expect.stringMatching(/^\d{4}-.*Z$/),
      user: { user_id: userOf(token), anonymous: true, name: null, email: null },
    });
    expect(whole.conversations.map(({ id, title }) => [id, title])).toEqual([
      [first.conversation_id, "One"],
      [second.conversation_id, "Two"],
    ]);
    expect(whole.conversations.map(({ turns }) => turns)).toEqual([
      [first, await site.turn(token, third.id)],
      [await site.turn(token, second.id), (again as { turn: Turn }).turn],
    ]);
  });

  test("is not read at all for HEAD", async () => {
    const token = await site.visitor();
    const response = await site.on("HEAD", "/visitors/me/export", { token });
    expect([response.status, response.headers.get("content-disposition"), await response.text()]).toEqual([
      200,
      'attachment; filename="chat.json"',
      "",
    ]);
    expect(Number(response.headers.get("content-length"))).toBe(0); // not its length, which only reading it would tell
  });

  test("is empty for who has said nothing, and holds nothing of anybody else", async () => {
    await site.ask(await site.visitor(), "Another visitor's");
    expect((await jsonOf(await site.visitor())).conversations).toEqual([]);
  });

  test("is valid for ten thousand turns, and begins long before the last of them is read", async () => {
    const token = await site.visitor();
    const { conversation_id } = await site.ask(token, "The first");
    await sql`
      insert into turns (tenant_id, id, conversation_id, user_id, status, message, parts, created_at, finished_at)
      select 'default', gen_random_uuid(), ${conversation_id}, ${userOf(token)}, 'done', 'Message ' || n,
        jsonb_build_array(jsonb_build_object('type', 'text', 'text', repeat('Answer ', 200) || n)),
        now() + n / 3 * interval '1 millisecond', now()
      from generate_series(1, 9999) n`;

    const reader = (await exported(token)).body?.getReader();
    const { value } = (await reader?.read()) ?? {};
    // These are gone before it comes to them.
    await sql`delete from turns where user_id = ${userOf(token)} and message in ('Message 9998', 'Message 9999')`;
    const decoder = new TextDecoder();
    let text = decoder.decode(value, { stream: true });
    for (let next = await reader?.read(); next && !next.done; next = await reader?.read())
      text += decoder.decode(next.value, { stream: true });
    const { conversations } = JSON.parse(text) as Export;
    const messages = conversations[0]?.turns.map(({ message }) => message) ?? [];
    expect(messages).toHaveLength(9_998);
    expect(new Set(messages).size).toBe(9_998);
    expect([messages[0], new Set(messages.slice(-2))]).toEqual([
      "The first",
      new Set(["Message 9996", "Message 9997"]),
    ]);
  });
});

describe("as Markdown", () => {
  const nodesOf = (markdown: string) => marked.lexer(markdown).filter(({ type }) => type !== "space");
  const markdownOf = async (token: string) => {
    const response = await exported(token, "text/markdown");
    expect(response.headers.get("content-type")).toBe("text/markdown; charset=utf-8");
    return response.text();
  };
  const text = (node: Token | undefined) => (node as Tokens.Generic).text as string;

  test("says who said what and when, under the title of each conversation", async () => {
    const token = await site.visitor();
    site.model.next(answer("It costs **189 €**.\n\n- in brass\n- in steel"));
    await site.ask(token, "How much\nis it?");
    await site.ask(token, "Another thing");
    const time = "\\d{4}-\\d\\d-\\d\\d \\d\\d:\\d\\d UTC";
    expect(await markdownOf(token)).toMatch(
      new RegExp(
        `^# Ask \\\\\\*Acme\\\\\\*\\n\\n${time}\\n` +
          `\\n## How much\\n\\n\\*\\*You\\*\\*, ${time}\\n\\n> How much\\n> is it\\?\\n` +
          "\\n\\*\\*Ask \\\\\\*Acme\\\\\\*\\*\\*\\n\\n> It costs \\*\\*189 €\\*\\*\\.\\n>\\n> - in brass\\n> - in steel\\n" +
          `\\n## Another thing\\n\\n\\*\\*You\\*\\*, ${time}\\n\\n> Another thing\\n` +
          "\\n\\*\\*Ask \\\\\\*Acme\\\\\\*\\*\\*\\n\\n> echo: Another thing\\n$",
      ),
    );
  });

  test("is headed and signed Chat where the site has no name", async () => {
    const nameless = await startSite({ env: { API_KEYS: apiKey }, tenants: { acme: "" } }, site.databaseUrl);
    const acme = siteOf(nameless.url, "acme");
    const token = await acme.visitor();
    await acme.ask(token, "Hi");
    const response = await acme.on("GET", "/visitors/me/export", {
      token,
      headers: { accept: "text/markdown" },
    });
    expect(await response.text()).toMatch(/^# Chat\n[\s\S]*\n\*\*Chat\*\*\n/);
  });

  test("leaves replaced answers out", async () => {
    const token = await site.visitor();
    const { id } = await site.ask(token, "Hello");
    await drain(await site.on("POST", "/turns", { token, body: { message: "Good day", replaces: id } }));
    const markdown = await markdownOf(token);
    expect(markdown).toContain("> Good day");
    expect(markdown).not.toContain("> Hello");
  });

  const hostile = [
    "# A heading\n\n## Another",
    "```\nnever closed",
    "<!-- never closed",
    "<div>\n<script>never closed",
    "a\r\rb\r\n\r\n# c",
    "> quoted\n\nnot",
    "- list\n\n      code\n\n1. one",
    "text\n===\n\n---\n\n[x]: /y",
    "| a |\n| - |\n| b |",
    "<pre>\n\n\nx",
    "~~~~\n```",
    "\n\n   \n",
    "`never closed",
    "\\",
  ].filter((message) => message.trim());
  test.each(hostile)("%j breaks out of its place neither as a message nor as an answer", async (said) => {
    const token = await site.visitor();
    site.model.next(answer(said));
    const { conversation_id } = await site.ask(token, said);
    await site.rename(token, conversation_id, `${said}\n# Mine`);
    await site.ask(token, "The end", { conversation_id });
    const nodes = nodesOf(await markdownOf(token));
    expect(nodes.map(({ type }) => type)).toEqual([
      "heading",
      "paragraph",
      "heading",
      ...["paragraph", "blockquote", "paragraph", "blockquote"],
      ...["paragraph", "blockquote", "paragraph", "blockquote"],
    ]);
    const title = (nodes[2] as Tokens.Heading).tokens.map(({ type }) => type);
    expect(new Set(title).difference(new Set(["text", "escape"]))).toEqual(new Set());
    expect(text(nodes[8])).toBe("The end");
    expect(text(nodes[10])).toBe("echo: The end");
  });
});

describe("by the backend, for the user that it names", () => {
  const asked = (user_id: string, message: string) =>
    site.on("POST", "/turns", {
      token: apiKey,
      headers: { accept: "application/json" },
      body: { user_id, message },
    });
  const messagesOf = async (query: string) => {
    const response = await site.on("GET", `/visitors/me/export?${query}`, { token: apiKey });
    const { user, conversations } = (await response.json()) as Export;
    return [user.user_id, conversations.flatMap(({ turns }) => turns.map(({ message }) => message))];
  };
  const eraseBy = async (query: string) =>
    (await site.on("DELETE", `/visitors/me?${query}`, { token: apiKey })).status;

  test("is taken along and deleted, and nobody else's is", async () => {
    await asked("ann", "Ann's");
    await asked("bob", "Bob's");
    expect(await messagesOf("user_id=ann")).toEqual(["ann", ["Ann's"]]);
    expect(await eraseBy("user_id=ann")).toBe(204);
    expect(await messagesOf("user_id=ann&anonymous=false")).toEqual(["ann", []]);
    expect(await messagesOf("user_id=bob")).toEqual(["bob", ["Bob's"]]);
  });

  test("is an anonymous visitor's where it says so, and only there", async () => {
    const token = await site.visitor();
    await site.ask(token, "Nobody knows me");
    const id = userOf(token);
    expect(await messagesOf(`user_id=${id}`)).toEqual([id, []]);
    expect(await messagesOf(`user_id=${id}&anonymous=true`)).toEqual([id, ["Nobody knows me"]]);
    expect([await eraseBy(`user_id=${id}`), await rowsOf(token)]).toEqual([204, 2]);
    expect([await eraseBy(`user_id=${id}&anonymous=true`), await rowsOf(token)]).toEqual([204, 0]);
  });
});

test("what is asked for otherwise is refused, and so is the backend that names nobody", async () => {
  const token = await site.visitor();
  await expectProblem(exported(token, "text/html"), 406, "not_acceptable");
  expect((await exported(token, "*/*")).headers.get("content-type")).toBe("application/json");
  await site.ask(token, "Hello");
  for (const [key, query, status, code] of [
    [apiKey, "", 400, "bad_request"],
    [apiKey, "?anonymous=true", 400, "bad_request"],
    [apiKey, "?user_id=ann&anonymous=true", 404, "not_found"], // an anonymous user's id is a UUID
    [token, `?user_id=${userOf(token)}&anonymous=true`, 400, "bad_request"],
  ] as const) {
    await expectProblem(site.on("GET", `/visitors/me/export${query}`, { token: key }), status, code);
    await expectProblem(site.on("DELETE", `/visitors/me${query}`, { token: key }), status, code);
  }
  await expectProblem(site.on("DELETE", "/visitors/me"), 401, "unauthorized");
  expect(await rowsOf(token)).toBe(2);
});

describe("deleted", () => {
  test("leaves the user's id in no table, though what was used of the day still counts", async () => {
    const bounded = await startSite({
      env: { API_KEYS: apiKey, DAILY_TOKENS_PER_VISITOR_MAX: "1000000", LIMIT_MESSAGES_PER_VISITOR: "9/1m" },
    });
    const sql = postgres(bounded.databaseUrl, { max: 1, onnotice: () => {} });
    const holding = async (id: string) => {
      const tables = await sql<{ name: string }[]>`
        select table_name as name from information_schema.tables where table_schema = 'public'`;
      const found = tables.map(async ({ name }) => {
        const rows = await sql`select from ${sql(name)} t where t::text like ${`%${id}%`}`;
        return rows.length > 0 ? [name] : [];
      });
      return (await Promise.all(found)).flat();
    };
    const token = await bounded.visitor();
    await bounded.ask(token, "Hi");
    expect((await holding(userOf(token))).sort()).toEqual(["conversations", "turns"]);
    await bounded.on("DELETE", "/visitors/me", { token });
    expect(await holding(userOf(token))).toEqual([]);
    expect(await sql`select from budgets where tokens > 0`).toHaveLength(1);
    await sql.end();
  });

  test("is all of this visitor's and nothing of another's; twice is as good as once; the token stays valid", async () => {
    const [token, other] = [await site.visitor(), await site.visitor()];
    const { id, conversation_id } = await site.ask(token, "One");
    await site.ask(token, "Two");
    await site.ask(other, "Mine");
    expect(await erase(token)).toBe(204);
    expect([await rowsOf(token), await rowsOf(other)]).toEqual([0, 2]);
    await expectProblem(site.on("GET", `/turns/${id}`, { token }), 404, "not_found");
    expect((await site.conversations(token)).conversations).toEqual([]);
    expect(await erase(token)).toBe(204);
    // The same conversation id is free again.
    expect((await site.ask(token, "Anew", { conversation_id })).answer).toBe("echo: Anew");
    expect(await rowsOf(token)).toBe(2);
  });

  test("ends answers that are being written, by any instance, and those that wait; nothing is written after it", async () => {
    const second = await startSite({}, site.databaseUrl);
    const token = await site.visitor();
    const held = [
      site.hold([{ text: "As far" }, { text: " as this" }]),
      site.hold([{ text: "And" }, { text: " that" }]),
    ];
    const readers: Promise<Awaited<ReturnType<typeof drain>>>[] = [];
    const runs = [];
    for (const [i, { asked }] of held.entries()) {
      readers.push(drain(await site.stream(token, `Number ${i}`)));
      await asked();
      runs.push(site.model.calls.at(-1));
    }
    const { conversations } = await site.conversations(token);
    const waiting = { message: "Next", conversation_id: conversations[0]?.id, queue: true };
    await site.on("POST", "/turns", { token, body: waiting, headers: { prefer: "respond-async" } });
    expect(await rowsOf(token)).toBe(5);

    const gone = await siteOf(second.url).on("DELETE", "/visitors/me", { token });
    expect(gone.status).toBe(204);
    expect(await rowsOf(token)).toBe(0);
    for (const run of runs) expect(await run?.ended).toBe("broken");
    for (const reading of readers) expect((await reading).terminal?.type).toMatch(/abort|error/);
    for (const { releaseAll } of held) releaseAll();
    // A turn that is asked and answered after them shows that whatever was on its way has arrived.
    await until(
      async () => (await site.ask(await site.visitor(), "After")).status === "done",
      "another is answered",
    );
    expect(await rowsOf(token)).toBe(0);
  });

  test("leaves nothing of what visitors of the site ask meanwhile half there", async () => {
    const token = await site.visitor();
    const asks = Array.from({ length: 12 }, (_, i) =>
      site.begin(token, `Number ${i}`).catch(() => undefined),
    );
    const erasures = Array.from({ length: 4 }, () => erase(token));
    expect(await Promise.all(erasures)).toEqual([204, 204, 204, 204]);
    await Promise.all(asks);
    expect(await erase(token)).toBe(204);
    expect(await rowsOf(token)).toBe(0);
  });
});
