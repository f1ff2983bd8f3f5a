// Whose scripts may use a tenant's API from a browser: those of the sites that may embed its chat. Tokens travel in a
// header and nothing in cookies, so credentials are never allowed.
import type { Tenant } from "../config/config.ts";
import { isAmong } from "../config/origins.ts";

const exposed =
  "location, ratelimit, ratelimit-policy, retry-after, x-request-id, x-vercel-ai-ui-message-stream";
const accepted =
  "accept, authorization, content-type, idempotency-key, last-event-id, prefer, traceparent, tracestate";
/** As long as browsers keep it at most: Chromium two hours, Firefox a day. */
const preflightSeconds = 86_400;

/** For every answer under /v1/{tenant}, whatever its status (Fetch, section 3.3). */
export function corsHeaders({ allowedOrigins }: Tenant, request: Request): Record<string, string> {
  const origin = allowedFor(allowedOrigins, request.headers.get("origin"));
  return {
    vary: "origin", // or a cache would give one site's answer to another
    ...(origin && { "access-control-allow-origin": origin, "access-control-expose-headers": exposed }),
  };
}

/** What the answer to an allowed site's preflight says beyond that; nothing where it is none. */
export function preflightHeaders(
  { allowedOrigins }: Tenant,
  request: Request,
  methods: readonly string[],
): Record<string, string> {
  const { headers } = request;
  const isPreflight = headers.has("access-control-request-method");
  if (!isPreflight || !allowedFor(allowedOrigins, headers.get("origin"))) return {};
  return {
    "access-control-allow-methods": methods.join(", "),
    "access-control-allow-headers": accepted,
    "access-control-max-age": String(preflightSeconds),
  };
}

function allowedFor(allowedOrigins: readonly string[], origin: string | null): string | undefined {
  if (origin === null) return undefined;
  if (allowedOrigins.includes("*")) return "*";
  return isAmong(allowedOrigins, origin) ? origin : undefined;
}
