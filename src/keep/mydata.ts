// All that is stored of one user: read to its end a page at a time, however much it is, or deleted at once.

import type { Runs } from "../chat/runs.ts";
import type { Database } from "../db/db.ts";
import * as conversations from "../rows/conversations.ts";
import * as turns from "../rows/turns.ts";
import * as users from "../rows/users.ts";

export type Mine = {
  user: users.User & users.Profile;
  /** Oldest first. To be read in order, and each one's turns before the next. */
  conversations: AsyncIterable<{
    conversation: conversations.Conversation;
    turns: AsyncIterable<turns.Turn>;
  }>;
};

const pageRows = 20;

/** Each page is a transaction of its own: what is written meanwhile may be in it or not. */
export async function read(db: Database, runs: Runs, tenantId: string, userId: string): Promise<Mine> {
  const known = await db.tenant(tenantId, (tx) => users.profiles(tx, [userId]));
  const turnsOf = (conversationId: string) =>
    rows<turns.Turn>((after) =>
      db.tenant(tenantId, (tx) => turns.inOrder(tx, conversationId, pageRows, after)),
    );

  async function* all() {
    const found = rows<conversations.Conversation>((after) =>
      db.tenant(tenantId, (tx) => conversations.inOrder(tx, userId, pageRows, after)),
    );
    for await (const conversation of found) yield { conversation, turns: newest(turnsOf(conversation.id)) };
  }

  async function* newest(stored: AsyncIterable<turns.Turn>) {
    for await (const turn of stored) yield runs.newest(turn);
  }

  const profile = known.get(userId) ?? { name: null, email: null };
  return { user: { ...users.userOf(userId), ...profile }, conversations: all() };
}

/** How much was deleted; `profile`: also what the site said of the user. */
export type Removed = { conversations: number; turns: number; profile: boolean };

/** All or nothing. Runs of these turns end: their next write finds no row to write to. */
export async function remove(db: Database, tenantId: string, userId: string): Promise<Removed> {
  const [said, profile] = await db.tenant(tenantId, (tx) =>
    Promise.all([conversations.removeAll(tx, userId), users.remove(tx, userId)]),
  );
  return { ...said, profile };
}

/** The rows of all pages. `pageAfter` gives those after a row, none after the last. */
async function* rows<Row>(pageAfter: (last: Row | undefined) => Promise<Row[]>): AsyncGenerator<Row> {
  let last: Row | undefined;
  do {
    const page = await pageAfter(last);
    yield* page;
    last = page.length === pageRows ? page.at(-1) : undefined;
  } while (last !== undefined);
}
