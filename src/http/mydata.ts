// GET /visitors/me/export and DELETE /visitors/me: all that is stored of the visitor who asks, to take along or to be rid of.
import { Type } from "@sinclair/typebox";
import { Elysia } from "elysia";
import { CipError } from "../errors.ts";
import { log } from "../log.ts";
import * as mydata from "../mydata.ts";
import { transcript } from "../transcript.ts";
import { everyone } from "../users.ts";
import { forVisitor } from "./documented.ts";
import { ConversationBody, conversationBody, TurnBody, turnBody } from "./schemas.ts";
import { type Caller, identified, type Services, sitePrefix } from "./services.ts";

const closed = { additionalProperties: false };
const nullable = Type.Union([Type.String(), Type.Null()]);

/** What `json` writes. A change that a reader could stumble over raises the version. */
const Export = Type.Object(
  {
    version: Type.Literal(1),
    exported_at: Type.String({ format: "date-time" }),
    user: Type.Object(
      { user_id: Type.String(), anonymous: Type.Boolean(), name: nullable, email: nullable },
      closed,
    ),
    conversations: Type.Array(
      Type.Object({ ...ConversationBody.properties, turns: Type.Array(TurnBody) }, closed),
      { description: "Oldest first, and so are their turns; replaced ones are among them." },
    ),
  },
  closed,
);

export const mydataRoutes = (services: Services) => {
  const { db, runs } = services;
  return new Elysia({ prefix: sitePrefix })
    .use(identified(services))
    .get(
      "/visitors/me/export",
      async ({ caller, headers }) => {
        const format = formatOf(headers.accept);
        // Read before anything is said, so that what fails here still fails with a status.
        const mine = await mydata.read(db, runs, caller.tenant.id, userOf(caller));
        const { ui, name } = caller.tenant;
        const chunks = format === "json" ? json(mine) : transcript(mine, ui.title ?? name);
        return new Response(streamed(chunks), {
          headers: {
            "content-type": format === "json" ? "application/json" : "text/markdown; charset=utf-8",
            "content-disposition": `attachment; filename="chat.${format}"`,
            "cache-control": "no-store",
          },
        });
      },
      forVisitor(
        "Take along all that is stored of you, as the Accept header wants it",
        {
          200: [
            "All conversations with all turns, oldest first",
            { "application/json": Export, "text/markdown": Type.String() },
          ],
        },
        ["bad_request", "not_acceptable"],
      ),
    )
    .delete(
      "/visitors/me",
      async ({ caller }) => {
        await mydata.remove(db, caller.tenant.id, userOf(caller));
        return new Response(null, { status: 204 });
      },
      {
        parse: "none",
        ...forVisitor("Delete all that is stored of you", { 204: ["It is gone"] }, ["bad_request"]),
      },
    );
};

/** Throws bad_request. */
function userOf({ whose }: Caller): string {
  if (whose === everyone)
    throw new CipError("bad_request", { detail: "This address takes a visitor's own token only." });
  return whose;
}

/** Throws not_acceptable. */
function formatOf(accept = "*/*"): "json" | "md" {
  if (/text\/(markdown|\*)/i.test(accept)) return "md";
  if (/application\/(json|\*)|\*\/\*/i.test(accept)) return "json";
  throw new CipError("not_acceptable", {
    detail: "This address answers with application/json or text/markdown.",
  });
}

/** `Export` in pieces of one turn each. */
async function* json({ user, conversations }: mydata.Mine): AsyncGenerator<string> {
  const { id, ...rest } = user;
  const head = { version: 1, exported_at: new Date().toISOString(), user: { user_id: id, ...rest } };
  yield `${JSON.stringify(head).slice(0, -1)},"conversations":[`;
  let between = "";
  for await (const { conversation, turns } of conversations) {
    yield `${between}${JSON.stringify(conversationBody(conversation)).slice(0, -1)},"turns":[`;
    between = "";
    for await (const turn of turns) {
      yield between + JSON.stringify(turnBody(turn));
      between = ",";
    }
    yield "]}";
    between = ",";
  }
  yield "]}";
}

/** As the reader takes it, and no further: what is not taken is not read from the database yet. */
function streamed(chunks: AsyncGenerator<string>): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder();
  return new ReadableStream(
    {
      async pull(controller) {
        try {
          const { done, value } = await chunks.next();
          if (done) controller.close();
          else controller.enqueue(encoder.encode(value));
        } catch (error) {
          log.error({ err: error }, "an export broke off");
          controller.error(); // so does the connection; a reason given here would be printed by Bun
        }
      },
      async cancel() {
        await chunks.return(undefined);
      },
    },
    { highWaterMark: 0 },
  );
}
