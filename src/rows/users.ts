// Users: whom a site vouches for, and who came without a name. The two never share a key, whatever the ids.
import type { TenantTx } from "../db/db.ts";

/** `id` is the site's own, or a UUID that this server chose for an anonymous user. */
export type User = { id: string; anonymous: boolean };

/** All users of a tenant: what its backend reads and changes. */
export const everyone: unique symbol = Symbol("everyone");
/** Whose rows: those of one user, by the key that they are stored under, or of everyone. */
export type Whose = string | typeof everyone;

/** Of an id that a site chooses; control characters are none of them. */
export const idCharsMax = 200;

const vouchedFor = "user:";

/** As `user_id` is stored for a user the site vouches for. An anonymous one's is its id, a UUID, which never begins so. */
export function keyOf(id: string): string {
  return `${vouchedFor}${id}`;
}

export function userOf(key: string): User {
  return key.startsWith(vouchedFor)
    ? { id: key.slice(vouchedFor.length), anonymous: false }
    : { id: key, anonymous: true };
}

/** The condition that a row is of `whose`; for the end of a `where` that names the tenant. */
export function of(tx: TenantTx, whose: Whose) {
  return whose === everyone ? tx`` : tx`and user_id = ${whose}`;
}

/** What a site says of a user beside the id; what it leaves out is not known. */
export type Profile = { name: string | null; email: string | null };

/** Keeps what the site says of the user now; what it left out stays as it was. `updated_at` tells the day it was last said. */
export async function remember(tx: TenantTx, key: string, { name, email }: Profile): Promise<void> {
  await tx`
    insert into users (tenant_id, id, name, email)
    values (${tx.tenantId}, ${key}, ${name}, ${email})
    on conflict (tenant_id, id) do update set
      name = coalesce(excluded.name, users.name), email = coalesce(excluded.email, users.email),
      updated_at = excluded.updated_at
    where (coalesce(excluded.name, users.name), coalesce(excluded.email, users.email))
      is distinct from (users.name, users.email) or excluded.updated_at - users.updated_at > interval '24 hours'`;
}

/** Forgets what the site said of the user. False where it said nothing. */
export async function remove(tx: TenantTx, key: string): Promise<boolean> {
  const rows = await tx`delete from users where tenant_id = ${tx.tenantId} and id = ${key} returning id`;
  return rows.length > 0;
}

/** What is known of those of the users of whom something is. */
export async function profiles(tx: TenantTx, keys: string[]): Promise<Map<string, Profile>> {
  const rows = await tx<(Profile & { id: string })[]>`
    select id, name, email from users
    where tenant_id = ${tx.tenantId} and id in (select jsonb_array_elements_text(${tx.json(keys)}))`;
  return new Map(rows.map(({ id, ...profile }) => [id, profile]));
}
