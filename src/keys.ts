// The key that signs tokens and hashes names. Unset, the instances on one database agree on a random one, kept there.
import { createHmac, hkdfSync, randomBytes } from "node:crypto";
import type { Database } from "./db.ts";

/** Keys for one purpose each, derived from the one secret (HKDF-SHA256, RFC 5869). */
export type Keys = {
  /** Signs visitor tokens; 32 bytes. */
  visitorToken: Uint8Array;
  /** What the model's provider is told of a visitor: 32 hex digits that say nothing of tenant or user. */
  pseudonym(tenantId: string, userId: string): string;
};

export async function loadKeys(db: Database, configured: string | undefined): Promise<Keys> {
  const secret = configured ?? (await sharedSecret(db));
  const derive = (purpose: string) => new Uint8Array(hkdfSync("sha256", secret, "", `cip ${purpose}`, 32));
  const pseudonymKey = derive("pseudonym");
  return {
    visitorToken: derive("visitor token"),
    pseudonym: (tenantId, userId) =>
      createHmac("sha256", pseudonymKey).update(`${tenantId}\0${userId}`).digest("hex").slice(0, 32),
  };
}

function sharedSecret(db: Database): Promise<string> {
  return db.system(async (tx) => {
    await tx`
      insert into instance_keys (name, value) values ('secret', ${randomBytes(32).toString("hex")})
      on conflict do nothing`;
    const [row] = await tx<{ value: string }[]>`select value from instance_keys where name = 'secret'`;
    if (!row) throw new Error("the shared secret is missing");
    return row.value;
  });
}
