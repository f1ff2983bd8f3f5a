// POST /visitors: a token for somebody new, for the same anonymous visitor again, or for a user the site vouches for.
import { type Static, Type } from "@sinclair/typebox";
import { Elysia } from "elysia";
import type { Tenant } from "../config/config.ts";
import { CipError } from "../errors.ts";
import { addressOf } from "../identity/address.ts";
import { identify, isBackend, issue } from "../identity/identity.ts";
import { redeem, type Voucher } from "../identity/voucher.ts";
import { ofReads, ofVisitors, type Standing } from "../rows/limits.ts";
import * as users from "../rows/users.ts";
import { jsonBody } from "./body.ts";
import { bodyProblems, open } from "./documented.ts";
import { rateLimitHeaders } from "./ratelimit.ts";
import { closed, siteUserId, time, userBody, who } from "./schemas.ts";
import { bearerOf, type Services, sitePrefix, tenantOf } from "./services.ts";

/** Empty, `identity` alone, or the other two: `voucherOf` says so. */
const NewVisitor = Type.Object(
  {
    identity: Type.Optional(Type.String({ description: "A JWT of the site's: HS256, sub, exp and aud." })),
    user_id: Type.Optional(siteUserId("The site's own id; needs user_hash.")),
    user_hash: Type.Optional(
      Type.String({ description: "The id's HMAC-SHA256 under IDENTITY_SECRET, in hex." }),
    ),
  },
  closed,
);

const VisitorToken = Type.Object({ token: Type.String(), ...who, expires_at: time() }, closed);

/** `endsMs`: when it ends sooner than a token does. `standing`: of the limit on new visitors, for one of them. */
type Named = { userId: string; endsMs?: number; standing?: Standing | undefined };

export const visitors = (services: Services) => {
  const { chat, config, db, keys } = services;

  /** Whom the site vouches for; what it says of the user is kept. */
  async function vouched(tenant: Tenant, voucher: Voucher): Promise<Named> {
    const { id, profile, endsMs } = await redeem(tenant, voucher);
    const userId = users.keyOf(id);
    await chat.gate.pass(tenant.id, ofReads(tenant.limits, userId));
    if (profile.name !== null || profile.email !== null)
      await db.tenant(tenant.id, (tx) => users.remember(tx, userId, profile));
    return { userId, endsMs };
  }

  /** Somebody new, or whom the token names. Only the site itself can vouch for its users again. */
  async function anonymous(tenant: Tenant, token: string | undefined, address: string): Promise<Named> {
    if (tenant.identity.mode === "required") throw new CipError("identity_required");
    if (token === undefined) {
      const standing = await chat.gate.pass(tenant.id, ofVisitors(tenant.limits, address));
      return { userId: Bun.randomUUIDv7(), standing };
    }
    if (isBackend(tenant, token))
      throw new CipError("unauthorized", { detail: "A key is no visitor: ask with it, and with user_id." });
    const { userId } = await identify(keys, tenant, token);
    if (!users.userOf(userId).anonymous) throw new CipError("unauthorized");
    return { userId };
  }

  return new Elysia({ prefix: sitePrefix }).post(
    "/visitors",
    async ({ params, body, headers, request, server, set }) => {
      const tenant = tenantOf(services, params.tenant);
      const voucher = voucherOf(body);
      const address = addressOf(request, server, config.instance.trustedProxies);
      const { userId, endsMs, standing } = voucher
        ? await vouched(tenant, voucher)
        : await anonymous(tenant, tokenOf(headers), address);
      const { token, expiresAt } = await issue(keys, tenant, userId, endsMs);
      set.status = 201;
      Object.assign(set.headers, rateLimitHeaders(standing));
      return { token, ...userBody(userId), expires_at: expiresAt.toISOString() };
    },
    {
      ...jsonBody,
      body: NewVisitor,
      ...open(
        "Become a visitor: anonymous, or one that the site vouches for; anonymous again with a token",
        { 201: ["A token that names the user", { "application/json": VisitorToken }] },
        [
          "not_found",
          "unauthorized",
          "identity_invalid",
          "identity_required",
          "too_many_requests",
          "database_unavailable",
          ...bodyProblems,
        ],
      ),
    },
  );
};

/** Throws unauthorized where there is something that is no token; a client that has none yet may send an empty one. */
function tokenOf(headers: Record<string, string | undefined>): string | undefined {
  const token = bearerOf(headers);
  if (token === undefined && !/^(Bearer *)?$/i.test(headers.authorization ?? ""))
    throw new CipError("unauthorized");
  return token;
}

/** One of the two forms whole, or nothing at all. Throws invalid_body. */
function voucherOf({ identity, user_id, user_hash }: Static<typeof NewVisitor>): Voucher | undefined {
  if (identity !== undefined && user_id === undefined && user_hash === undefined) return { jwt: identity };
  if (identity === undefined && user_id !== undefined && user_hash !== undefined)
    return { userId: user_id, hash: user_hash };
  if (identity === undefined && user_id === undefined && user_hash === undefined) return undefined;
  const detail = "Expected identity alone, user_id with user_hash, or nothing.";
  throw new CipError("invalid_body", { detail });
}
