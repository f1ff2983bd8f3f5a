// Conversations: the rows of one tenant, each of one user.
import type { TenantTx } from "../db/db.ts";
import { CipError } from "../errors.ts";
import { of, type Whose } from "./users.ts";

export type Conversation = { id: string; user_id: string; title: string; created_at: Date; updated_at: Date };

const titleCharsMax = 80;
const columns = (tx: TenantTx) => tx`id, user_id, title, created_at, updated_at`;

/** One conversation. Throws not_found. */
export async function get(tx: TenantTx, whose: Whose, id: string): Promise<Conversation> {
  return found(
    await tx<Conversation[]>`
    select ${columns(tx)} from conversations
    where tenant_id = ${tx.tenantId} and id = ${id} ${of(tx, whose)}`,
  );
}

export type Place = { updatedAt: Date; id: string };
/** Which conversations of a list: those older than the one where the last page ended, `since` <= their last activity < `until`. */
export type Span = { before?: Place | undefined; since?: Date | undefined; until?: Date | undefined };

/** Conversations, newest activity first. */
export async function list(
  tx: TenantTx,
  whose: Whose,
  limit: number,
  { before, since, until }: Span = {},
): Promise<Conversation[]> {
  return tx<Conversation[]>`
    select ${columns(tx)} from conversations
    where tenant_id = ${tx.tenantId} ${of(tx, whose)}
      ${before ? tx`and (updated_at, id) < (${before.updatedAt}, ${before.id})` : tx``}
      ${since ? tx`and updated_at >= ${since}` : tx``}
      ${until ? tx`and updated_at < ${until}` : tx``}
    order by updated_at desc, id desc
    limit ${limit}`;
}

/** Throws not_found. */
export async function rename(tx: TenantTx, whose: Whose, id: string, title: string): Promise<Conversation> {
  return found(
    await tx<Conversation[]>`
    update conversations set title = ${title}
    where tenant_id = ${tx.tenantId} and id = ${id} ${of(tx, whose)}
    returning ${columns(tx)}`,
  );
}

/** Deletes the conversation and all its turns. Throws not_found. */
export async function remove(tx: TenantTx, whose: Whose, id: string): Promise<void> {
  const rows = await tx`
    delete from conversations
    where tenant_id = ${tx.tenantId} and id = ${id} ${of(tx, whose)}
    returning id`;
  if (rows.length === 0) throw new CipError("not_found");
}

/** The user's oldest `limit` conversations, those after `after`. */
export async function inOrder(
  tx: TenantTx,
  userId: string,
  limit: number,
  after: Pick<Conversation, "created_at" | "id"> | undefined,
): Promise<Conversation[]> {
  return tx<Conversation[]>`
    select ${columns(tx)} from conversations
    where tenant_id = ${tx.tenantId} and user_id = ${userId}
      ${after ? tx`and (created_at, id) > (${after.created_at}, ${after.id})` : tx``}
    order by created_at, id
    limit ${limit}`;
}

/**
 * Deletes all of the user's conversations with all their turns, and returns how many of each. The locks are taken in the order in which others take
 * them: who asks takes a conversation before its turns, and a process writes its runs about as they were begun.
 */
export async function removeAll(
  tx: TenantTx,
  userId: string,
): Promise<{ conversations: number; turns: number }> {
  const [, , [counted], gone] = await Promise.all([
    tx`select from conversations where tenant_id = ${tx.tenantId} and user_id = ${userId} order by id for update`,
    tx`
      select from turns where tenant_id = ${tx.tenantId} and user_id = ${userId} and status = 'running'
      order by id for update`,
    tx<{ turns: number }[]>`
      select count(*)::integer as turns from conversations c
      join turns t on t.tenant_id = c.tenant_id and t.conversation_id = c.id
      where c.tenant_id = ${tx.tenantId} and c.user_id = ${userId}`,
    tx`delete from conversations where tenant_id = ${tx.tenantId} and user_id = ${userId} returning id`,
  ]);
  return { conversations: gone.length, turns: counted?.turns ?? 0 };
}

function found(rows: Conversation[]): Conversation {
  const [row] = rows;
  if (!row) throw new CipError("not_found");
  return row;
}

/** What a conversation that begins with `message` is called until it is renamed. */
export function titleOf(message: string): string {
  const line = (message.trim().split("\n", 1)[0] ?? "").trimEnd();
  return line.length <= titleCharsMax
    ? line
    : `${line.slice(0, titleCharsMax - 1).replace(/[\ud800-\udbff]$/, "")}…`;
}
