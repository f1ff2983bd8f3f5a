// The keys that sign tokens and hash names. Unset, the instances on one database agree on a random secret, kept there.
import { createHmac, hkdfSync, randomBytes } from "node:crypto";
import type { Secret } from "../config/secret.ts";
import type { Database } from "../db/db.ts";

/** Keys for one purpose each, derived from the one secret (HKDF-SHA256, RFC 5869). */
export type Keys = {
  /** Visitor tokens are signed with the one, and accepted when one of the others signed them; 32 bytes each. */
  visitorToken: { sign: Uint8Array; accept: readonly Uint8Array[] };
  /** What the model's provider is told of a visitor: 32 hex digits that say nothing of tenant or user. */
  pseudonym(tenantId: string, userId: string): string;
  /** Whose a bucket of limits is: 32 hex digits that say nothing of user or address. */
  holder(tenantId: string, whose: string): string;
};

/** `previous`: the secret before `configured`, whose tokens still hold. */
export async function loadKeys(
  db: Database,
  configured: Secret | undefined,
  previous?: Secret | undefined,
): Promise<Keys> {
  const secret = configured?.reveal() ?? (await sharedSecret(db));
  const sign = derived(secret, "visitor token");
  const named = (purpose: string) => {
    const key = derived(secret, purpose);
    return (tenantId: string, name: string) =>
      createHmac("sha256", key).update(`${tenantId}\0${name}`).digest("hex").slice(0, 32);
  };
  return {
    visitorToken: { sign, accept: previous ? [sign, derived(previous.reveal(), "visitor token")] : [sign] },
    pseudonym: named("pseudonym"),
    holder: named("holder"),
  };
}

function derived(secret: string, purpose: string): Uint8Array {
  return new Uint8Array(hkdfSync("sha256", secret, "", `cip ${purpose}`, 32));
}

/** What the instances on one database agree on where no SECRET_KEY is set; made by whoever asks first. */
export function sharedSecret(db: Database): Promise<string> {
  return db.system(async (tx) => {
    await tx`
      insert into instance_keys (name, value) values ('secret', ${randomBytes(32).toString("hex")})
      on conflict do nothing`;
    const [row] = await tx<{ value: string }[]>`select value from instance_keys where name = 'secret'`;
    if (!row) throw new Error("the shared secret is missing");
    return row.value;
  });
}
