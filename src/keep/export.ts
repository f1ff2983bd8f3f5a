// Export: all that is stored of a tenant's visitors as the lines of an archive, in an order that is the same on every
// database. Read in short transactions and pages of bounded size, so that memory does not grow with what there is.

import type { Database, TenantTx } from "../db/db.ts";
import * as turns from "../rows/turns.ts";
import { type Profile, userOf } from "../rows/users.ts";
import * as archive from "./archive.ts";

const usersAtOnce = 2_000;
const conversationsAtOnce = 500;
const turnsAtOnceMax = 500;
const pageBytesMax = 2 * 1024 * 1024;
const pieceChars = 64 * 1024;

/** The archive in pieces of whole lines. What is written meanwhile may be in it or not. `counts` grow as it is read. */
export async function* pieces(
  db: Database,
  tenantId: string,
  counts: archive.Counts,
): AsyncGenerator<string> {
  const { format, version } = archive;
  let text = archive.lineOf({
    header: { format, version, tenant: tenantId, exported_at: new Date().toISOString() },
  });
  for await (const said of everything(db, tenantId)) {
    counts[archive.kindOf(said)]++;
    text += archive.lineOf(said);
    if (text.length < pieceChars) continue;
    yield text;
    text = "";
  }
  yield text + archive.lineOf({ end: counts });
}

/** Turns and conversations are both read in the order of the conversations' ids, so that each turn follows its own. */
async function* everything(db: Database, tenantId: string): AsyncGenerator<archive.Said> {
  const read = <T>(work: (tx: TenantTx) => Promise<T>) => db.tenant(tenantId, work);
  for await (const user of rows<User>(usersAtOnce, (after) => read((tx) => users(tx, usersAtOnce, after))))
    yield { user: userIn(user) };
  const asked = turnsOf(db, tenantId);
  let next = await asked.next();
  const begun = rows<Conversation>(conversationsAtOnce, (after) =>
    read((tx) => conversations(tx, conversationsAtOnce, after)),
  );
  for await (const conversation of begun) {
    yield { conversation: conversationIn(conversation) };
    // Those of a conversation that has come or gone meanwhile are passed over.
    for (; !next.done && next.value.conversation_id <= conversation.id; next = await asked.next())
      if (next.value.conversation_id === conversation.id) yield { turn: turnIn(next.value) };
  }
}

async function* rows<Row>(
  limit: number,
  pageAfter: (last: Row | undefined) => Promise<Row[]>,
): AsyncGenerator<Row> {
  let last: Row | undefined;
  do {
    const page = await pageAfter(last);
    yield* page;
    last = page.length === limit ? page.at(-1) : undefined;
  } while (last !== undefined);
}

/** As many at a time as have just fitted into a page, or twice as many: what does not fit was read for nothing. */
async function* turnsOf(db: Database, tenantId: string): AsyncGenerator<Turn> {
  let limit = 50;
  let last: Turn | undefined;
  do {
    const page: Turn[] = await db.tenant(tenantId, (tx) => turnsAfter(tx, limit, pageBytesMax, last));
    yield* page;
    limit = Math.min(page.length * 2, turnsAtOnceMax);
    last = page.at(-1);
  } while (last !== undefined);
}

type User = Profile & { id: string; updated_at: Date };
type Conversation = { id: string; user_id: string; title: string; created_at: Date; updated_at: Date };
type Turn = turns.Turn & { idempotency_key: string | null; request_hash: string | null };

/** Those after the user `after`. The order is that of bytes, which no locale of a database changes. */
export async function users(
  tx: TenantTx,
  limit: number,
  after: Pick<User, "id"> | undefined,
): Promise<User[]> {
  return tx<User[]>`
    select id, name, email, updated_at from users
    where tenant_id = ${tx.tenantId} ${after ? tx`and id collate "C" > ${after.id}` : tx``}
    order by id collate "C"
    limit ${limit}`;
}

export async function conversations(
  tx: TenantTx,
  limit: number,
  after: Pick<Conversation, "id"> | undefined,
): Promise<Conversation[]> {
  return tx<Conversation[]>`
    select id, user_id, title, created_at, updated_at from conversations
    where tenant_id = ${tx.tenantId} ${after ? tx`and id > ${after.id}` : tx``}
    order by id
    limit ${limit}`;
}

/** Of all conversations; at least one where there is one, and no more than fit into `bytesMax` of UTF-8 and that one. */
export async function turnsAfter(
  tx: TenantTx,
  limit: number,
  bytesMax: number,
  after: Pick<Turn, "conversation_id" | "created_at" | "id"> | undefined,
): Promise<Turn[]> {
  return tx<Turn[]>`
    select id, conversation_id, status, message, parts, finish_reason, input_tokens, output_tokens, error_code, versions,
      superseded_by, rating, comment, context, idempotency_key, request_hash, created_at, finished_at
    from (
      select *, sum(octet_length(message) + octet_length(parts::text)) over
        (order by conversation_id, created_at, id rows between unbounded preceding and 1 preceding) as bytes_before
      from (
        select * from turns
        where tenant_id = ${tx.tenantId}
          ${after ? tx`and (conversation_id, created_at, id) > (${after.conversation_id}, ${after.created_at}, ${after.id})` : tx``}
        order by conversation_id, created_at, id
        limit ${limit}
      ) page
    ) measured
    where coalesce(bytes_before, 0) < ${bytesMax}
    order by conversation_id, created_at, id`;
}

/** What there is to come, for who wants to see how far it is. */
export async function countTurns(tx: TenantTx): Promise<number> {
  const [row] = await tx<{ count: number }[]>`
    select count(*)::integer as count from turns where tenant_id = ${tx.tenantId}`;
  return row?.count ?? 0;
}

function who(key: string): { user_id: string; anonymous: boolean } {
  const { id, anonymous } = userOf(key);
  return { user_id: id, anonymous };
}

function userIn({ id, name, email, updated_at }: User): archive.User {
  return { ...who(id), name, email, updated_at: updated_at.toISOString() };
}

function conversationIn({ id, user_id, title, created_at, updated_at }: Conversation): archive.Conversation {
  return {
    id,
    ...who(user_id),
    title,
    created_at: created_at.toISOString(),
    updated_at: updated_at.toISOString(),
  };
}

function turnIn(turn: Turn): archive.Turn {
  const { idempotency_key: key, request_hash } = turn;
  return {
    id: turn.id,
    conversation_id: turn.conversation_id,
    status: turn.status,
    message: turn.message,
    parts: turn.parts,
    finish_reason: turn.finish_reason,
    usage: turns.usageOf(turn),
    error: turn.error_code && { code: turn.error_code },
    versions: turn.versions,
    superseded_by: turn.superseded_by,
    feedback: turn.rating || turn.comment ? { rating: turn.rating, comment: turn.comment } : null,
    context: turn.context,
    idempotency: key !== null && request_hash !== null ? { key, request_hash } : null,
    created_at: turn.created_at.toISOString(),
    finished_at: turn.finished_at?.toISOString() ?? null,
  };
}
