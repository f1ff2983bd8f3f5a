// Turns: one visitor message and its one answer, as a visitor asks for them and reads them. Claims write them.

import type { Context } from "../config/placeholders.ts";
import type { TenantTx } from "../db/db.ts";
import { CipError, type ErrorCode } from "../errors.ts";
import { of, type Whose } from "./users.ts";

export type Part = { type: "reasoning" | "text"; text: string };
export type Status = "queued" | "running" | "done" | "stopped" | "failed" | "interrupted";
export type FinishReason = "stop" | "length" | "content-filter";
export type Usage = { input_tokens: number; output_tokens: number };

/** How a turn ended; its readers see the last chunk made from this. */
export type Ending =
  | { status: "done"; finishReason: FinishReason; usage: Usage | null }
  | { status: "stopped" }
  | { status: "interrupted" }
  | { status: "failed"; code: ErrorCode };

export type Turn = {
  id: string;
  conversation_id: string;
  status: Status;
  message: string;
  parts: Part[];
  finish_reason: FinishReason | null;
  input_tokens: number | null;
  output_tokens: number | null;
  error_code: ErrorCode | null;
  /** The newest of the turns that this one replaced, oldest first. */
  versions: string[];
  superseded_by: string | null;
  /** What the visitor thinks of the answer. */
  rating: "up" | "down" | null;
  comment: string | null;
  /** Where on the site it was asked. */
  context: Context | null;
  created_at: Date;
  finished_at: Date | null;
};

/** A turn as a model is told of it later. */
export type Said = { message: string; answer: string };

const columns = (tx: TenantTx) =>
  tx`id, conversation_id, status, message, parts, finish_reason, input_tokens, output_tokens, error_code, versions,
     superseded_by, rating, comment, context, created_at, finished_at`;

/** One turn. Throws not_found. */
export async function get(tx: TenantTx, whose: Whose, id: string): Promise<Turn> {
  const [row] = await tx<Turn[]>`
    select ${columns(tx)} from turns
    where tenant_id = ${tx.tenantId} and id = ${id} ${of(tx, whose)}`;
  if (!row) throw new CipError("not_found");
  return row;
}

/** The newest `limit` turns of a conversation (those before the turn `before`), oldest first, without replaced ones. */
export async function page(
  tx: TenantTx,
  conversationId: string,
  limit: number,
  before?: string,
): Promise<Turn[]> {
  const rows = await tx<Turn[]>`
    select ${columns(tx)} from turns
    where tenant_id = ${tx.tenantId} and conversation_id = ${conversationId} and superseded_by is null
      ${
        before
          ? tx`and (created_at, id) <
                 (select b.created_at, b.id from turns b where b.tenant_id = ${tx.tenantId} and b.id = ${before})`
          : tx``
      }
    order by created_at desc, id desc
    limit ${limit}`;
  return rows.reverse();
}

/** The oldest `limit` turns of a conversation, those after the turn `after`; replaced ones too. */
export async function inOrder(
  tx: TenantTx,
  conversationId: string,
  limit: number,
  after: Pick<Turn, "created_at" | "id"> | undefined,
): Promise<Turn[]> {
  return tx<Turn[]>`
    select ${columns(tx)} from turns
    where tenant_id = ${tx.tenantId} and conversation_id = ${conversationId}
      ${after ? tx`and (created_at, id) > (${after.created_at}, ${after.id})` : tx``}
    order by created_at, id
    limit ${limit}`;
}

/** What was said before the turn `id`: the last answered turns that fit into `bytesMax` of UTF-8, oldest first. */
export async function history(
  tx: TenantTx,
  conversationId: string,
  id: string,
  bytesMax: number,
): Promise<Said[]> {
  return tx<Said[]>`
    select message, answer from history(${tx.tenantId}, ${conversationId}, ${id}, ${bytesMax}) order by said_at, id`;
}

/**
 * The conversation's turn that is being answered, or else the one that waits the longest for it. It is looked for among
 * its user's unfinished ones, which are few, and not in a conversation of any length: `is not distinct from` is a
 * condition that no index is chosen for.
 */
export async function findLive(
  tx: TenantTx,
  whose: Whose,
  conversationId: string,
): Promise<string | undefined> {
  const [row] = await tx<{ id: string }[]>`
    select id from turns
    where tenant_id = ${tx.tenantId} and conversation_id is not distinct from ${conversationId}
      and status in ('queued', 'running')
      and user_id = (select c.user_id from conversations c where c.tenant_id = ${tx.tenantId} and c.id = ${conversationId})
      ${of(tx, whose)}
    order by status desc, created_at, id
    limit 1`;
  return row?.id;
}

export type Feedback = { rating: Turn["rating"]; comment: string | null };

/** Keeps what the visitor thinks of an answer in place of what was kept before. Throws not_found, turn_running. */
export async function rate(
  tx: TenantTx,
  whose: Whose,
  id: string,
  { rating, comment }: Feedback,
): Promise<Turn> {
  const [row] = await tx<Turn[]>`
    update turns set rating = ${rating}, comment = ${comment}
    where tenant_id = ${tx.tenantId} and id = ${id} and finished_at is not null ${of(tx, whose)}
    returning ${columns(tx)}`;
  if (row) return row;
  await get(tx, whose, id);
  throw new CipError("turn_running", { detail: "The answer is not finished yet.", turn_id: id });
}

/** How a stored turn ended, or undefined while it has not. */
export function endingOf(turn: Turn): Ending | undefined {
  switch (turn.status) {
    case "queued":
    case "running":
      return undefined;
    case "done":
      return { status: "done", finishReason: turn.finish_reason ?? "stop", usage: usageOf(turn) };
    case "failed":
      return { status: "failed", code: turn.error_code ?? "model_failed" };
    default:
      return { status: turn.status };
  }
}

export function usageOf(turn: Turn): Usage | null {
  return turn.input_tokens === null || turn.output_tokens === null
    ? null
    : { input_tokens: turn.input_tokens, output_tokens: turn.output_tokens };
}
