// The routes of a turn: open one, look at it, follow it, stop it. What is delivered is always follow()'s.
import { Type } from "@sinclair/typebox";
import { Elysia } from "elysia";
import type { Opened, Visitor } from "../chat.ts";
import { CipError, errors } from "../errors.ts";
import { follow } from "../follow.ts";
import type { Turn } from "../turns.ts";
import { jsonBody } from "./body.ts";
import { bodyProblems, forVisitor } from "./documented.ts";
import { questionOf } from "./question.ts";
import { NewTurn, OneTurn, turnBody } from "./schemas.ts";
import { identified, type Services, sitePrefix, uuidOf } from "./services.ts";
import { sse, stalledSeconds } from "./sse.ts";

const eventStream = {
  "text/event-stream": Type.String({ description: "AI SDK UI message stream, protocol v1" }),
};
const json = { "application/json": OneTurn };

export const turns = (services: Services) => {
  const { chat } = services;

  /** Waits for the end, whatever it is. A reader that leaves ends the waiting, not the turn. */
  async function whole(visitor: Visitor, opened: Opened, gone: AbortSignal) {
    for await (const _frame of follow(opened, opened.answer, 0, gone));
    const turn = await chat.snapshot(visitor, opened.id);
    // The turn was taken from this process before what it had said was stored: another one answers it anew.
    if (turn.finished_at === null && !gone.aborted)
      return whole(visitor, await chat.find(visitor, opened.id, gone), gone);
    if (turn.status === "failed" || turn.status === "interrupted") throw failure(turn);
    return { turn: turnBody(turn) };
  }

  return new Elysia({ prefix: sitePrefix })
    .use(identified(services))
    .post(
      "/turns",
      async ({ visitor, body, headers, request, server, set }) => {
        const delivery = deliveryOf(headers);
        const question = questionOf(visitor, body, {
          detached: delivery === "async",
          idempotencyKey: headers["idempotency-key"],
          acceptLanguage: headers["accept-language"],
        });
        const gone = new AbortController();
        request.signal.addEventListener("abort", () => gone.abort());
        // What bounds the wait is the queue's time and the model's deadlines. The connection's own limit comes back
        // with what is sent, for the connection may be kept for other requests.
        server?.timeout(request, 0);
        try {
          const opened = await chat.open(visitor, question, gone.signal);
          const location = `/v1/${visitor.tenant.id}/turns/${opened.id}`;
          if (delivery === "sse")
            return sse(follow(opened, opened.answer, 0, gone.signal), gone, { location });
          if (delivery === "json") return await whole(visitor, opened, gone.signal);
          gone.abort(); // nobody follows
          set.status = 202;
          Object.assign(set.headers, { location, "preference-applied": "respond-async" });
          return { turn: turnBody(await chat.snapshot(visitor, opened.id)) };
        } finally {
          server?.timeout(request, stalledSeconds);
        }
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
            "turn_replaced",
            "idempotency_conflict",
            "too_many_turns",
            "not_acceptable",
            "model_failed",
            "model_timeout",
          ],
        ),
      },
    )
    .get(
      "/turns/:id",
      async ({ visitor, params }) => ({ turn: turnBody(await chat.snapshot(visitor, uuidOf(params.id))) }),
      forVisitor("Look at a turn as it is now", { 200: ["The turn", json] }),
    )
    .get(
      "/turns/:id/stream",
      async ({ visitor, params, query, headers, request }) => {
        const after = offsetOf(headers["last-event-id"] ?? query.after ?? "0");
        const gone = new AbortController();
        request.signal.addEventListener("abort", () => gone.abort());
        const opened = await chat.find(visitor, uuidOf(params.id), gone.signal);
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
      async ({ visitor, params }) => ({ turn: turnBody(await chat.stop(visitor, uuidOf(params.id))) }),
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
