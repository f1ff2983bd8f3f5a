// Every HTTP error is a problem document (RFC 9457): a code, a sentence and a request id, never what happened inside.
import type { TSchema } from "@sinclair/typebox";
import { type ValueError, ValueErrorType } from "@sinclair/typebox/errors";
import { ParseError, ValidationError } from "elysia";
import { CipError, type ErrorCode, errors, remedies } from "../errors.ts";
import { log } from "../log.ts";
import { rateLimitHeaders } from "./ratelimit.ts";
import { refused } from "./requests.ts";

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
  return {
    type: "about:blank",
    title,
    status,
    detail: remedies[code] ?? title,
    code,
    request_id: requestId,
    ...shown,
  };
}

/** What a client may know of `thrown`; what it may not goes to the log under the request's `marks`. */
export function expected(thrown: unknown, elysiaCode: string | number, marks: object): CipError {
  // Elysia wraps what the reading of a body throws.
  const error = thrown instanceof ParseError && thrown.cause instanceof CipError ? thrown.cause : thrown;
  if (error instanceof CipError) {
    if (isNews(error.code)) log.error({ err: error, code: error.code, ...marks }, "a request failed");
    refused(error);
    return error;
  }
  if (error instanceof ValidationError) return invalid(error);
  const code = byElysiaCode[elysiaCode];
  if (code) return new CipError(code);
  log.error({ err: error, ...marks }, "a request failed unexpectedly");
  return new CipError("internal");
}

/** Without a database every request fails: the log says so once a second, or a flood of them would fill the disk. */
const quietMs = 1_000;
let quietUntilMs = 0;

/** Of what the server refuses because it is told to, nobody has to be told again. */
function isNews(code: ErrorCode): boolean {
  if (errors[code][0] < 500 || code === "shutting_down" || code === "too_many_turns") return false;
  if (code !== "database_unavailable") return true;
  const nowMs = performance.now();
  if (nowMs < quietUntilMs) return false;
  quietUntilMs = nowMs + quietMs;
  return true;
}

const byElysiaCode: Record<string | number, ErrorCode> = { NOT_FOUND: "not_found", PARSE: "invalid_json" };

/** Names the field and what was expected there. The value itself is not repeated. */
function invalid(error: ValidationError): CipError {
  const first = error.all[0] as ValueError | undefined;
  // What fails while a query's text becomes a number has no path.
  const field = first?.path.slice(1).replaceAll("/", ".") || first?.schema.title;
  const what = first ? wanted(first) : "is not valid";
  const code = error.type === "body" ? "invalid_body" : "bad_request";
  return new CipError(code, { detail: field ? `${field}: ${what}` : what });
}

/** In words that help, where TypeBox would show a pattern or no more than that there is a choice. */
function wanted({ type, schema, message }: ValueError): string {
  if (type === ValueErrorType.StringPattern && schema.examples)
    return `Expected text as ${choiceOf(schema.examples)}`;
  return type === ValueErrorType.Union ? `Expected ${choiceOf(new Set(kindsOf(schema)))}` : message;
}

function choiceOf(words: Iterable<string>): string {
  return new Intl.ListFormat("en", { type: "disjunction" }).format(words);
}

function kindsOf(schema: TSchema): string[] {
  return schema.anyOf?.flatMap(kindsOf) ?? [String(schema.const ?? schema.format ?? schema.type)];
}
