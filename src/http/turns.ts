// The routes of a turn that is there: look at it, follow it, stop it.
import { Type } from "@sinclair/typebox";
import { Elysia } from "elysia";
import { Follower } from "../chat/follow.ts";
import { CipError } from "../errors.ts";
import { forCaller } from "./documented.ts";
import { reading } from "./reading.ts";
import { OneTurn, turnBody } from "./schemas.ts";
import { identified, type Services, sitePrefix, uuidOf } from "./services.ts";
import { eventStream, sse } from "./sse.ts";

const json = { "application/json": OneTurn };

export const turns = (services: Services) => {
  const { chat } = services;

  return new Elysia({ prefix: sitePrefix })
    .use(identified(services))
    .get(
      "/turns/:id",
      async ({ caller, params }) => ({ turn: turnBody(await chat.snapshot(caller, uuidOf(params.id))) }),
      forCaller("Look at a turn as it is now", { 200: ["The turn", json] }),
    )
    .get(
      "/turns/:id/stream",
      ({ caller, params, query, headers, request }) => {
        const after = offsetOf(headers["last-event-id"] ?? query.after ?? "0");
        return reading(services, caller, request, async (gone) => {
          const opened = await chat.find(caller, uuidOf(params.id), gone.signal);
          if (opened.answer.ending) {
            if (after > opened.answer.length)
              throw new CipError("invalid_cursor", { detail: "The cursor is past the end of the answer." });
            if (after === opened.answer.length && after > 0) return new Response(null, { status: 204 });
          }
          return sse(new Follower(opened, opened.answer, after, gone.signal), gone);
        });
      },
      {
        query: Type.Object({ after: Type.Optional(Type.String()) }),
        ...forCaller(
          "Follow an answer from an offset on",
          { 200: ["The rest of the answer", eventStream], 204: ["The turn has ended and was read whole"] },
          ["invalid_cursor"],
        ),
      },
    )
    .get(
      "/conversations/:id/stream",
      ({ caller, params, request }) =>
        reading(services, caller, request, async (gone) => {
          const opened = await chat.findLive(caller, uuidOf(params.id), gone.signal);
          if (!opened) return new Response(null, { status: 204 });
          return sse(new Follower(opened, opened.answer, 0, gone.signal), gone);
        }),
      forCaller("Follow the answer that is being written in a conversation", {
        200: ["The whole answer, from its beginning", eventStream],
        204: ["None is being written there"],
      }),
    )
    .post(
      "/turns/:id/stop",
      async ({ caller, params }) => ({ turn: turnBody(await chat.stop(caller, uuidOf(params.id))) }),
      {
        parse: "none",
        ...forCaller("Stop an answer", { 200: ["The turn, with what had been said", json] }, [
          "unauthorized",
          "not_found",
        ]),
      },
    );
};

/** Throws invalid_cursor. */
function offsetOf(text: string): number {
  const offset = Number(text);
  if (!/^\d{1,15}$/.test(text))
    throw new CipError("invalid_cursor", { detail: "The cursor must be a whole number." });
  return offset;
}
