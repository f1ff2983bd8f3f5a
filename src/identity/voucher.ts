// A site's word for who its visitor is, under the secret that it shares with this server: a JWT, or the HMAC of an id.
import { createHmac, timingSafeEqual } from "node:crypto";
import { errors, jwtVerify } from "jose";
import type { Tenant } from "../config/config.ts";
import { CipError } from "../errors.ts";
import { idCharsMax, type Profile } from "../rows/users.ts";

export type Voucher = { jwt: string } | { userId: string; hash: string };

/** Whom the site vouches for. `endsMs`: until when it does; Infinity for a hash, which says nothing of time. */
export type Vouched = { id: string; profile: Profile; endsMs: number };

/** How far the clocks of the site and of this server may be apart. */
const toleranceMs = 30_000;
/** Later than any site means, in seconds since 1970 (the year 5138); in milliseconds it was passed in 1973. */
const expMax = 100_000_000_000;
const nameCharsMax = 200;
const emailCharsMax = 320;

/** Throws identity_invalid, with what the site's developer has to mend: nothing that the sender could not find out. */
export async function redeem({ id, identity }: Tenant, voucher: Voucher): Promise<Vouched> {
  if (identity.mode === "off") throw invalid("This site has no IDENTITY_SECRET, or IDENTITY is off.");
  const secret = Buffer.from(identity.secret.reveal());
  return "jwt" in voucher ? read(voucher.jwt, secret, id) : checked(voucher.userId, voucher.hash, secret);
}

async function read(jwt: string, secret: Buffer, tenantId: string): Promise<Vouched> {
  const { payload } = await jwtVerify<{ exp: number }>(jwt, secret, {
    algorithms: ["HS256"],
    audience: tenantId,
    requiredClaims: ["sub", "exp"],
    clockTolerance: toleranceMs / 1000,
  }).catch((error: unknown) => {
    throw invalid(whatIsWrong(error, tenantId));
  });
  const { sub, exp, name, email } = payload;
  if (exp > expMax) throw invalid("The JWT's exp must be in seconds since 1970, not in milliseconds.");
  if (!isLine(sub, idCharsMax)) throw invalid(`sub must be a string of 1 to ${idCharsMax} characters.`);
  return {
    id: sub,
    profile: { name: said("name", name, nameCharsMax), email: said("email", email, emailCharsMax) },
    endsMs: Math.max(exp * 1000, Date.now() + toleranceMs),
  };
}

function checked(userId: string, hash: string, secret: Buffer): Vouched {
  const right = createHmac("sha256", secret).update(userId).digest();
  if (!/^[0-9a-f]{64}$/i.test(hash) || !timingSafeEqual(Buffer.from(hash, "hex"), right))
    throw invalid("user_hash is not the HMAC-SHA256 of user_id under IDENTITY_SECRET, in hex.");
  return { id: userId, profile: { name: null, email: null }, endsMs: Number.POSITIVE_INFINITY };
}

function whatIsWrong(error: unknown, tenantId: string): string {
  if (error instanceof errors.JOSEAlgNotAllowed) return "The JWT must be signed with HS256.";
  if (error instanceof errors.JWSSignatureVerificationFailed)
    return "The JWT's signature was not made with this site's IDENTITY_SECRET.";
  if (error instanceof errors.JWTExpired) return "The JWT has expired: exp is in the past.";
  if (error instanceof errors.JWTClaimValidationFailed) {
    if (error.claim === "aud") return `The JWT's aud must be "${tenantId}".`;
    if (error.claim === "nbf" && error.reason === "check_failed")
      return "The JWT is not valid yet: nbf is in the future.";
    return `The JWT's ${error.claim} is missing or does not hold.`;
  }
  return "identity is not a JWT.";
}

/** A claim that may be left out, empty or null. */
function said(name: string, claim: unknown, charsMax: number): string | null {
  if (claim === undefined || claim === null || claim === "") return null;
  if (isLine(claim, charsMax)) return claim;
  throw invalid(`${name} must be a string of at most ${charsMax} characters.`);
}

function isLine(claim: unknown, charsMax: number): claim is string {
  if (typeof claim !== "string" || claim.length > charsMax) return false;
  return claim.isWellFormed() && /^\P{Cc}+$/u.test(claim);
}

function invalid(detail: string): CipError {
  return new CipError("identity_invalid", { detail });
}
