// How often: token buckets, each a row with the time at which it will be full again (the generic cell rate algorithm).
// The database's clock and row locks make them exact over all instances.

import type { Limits, Tenant } from "../config/tenants.ts";
import type { Rate } from "../config/values.ts";
import type { SystemTx, TenantTx } from "../db/db.ts";
import { CipError } from "../errors.ts";
import type { Keys } from "../identity/keys.ts";

/** `policy` is how clients know it, `whose` whom it counts; undefined: all of the tenant's visitors together. */
export type Bucket = { policy: string; rate: Rate; whose: string | undefined };

/**
 * How a bucket stands once a request was taken from it, or was not. `resetMs`: until one more is there where nothing
 * remains, else until all are.
 */
export type Standing = { bucket: Bucket; remaining: number; resetMs: number; refused: boolean };

type Sender = { tenant: Tenant; userId: string; address: string | undefined };

/**
 * What one message is taken from. Everybody takes in this order, so that no two wait for each other, and that of the
 * tenant, which all its visitors share, is locked last and so for the shortest time.
 */
export function ofMessages({ tenant: { limits }, userId, address }: Sender): Bucket[] {
  return [
    ...bucket("visitor", limits.messagesPerVisitor, userId),
    ...(address === undefined ? [] : bucket("address", limits.messagesPerAddress, address)),
    ...bucket("site", limits.messagesPerTenant, undefined),
  ];
}

export function ofVisitors(limits: Limits, address: string): Bucket[] {
  return bucket("new-visitors", limits.visitorsPerAddress, address);
}

export function ofReads(limits: Limits, userId: string): Bucket[] {
  return bucket("reads", limits.readsPerVisitor, userId);
}

function bucket(policy: string, rate: Rate | null, whose: string | undefined): Bucket[] {
  return rate ? [{ policy, rate, whose }] : [];
}

/**
 * Takes one from each of the buckets, in their order. Where one is refused the transaction is to be undone, and must
 * hold nothing else; its commit waits for no disk, for the table is unlogged. The clock is read once the row is locked,
 * so that who comes later comes at a later time. `least`: never further from full than empty is, for a row may be from
 * when the limit was another one.
 */
export async function take(tx: TenantTx, keys: Keys, buckets: readonly Bucket[]): Promise<Standing[]> {
  const taken = buckets.map((bucket) => ({
    name: nameOf(tx, keys, bucket),
    span_us: spanUsOf(bucket),
    step_us: stepUsOf(bucket),
  }));
  const rows = await tx<{ full_in_us: number }[]>`
    with taken as materialized (
      select * from jsonb_to_recordset(${tx.json(taken)}) as t (name text, span_us bigint, step_us bigint)
    )
    insert into buckets as b (tenant_id, name, full_at)
    select ${tx.tenantId}, name, clock_timestamp() + step_us * interval '1 microsecond' from taken
    on conflict (tenant_id, name) do update
      set full_at = (
        select least(greatest(b.full_at, clock_timestamp()), clock_timestamp() + span_us * interval '1 microsecond')
          + step_us * interval '1 microsecond'
        from taken where taken.name = b.name
      )
    returning (extract(epoch from full_at - clock_timestamp()) * 1000000)::float8 as full_in_us`;
  return buckets.map((bucket, i) => standingOf(bucket, Math.round(rows[i]?.full_in_us ?? 0)));
}

function nameOf(tx: TenantTx, keys: Keys, { policy, whose }: Bucket): string {
  return whose === undefined ? policy : `${policy} ${keys.holder(tx.tenantId, whose)}`;
}

function spanUsOf({ rate }: Bucket): number {
  return rate.periodMs * 1000;
}

/** Rounded down, or the last one would not fit. */
function stepUsOf({ rate }: Bucket): number {
  return Math.max(1, Math.floor((rate.periodMs * 1000) / rate.count));
}

function standingOf(bucket: Bucket, fullInUs: number): Standing {
  const spanUs = spanUsOf(bucket);
  const stepUs = stepUsOf(bucket);
  const refused = fullInUs > spanUs;
  const remaining = refused ? 0 : Math.floor((spanUs - fullInUs) / stepUs);
  const nextInUs = fullInUs - spanUs + (refused ? 0 : stepUs);
  return { bucket, remaining, resetMs: (remaining === 0 ? nextInUs : fullInUs) / 1000, refused };
}

export function refusalOf(standing: Standing): CipError {
  const retryAfterSeconds = secondsOf(standing);
  const detail = `The limit "${standing.bucket.policy}" is reached; try again in ${retryAfterSeconds} s.`;
  return new CipError("too_many_requests", { detail, retryAfterSeconds, standing });
}

/** Until the bucket is reset, in whole seconds. */
export function secondsOf({ resetMs }: Standing): number {
  return Math.max(1, Math.ceil(resetMs / 1000));
}

/** Rows of one statement, so that nobody waits for it. There is no index to find them by: a take stays a heap-only update. */
const batch = 5_000;

/** Deletes some of the full buckets, which say as much as none; returns whether there may be more. */
export async function sweep(tx: SystemTx): Promise<boolean> {
  const rows = await tx`
    with old as materialized (
      select tenant_id, name from buckets where full_at < now() limit ${batch} for update skip locked
    )
    delete from buckets b using old where b.tenant_id = old.tenant_id and b.name = old.name
    returning b.name`;
  return rows.length === batch;
}
