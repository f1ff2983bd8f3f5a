// Every HTTP error is a problem document (RFC 9457): a code, a sentence and a request id, never what happened inside.
import { ParseError, ValidationError } from "elysia";
import { CipError, type ErrorCode, errors } from "../errors.ts";
import { log } from "../log.ts";
import { rateLimitHeaders } from "./ratelimit.ts";

export function problem(error: CipError, requestId: string): Response {
  const { code, details } = error;
  const [status] = errors[code];
  const headers = new Headers({
    "content-type": "application/problem+json",
    "cache-control": "no-store",
    "x-request-id": requestId,
    ...rateLimitHeaders(details.standing),
  });
  if (details.retryAfterSeconds !== undefined) headers.set("retry-after", String(details.retryAfterSeconds));
  if (details.allow !== undefined) headers.set("allow", details.allow);
  if (status === 401) headers.set("www-authenticate", 'Bearer realm="cip"');
  if (status === 408) headers.set("connection", "close"); // the rest of the body would still be on its way
  return new Response(JSON.stringify(document(error, requestId)), { status, headers });
}

/** The problem document itself. */
export function document({ code, details }: CipError, requestId: string) {
  const [status, title] = errors[code];
  const { retryAfterSeconds: _seconds, allow: _allow, standing: _standing, ...shown } = details;
  return { type: "about:blank", title, status, detail: title, code, request_id: requestId, ...shown };
}

/** What a client may know of `thrown`; what it may not goes to the log under the request's id. */
export function expected(thrown: unknown, elysiaCode: string | number, requestId: string): CipError {
  // Elysia wraps what the reading of a body throws.
  const error = thrown instanceof ParseError && thrown.cause instanceof CipError ? thrown.cause : thrown;
  if (error instanceof CipError) {
    // Of what the server refuses because it is told to, nobody has to be told again.
    if (errors[error.code][0] >= 500 && error.code !== "shutting_down" && error.code !== "too_many_turns")
      log.error({ err: error, code: error.code, request_id: requestId }, "a request failed");
    return error;
  }
  if (error instanceof ValidationError) return invalid(error);
  const code = byElysiaCode[elysiaCode];
  if (code) return new CipError(code);
  log.error({ err: error, request_id: requestId }, "a request failed unexpectedly");
  return new CipError("internal");
}

const byElysiaCode: Record<string | number, ErrorCode> = { NOT_FOUND: "not_found", PARSE: "invalid_json" };

/** Names the field and what was expected there. The value itself is not repeated. */
function invalid(error: ValidationError): CipError {
  const first = error.all[0];
  const field = first && "path" in first ? String(first.path).slice(1).replaceAll("/", ".") : "";
  const what = first && "message" in first ? String(first.message) : "is not valid";
  const code = error.type === "body" ? "invalid_body" : "bad_request";
  return new CipError(code, { detail: field ? `${field}: ${what}` : what });
}
