// The one error class and the one table from code to status: what a client may ever learn of a failure.
import type { Standing } from "./rows/limits.ts";

/** HTTP status and title of every code a client can receive (RFC 9457, `status` and `title`). */
export const errors = {
  bad_request: [400, "The request is malformed"],
  invalid_json: [400, "The body is not JSON in UTF-8"],
  invalid_cursor: [400, "The cursor is not one this server gave"],
  unauthorized: [401, "A valid token is needed"],
  identity_invalid: [401, "The site's word for this visitor does not hold"],
  identity_required: [401, "This chat is for users the site vouches for"],
  not_found: [404, "There is no such thing here"],
  method_not_allowed: [405, "This address does not take that method"],
  not_acceptable: [406, "This address answers with text/event-stream or application/json"],
  body_timeout: [408, "The body took too long to arrive"],
  turn_running: [409, "An answer is still being written in this conversation"],
  turn_replaced: [409, "Another turn has taken this one's place"],
  body_too_large: [413, "The body is too large"],
  unsupported_media_type: [415, "The body must be application/json"],
  invalid_body: [422, "The body does not have the expected fields"],
  idempotency_conflict: [422, "The idempotency key was used for another request"],
  message_empty: [422, "The message is empty"],
  message_too_long: [422, "The message is too long"],
  too_many_requests: [429, "Too many requests in a short time"],
  too_many_runs: [429, "Too many answers of this visitor are unfinished"],
  budget_exhausted: [429, "The tokens of this day are used up"],
  internal: [500, "Something went wrong on this server"],
  model_failed: [502, "The model did not answer"],
  model_rejected: [502, "The model refused the request"],
  model_unauthorized: [502, "The model did not accept this server's key"],
  model_incomplete: [502, "The model broke off in the middle of its answer"],
  model_overloaded: [503, "The model has too much to do"],
  too_many_turns: [503, "Too many answers are being written at the moment"],
  database_unavailable: [503, "The database cannot be reached"],
  shutting_down: [503, "This server is shutting down"],
  interrupted: [503, "The answer was interrupted"],
  model_timeout: [504, "The model took too long"],
} as const satisfies Record<string, readonly [status: number, title: string]>;

export type ErrorCode = keyof typeof errors;

/** What a client can do about it, where there is nothing to say of the one case (RFC 9457, `detail`). */
export const remedies: Partial<Record<ErrorCode, string>> = {
  invalid_json: "Send one JSON value in UTF-8, and nothing after it.",
  unauthorized:
    "Send Authorization: Bearer with a token from POST /visitors that has not ended, or with an API key of the site.",
  identity_required: "Send POST /visitors an identity that the site has signed, or user_id with user_hash.",
  unsupported_media_type: "Send Content-Type: application/json, and no Content-Encoding.",
};

/** What goes into the problem document beside `code`: `detail` for people, the rest for programs. */
export type ErrorDetails = {
  detail?: string;
  turn_id?: string;
  retryAfterSeconds?: number;
  allow?: string;
  standing?: Standing;
};

/** An expected failure. Its message and details are shown to clients; `cause` only ever reaches the log. */
export class CipError extends Error {
  override readonly name = "CipError";

  constructor(
    readonly code: ErrorCode,
    readonly details: ErrorDetails = {},
    options?: { cause?: unknown },
  ) {
    super(details.detail ?? errors[code][1], options);
  }
}
