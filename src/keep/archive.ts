// The archive of a tenant (docs/export.md): JSON Lines in the words of the API, a header first and the counts last, so
// that a file which was cut short is known. A change of the shape raises the version.
import { type Static, type TSchema, Type } from "@sinclair/typebox";
import { TypeCompiler } from "@sinclair/typebox/compiler";
import { type ErrorCode, errors } from "../errors.ts";
import { idCharsMax, keyOf } from "../rows/users.ts";

export const format = "cip";
export const version = 1;
/** Of one line in UTF-8: more than any message with its answer has. */
export const lineBytesMax = 64 * 1024 * 1024;

const closed = { additionalProperties: false };
const nullable = <T extends TSchema>(schema: T) => Type.Union([schema, Type.Null()]);
const oneOf = <T extends string>(...words: T[]) => Type.Union(words.map((word) => Type.Literal(word)));
const uuid = Type.String({ pattern: "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$" });
const time = Type.String({ pattern: "^[12]\\d{3}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d\\.\\d{3}Z$" });
const count = Type.Integer({ minimum: 0 });
const tokens = Type.Integer({ minimum: 0, maximum: 2 ** 31 - 1 }); // as it is stored
const who = {
  user_id: Type.String({
    minLength: 1,
    maxLength: idCharsMax,
    pattern: "^[^\\u0000-\\u001f\\u007f-\\u009f]*$",
  }),
  anonymous: Type.Boolean(),
};
const object = <T extends Parameters<typeof Type.Object>[0]>(properties: T) =>
  Type.Object(properties, closed);

const Header = object({
  format: Type.Literal(format),
  version: Type.Literal(version),
  tenant: Type.String({ pattern: "^[a-z0-9][a-z0-9-]{0,62}$" }),
  exported_at: time,
});

const User = object({
  ...who,
  name: nullable(Type.String()),
  email: nullable(Type.String()),
  updated_at: time,
});

const Conversation = object({
  id: uuid,
  ...who,
  title: Type.String({ maxLength: 200 }),
  created_at: time,
  updated_at: time,
});

const Turn = object({
  id: uuid,
  conversation_id: uuid,
  status: oneOf("queued", "running", "done", "stopped", "failed", "interrupted"),
  message: Type.String(),
  parts: Type.Array(object({ type: oneOf("reasoning", "text"), text: Type.String() })),
  finish_reason: nullable(oneOf("stop", "length", "content-filter")),
  usage: nullable(object({ input_tokens: tokens, output_tokens: tokens })),
  error: nullable(object({ code: oneOf(...(Object.keys(errors) as ErrorCode[])) })),
  versions: Type.Array(uuid),
  superseded_by: nullable(uuid),
  feedback: nullable(object({ rating: nullable(oneOf("up", "down")), comment: nullable(Type.String()) })),
  context: nullable(
    object({
      url: Type.Optional(Type.String()),
      title: Type.Optional(Type.String()),
      fields: Type.Optional(Type.Record(Type.String(), Type.String())),
    }),
  ),
  idempotency: nullable(object({ key: Type.String(), request_hash: Type.String() })),
  created_at: time,
  finished_at: nullable(time),
});

const Counts = { users: count, conversations: count, turns: count };
const End = object({ end: Type.Literal(true), ...Counts });

export type User = Static<typeof User>;
export type Conversation = Static<typeof Conversation>;
export type Turn = Static<typeof Turn>;
export type Counts = Omit<Static<typeof End>, "end">;
export type Header = Static<typeof Header>;
export type Said = { user: User } | { conversation: Conversation } | { turn: Turn };
export type Entry = { header: Header } | Said | { end: Counts };

/** As `conversations.user_id` has it; an anonymous user's id is a UUID, which `reasonAgainst` has seen to. */
export function userKeyOf({ user_id, anonymous }: { user_id: string; anonymous: boolean }): string {
  return anonymous ? user_id : keyOf(user_id);
}

export function kindOf(said: Said): keyof Counts {
  return "user" in said ? "users" : "conversation" in said ? "conversations" : "turns";
}

export function lineOf(entry: Entry): string {
  const flat = "header" in entry ? entry.header : "end" in entry ? { end: true, ...entry.end } : entry;
  return `${JSON.stringify(flat)}\n`;
}

/** A line is none of this format; the message says why, to follow the number of the line. */
export class ArchiveError extends Error {
  override readonly name = "ArchiveError";
}

const shapes = {
  user: TypeCompiler.Compile(object({ user: User })),
  conversation: TypeCompiler.Compile(object({ conversation: Conversation })),
  turn: TypeCompiler.Compile(object({ turn: Turn })),
  end: TypeCompiler.Compile(End),
};
const header = TypeCompiler.Compile(Header);

/** Throws ArchiveError. */
export function headerIn(line: string): Header {
  const value = parsed(line) as Partial<Header> | null;
  if (value?.format !== format)
    throw new ArchiveError('is not the beginning of a cip export: {"format":"cip",…}');
  if (value.version !== version)
    throw new ArchiveError(
      `is of version ${value.version}, and this cip reads version ${version}; use a newer one`,
    );
  return checked(header, value);
}

/** What any line but the first says. Throws ArchiveError. */
export function entryIn(line: string): Said | { end: Counts } {
  const value = parsed(line);
  const kind = Object.keys(value ?? {})[0] ?? "";
  if (!Object.hasOwn(shapes, kind))
    throw new ArchiveError("must have user, conversation, turn or end as its first field");
  if (kind === "end") {
    const { end, ...counts } = checked(shapes.end, value);
    return { end: counts };
  }
  const entry = checked(shapes[kind as "user"], value) as Said;
  const reason = reasonAgainst(entry);
  if (reason) throw new ArchiveError(reason);
  return entry;
}

/** What the shapes cannot say. */
function reasonAgainst(entry: Said): string | undefined {
  const [row] = Object.values(entry) as [User | Conversation | Turn];
  for (const [name, value] of Object.entries(row))
    if (name.endsWith("_at") && value !== null && !isTime(value)) return `${name}: there is no such time`;
  if ("anonymous" in row && row.anonymous && !new RegExp(uuid.pattern as string).test(row.user_id))
    return "user_id: of an anonymous user it must be a UUID";
  if ("turn" in entry && (entry.turn.finished_at === null) !== isLive(entry.turn))
    return "finished_at: must be null where the turn is queued or running, and only there";
  return undefined;
}

export function isLive({ status }: Turn): boolean {
  return status === "queued" || status === "running";
}

function isTime(text: string): boolean {
  const ms = Date.parse(text);
  return !Number.isNaN(ms) && new Date(ms).toISOString() === text;
}

/** No database takes U+0000 or half of a surrogate pair; JSON may escape both. */
function parsed(line: string): unknown {
  try {
    const value: unknown = JSON.parse(line, /\\u(0000|d[89a-f])/i.test(line) ? storable : undefined);
    if (typeof value === "object" && value !== null) return value;
  } catch (error) {
    if (error instanceof ArchiveError) throw error;
  }
  throw new ArchiveError("is not a JSON object");
}

function storable(_key: string, value: unknown): unknown {
  if (typeof value !== "string") return value;
  if (value.includes("\0")) throw new ArchiveError("holds the character U+0000, which cannot be stored");
  return value.toWellFormed();
}

function checked<T extends TSchema>(
  shape: ReturnType<typeof TypeCompiler.Compile<T>>,
  value: unknown,
): Static<T> {
  if (shape.Check(value)) return value;
  const error = shape.Errors(value).First();
  throw new ArchiveError(`${error?.path.slice(1).replaceAll("/", ".")}: ${error?.message}`);
}
