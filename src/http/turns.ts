// The routes of a turn: open one, look at it, follow it, stop it. What is delivered is always follow()'s.
import { type Static, Type } from "@sinclair/typebox";
import { Elysia } from "elysia";
import { CipError, errors } from "../errors.ts";
import { follow } from "../follow.ts";
import type { Opened, Visitor } from "../runs.ts";
import type { Turn } from "../turns.ts";
import { jsonBody } from "./body.ts";
import { bodyProblems, forVisitor } from "./documented.ts";
import { NewTurn, OneTurn, turnBody } from "./schemas.ts";
import { identified, type Services, sitePrefix, uuidOf } from "./services.ts";
import { sse } from "./sse.ts";

const eventStream = {
  "text/event-stream": Type.String({ description: "AI SDK UI message stream, protocol v1" }),
};
const json = { "application/json": OneTurn };

export const turns = (services: Services) => {
  const { runs } = services;

  /** Waits for the end, whatever it is. A reader that leaves ends the waiting, not the turn. */
  async function whole(visitor: Visitor, opened: Opened, gone: AbortSignal) {
    for await (const _frame of follow(opened, opened.answer, 0, gone));
    const turn = await runs.snapshot(visitor, opened.id);
    if (turn.status === "failed" || turn.status === "interrupted") throw failure(turn);
    return { turn: turnBody(turn) };
  }

  return new Elysia({ prefix: sitePrefix })
    .use(identified(services))
    .post(
      "/turns",
      async ({ visitor, body, headers, request, server, set }) => {
        const wanted = deliveryOf(headers);
        const opened = await runs.open(visitor, questionOf(visitor, body, headers["accept-language"]));
        const location = `/v1/${visitor.tenant.id}/turns/${opened.id}`;
        if (wanted === "async") {
          set.status = 202;
          Object.assign(set.headers, { location, "preference-applied": "respond-async" });
          return { turn: turnBody(await runs.snapshot(visitor, opened.id)) };
        }
        if (wanted === "json") {
          server?.timeout(request, 0); // the model's deadlines bound the wait, not the connection's
          return whole(visitor, opened, request.signal);
        }
        const gone = new AbortController();
        return sse(follow(opened, opened.answer, 0, gone.signal), gone, { location });
      },
      {
        ...jsonBody,
        body: NewTurn,
        ...forVisitor(
          "Ask: store the message and have it answered",
          {
            200: ["The answer, as the Accept header wants it", { ...eventStream, ...json }],
            202: ["With `Prefer: respond-async`: the turn, at once", json],
          },
          [
            ...bodyProblems,
            "message_empty",
            "turn_running",
            "not_acceptable",
            "model_failed",
            "model_timeout",
          ],
        ),
      },
    )
    .get(
      "/turns/:id",
      async ({ visitor, params }) => ({ turn: turnBody(await runs.snapshot(visitor, uuidOf(params.id))) }),
      forVisitor("Look at a turn as it is now", { 200: ["The turn", json] }),
    )
    .get(
      "/turns/:id/stream",
      async ({ visitor, params, query, headers }) => {
        const after = offsetOf(headers["last-event-id"] ?? query.after ?? "0");
        const gone = new AbortController();
        const opened = await runs.find(visitor, uuidOf(params.id), gone.signal);
        if (opened.answer.ending) {
          if (after > opened.answer.length)
            throw new CipError("invalid_cursor", { detail: "The cursor is past the end of the answer." });
          if (after === opened.answer.length && after > 0) return new Response(null, { status: 204 });
        }
        return sse(follow(opened, opened.answer, after, gone.signal), gone);
      },
      {
        query: Type.Object({ after: Type.Optional(Type.String()) }),
        ...forVisitor(
          "Follow an answer from an offset on",
          { 200: ["The rest of the answer", eventStream], 204: ["The turn has ended and was read whole"] },
          ["invalid_cursor"],
        ),
      },
    )
    .post(
      "/turns/:id/stop",
      async ({ visitor, params }) => ({ turn: turnBody(await runs.stop(visitor, uuidOf(params.id))) }),
      {
        parse: "none",
        ...forVisitor("Stop an answer", { 200: ["The turn, with what had been said", json] }, [
          "unauthorized",
          "not_found",
        ]),
      },
    );
};

/** What the client asks for: `Prefer: respond-async` (RFC 7240) before `Accept` (RFC 9110, 12.5.1). Throws not_acceptable. */
function deliveryOf({
  prefer = "",
  accept = "*/*",
}: Record<string, string | undefined>): "sse" | "json" | "async" {
  if (/(^|,)\s*respond-async\s*(;|,|$)/i.test(prefer)) return "async";
  if (/text\/(event-stream|\*)/i.test(accept)) return "sse";
  if (/application\/(json|\*)/i.test(accept)) return "json";
  if (accept.includes("*/*")) return "sse";
  throw new CipError("not_acceptable");
}

function questionOf({ tenant }: Visitor, body: Static<typeof NewTurn>, acceptLanguage = "") {
  const { message, conversation_id } = body;
  if (message.trim() === "") throw new CipError("message_empty");
  if (message.length > tenant.messageCharsMax) {
    throw new CipError("message_too_long", {
      detail: `The message may have at most ${tenant.messageCharsMax} characters.`,
    });
  }
  return {
    message,
    conversationId: conversation_id === undefined ? undefined : uuidOf(conversation_id),
    language: tenant.ui.language ?? /^[a-z]{2,3}(-[a-z0-9]{1,8})*/i.exec(acceptLanguage)?.[0],
  };
}

/** Throws invalid_cursor. */
function offsetOf(text: string): number {
  const offset = Number(text);
  if (!/^\d{1,15}$/.test(text))
    throw new CipError("invalid_cursor", { detail: "The cursor must be a whole number." });
  return offset;
}

function failure(turn: Turn): CipError {
  const code = turn.status === "failed" ? (turn.error_code ?? "internal") : "interrupted";
  return new CipError(code, { detail: errors[code][1], turn_id: turn.id });
}
