// What the routes work with, and how a route learns which tenant and visitor it serves.
import { Elysia } from "elysia";
import type { Chat, Visitor } from "../chat.ts";
import type { Config, Tenant } from "../config.ts";
import type { Database } from "../db.ts";
import { CipError } from "../errors.ts";
import { verify } from "../identity.ts";
import type { Keys } from "../keys.ts";
import type { Runs } from "../runs.ts";

export const sitePrefix = "/v1/:tenant";

export type Services = { config: Config; db: Database; keys: Keys; runs: Runs; chat: Chat };

/** Throws not_found. */
export function tenantOf({ config }: Services, id: string): Tenant {
  const tenant = config.tenants.get(id);
  if (!tenant) throw new CipError("not_found", { detail: "There is no such site on this server." });
  return tenant;
}

/** Gives the routes after it `visitor`: the tenant of the path and the user of the bearer token, before any check of the body. */
export const identified = (services: Services) =>
  new Elysia().derive({ as: "scoped" }, async ({ params, headers }): Promise<{ visitor: Visitor }> => {
    const tenant = tenantOf(services, (params as { tenant: string }).tenant);
    const token = /^Bearer +(\S+)$/i.exec(headers.authorization ?? "")?.[1];
    const userId = token && (await verify(services.keys, tenant.id, token));
    if (!userId) throw new CipError("unauthorized");
    return { visitor: { tenant, userId } };
  });

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

/** The id as it is stored. What is no UUID names nothing: throws not_found. */
export function uuidOf(text: string): string {
  if (!uuid.test(text)) throw new CipError("not_found");
  return text.toLowerCase();
}
