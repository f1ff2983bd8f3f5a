// The routes of a visitor's conversations.
import { Elysia } from "elysia";
import * as conversations from "../conversations.ts";
import { CipError } from "../errors.ts";
import * as turns from "../turns.ts";
import { jsonBody } from "./body.ts";
import { bodyProblems, forVisitor } from "./documented.ts";
import {
  Conversations,
  ConversationWithTurns,
  conversationBody,
  OneConversation,
  Page,
  pageLimit,
  Rename,
  turnBody,
} from "./schemas.ts";
import { identified, type Services, sitePrefix, uuidOf } from "./services.ts";

export const conversationRoutes = (services: Services) => {
  const { db, runs } = services;
  return new Elysia({ prefix: sitePrefix })
    .use(identified(services))
    .get(
      "/conversations",
      async ({ visitor: { tenant, userId }, query: { limit = pageLimit, before } }) => {
        const place = before === undefined ? undefined : placeOf(before);
        const rows = await db.tenant(tenant.id, (tx) => conversations.list(tx, userId, limit + 1, place));
        const shown = rows.slice(0, limit);
        const last = shown.at(-1);
        return {
          conversations: shown.map(conversationBody),
          next_cursor:
            rows.length > limit && last ? cursorOf({ updatedAt: last.updated_at, id: last.id }) : null,
        };
      },
      {
        query: Page,
        ...forVisitor(
          "List the visitor's conversations, newest activity first",
          { 200: ["A page of them", { "application/json": Conversations }] },
          ["invalid_cursor"],
        ),
      },
    )
    .get(
      "/conversations/:id",
      async ({ visitor: { tenant, userId }, params, query: { limit = pageLimit, before } }) => {
        const id = uuidOf(params.id);
        const [conversation, rows] = await db.tenant(tenant.id, (tx) =>
          Promise.all([
            conversations.get(tx, userId, id),
            turns.page(tx, id, limit + 1, before === undefined ? undefined : turnCursorOf(before)),
          ]),
        );
        const shown = rows.slice(-limit);
        return {
          conversation: conversationBody(conversation),
          turns: shown.map((turn) => turnBody(runs.newest(turn))),
          next_cursor: rows.length > limit ? (shown[0]?.id ?? null) : null,
        };
      },
      {
        query: Page,
        ...forVisitor(
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
      async ({ visitor: { tenant, userId }, params, body }) => {
        const id = uuidOf(params.id);
        const row = await db.tenant(tenant.id, (tx) =>
          conversations.rename(tx, userId, id, body.title.trim()),
        );
        return { conversation: conversationBody(row) };
      },
      {
        ...jsonBody,
        body: Rename,
        ...forVisitor(
          "Rename a conversation",
          { 200: ["The conversation", { "application/json": OneConversation }] },
          bodyProblems,
        ),
      },
    )
    .delete(
      "/conversations/:id",
      async ({ visitor: { tenant, userId }, params }) => {
        const id = uuidOf(params.id);
        await db.tenant(tenant.id, (tx) => conversations.remove(tx, userId, id));
        return new Response(null, { status: 204 });
      },
      {
        parse: "none",
        ...forVisitor("Delete a conversation with all its turns", { 204: ["It is gone"] }),
      },
    );
};

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
