// Conversations: the rows, always of one visitor of one tenant.
import type { TenantTx } from "./db.ts";
import { CipError } from "./errors.ts";

export type Conversation = { id: string; title: string; created_at: Date; updated_at: Date };

const titleCharsMax = 80;

/**
 * Makes sure that the conversation is there and this visitor's; a new one is titled with the start of `message`.
 * Throws not_found where the id is somebody else's.
 */
export async function open(tx: TenantTx, userId: string, id: string, message: string): Promise<void> {
  const rows = await tx`
    insert into conversations (tenant_id, id, user_id, title)
    values (${tx.tenantId}, ${id}, ${userId}, ${titleOf(message)})
    on conflict (tenant_id, id) do update set updated_at = now() where conversations.user_id = excluded.user_id
    returning id`;
  if (rows.length === 0) throw new CipError("not_found");
}

/** One conversation. Throws not_found. */
export async function get(tx: TenantTx, userId: string, id: string): Promise<Conversation> {
  return found(
    await tx<Conversation[]>`
    select id, title, created_at, updated_at from conversations
    where tenant_id = ${tx.tenantId} and id = ${id} and user_id = ${userId}`,
  );
}

export type Place = { updatedAt: Date; id: string };

/** The visitor's conversations, newest activity first, those older than `before`. */
export async function list(
  tx: TenantTx,
  userId: string,
  limit: number,
  before?: Place,
): Promise<Conversation[]> {
  return tx<Conversation[]>`
    select id, title, created_at, updated_at from conversations
    where tenant_id = ${tx.tenantId} and user_id = ${userId}
      ${before ? tx`and (updated_at, id) < (${before.updatedAt}, ${before.id})` : tx``}
    order by updated_at desc, id desc
    limit ${limit}`;
}

/** Throws not_found. */
export async function rename(tx: TenantTx, userId: string, id: string, title: string): Promise<Conversation> {
  return found(
    await tx<Conversation[]>`
    update conversations set title = ${title}
    where tenant_id = ${tx.tenantId} and id = ${id} and user_id = ${userId}
    returning id, title, created_at, updated_at`,
  );
}

/** Deletes the conversation and all its turns. Throws not_found. */
export async function remove(tx: TenantTx, userId: string, id: string): Promise<void> {
  const rows = await tx`
    delete from conversations
    where tenant_id = ${tx.tenantId} and id = ${id} and user_id = ${userId}
    returning id`;
  if (rows.length === 0) throw new CipError("not_found");
}

function found(rows: Conversation[]): Conversation {
  const [row] = rows;
  if (!row) throw new CipError("not_found");
  return row;
}

function titleOf(message: string): string {
  const line = (message.trim().split("\n", 1)[0] ?? "").trimEnd();
  return line.length <= titleCharsMax
    ? line
    : `${line.slice(0, titleCharsMax - 1).replace(/[\ud800-\udbff]$/, "")}…`;
}
