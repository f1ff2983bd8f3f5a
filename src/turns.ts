// Turns: one visitor message and its one answer. The database decides who opens, writes and settles them.
import type { SystemTx, TenantTx } from "./db.ts";
import { CipError, type ErrorCode } from "./errors.ts";

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
  created_at: Date;
  finished_at: Date | null;
};

/** A turn that this process runs, and the epoch that its writes must name. */
export type Claim = { tenantId: string; turnId: string; epoch: number };

/** An instance that has not renewed for this long is taken for dead. */
export const leaseSeconds = 45;

/** Opens a running turn. Throws turn_running, with the other's id, where the conversation has one already. */
export async function open(
  tx: TenantTx,
  conversationId: string,
  id: string,
  message: string,
): Promise<Claim> {
  const rows = await tx<{ epoch: number }[]>`
    insert into turns (tenant_id, id, conversation_id, status, message, lease_until)
    values (${tx.tenantId}, ${id}, ${conversationId}, 'running', ${message}, now() + ${leaseSeconds} * interval '1 second')
    on conflict (tenant_id, conversation_id) where status = 'running' do nothing
    returning epoch`;
  const [row] = rows;
  if (row) return { tenantId: tx.tenantId, turnId: id, epoch: row.epoch };
  const [running] = await tx<{ id: string }[]>`
    select id from turns
    where tenant_id = ${tx.tenantId} and conversation_id = ${conversationId} and status = 'running'`;
  throw new CipError("turn_running", running ? { turn_id: running.id } : {});
}

const columns = (tx: TenantTx) =>
  tx`t.id, t.conversation_id, t.status, t.message, t.parts, t.finish_reason, t.input_tokens, t.output_tokens,
     t.error_code, t.created_at, t.finished_at`;

/** One turn of this visitor. Throws not_found. */
export async function get(tx: TenantTx, userId: string, id: string): Promise<Turn> {
  const [row] = await tx<Turn[]>`
    select ${columns(tx)} from turns t
    join conversations c on c.tenant_id = t.tenant_id and c.id = t.conversation_id
    where t.tenant_id = ${tx.tenantId} and t.id = ${id} and c.user_id = ${userId}`;
  if (!row) throw new CipError("not_found");
  return row;
}

/** The newest `limit` turns of a conversation (those before the turn `before`), oldest first. */
export async function page(
  tx: TenantTx,
  conversationId: string,
  limit: number,
  before?: string,
): Promise<Turn[]> {
  const rows = await tx<Turn[]>`
    select ${columns(tx)} from turns t
    where t.tenant_id = ${tx.tenantId} and t.conversation_id = ${conversationId}
      ${before ? tx`and (t.created_at, t.id) < (select b.created_at, b.id from turns b where b.tenant_id = ${tx.tenantId} and b.id = ${before})` : tx``}
    order by t.created_at desc, t.id desc
    limit ${limit}`;
  return rows.reverse();
}

const historyTurnsMax = 200;

/** The last answered turns that fit into `bytesMax` of UTF-8, oldest first. Reasoning is not history. */
export async function history(
  tx: TenantTx,
  conversationId: string,
  bytesMax: number,
): Promise<{ message: string; answer: string }[]> {
  const rows = await tx<{ message: string; answer: string }[]>`
    select message, answer from (
      select t.message, a.answer, t.created_at, t.id,
        sum(octet_length(t.message) + octet_length(a.answer)) over (order by t.created_at desc, t.id desc) as bytes
      from (
        select message, parts, created_at, id from turns
        where tenant_id = ${tx.tenantId} and conversation_id = ${conversationId} and status <> 'running'
        order by created_at desc, id desc
        limit ${historyTurnsMax}
      ) t
      cross join lateral (
        select string_agg(p ->> 'text', '') as answer
        from jsonb_array_elements(t.parts) p where p ->> 'type' = 'text'
      ) a
      where a.answer <> ''
    ) answered
    where bytes <= ${bytesMax}
    order by created_at desc, id desc`;
  return rows.reverse();
}

/** Writes the end of a run. False where the turn is no longer this run's: somebody else settled or deleted it. */
export async function settle(tx: TenantTx, claim: Claim, parts: Part[], ending: Ending): Promise<boolean> {
  const done = ending.status === "done" ? ending : undefined;
  const rows = await tx`
    update turns set
      status = ${ending.status}, parts = ${tx.json(parts)}, finished_at = now(), lease_until = null,
      finish_reason = ${done?.finishReason ?? null},
      input_tokens = ${done?.usage?.input_tokens ?? null}, output_tokens = ${done?.usage?.output_tokens ?? null},
      error_code = ${ending.status === "failed" ? ending.code : null}
    where tenant_id = ${tx.tenantId} and id = ${claim.turnId} and status = 'running' and epoch = ${claim.epoch}
    returning id`;
  return rows.length === 1;
}

/** Asks whichever instance runs the turn to stop it. */
export async function requestStop(tx: TenantTx, id: string): Promise<void> {
  await tx`update turns set stop_requested = true where tenant_id = ${tx.tenantId} and id = ${id} and status = 'running'`;
}

/**
 * Renews the leases of the claims, stores the text of those that come with `parts`, and returns the turns that are
 * still this process's, each with whether somebody asked it to stop.
 */
export async function checkpoint(
  tx: SystemTx,
  claims: (Claim & { parts: Part[] | undefined })[],
): Promise<{ id: string; stop_requested: boolean }[]> {
  const rows = claims.map((c) => ({
    tenant_id: c.tenantId,
    id: c.turnId,
    epoch: c.epoch,
    parts: c.parts ?? null,
  }));
  return tx<{ id: string; stop_requested: boolean }[]>`
    update turns t set
      parts = coalesce(c.parts, t.parts), lease_until = now() + ${leaseSeconds} * interval '1 second'
    from jsonb_to_recordset(${tx.json(rows)}) as c (tenant_id text, id uuid, epoch integer, parts jsonb)
    where t.tenant_id = c.tenant_id and t.id = c.id and t.epoch = c.epoch and t.status = 'running'
    returning t.id, t.stop_requested`;
}

/** Marks as interrupted what no living instance runs; `all` also what has a lease, for who knows to be alone. */
export async function sweep(tx: SystemTx, all = false): Promise<number> {
  const rows = await tx`
    update turns set status = 'interrupted', finished_at = now(), lease_until = null, epoch = epoch + 1
    where status = 'running' and (${all} or lease_until < now())
    returning id`;
  return rows.length;
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
