// The routes of conversations: a visitor's own, or for the tenant's backend those of all its users.
import type { Static } from "@sinclair/typebox";
import { Elysia } from "elysia";
import type { TenantTx } from "../db/db.ts";
import { CipError } from "../errors.ts";
import * as conversations from "../rows/conversations.ts";
import * as turns from "../rows/turns.ts";
import * as users from "../rows/users.ts";
import { jsonBody } from "./body.ts";
import { bodyProblems, forCaller } from "./documented.ts";
import { Filter, Page, pageLimit } from "./queries.ts";
import {
  Conversations,
  ConversationWithTurns,
  conversationBody,
  OneConversation,
  Rename,
  turnBody,
} from "./schemas.ts";
import { type Caller, identified, namedBy, type Services, sitePrefix, uuidOf } from "./services.ts";

export const conversationRoutes = (services: Services) => {
  const { db, runs } = services;
  return new Elysia({ prefix: sitePrefix })
    .use(identified(services))
    .get(
      "/conversations",
      async ({ caller, query }) => {
        const { limit = pageLimit } = query;
        const whose = whoseOf(caller, query);
        const span = spanOf(query);
        const [shown, last] = await db.tenant(caller.tenant.id, async (tx) => {
          const rows = await conversations.list(tx, whose, limit + 1, span);
          const page = rows.slice(0, limit);
          return [await bodiesOf(tx, caller, page), rows.length > limit ? page.at(-1) : undefined] as const;
        });
        return {
          conversations: shown,
          next_cursor: last ? cursorOf({ updatedAt: last.updated_at, id: last.id }) : null,
        };
      },
      {
        query: Filter,
        ...forCaller(
          "List the visitor's conversations, or all of the site's, newest activity first",
          { 200: ["A page of them", { "application/json": Conversations }] },
          ["invalid_cursor", "bad_request"],
        ),
      },
    )
    .get(
      "/conversations/:id",
      async ({ caller, params, query: { limit = pageLimit, before } }) => {
        const id = uuidOf(params.id);
        const place = before === undefined ? undefined : turnCursorOf(before);
        const [conversation, rows] = await db.tenant(caller.tenant.id, (tx) =>
          Promise.all([
            bodyOf(tx, caller, conversations.get(tx, caller.whose, id)),
            turns.page(tx, id, limit + 1, place),
          ]),
        );
        const shown = rows.slice(-limit);
        return {
          conversation,
          turns: shown.map((turn) => turnBody(runs.newest(turn))),
          next_cursor: rows.length > limit ? (shown[0]?.id ?? null) : null,
        };
      },
      {
        query: Page,
        ...forCaller(
          "Read a conversation: its newest turns, and with `before` older ones",
          {
            200: ["The conversation and a page of its turns", { "application/json": ConversationWithTurns }],
          },
          ["invalid_cursor"],
        ),
      },
    )
    .patch(
      "/conversations/:id",
      async ({ caller, params, body }) => {
        const id = uuidOf(params.id);
        const conversation = await db.tenant(caller.tenant.id, (tx) =>
          bodyOf(tx, caller, conversations.rename(tx, caller.whose, id, body.title.trim())),
        );
        return { conversation };
      },
      {
        ...jsonBody,
        body: Rename,
        ...forCaller(
          "Rename a conversation",
          { 200: ["The conversation", { "application/json": OneConversation }] },
          bodyProblems,
        ),
      },
    )
    .delete(
      "/conversations/:id",
      async ({ caller, params }) => {
        const id = uuidOf(params.id);
        await db.tenant(caller.tenant.id, (tx) => conversations.remove(tx, caller.whose, id));
        return new Response(null, { status: 204 });
      },
      {
        parse: "none",
        ...forCaller("Delete a conversation with all its turns", { 204: ["It is gone"] }),
      },
    );
};

/** As the caller sees them: its backend learns who the site's users are. */
async function bodiesOf(tx: TenantTx, { whose }: Caller, rows: conversations.Conversation[]) {
  if (whose !== users.everyone) return rows.map(conversationBody);
  const keys = [...new Set(rows.map((row) => row.user_id))];
  const known = await users.profiles(tx, keys);
  return rows.map((row) => ({
    ...conversationBody(row),
    ...(known.get(row.user_id) ?? { name: null, email: null }),
  }));
}

async function bodyOf(tx: TenantTx, caller: Caller, row: Promise<conversations.Conversation>) {
  const [body] = await bodiesOf(tx, caller, [await row]);
  return body;
}

/** Throws bad_request where a visitor asks as only the backend may, not_found where no user can be meant. */
function whoseOf({ whose }: Caller, query: Static<typeof Filter>): users.Whose {
  const { user_id, anonymous, since, until } = query;
  if (whose !== users.everyone) {
    if ((user_id ?? anonymous ?? since ?? until) === undefined) return whose;
    const detail = "user_id, anonymous, since and until are for the site's backend.";
    throw new CipError("bad_request", { detail });
  }
  return namedBy(query) ?? whose;
}

/** Throws invalid_cursor or bad_request. */
function spanOf({ before, since, until }: Static<typeof Filter>): conversations.Span {
  return {
    before: before === undefined ? undefined : placeOf(before),
    since: timeOf("since", since),
    until: timeOf("until", until),
  };
}

/** A date alone is its first moment in UTC. Throws bad_request for the 31st of June, and for years that not all can write. */
function timeOf(name: string, text: string | undefined): Date | undefined {
  if (text === undefined) return undefined;
  const time = new Date(text);
  const year = time.getUTCFullYear(); // PostgreSQL has no year 0, and ISO 8601 none of five digits
  const day = text.slice(0, 10); // which a Date takes for one of the next month where its own has fewer
  if (!(year >= 1 && year <= 9999 && new Date(day).toISOString().startsWith(day)))
    throw new CipError("bad_request", { detail: `${name}: There is no such time.` });
  return time;
}

/** A cursor says where a page ended; it means something to this server only. */
function cursorOf({ updatedAt, id }: conversations.Place): string {
  return `${updatedAt.getTime().toString(36)}.${id}`;
}

/** Throws invalid_cursor. */
function placeOf(cursor: string): conversations.Place {
  const [time = "", id = ""] = cursor.split(".");
  // Nine digits reach the year 5188, and PostgreSQL reads no year of more than four.
  if (!/^[0-9a-z]{1,9}$/.test(time)) throw new CipError("invalid_cursor");
  return { updatedAt: new Date(Number.parseInt(time, 36)), id: turnCursorOf(id) };
}

/** Throws invalid_cursor. */
function turnCursorOf(cursor: string): string {
  try {
    return uuidOf(cursor);
  } catch {
    throw new CipError("invalid_cursor");
  }
}
