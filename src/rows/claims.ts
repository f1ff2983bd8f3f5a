// Claims: which instance runs a turn, and the writes that only it may make. Every one names the claim's epoch.

import type { Context } from "../config/placeholders.ts";
import type { SystemTx, TenantTx } from "../db/db.ts";
import type { Trace } from "../trace.ts";
import type { Ending, NewTurn, Part } from "./turns.ts";

/** A turn that an instance runs. Whoever takes it over gets a higher epoch, and the old one can write no more. */
export type Claim = { tenantId: string; turnId: string; epoch: number };

/** Who claims: the installation that runs the turns, and for how long a claim holds unless it is renewed. */
export type Lease = { instanceId: string; leaseMs: number };

/** A turn of a process that died is run again only so often: it may be what the process died of. */
const epochMax = 3;

const lapse = (tx: TenantTx | SystemTx, { leaseMs }: Lease) =>
  tx`now() + ${leaseMs} * interval '1 millisecond'`;

/**
 * Stores a new turn, running under `lease`, or waiting where `lease` is undefined. Undefined when there is another of
 * its key, or another running one in its conversation.
 */
export async function store(
  tx: TenantTx,
  turn: NewTurn,
  lease: Lease | undefined,
): Promise<Claim | undefined> {
  const [row] = await tx<{ epoch: number }[]>`
    insert into turns (tenant_id, id, conversation_id, user_id, status, message, language, context, idempotency_key,
      request_hash, versions, trace, instance_id, lease_until)
    values (${tx.tenantId}, ${turn.id}, ${turn.conversationId}, ${turn.userId}, ${lease ? "running" : "queued"},
      ${turn.message}, ${turn.language ?? null}, ${turn.context ? tx.json(turn.context) : null},
      ${turn.idempotency?.key ?? null}, ${turn.idempotency?.requestHash ?? null}, ${tx.json(turn.versions)}, ${tx.json(turn.trace)},
      ${lease?.instanceId ?? null}, ${lease ? lapse(tx, lease) : null})
    on conflict do nothing
    returning epoch`;
  return row && { tenantId: tx.tenantId, turnId: turn.id, epoch: row.epoch };
}

/**
 * Whether `runsMax` turns of the tenant run, on all instances together. Until this transaction ends nobody else of the
 * tenant is told, so that what is added within it is counted; a tenant without a bound pays nothing for this.
 */
export async function isFull(tx: TenantTx, runsMax: number | undefined): Promise<boolean> {
  if (runsMax === undefined) return false;
  const [, [row]] = await Promise.all([
    tx`select pg_advisory_xact_lock(hashtextextended(${`cip running ${tx.tenantId}`}, 0))`,
    tx<{ count: number }[]>`
      select count(*)::integer as count from turns where tenant_id = ${tx.tenantId} and status = 'running'`,
  ]);
  return (row?.count ?? 0) >= runsMax;
}

/**
 * The visitor's unfinished turns, on all instances together: of each conversation the running one first, then those that
 * wait, the oldest first. As with `isFull`, what is added within this transaction is counted before anybody else of this
 * visitor is told.
 */
export async function unfinished(
  tx: TenantTx,
  userId: string,
): Promise<{ id: string; conversation_id: string }[]> {
  const [, rows] = await Promise.all([
    tx`select pg_advisory_xact_lock(hashtextextended(${`cip visitor ${tx.tenantId} ${userId}`}, 0))`,
    tx<{ id: string; conversation_id: string }[]>`
      select id, conversation_id from turns
      where tenant_id = ${tx.tenantId} and user_id = ${userId} and status in ('queued', 'running')
      order by status desc, created_at, id`,
  ]);
  return rows;
}

/** The tenants that have turns waiting, those with the fewest running ones first. */
export async function tenantsWaiting(tx: SystemTx): Promise<string[]> {
  const rows = await tx<{ tenant_id: string }[]>`
    select w.tenant_id from (select tenant_id, min(created_at) as since from turns where status = 'queued' group by 1) w
    order by (select count(*) from turns r where r.tenant_id = w.tenant_id and r.status = 'running'), w.since`;
  return rows.map((row) => row.tenant_id);
}

/** How many turns wait, of all tenants, and how long the oldest of them has. */
export async function countWaiting(tx: SystemTx): Promise<{ count: number; oldestSeconds: number }> {
  const [row] = await tx<{ count: number; oldest_s: number | null }[]>`
    select count(*)::integer as count, extract(epoch from clock_timestamp() - min(created_at))::float8 as oldest_s
    from turns where status = 'queued'`;
  return { count: row?.count ?? 0, oldestSeconds: Math.max(0, row?.oldest_s ?? 0) };
}

export type Waiting = {
  claim: Claim;
  userId: string;
  conversationId: string;
  message: string;
  language: string | undefined;
  context: Context | undefined;
  trace: Trace | undefined;
};

