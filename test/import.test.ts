// Import adds and never overwrites; whatever is wrong with a file is said with its line, and what came before it is kept.
import { beforeAll, describe, expect, test } from "bun:test";
import type { Database } from "../src/db/db.ts";
import * as archive from "../src/keep/archive.ts";
import { pieces } from "../src/keep/export.ts";
import { read } from "../src/keep/import.ts";
import { linesOf } from "../src/keep/lines.ts";
import { keyOf } from "../src/rows/users.ts";
import { databases } from "./database.ts";

const time = "2026-01-31T12:00:00.000Z";
const header = { header: { format: "cip", version: 1, tenant: "acme", exported_at: time } } as const;
const newId = () => Bun.randomUUIDv7();
const conversation = (id: string, more: Partial<archive.Conversation> = {}) => ({
  conversation: {
    id,
    user_id: "ann",
    anonymous: false,
    title: "T",
    created_at: time,
    updated_at: time,
    ...more,
  },
});
const turn = (conversation_id: string, more: Partial<archive.Turn> = {}) => ({
  turn: {
    id: newId(),
    conversation_id,
    status: "done" as const,
    message: "Hi",
    parts: [{ text: "Hello", type: "text" as const }],
    finish_reason: "stop" as const,
    usage: { input_tokens: 1, output_tokens: 2 },
    error: null,
    versions: [],
    superseded_by: null,
    feedback: null,
    context: null,
    idempotency: null,
    created_at: time,
    finished_at: time,
    ...more,
  },
});
const end = (users: number, conversations: number, turns: number) => ({
  end: { users, conversations, turns },
});
const file = (...entries: archive.Entry[]) => entries.map(archive.lineOf).join("");
const oneTurn = () => {
  const id = newId();
  return file(header, conversation(id), turn(id), end(0, 1, 1));
};

async function* bytesOf(text: string | Uint8Array): AsyncGenerator<Uint8Array> {
  const bytes = typeof text === "string" ? Buffer.from(text) : text;
  const size = bytes.length > 100_000 ? 65_537 : 7;
  for (let from = 0; from < bytes.length; from += size) yield bytes.subarray(from, from + size);
}

