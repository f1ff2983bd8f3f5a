// PUT /turns/{id}/feedback: what a visitor thinks of an answer, said by itself or by the tenant's backend.
import { Type } from "@sinclair/typebox";
import { Elysia } from "elysia";
import * as turns from "../rows/turns.ts";
import { jsonBody } from "./body.ts";
import { bodyProblems, forCaller } from "./documented.ts";
import { OneTurn, Rating, turnBody } from "./schemas.ts";
import { identified, type Services, sitePrefix, uuidOf } from "./services.ts";

const commentCharsMax = 2000;

const NewFeedback = Type.Object(
  { rating: Rating, comment: Type.Optional(Type.String({ maxLength: commentCharsMax })) },
  { additionalProperties: false },
);

export const feedback = (services: Services) =>
  new Elysia({ prefix: sitePrefix }).use(identified(services)).put(
    "/turns/:id/feedback",
    async ({ caller: { tenant, whose }, params, body: { rating, comment = "" } }) => {
      const id = uuidOf(params.id);
      const turn = await services.db.tenant(tenant.id, (tx) =>
        turns.rate(tx, whose, id, { rating, comment: comment.trim() || null }),
      );
      return { turn: turnBody(turn) };
    },
    {
      ...jsonBody,
      body: NewFeedback,
      ...forCaller(
        "Say what you think of an answer, in place of what you said before; null takes it back",
        { 200: ["The turn", { "application/json": OneTurn }] },
        [...bodyProblems, "turn_running"],
      ),
    },
  );