/** Claims the tenant's turn that waits the longest of those whose conversation is idle. */
export async function claimOldest(tx: TenantTx, lease: Lease): Promise<Waiting | undefined> {
  const [row] = await tx<
    {
      id: string;
      epoch: number;
      user_id: string;
      conversation_id: string;
      message: string;
      language: string | null;
      context: Context | null;
      trace: Trace | null;
    }[]
  >`
    update turns set status = 'running', epoch = epoch + 1, instance_id = ${lease.instanceId}, lease_until = ${lapse(tx, lease)}
    where tenant_id = ${tx.tenantId} and id = (
      select q.id from turns q
      where q.tenant_id = ${tx.tenantId} and q.status = 'queued' and not exists (
        select from turns o
        where o.tenant_id = q.tenant_id and o.conversation_id = q.conversation_id
          and (o.status = 'running' or o.status = 'queued' and (o.created_at, o.id) < (q.created_at, q.id))
      )
      order by q.created_at, q.id
      limit 1
      for update skip locked
    )
    returning id, epoch, user_id, conversation_id, message, language, context, trace`;
  if (!row) return undefined;
  const { id, epoch, user_id, conversation_id, message, language, context, trace } = row;
  const claim = { tenantId: tx.tenantId, turnId: id, epoch };
  return {
    claim,
    userId: user_id,
    conversationId: conversation_id,
    message,
    language: language ?? undefined,
    context: context ?? undefined,
    trace: trace ?? undefined,
  };
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

/** Ends a turn that waits, and asks whoever runs it to end one that runs. */
export async function requestStop(tx: TenantTx, id: string): Promise<void> {
  await tx`
    update turns set
      stop_requested = true,
      status = case when status = 'queued' then 'stopped' else status end,
      finished_at = case when status = 'queued' then clock.now else finished_at end
    from (select now()) clock
    where tenant_id = ${tx.tenantId} and id = ${id} and status in ('queued', 'running')`;
}

/**
 * Renews the claims and stores the text of those that come with `parts`; returns the turns that are still this
 * instance's, each with whether somebody asked it to stop.
 */
export async function checkpoint(
  tx: SystemTx,
  claims: (Claim & { parts: Part[] | undefined })[],
  lease: Lease,
): Promise<{ id: string; stop_requested: boolean }[]> {
  const rows = claims.map((c) => ({
    tenant_id: c.tenantId,
    id: c.turnId,
    epoch: c.epoch,
    parts: c.parts ?? null,
  }));
  return tx<{ id: string; stop_requested: boolean }[]>`
    update turns t set parts = coalesce(c.parts, t.parts), lease_until = ${lapse(tx, lease)}
    from jsonb_to_recordset(${tx.json(rows)}) as c (tenant_id text, id uuid, epoch integer, parts jsonb)
    where t.tenant_id = c.tenant_id and t.id = c.id and t.epoch = c.epoch and t.status = 'running'
    returning t.id, t.stop_requested`;
}

/** As `checkpoint`, for claims with nothing to write. */
export async function look(
  tx: SystemTx,
  claims: Claim[],
): Promise<{ id: string; stop_requested: boolean }[]> {
  const rows = claims.map((c) => ({ tenant_id: c.tenantId, id: c.turnId, epoch: c.epoch }));
  return tx<{ id: string; stop_requested: boolean }[]>`
    select t.id, t.stop_requested
    from turns t join jsonb_to_recordset(${tx.json(rows)}) as c (tenant_id text, id uuid, epoch integer)
      on t.tenant_id = c.tenant_id and t.id = c.id and t.epoch = c.epoch
    where t.status = 'running'`;
}

/** A turn of a dead run, and how it goes on. */
export type Swept = { tenant_id: string; id: string; status: "queued" | "interrupted"; trace: Trace | null };

/** Whose running turns are dead: those whose lease ended, all of one installation's, or all there are. */
export type Dead = "expired" | { instanceId: string } | "all";

/**
 * Takes dead turns from whoever ran them: those of which nothing had been said wait to be run again, the others are
 * interrupted with the text they had. Returns them.
 */
export async function sweep(tx: SystemTx, dead: Dead): Promise<Swept[]> {
  const which =
    dead === "all"
      ? tx`true`
      : dead === "expired"
        ? tx`lease_until < now()`
        : tx`instance_id = ${dead.instanceId}`;
  const again = tx`parts = '[]' and epoch < ${epochMax} and not stop_requested and superseded_by is null`;
  return tx<Swept[]>`
    update turns set
      status = case when ${again} then 'queued' else 'interrupted' end,
      finished_at = case when ${again} then null else clock.now end,
      epoch = epoch + 1, lease_until = null, instance_id = null
    from (select now()) clock
    where status = 'running' and (${which})
    returning tenant_id, id, status, trace`;
}