describe.each(databases)("on %s", (_name, open) => {
  let db: Database;
  beforeAll(async () => {
    db = await open();
  });
  const take = (text: string | Uint8Array, into: string) => read(db, bytesOf(text), into, () => true);
  const tenant = () => `t-${newId()}`;
  const exported = async (id: string) => {
    let text = "";
    for await (const piece of pieces(db, id, { users: 0, conversations: 0, turns: 0 })) text += piece;
    return text.split("\n").slice(1).join("\n");
  };

  test("what is imported twice is there once", async () => {
    const [into, text] = [tenant(), oneTurn()];
    expect((await take(text, into)).tally.turns).toEqual({ added: 1, there: 0, foreign: 0 });
    expect((await take(text, into)).tally.turns).toEqual({ added: 0, there: 1, foreign: 0 });
    expect(await exported(into)).toBe(text.split("\n").slice(1).join("\n"));
  });

  test("what is stopped in the middle is gone on with by the same command", async () => {
    const into = tenant();
    const ids = Array.from({ length: 1_200 }, newId).sort();
    const text = file(header, ...ids.map((id) => conversation(id)), end(0, 1_200, 0));
    const { tally } = await read(db, bytesOf(text), into, () => false);
    expect(tally.conversations).toEqual({ added: 500, there: 0, foreign: 0 });
    expect((await take(text, into)).tally.conversations).toEqual({ added: 700, there: 500, foreign: 0 });
  });

  test("what is another user's here stays so, with its turns", async () => {
    const [into, id] = [tenant(), newId()];
    const theirs = file(header, conversation(id, { user_id: "bob" }), turn(id), end(0, 1, 1));
    await take(theirs, into);
    const before = await exported(into);
    const { tally } = await take(file(header, conversation(id), turn(id), end(0, 1, 1)), into);
    expect([tally.conversations.foreign, tally.turns.foreign]).toEqual([1, 1]);
    expect(await exported(into)).toBe(before);
  });

  test("a key that another turn has taken meanwhile is left to it, and the turn comes all the same", async () => {
    const [into, id] = [tenant(), newId()];
    const idempotency = { key: "k", request_hash: "h" };
    await take(file(header, conversation(id), turn(id, { idempotency }), end(0, 1, 1)), into);
    const { tally } = await take(
      file(header, conversation(id), turn(id, { idempotency }), end(0, 1, 1)),
      into,
    );
    expect(tally.turns.added).toBe(1);
  });

  test("an answer that was being written ends as interrupted", async () => {
    const [into, id] = [tenant(), newId()];
    const running = turn(id, { status: "running", finished_at: null, finish_reason: null, usage: null });
    await take(file(header, conversation(id), running, end(0, 1, 1)), into);
    expect(await exported(into)).toContain('"status":"interrupted"');
  });

  test("answers of megabytes go out in pages of few", async () => {
    const [into, id] = [tenant(), newId()];
    const big = Array.from({ length: 6 }, (_, n) =>
      turn(id, {
        parts: [{ text: `${n} ${"é".repeat(700_000)}`, type: "text" }],
        created_at: `2026-01-31T12:00:0${n}.000Z`,
      }),
    );
    const text = file(header, conversation(id), ...big, end(0, 1, 6));
    await take(text, into);
    expect(Bun.hash(await exported(into))).toBe(Bun.hash(text.split("\n").slice(1).join("\n")));
  });

  test("users keep what the site says of them now", async () => {
    const into = tenant();
    const ann = { user_id: "ann", anonymous: false, email: null, updated_at: time };
    await db.tenant(
      into,
      (tx) => tx`insert into users (tenant_id, id, name) values (${into}, ${keyOf("ann")}, 'Ann Now')`,
    );
    await take(file(header, { user: { ...ann, name: "Ann Then" } }, end(1, 0, 0)), into);
    expect(await exported(into)).toContain("Ann Now");
  });

  test("other line ends, blank lines, a byte order mark and escapes are no matter", async () => {
    const [into, text] = [tenant(), oneTurn().replace("Hello", "\\ud83d\\udc4b \\ud800")];
    await take(`\ufeff${text.replaceAll("\n", "\r\n\r\n")}`, into);
    expect(await exported(into)).toContain('"text":"👋 \ufffd"');
  });

  const id = newId();
  const start = file(header, conversation(id));
  const broken: [name: string, text: string | Uint8Array, line: number, said: string][] = [
    ["empty", "", 1, "the file is empty"],
    ["blank", "\n\n", 1, "the file is empty"],
    ["not JSON", "hello\n", 1, "is not a JSON object"],
    ["of something else", '{"a":1}\n', 1, "is not the beginning of a cip export"],
    ["of a later version", oneTurn().replace('"version":1', '"version":2'), 1, "is of version 2"],
    ["of no tenant", oneTurn().replace('"acme"', '"A b"'), 1, "tenant"],
    ["cut after a line", start, 2, "the file was cut short"],
    ["cut in a line", `${start}{"turn":{"id`, 3, "is not a JSON object"],
    ["short of a turn", start + file(end(0, 1, 1)), 3, "counts 0 users, 1 conversations and 1 turns"],
    ["longer than its end", start + file(end(0, 1, 0), conversation(newId())), 4, "comes after the end"],
    ["out of order", file(header, turn(id)), 2, "is a turn of another conversation"],
    [
      "with users late",
      start + file({ user: { user_id: "a", anonymous: false, name: null, email: null, updated_at: time } }),
      3,
      "users come before the conversations",
    ],
    ["of an unknown kind", `${start}{"turm":{}}\n`, 3, "must have user, conversation, turn or end"],
    ["with a field too many", start + file(turn(id)).replace('"message"', '"massage"'), 3, "turn.m"],
    [
      "with a time that is none",
      start + file(turn(id, { created_at: "2026-02-31T00:00:00.000Z" })),
      3,
      "created_at: there is no such time",
    ],
    ["unfinished and ended", start + file(turn(id, { status: "queued" })), 3, "finished_at: must be null"],
    [
      "with more tokens than can be counted",
      start + file(turn(id, { usage: { input_tokens: 2 ** 31, output_tokens: 0 } })),
      3,
      "turn.usage",
    ],
    ["nested without end", `${start}${'{"turn":'.repeat(500_000)}\n`, 3, "is not a JSON object"],
    ["of what every object has", `${start}{"__proto__":{},"constructor":{}}\n`, 3, "must have user"],
    ["with U+0000", start + file(turn(id, { message: "a\0b" })), 3, "U+0000"],
    [
      "with a user who poses as another",
      file(header, conversation(id, { user_id: "user:ann", anonymous: true })),
      2,
      "user_id: of an anonymous user it must be a UUID",
    ],
    ["not UTF-8", Buffer.concat([Buffer.from(start), Buffer.from([0xff, 0x0a])]), 3, "is not UTF-8"],
    ["UTF-16", Buffer.from(`\ufeff${start}`, "utf16le"), 1, "is UTF-16"],
    ["compressed", Bun.gzipSync(Buffer.from(start)), 1, "is compressed"],
  ];
  test.each(broken)("a file that is %s is refused", async (_name, text, line, said) => {
    const error = await take(text, tenant()).catch((error: unknown) => error);
    expect(error).toMatchObject({ name: "LineError", number: line });
    expect((error as Error).message).toContain(said);
  });

  test("what comes before a broken line is kept", async () => {
    const into = tenant();
    await take(start, into).catch(() => {});
    expect(await exported(into)).toContain(id);
  });
});

test("a line that has no end is refused before it fills the memory", async () => {
  const lines = linesOf(bytesOf("short\nmuch too long"), 8);
  expect((await lines.next()).value?.text).toBe("short");
  expect(lines.next()).rejects.toMatchObject({ number: 2, message: "is longer than 8 bytes" });
});
