// What went wrong upstream: the code a client learns, words that only the log gets, and whether to try again.

import type { Secret } from "../config/secret.ts";
import { CipError, type ErrorCode } from "../errors.ts";

/**
 * `retryAfterMs`: the same call may succeed after that time; undefined where it would only fail again. `status`: the one
 * that refused it, if any did.
 */
export class Fault extends Error {
  override readonly name = "Fault";

  constructor(
    readonly code: ErrorCode,
    message: string,
    readonly retryAfterMs?: number,
    readonly status?: number,
  ) {
    super(message);
  }
}

const retriedStatuses = new Set([429, 500, 502, 503, 504]);
const retryAfterMsMax = 10_000;
const messageCharsMax = 500;

/** The fault that an answer other than 200 is. */
export function refusal(status: number, headers: Headers | undefined, message: string): Fault {
  const retryAfterMs = retriedStatuses.has(status) ? retryAfter(headers) : undefined;
  return new Fault(codeOf(status), message, retryAfterMs, status);
}

/** What complete() throws: nothing of the upstream's wording but in `cause`, and there no key. */
export function toCipError({ code, message }: Fault, apiKeys: (Secret | undefined)[]): CipError {
  return new CipError(code, {}, { cause: new Error(scrub(message, apiKeys)) });
}

function codeOf(status: number): ErrorCode {
  if (status === 401 || status === 402 || status === 403) return "model_unauthorized";
  if (status === 429 || status === 503) return "model_overloaded";
  return status >= 400 && status < 500 ? "model_rejected" : "model_failed";
}

/** `Retry-After` (RFC 9110, 10.2.3) in seconds or as a date; who asks for more than 10 s is not asked again. */
function retryAfter(headers: Headers | undefined): number | undefined {
  const value = headers?.get("retry-after") ?? "0";
  const seconds = Number(value);
  const waitMs = Number.isNaN(seconds) ? Date.parse(value) - Date.now() : seconds * 1000;
  if (Number.isNaN(waitMs)) return 0;
  return waitMs > retryAfterMsMax ? undefined : Math.max(0, waitMs);
}

/** Providers quote the key they refuse, at times shortened or masked by stars. */
function scrub(message: string, apiKeys: (Secret | undefined)[]): string {
  let scrubbed = message;
  for (const key of apiKeys) if (key) scrubbed = scrubbed.replaceAll(key.reveal(), "[key]");
  return scrubbed.replace(/(\bsk-|Bearer\s+)[^\s"',;}]+/gi, "$1[key]").slice(0, messageCharsMax);
}
