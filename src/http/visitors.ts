// POST /visitors: a token for somebody new.
import { Elysia } from "elysia";
import { issue } from "../identity.ts";
import { jsonBody } from "./body.ts";
import { bodyProblems, open } from "./documented.ts";
import { NewVisitor, VisitorToken } from "./schemas.ts";
import { type Services, sitePrefix, tenantOf } from "./services.ts";

export const visitors = (services: Services) =>
  new Elysia({ prefix: sitePrefix }).post(
    "/visitors",
    async ({ params, set }) => {
      const tenant = tenantOf(services, params.tenant);
      const userId = Bun.randomUUIDv7();
      const { token, expiresAt } = await issue(services.keys, tenant.id, userId, tenant.visitorTokenTtlMs);
      set.status = 201;
      set.headers["cache-control"] = "no-store";
      return { token, user_id: userId, expires_at: expiresAt.toISOString() };
    },
    {
      ...jsonBody,
      body: NewVisitor,
      ...open(
        "Become a visitor",
        { 201: ["A token that names a new, random user", { "application/json": VisitorToken }] },
        ["not_found", ...bodyProblems],
      ),
    },
  );
