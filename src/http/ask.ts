// POST /turns: ask, and have the answer delivered as the caller wants it. What is delivered is always follow()'s.
import { Elysia } from "elysia";
import type { Opened, Reader } from "../chat/chat.ts";
import { Follower, follow } from "../chat/follow.ts";
import { CipError, errors } from "../errors.ts";
import { beginReading } from "../metrics/metrics.ts";
import { secondsToMidnight } from "../rows/budgets.ts";
import type { Turn } from "../rows/turns.ts";
import { traceOf } from "../trace.ts";
import { jsonBody } from "./body.ts";
import { bodyProblems, forCaller } from "./documented.ts";
import { questionOf } from "./question.ts";
import { rateLimitHeaders } from "./ratelimit.ts";
import { reading } from "./reading.ts";
import { NewTurn, OneTurn, turnBody } from "./schemas.ts";
import { identified, type Services, sitePrefix, visitorOf } from "./services.ts";
import { eventStream, sse, stalledSeconds } from "./sse.ts";

const json = { "application/json": OneTurn };

export const ask = (services: Services) => {
  const { chat } = services;

  /** Waits for the end, whatever it is. A reader that leaves ends the waiting, not the turn. */
  async function whole(reader: Reader, opened: Opened, gone: AbortSignal) {
    for await (const _frame of follow(opened, opened.answer, 0, gone));
    const turn = await chat.snapshot(reader, opened.id);
    // The turn was taken from this process before what it had said was stored: another one answers it anew.
    if (turn.finished_at === null && !gone.aborted)
      return whole(reader, await chat.find(reader, opened.id, gone), gone);
    if (turn.status === "failed" || turn.status === "interrupted") throw failure(turn);
    return { turn: turnBody(turn) };
  }

  return new Elysia({ prefix: sitePrefix }).use(identified(services, "message")).post(
    "/turns",
    async ({ caller, body, headers, request, server, set }) => {
      const delivery = deliveryOf(headers);
      const visitor = visitorOf(caller, body.user_id);
      const question = questionOf(visitor, body, {
        detached: delivery === "async",
        idempotencyKey: headers["idempotency-key"],
        acceptLanguage: headers["accept-language"],
        trace: traceOf(headers, String(set.headers["x-request-id"])),
      });
      // What bounds the wait is the queue's time and the model's deadlines. The connection's own limit comes back
      // with what is sent, for the connection may be kept for other requests.
      server?.timeout(request, 0);
      return reading(services, caller, request, async (gone) => {
        const opened = await chat.open(visitor, question, gone.signal, (tightest) =>
          Object.assign(set.headers, rateLimitHeaders(tightest)),
        );
        const location = `/v1/${visitor.tenant.id}/turns/${opened.id}`;
        if (delivery === "sse")
          return sse(new Follower(opened, opened.answer, 0, gone.signal), gone, { location });
        if (delivery === "json") {
          const over = beginReading("json");
          return whole(caller, opened, gone.signal).finally(() =>
            over(gone.signal.aborted ? "left" : "whole"),
          );
        }
        set.status = 202;
        Object.assign(set.headers, { location, "preference-applied": "respond-async" });
        return { turn: turnBody(await chat.snapshot(caller, opened.id)) };
      }).finally(() => server?.timeout(request, stalledSeconds));
    },
    {
      ...jsonBody,
      body: NewTurn,
      ...forCaller(
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
          "too_many_requests",
          "too_many_runs",
          "budget_exhausted",
          "too_many_turns",
          "not_acceptable",
          "model_failed",
          "model_timeout",
        ],
      ),
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

function failure(turn: Turn): CipError {
  const code = turn.status === "failed" ? (turn.error_code ?? "internal") : "interrupted";
  const retry = code === "budget_exhausted" && { retryAfterSeconds: secondsToMidnight() };
  return new CipError(code, { detail: errors[code][1], turn_id: turn.id, ...retry });
}
