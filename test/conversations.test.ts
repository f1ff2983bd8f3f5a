// A visitor's conversations: listed newest first, page by page, read back, renamed, deleted.
import { beforeAll, expect, test } from "bun:test";
import postgres from "postgres";
import { answer } from "./model.ts";
import { type Site, startSite } from "./site.ts";
import { atTheEnd } from "./support.ts";

let site: Site;
let sql: postgres.Sql;
beforeAll(async () => {
  site = await startSite({ env: { MESSAGE_CHARS_MAX: "60000" } });
  sql = postgres(site.databaseUrl, { max: 1, fetch_types: false });
  atTheEnd(() => sql.end());
});

/** Reads page after page until there is none, each of at most `limit`. */
async function pages<T>(
  limit: number,
  read: (query: string) => Promise<[T[], string | null]>,
): Promise<T[][]> {
  const all: T[][] = [];
  for (let cursor: string | null = ""; cursor !== null; ) {
    const before = cursor && `&before=${encodeURIComponent(cursor)}`;
    const [page, next] = await read(`?limit=${limit}${before}`);
    expect(page.length).toBeLessThanOrEqual(limit);
    all.push(page);
    cursor = next;
  }
  return all;
}

const listed = (token: string, limit: number) =>
  pages(limit, async (query) => {
    const { conversations, next_cursor } = await site.conversations(token, query);
    return [conversations.map(({ id }) => id), next_cursor];
  });

async function conversationsOf(token: string, count: number): Promise<string[]> {
  const ids: string[] = [];
  for (let i = 0; i < count; i++) ids.push((await site.ask(token, `Topic ${i}`)).conversation_id);
  return ids;
}

test("a new visitor has none", async () => {
  expect(await site.conversations(await site.visitor())).toEqual({ conversations: [], next_cursor: null });
});

test("the newest activity comes first, and what is asked in an old one brings it to the front", async () => {
  const token = await site.visitor();
  const [a, b, c] = await conversationsOf(token, 3);
  expect(await listed(token, 50)).toEqual([[c, b, a] as string[]]);
  await site.ask(token, "once more", { conversation_id: a });
  expect(await listed(token, 50)).toEqual([[a, c, b] as string[]]);
});

test("a renamed one stays where it is", async () => {
  const token = await site.visitor();
  const [a, b] = (await conversationsOf(token, 2)) as [string, string];
  expect(await site.rename(token, a, "  A better name \n")).toMatchObject({ id: a, title: "A better name" });
  expect(await listed(token, 50)).toEqual([[b, a]]);
});

test("page by page every conversation comes once, though some were updated in the same millisecond", async () => {
  const token = await site.visitor();
  const ids = await conversationsOf(token, 7);
  await sql`update conversations set updated_at = '2026-01-02T03:04:05.678Z' where id in ${sql(ids.slice(1, 6))}`;
  const tied = ids.slice(1, 6).sort().reverse();
  const order = [ids[6], ids[0], ...tied] as string[];
  for (const limit of [1, 2, 3, 7, 8]) expect((await listed(token, limit)).flat()).toEqual(order);
  expect((await listed(token, 7)).length).toBe(1);
});

test("what becomes newer while somebody pages is not shown twice, and nothing older is missed", async () => {
  const token = await site.visitor();
  const ids = await conversationsOf(token, 4);
  const first = await site.conversations(token, "?limit=2");
  await conversationsOf(token, 1);
  await site.ask(token, "again", { conversation_id: ids[3] });
  const second = await site.conversations(token, `?limit=2&before=${first.next_cursor}`);
  const shown = [...first.conversations, ...second.conversations].map(({ id }) => id);
  expect(shown).toEqual([...ids].reverse());
});

test("a long conversation is read from its end, page by page, each oldest first, each turn once", async () => {
  const token = await site.visitor();
  const { conversation_id, id } = await site.ask(token, "0");
  const ids = [id];
  for (let i = 1; i < 7; i++) ids.push((await site.ask(token, `${i}`, { conversation_id })).id);
  const read = (limit: number) =>
    pages(limit, async (query) => {
      const { turns, next_cursor } = await site.conversation(token, conversation_id, query);
      return [turns.map((turn) => turn.id), next_cursor];
    });
  expect(await read(3)).toEqual([ids.slice(4), ids.slice(1, 4), ids.slice(0, 1)]);
  expect(await read(7)).toEqual([ids]);
  await sql`update turns set created_at = '2026-01-02T03:04:05.678Z' where conversation_id = ${conversation_id}`;
  const sorted = [...ids].sort();
  for (const limit of [1, 2, 3]) expect((await read(limit)).reverse().flat()).toEqual(sorted);
});

test("a conversation is titled with the first line of its first message, cut at a whole character", async () => {
  const token = await site.visitor();
  const titleOf = async (message: string) => {
    const { conversation_id } = await site.ask(token, message);
    return (await site.conversation(token, conversation_id)).conversation.title;
  };
  expect(await titleOf("\n  What is this? \r\nIt is red.")).toBe("What is this?");
  expect(await titleOf("x".repeat(80))).toBe("x".repeat(80));
  expect(await titleOf("x".repeat(81))).toBe(`${"x".repeat(79)}…`);
  expect(await titleOf(`${"x".repeat(78)}👋👋`)).toBe(`${"x".repeat(78)}…`);
});

test("a title is found as quickly in a long run of blanks as in any other message", async () => {
  const token = await site.visitor();
  const timed = async (message: string) => {
    site.model.next(answer("Fine."));
    const begun = performance.now();
    await site.ask(token, message);
    return performance.now() - begun;
  };
  const plainMs = await timed("x".repeat(40_000));
  expect(await timed(`a${" ".repeat(40_000)}b`)).toBeLessThan(8 * plainMs);
});

test("a deleted conversation is gone with its turns, and its running answer ends", async () => {
  const { asked, release } = site.hold([{ text: "I was" }, { text: " saying" }]);
  const token = await site.visitor();
  const { id, conversation_id } = await site.begin(token, "Talk");
  const { ended } = await asked();
  const path = `/conversations/${conversation_id}`;
  expect((await site.on("DELETE", path, { token })).status).toBe(204);
  release();
  expect((await site.on("DELETE", path, { token })).status).toBe(404);
  expect((await site.on("GET", `/turns/${id}`, { token })).status).toBe(404);
  expect((await site.on("POST", `/turns/${id}/stop`, { token })).status).toBe(404);
  expect(await ended).toBe("broken");
  expect(await site.ask(token, "Still there?")).toMatchObject({ status: "done" });
});
