// A server with a model that says what a test scripts, and the API as the client of one site uses it.
import { expect } from "bun:test";
import type { Static } from "@sinclair/typebox";
import { errors } from "../src/errors.ts";
import type { Conversations, ConversationWithTurns, OneConversation, TurnBody } from "../src/http/schemas.ts";
import { canary } from "./canary.ts";
import { call, visitor } from "./client.ts";
import { answer, type ScriptedModel, type Step, scriptedModel } from "./model.ts";
import { postgresCluster } from "./postgres.ts";
import { type Place, startServer } from "./server.ts";
import { until } from "./support.ts";

export type Turn = Static<typeof TurnBody>;
type Request = Parameters<typeof call>[3];
type More = { conversation_id?: string | undefined };

export type Site = Awaited<ReturnType<typeof startSite>>;

const modelKey = canary("LLM_API_KEY");

/** Starts cip with a scripted model, on a PostgreSQL database of its own unless `database` says otherwise. */
export async function startSite(place: Place = {}, database?: string) {
  const model = await scriptedModel();
  const databaseUrl = database ?? (await (await postgresCluster()).createDatabase());
  const env = {
    LLM_BASE_URL: model.baseUrl,
    LLM_MODEL: "scripted",
    LLM_API_KEY: modelKey,
    ...(databaseUrl !== "embedded" && { DATABASE_URL: databaseUrl }),
    ...place.env,
  };
  const server = await startServer({ ...place, env });
  return { ...siteOf(server.url), server, model, databaseUrl, hold: (steps: Step[]) => hold(model, steps) };
}

/** Scripts the next answer so that it waits after each of its steps until the test releases it. */
function hold(model: ScriptedModel, steps: Step[]) {
  const gates = steps.map(() => Promise.withResolvers<void>());
  const script = steps.flatMap((step, i): Step[] => [step, { hold: gates[i]?.promise as Promise<void> }]);
  const calls = model.calls.length;
  let released = 0;
  const release = () => gates[released++]?.resolve();
  model.next([...script, ...answer()]);
  return {
    release,
    releaseAll: () => {
      while (released < gates.length) release();
    },
    /** The call that gets this answer, once it has arrived. */
    asked: () => until(() => model.calls[calls], "the model is asked"),
  };
}

/** The calls that a client of `tenant` makes. */
export function siteOf(url: string, tenant = "default") {
  const on = (method: string, path: string, request?: Request) =>
    call(url, method, `/v1/${tenant}${path}`, request);
  const post = (token: string, message: string, more: More, headers: Record<string, string>) =>
    on("POST", "/turns", { token, headers, body: { message, ...more } });

  return {
    url,
    on,
    visitor: () => visitor(url, tenant),
    /** Asks, to be answered as an event stream. */
    stream: (token: string, message: string, more: More = {}) =>
      post(token, message, more, { accept: "text/event-stream" }),
    /** Asks and waits for the whole answer. */
    ask: async (token: string, message: string, more: More = {}) =>
      turnIn(await post(token, message, more, { accept: "application/json" }), 200),
    /** Asks and does not wait. */
    begin: async (token: string, message: string, more: More = {}) =>
      turnIn(await post(token, message, more, { prefer: "respond-async" }), 202),
    turn: async (token: string, id: string) => turnIn(await on("GET", `/turns/${id}`, { token }), 200),
    /** The turn, once it has ended. */
    ended: (token: string, id: string) =>
      until(async () => {
        const turn = await turnIn(await on("GET", `/turns/${id}`, { token }), 200);
        return turn.finished_at && turn;
      }, "the turn ends"),
    /** The turn, once its answer has come as far as `text`. */
    said: (token: string, id: string, text: string) =>
      until(
        async () => {
          const turn = await turnIn(await on("GET", `/turns/${id}`, { token }), 200);
          return turn.answer === text && turn;
        },
        `the answer is "${text.slice(0, 100)}"`,
      ),
    follow: (token: string, id: string, query = "", headers: Record<string, string> = {}) =>
      on("GET", `/turns/${id}/stream${query}`, { token, headers }),
    stop: async (token: string, id: string) => turnIn(await on("POST", `/turns/${id}/stop`, { token }), 200),
    conversations: async (token: string, query = "") =>
      (await bodyOf(await on("GET", `/conversations${query}`, { token }), 200)) as Static<
        typeof Conversations
      >,
    conversation: async (token: string, id: string, query = "") =>
      (await bodyOf(await on("GET", `/conversations/${id}${query}`, { token }), 200)) as Static<
        typeof ConversationWithTurns
      >,
    rename: async (token: string, id: string, title: string) => {
      const body = await bodyOf(await on("PATCH", `/conversations/${id}`, { token, body: { title } }), 200);
      return (body as Static<typeof OneConversation>).conversation;
    },
  };
}

async function bodyOf(response: Response, status: number): Promise<unknown> {
  const body = await response.json();
  expect({ status: response.status, body }).toMatchObject({ status });
  return body;
}

async function turnIn(response: Response, status: number): Promise<Turn> {
  return ((await bodyOf(response, status)) as { turn: Turn }).turn;
}

const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
/** A stack, SQL, the names of our parts, a path, and the keys and tokens that tests use. */
const inside =
  /\n\s+at |\b(select|insert|update|delete) .*\b(from|into|set|where)\b|postgres|pglite|node_modules|elysia|\.ts\b|\bsk-|eyJ|a key to sign|\/(tmp|home|work|root|src)\//i;

/** Holds for every error answer: a problem document (RFC 9457) with a request id, and nothing of the inside. */
export async function expectProblem(
  answer: Response | Promise<Response>,
  status: number,
  code: keyof typeof errors,
) {
  const response = await answer;
  const text = await response.text();
  expect({ status: response.status, type: response.headers.get("content-type"), text }).toMatchObject({
    status,
    type: "application/problem+json",
  });
  const body = JSON.parse(text) as Record<string, unknown>;
  const { detail, request_id, turn_id, ...rest } = body;
  expect(rest).toEqual({ type: "about:blank", title: errors[code][1], status, code });
  expect(request_id).toMatch(uuid);
  expect(response.headers.get("x-request-id")).toBe(request_id as string);
  expect(detail).toBeString();
  expect(turn_id ?? request_id).toMatch(uuid);
  expect(text + JSON.stringify([...response.headers])).not.toMatch(inside);
  return body;
}
