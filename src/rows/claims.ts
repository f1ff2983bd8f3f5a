// Claims: which instance runs a turn, and the writes that only it may make. Every one names the claim's epoch.

import type { Context } from "../config/placeholders.ts";
import type { TenantCalls } from "../db/batch.ts";
import type { SystemTx, TenantTx } from "../db/db.ts";
import type { Trace } from "../trace.ts";
import type { correction } from "./budgets.ts";
import type { Ending, Part } from "./turns.ts";

/** A turn that an instance runs. Whoever takes it over gets a higher epoch, and the old one can write no more. */
export type Claim = { tenantId: string; turnId: string; epoch: number };

/** Who claims: the installation that runs the turns, and for how long a claim holds unless it is renewed. */
export type Lease = { instanceId: string; leaseMs: number };

/** A turn of a process that died is run again only so often: it may be what the process died of. */
const epochMax = 3;

const lapse = (tx: TenantTx | SystemTx, { leaseMs }: Lease) =>
  tx`now() + ${leaseMs} * interval '1 millisecond'`;

/**
 * Whether `runsMax` turns of the tenant run, on all instances together. Until this transaction ends nobody else of the
 * tenant is told, so that what is added within it is counted; a tenant without a bound pays nothing for this.
 */
export async function isFull(tx: TenantTx, runsMax: number | undefined): Promise<boolean> {
  if (runsMax === undefined) return false;
  const [row] = await tx<{ full: boolean }[]>`select is_full(${tx.tenantId}, ${runsMax}) as full`;
  return row?.full ?? true;
}

/** That the turn `t` runs, in words that no index of running turns is chosen for: it is looked for by its id. */
const runs = (tx: SystemTx) => tx`t.finished_at is null and t.status <> 'queued'`;

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

/**
 * Claims the tenant's turn that waits the longest of those whose conversation is idle. What is live in that is found as
 * `findLive` finds it.
 */
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
      where q.tenant_id = ${tx.tenantId} and q.status = 'queued' and 0 = (
        select count(*) from turns o
        where o.tenant_id = q.tenant_id and o.user_id = q.user_id and o.status in ('queued', 'running')
          and o.conversation_id is not distinct from q.conversation_id
          and (o.status = 'running' or (o.created_at, o.id) < (q.created_at, q.id))
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

/**
 * Writes the end of a run, and into the budgets what it has used. False where the turn is no longer this run's: somebody
 * else settled or deleted it, and nothing is written.
 */
export async function settle(
  db: TenantCalls,
  { turnId, epoch }: Claim,
  parts: Part[],
  ending: Ending,
  used?: ReturnType<typeof correction>,
): Promise<boolean> {
  const done = ending.status === "done" ? ending : undefined;
  const { settle_turn } = await db.call({
    settle_turn: {
      id: turnId,
      epoch,
      parts,
      status: ending.status,
      finish_reason: done?.finishReason,
      input_tokens: done?.usage?.input_tokens,
      output_tokens: done?.usage?.output_tokens,
      error_code: ending.status === "failed" ? ending.code : undefined,
      ...used,
    },
  });
  return (settle_turn as { settled: boolean }).settled;
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
 * What is stored of a running answer: `parts`, in place of what is there, or behind it. `after`: that must be as many
 * parts, the last of them with as many characters (code points), and `more` is what that one goes on with.
 */
export type Text = {
  parts: Part[] | undefined;
  after?: { parts: number; chars: number; more: string } | undefined;
};

/**
 * Renews the claims and stores the text of those that come with one; returns the turns that are still this instance's,
 * each with whether somebody asked it to stop. Where a row has something else than its text comes after, nothing is
 * written, and it is not among them. No function here is less than immutable, for Citus takes no other on columns.
 */
export async function checkpoint(
  tx: SystemTx,
  claims: (Claim & Text)[],
  lease: Lease,
): Promise<{ id: string; stop_requested: boolean }[]> {
  const rows = claims.map(({ tenantId, turnId, epoch, parts, after }) => ({
    tenant_id: tenantId,
    id: turnId,
    epoch,
    parts,
    count: after?.parts,
    chars: after?.chars,
    more: after?.more,
  }));
  return tx<{ id: string; stop_requested: boolean }[]>`
    update turns t set
      parts = case
        when c.count is null then coalesce(c.parts, t.parts)
        else jsonb_set(t.parts, '{-1,text}', jsonb_object(array['text', (t.parts -> -1 ->> 'text') || c.more]) -> 'text') || c.parts
      end,
      lease_until = ${lapse(tx, lease)}
    from jsonb_to_recordset(${tx.json(rows)})
      as c (tenant_id text, id uuid, epoch integer, parts jsonb, count integer, chars integer, more text)
    where t.tenant_id = c.tenant_id and t.id = c.id and t.epoch = c.epoch and ${runs(tx)}
      and (c.count is null or jsonb_array_length(t.parts) = c.count and char_length(t.parts -> -1 ->> 'text') = c.chars)
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
    where ${runs(tx)}`;
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
