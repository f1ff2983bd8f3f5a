// Who is asking: visitor tokens, signed by this server, that name tenant, user and expiry. Nothing a client claims is trusted.
import { jwtVerify, SignJWT } from "jose";
import type { Keys } from "./keys.ts";

const issuer = "cip";
const algorithm = "HS256";

/** A token for one visitor of one tenant (RFC 7519: `aud` is the tenant, `sub` the user). */
export async function issue(
  keys: Keys,
  tenantId: string,
  userId: string,
  ttlMs: number,
): Promise<{ token: string; expiresAt: Date }> {
  const expiresAt = new Date(Math.floor((Date.now() + ttlMs) / 1_000) * 1_000);
  const token = await new SignJWT()
    .setProtectedHeader({ alg: algorithm })
    .setIssuer(issuer)
    .setAudience(tenantId)
    .setSubject(userId)
    .setIssuedAt()
    .setExpirationTime(expiresAt)
    .sign(keys.visitorToken);
  return { token, expiresAt };
}

/** The user that the token names, or undefined where it is not this server's for this tenant, or too old. */
export async function verify(keys: Keys, tenantId: string, token: string): Promise<string | undefined> {
  try {
    const { payload } = await jwtVerify(token, keys.visitorToken, {
      algorithms: [algorithm],
      issuer,
      audience: tenantId,
      requiredClaims: ["sub", "exp"],
    });
    return payload.sub;
  } catch {
    return undefined; // Why a token was refused is nobody's business but its maker's.
  }
}
