// How often: token buckets, each a row with the time at which it will be full again (the generic cell rate algorithm).
// The database's clock and row locks make them exact over all instances.

import type { Limits, Tenant } from "../config/tenants.ts";
import type { Rate } from "../config/values.ts";
import type { TenantCalls } from "../db/batch.ts";
import type { SystemTx } from "../db/db.ts";
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

/** Takes one from each of the buckets, or where one refuses, from none of them; gives how each stands. */
export async function take(db: TenantCalls, keys: Keys, buckets: readonly Bucket[]): Promise<Standing[]> {
  if (buckets.length === 0) return [];
  const { take } = await db.call({ take: wanted(db.tenantId, keys, buckets) });
  return standingsOf(buckets, take as Taken);
}

/** As the function `take` is asked. */
export function wanted(tenantId: string, keys: Keys, buckets: readonly Bucket[]) {
  return buckets.map(({ policy, rate, whose }) => ({
    name: whose === undefined ? policy : `${policy} ${keys.holder(tenantId, whose)}`,
    step_us: stepUs(rate),
    span_us: rate.periodMs * 1000,
  }));
}

/** What the function `take` gives, in the order of the buckets. */
export type Taken = { full_in_us: number[] };

export function standingsOf(buckets: readonly Bucket[], { full_in_us }: Taken): Standing[] {
  return buckets.map((bucket, i) => {
    const spanUs = bucket.rate.periodMs * 1000;
    const fullInUs = full_in_us[i] ?? 0;
    const refused = fullInUs > spanUs;
    const remaining = refused ? 0 : Math.floor((spanUs - fullInUs) / stepUs(bucket.rate));
    const nextInUs = fullInUs - spanUs + (refused ? 0 : stepUs(bucket.rate));
    return { bucket, remaining, resetMs: (remaining === 0 ? nextInUs : fullInUs) / 1000, refused };
  });
}

/** Rounded down, or the last one would not fit. */
function stepUs({ count, periodMs }: Rate): number {
  return Math.max(1, Math.floor((periodMs * 1000) / count));
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
