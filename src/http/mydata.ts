// GET /visitors/me/export and DELETE /visitors/me: all that is stored of the visitor who asks, or of the user whom the
// tenant's backend names, to take along or to be rid of.
import { type Static, Type } from "@sinclair/typebox";
import { Elysia } from "elysia";
import { CipError } from "../errors.ts";
import * as mydata from "../keep/mydata.ts";
import { transcript } from "../keep/transcript.ts";
import { log } from "../log.ts";
import { everyone } from "../rows/users.ts";
import { forCaller } from "./documented.ts";
import { OfUser } from "./queries.ts";
import { ConversationBody, conversationBody, TurnBody, turnBody } from "./schemas.ts";
import { type Caller, identified, namedBy, type Services, sitePrefix } from "./services.ts";

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
      async ({ caller, headers, query }) => {
        const format = formatOf(headers.accept);
        // Read before anything is said, so that what fails here still fails with a status.
        const mine = await mydata.read(db, runs, caller.tenant.id, userOf(caller, query));
        const { title = "Chat" } = caller.tenant.ui;
        const chunks = format === "json" ? json(mine) : transcript(mine, title);
        return new Response(streamed(chunks), {
          headers: {
            "content-type": format === "json" ? "application/json" : "text/markdown; charset=utf-8",
            "content-disposition": `attachment; filename="chat.${format}"`,
            "cache-control": "no-store",
          },
        });
      },
      {
        query: OfUser,
        ...forCaller(
          "Take along all that is stored of the visitor, as the Accept header wants it",
          {
            200: [
              "All conversations with all turns, oldest first",
              { "application/json": Export, "text/markdown": Type.String() },
            ],
          },
          ["bad_request", "not_acceptable"],
        ),
      },
    )
    .delete(
      "/visitors/me",
      async ({ caller, query }) => {
        await mydata.remove(db, caller.tenant.id, userOf(caller, query));
        return new Response(null, { status: 204 });
      },
      {
        parse: "none",
        query: OfUser,
        ...forCaller("Delete all that is stored of the visitor", { 204: ["It is gone"] }, ["bad_request"]),
      },
    );
};

/** Throws bad_request, not_found. */
function userOf({ whose }: Caller, query: Static<typeof OfUser>): string {
  const refuse = (detail: string) => new CipError("bad_request", { detail });
  if (whose === everyone) {
    const named = namedBy(query);
    if (named === undefined) throw refuse("user_id: Expected beside a key, which is no visitor");
    return named;
  }
  if ((query.user_id ?? query.anonymous) === undefined) return whose;
  throw refuse("user_id and anonymous are for the site's backend.");
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
