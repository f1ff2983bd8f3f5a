// What a route says of itself in the OpenAPI document, from the schemas it answers with.
import type { TSchema } from "@sinclair/typebox";
import type { DocumentDecoration } from "elysia";
import { type ErrorCode, errors } from "../errors.ts";
import { Problem } from "./schemas.ts";

type Media = Record<string, TSchema>;
type Answers = Record<number, [description: string, media?: Media]>;

/** The problems of every route that takes a JSON body. */
export const bodyProblems: readonly ErrorCode[] = [
  "invalid_json",
  "invalid_body",
  "body_timeout",
  "body_too_large",
  "unsupported_media_type",
];

const callerProblems: readonly ErrorCode[] = [
  "unauthorized",
  "identity_required",
  "not_found",
  "too_many_requests",
  "database_unavailable",
];

/** A route for anybody. `answers`: by status, each body's media type and schema. `problems`: the codes it can end in. */
export function open(summary: string, answers: Answers, problems: readonly ErrorCode[] = []) {
  return { detail: described(summary, answers, problems) };
}

/** A route for a visitor or the tenant's backend, with the problems that all of those have. */
export function forCaller(summary: string, answers: Answers, problems: readonly ErrorCode[] = []) {
  const detail = described(summary, answers, [...callerProblems, ...problems]);
  return { detail: { ...detail, security: [{ visitor: [] as string[] }, { backend: [] as string[] }] } };
}

function described(summary: string, answers: Answers, problems: readonly ErrorCode[]): DocumentDecoration {
  const responses: NonNullable<DocumentDecoration["responses"]> = {};
  for (const [status, [description, media = {}]] of Object.entries(answers)) {
    responses[status] = { description, content: contentOf(media) };
  }
  const codes = Map.groupBy(new Set([...problems, "internal" as const]), (code) => errors[code][0]);
  for (const [status, sharing] of codes) {
    const description = sharing.map((code) => `${errors[code][1]} (${code})`).join("; ");
    responses[status] = { description, content: contentOf({ "application/problem+json": Problem }) };
  }
  return { summary, responses };
}

/** TypeBox schemas are JSON Schema, which OpenAPI 3.1 takes as it is; only the types know two names for it. */
function contentOf(media: Media) {
  return Object.fromEntries(
    Object.entries(media).map(([type, schema]) => [type, { schema: schema as object }]),
  );
}
