// What the routes work with, and how a route learns which tenant it serves, and whom.
import type { Static } from "@sinclair/typebox";
import { Elysia } from "elysia";
import type { Chat, Reader, Visitor } from "../chat/chat.ts";
import type { Runs } from "../chat/runs.ts";
import type { Config, Tenant } from "../config/config.ts";
import type { Database } from "../db/db.ts";
import { CipError } from "../errors.ts";
import { addressOf } from "../identity/address.ts";
import { identify, isBackend } from "../identity/identity.ts";
import type { Keys } from "../identity/keys.ts";
import { ofReads } from "../rows/limits.ts";
import { everyone, keyOf } from "../rows/users.ts";
import type { OfUser } from "./queries.ts";

export const sitePrefix = "/v1/:tenant";

export type Services = { config: Config; db: Database; keys: Keys; runs: Runs; chat: Chat };

/** Throws not_found. */
export function tenantOf({ config }: Services, id: string): Tenant {
  const tenant = config.tenants.get(id);
  if (!tenant) throw new CipError("not_found", { detail: "There is no such site on this server." });
  return tenant;
}

/** Who makes a request: a visitor, or for `everyone` the tenant's backend; and from where. */
export type Caller = Reader & { address: string };

/**
 * Gives the routes after it `caller`: the tenant of the path and whom the bearer token or key names, before any check of
 * the body. A request counts as a read of its visitor, unless it is a message, which is counted once it is known.
 */
export const identified = (services: Services, as: "read" | "message" = "read") =>
  new Elysia().derive(
    { as: "scoped" },
    async ({ params, headers, request, server }): Promise<{ caller: Caller }> => {
      const tenant = tenantOf(services, (params as { tenant: string }).tenant);
      const credential = bearerOf(headers);
      if (credential === undefined) throw new CipError("unauthorized");
      const address = addressOf(request, server, services.config.instance.trustedProxies);
      if (isBackend(tenant, credential)) return { caller: { tenant, whose: everyone, address } };
      const { userId } = await identify(services.keys, tenant, credential);
      const caller = { tenant, whose: userId, address };
      if (as === "read") await countRead(services, caller);
      return { caller };
    },
  );

/** What a tenant's backend reads is not limited. Throws too_many_requests. */
export async function countRead({ chat }: Services, { tenant, whose }: Caller): Promise<void> {
  if (whose !== everyone) await chat.gate.pass(tenant.id, ofReads(tenant.limits, whose));
}

/** A visitor's place among the open connections, until `over`; a backend's are not counted. Throws too_many_requests. */
export function takePlace({ chat }: Services, { tenant, whose, address }: Caller, over: AbortSignal): void {
  if (whose !== everyone) chat.places.take({ tenant, userId: whose, address }, over);
}

/** What the request is authorised by (RFC 6750, 2.1), if anything. */
export function bearerOf({ authorization = "" }: Record<string, string | undefined>): string | undefined {
  return /^Bearer +(\S+)$/i.exec(authorization)?.[1];
}

/** Who asks: the visitor itself, or the user of the site that its backend names. Throws invalid_body. */
export function visitorOf({ tenant, whose, address }: Caller, userId?: string): Visitor {
  if (whose === everyone) {
    if (userId === undefined) throw new CipError("invalid_body", { detail: "user_id: Expected string" });
    return { tenant, userId: keyOf(userId), address: undefined };
  }
  if (userId !== undefined)
    throw new CipError("invalid_body", { detail: "user_id: Only the site's backend may name a user." });
  return { tenant, userId: whose, address };
}

/** The user that the query of a tenant's backend names, if any, by its key. Throws bad_request, not_found. */
export function namedBy({ user_id: id, anonymous }: Static<typeof OfUser>): string | undefined {
  if (id !== undefined) return anonymous === "true" ? uuidOf(id) : keyOf(id);
  if (anonymous === undefined) return undefined;
  throw new CipError("bad_request", { detail: "anonymous: Expected user_id beside it" });
}

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

/** The id as it is stored. What is no UUID names nothing: throws not_found. */
export function uuidOf(text: string): string {
  if (!uuid.test(text)) throw new CipError("not_found");
  return text.toLowerCase();
}
