// Who is asking: visitor tokens, signed by this server, that name tenant, user and expiry, and the keys of a tenant's
// backend. Nothing a client claims is trusted.
import { createHash, timingSafeEqual } from "node:crypto";
import { jwtVerify, SignJWT } from "jose";
import type { Tenant } from "../config/config.ts";
import { CipError } from "../errors.ts";
import { userOf } from "../rows/users.ts";
import type { Keys } from "./keys.ts";

const issuer = "cip";
const algorithm = "HS256";

/** `userId` is as the rows have it, so that no token can name a user of the other kind. */
export type Identified = { userId: string; expiresAt: Date };

/** A token for one user of one tenant (RFC 7519: `aud` is the tenant, `sub` the user). `exp` has whole seconds. */
export async function issue(
  keys: Keys,
  tenant: Tenant,
  userId: string,
  endsMs = Number.POSITIVE_INFINITY,
): Promise<{ token: string; expiresAt: Date }> {
  const lastMs = Math.min(endsMs, Date.now() + tenant.visitorTokenTtlMs);
  const expiresAt = new Date(Math.floor(lastMs / 1_000) * 1_000);
  const token = await new SignJWT()
    .setProtectedHeader({ alg: algorithm })
    .setIssuer(issuer)
    .setAudience(tenant.id)
    .setSubject(userId)
    .setIssuedAt()
    .setExpirationTime(expiresAt)
    .sign(keys.visitorToken.sign);
  return { token, expiresAt };
}

/**
 * Whom the token names. Throws unauthorized where it is not this server's for this tenant, or too old, or of a user that
 * the tenant no longer has vouched for; identity_required where it has to be.
 */
export async function identify(keys: Keys, tenant: Tenant, token: string): Promise<Identified> {
  const found = remembered(keys, tenant.id, token) ?? (await verifiedByAny(keys, tenant.id, token));
  if (!found) throw new CipError("unauthorized");
  const { anonymous } = userOf(found.userId);
  if (anonymous && tenant.identity.mode === "required") throw new CipError("identity_required");
  if (!anonymous && tenant.identity.mode === "off") throw new CipError("unauthorized");
  return found;
}

/**
 * The tokens that were good lately, oldest first: to check a signature takes 48 µs and another thread, and a visitor
 * shows the same token with every request. What else may refuse it is looked at each time.
 */
const good = new WeakMap<Keys, Map<string, Identified>>();
const rememberedMax = 10_000;

function remembered(keys: Keys, tenantId: string, token: string): Identified | undefined {
  const found = good.get(keys)?.get(`${tenantId} ${token}`);
  return found && found.expiresAt.getTime() > Date.now() ? found : undefined;
}

async function verifiedByAny(keys: Keys, tenantId: string, token: string): Promise<Identified | undefined> {
  for (const key of keys.visitorToken.accept) {
    const found = await verified(key, tenantId, token);
    if (!found) continue;
    const tokens = good.getOrInsertComputed(keys, () => new Map());
    const [oldest] = tokens.keys();
    if (tokens.size >= rememberedMax && oldest !== undefined) tokens.delete(oldest);
    tokens.set(`${tenantId} ${token}`, found);
    return found;
  }
  return undefined;
}

async function verified(key: Uint8Array, tenantId: string, token: string): Promise<Identified | undefined> {
  try {
    const { payload } = await jwtVerify<{ sub: string; exp: number }>(token, key, {
      algorithms: [algorithm],
      issuer,
      audience: tenantId,
      requiredClaims: ["sub", "exp"],
    });
    return { userId: payload.sub, expiresAt: new Date(payload.exp * 1_000) };
  } catch {
    return undefined; // Why a token was refused is nobody's business but its maker's.
  }
}

/** Whether the credential is one of the tenant's API keys. All of them are looked at, each in constant time. */
export function isBackend({ apiKeys }: Tenant, credential: string): boolean {
  const hash = Buffer.from(createHash("sha256").update(credential).digest("hex"));
  return apiKeys.reduce((found, key) => timingSafeEqual(Buffer.from(key.reveal()), hash) || found, false);
}
