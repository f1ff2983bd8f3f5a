// The shapes on the wire: one TypeBox schema is the check, the type and the OpenAPI document at once.
import { type Static, Type } from "@sinclair/typebox";
import { errors } from "../errors.ts";
import type { Conversation } from "../rows/conversations.ts";
import { type Part, type Turn, usageOf } from "../rows/turns.ts";
import { idCharsMax, userOf } from "../rows/users.ts";

export const closed = { additionalProperties: false };
const uuid = () => Type.String({ format: "uuid" });
export const time = () => Type.String({ format: "date-time" });
const nullable = <T extends Parameters<typeof Type.Union>[0][number]>(schema: T) =>
  Type.Union([schema, Type.Null()]);

export const siteUserId = (description: string) =>
  Type.String({
    minLength: 1,
    maxLength: idCharsMax,
    pattern: "^[^\\u0000-\\u001f\\u007f-\\u009f]*$",
    examples: ["42", "ann@shop.example"],
    description,
  });

/** A user, as `userBody` shows it. */
export const who = {
  user_id: Type.String({ description: "The site's own id, or a UUID where the visitor is anonymous." }),
  anonymous: Type.Boolean(),
};

/** Where on the site a visitor asks. What the schema cannot say of it, `questionOf` checks. */
export const Context = Type.Object(
  {
    url: Type.Optional(Type.String({ maxLength: 2000, description: "http or https." })),
    title: Type.Optional(Type.String({ maxLength: 300 })),
    fields: Type.Optional(
      Type.Unsafe<Record<string, string>>(
        Type.Object(
          {},
          {
            additionalProperties: Type.String({ maxLength: 1000 }),
            maxProperties: 20,
            description: "Names of 1 to 50 letters, digits, spaces and _.:-",
          },
        ),
      ),
    ),
  },
  { ...closed, description: "At most 4 KiB as JSON." },
);

export const NewTurn = Type.Object(
  {
    message: Type.Optional(
      Type.String({
        description:
          "At most MESSAGE_CHARS_MAX UTF-16 code units, not blank. May be left out with `replaces`.",
      }),
    ),
    conversation_id: Type.Optional(
      Type.String({
        description: "A UUID. The conversation is made where it is not there; left out, a new one is made.",
      }),
    ),
    replaces: Type.Optional(
      Type.String({
        description:
          "A turn to answer anew, with the same or another message. It and what came after it leave the conversation.",
      }),
    ),
    user_id: Type.Optional(siteUserId("Only from the site's backend, which must name its user.")),
    queue: Type.Optional(
      Type.Boolean({ description: "Wait for the conversation's running turn instead of being refused." }),
    ),
    context: Type.Optional(Context),
  },
  closed,
);

export const Rating = nullable(Type.Union([Type.Literal("up"), Type.Literal("down")]));
const Feedback = Type.Object({ rating: Rating, comment: nullable(Type.String()) }, closed);

const ErrorInTurn = Type.Object({ code: Type.String(), message: Type.String() }, closed);

export const TurnBody = Type.Object(
  {
    id: uuid(),
    conversation_id: uuid(),
    status: Type.Union(
      (["queued", "running", "done", "stopped", "failed", "interrupted"] as const).map((status) =>
        Type.Literal(status),
      ),
    ),
    message: Type.String(),
    answer: Type.String({ description: "The parts of type text, joined." }),
    reasoning: Type.String({ description: "The parts of type reasoning, joined." }),
    parts: Type.Array(
      Type.Object(
        { type: Type.Union([Type.Literal("reasoning"), Type.Literal("text")]), text: Type.String() },
        closed,
      ),
    ),
    finish_reason: nullable(
      Type.Union([Type.Literal("stop"), Type.Literal("length"), Type.Literal("content-filter")]),
    ),
    usage: nullable(Type.Object({ input_tokens: Type.Integer(), output_tokens: Type.Integer() }, closed)),
    error: nullable(ErrorInTurn),
    versions: Type.Array(uuid(), { description: "The turns that this one replaced, oldest first." }),
    superseded_by: nullable(uuid()),
    feedback: nullable(Feedback),
    context: nullable(Context),
    created_at: time(),
    finished_at: nullable(time()),
  },
  closed,
);

export const OneTurn = Type.Object({ turn: TurnBody }, closed);

const forBackend = () =>
  Type.Optional(nullable(Type.String({ description: "For the site's backend only; null where not known." })));

export const ConversationBody = Type.Object(
  {
    id: uuid(),
    ...who,
    name: forBackend(),
    email: forBackend(),
    title: Type.String(),
    created_at: time(),
    updated_at: time(),
  },
  closed,
);

export const OneConversation = Type.Object({ conversation: ConversationBody }, closed);

const cursor = nullable(
  Type.String({ description: "Give it as `before` to get the next page; null on the last." }),
);

export const Conversations = Type.Object(
  { conversations: Type.Array(ConversationBody), next_cursor: cursor },
  closed,
);

export const ConversationWithTurns = Type.Object(
  {
    conversation: ConversationBody,
    turns: Type.Array(TurnBody, { description: "Oldest first." }),
    next_cursor: cursor,
  },
  closed,
);

export const titleCharsMax = 200;

export const Rename = Type.Object(
  {
    title: Type.String({
      minLength: 1,
      maxLength: titleCharsMax,
      pattern: "\\S",
      examples: ["Opening hours"],
    }),
  },
  closed,
);

export const Problem = Type.Object({
  type: Type.String(),
  title: Type.String(),
  status: Type.Integer(),
  detail: Type.String(),
  code: Type.String({ enum: Object.keys(errors) }),
  request_id: Type.String(),
  turn_id: Type.Optional(uuid()),
});

export function turnBody(turn: Turn): Static<typeof TurnBody> {
  const failed = turn.error_code ?? (turn.status === "interrupted" ? "interrupted" : null);
  return {
    id: turn.id,
    conversation_id: turn.conversation_id,
    status: turn.status,
    message: turn.message,
    answer: joined(turn.parts, "text"),
    reasoning: joined(turn.parts, "reasoning"),
    parts: turn.parts,
    finish_reason: turn.finish_reason,
    usage: usageOf(turn),
    versions: turn.versions,
    superseded_by: turn.superseded_by,
    feedback: turn.rating || turn.comment ? { rating: turn.rating, comment: turn.comment } : null,
    context: turn.context,
    error: failed && { code: failed, message: errors[failed][1] },
    created_at: turn.created_at.toISOString(),
    finished_at: turn.finished_at?.toISOString() ?? null,
  };
}

export function conversationBody(row: Conversation): Static<typeof ConversationBody> {
  return {
    id: row.id,
    ...userBody(row.user_id),
    title: row.title,
    created_at: row.created_at.toISOString(),
    updated_at: row.updated_at.toISOString(),
  };
}

/** A user as it is shown, from the key that its rows have. */
export function userBody(key: string): { user_id: string; anonymous: boolean } {
  const { id, anonymous } = userOf(key);
  return { user_id: id, anonymous };
}

function joined(parts: Part[], type: Part["type"]): string {
  return parts
    .filter((part) => part.type === type)
    .map((part) => part.text)
    .join("");
}
