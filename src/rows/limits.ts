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
 * Takes one from each of the buckets. Where one is refused the transaction is to be undone, and must hold nothing else;
 * its commit waits for no disk, for the table is unlogged.
 */
export function take(tx: TenantTx, keys: Keys, buckets: readonly Bucket[]): Promise<Standing[]> {
  return Promise.all(buckets.map((bucket) => takeOne(tx, keys, bucket)));
}

/**
 * The clock is read once the row is locked, so that who comes later comes at a later time. `least`: never further from
 * full than empty is, for a row may be from when the limit was another one.
 */
async function takeOne(tx: TenantTx, keys: Keys, bucket: Bucket): Promise<Standing> {
  const { policy, rate, whose } = bucket;
  const spanUs = rate.periodMs * 1000;
  const stepUs = Math.max(1, Math.floor(spanUs / rate.count)); // rounded down, or the last one would not fit
  const name = whose === undefined ? policy : `${policy} ${keys.holder(tx.tenantId, whose)}`;
  const [row] = await tx<{ full_in_us: number }[]>`
    insert into buckets as b (tenant_id, name, full_at)
    values (${tx.tenantId}, ${name}, clock_timestamp() + ${stepUs} * interval '1 microsecond')
    on conflict (tenant_id, name) do update
      set full_at = least(greatest(b.full_at, clock_timestamp()), clock_timestamp() + ${spanUs} * interval '1 microsecond')
        + ${stepUs} * interval '1 microsecond'
    returning (extract(epoch from full_at - clock_timestamp()) * 1000000)::float8 as full_in_us`;
  const fullInUs = Math.round(row?.full_in_us ?? 0);
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
