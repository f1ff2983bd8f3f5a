// A client as a site's own would be: plain fetch, and frames read by the parser that the ecosystem uses.
import { EventSourceParserStream } from "eventsource-parser/stream";
import { silent } from "./canary.ts";

export type Frame = { id: string | undefined; data: string };

/** What a reader has after the stream's end. */
export type Reading = {
  turnId: string;
  conversationId: string;
  text: string;
  reasoning: string;
  /** `finish`, `abort` or `error`; undefined when the stream ended without one. */
  terminal: Chunk | undefined;
  frames: Frame[];
};
export type Chunk = { type: string; [field: string]: unknown };

type Request = {
  token?: string | undefined;
  body?: unknown;
  headers?: Record<string, string>;
  signal?: AbortSignal;
};

/** One HTTP request. A body that is a string or bytes goes as it is, anything else as JSON. */
export async function call(
  url: string,
  method: string,
  path: string,
  request: Request = {},
): Promise<Response> {
  const { token, body, signal } = request;
  const headers = new Headers(token ? { authorization: `Bearer ${token}` } : {});
  if (body !== undefined) headers.set("content-type", "application/json");
  for (const [name, value] of Object.entries(request.headers ?? {})) headers.set(name, value);
  const plain = body === undefined || typeof body === "string" || body instanceof Uint8Array;
  const init: RequestInit = { method, headers };
  if (signal) init.signal = signal;
  if (body !== undefined) init.body = plain ? (body as string) : JSON.stringify(body);
  return listenedTo(await fetch(`${url}${path}`, init));
}

/** The response, of which nothing can be read that holds a canary. */
function listenedTo(response: Response): Response {
  silent(JSON.stringify([...response.headers]), "headers");
  const text = async () => silent(await Response.prototype.text.call(response), response.url);
  const json = async () => JSON.parse(await text()) as unknown;
  return Object.assign(response, { text, json });
}

/** A new anonymous visitor's token. */
export async function visitor(url: string, tenant = "default"): Promise<string> {
  const response = await call(url, "POST", `/v1/${tenant}/visitors`, { body: {} });
  if (response.status !== 201)
    throw new Error(`no visitor token: ${response.status} ${await response.text()}`);
  return ((await response.json()) as { token: string }).token;
}

/** The frames of an event stream as they arrive. */
export async function* sse(response: Response): AsyncGenerator<Frame> {
  if (!response.ok || !response.body)
    throw new Error(`no stream: ${response.status} ${await response.text()}`);
  const frames = response.body
    .pipeThrough(new TextDecoderStream())
    .pipeThrough(new EventSourceParserStream());
  for await (const { id, data } of frames) yield { id, data: silent(data, response.url) };
}

/** Reads a turn's stream to its end. */
export async function drain(response: Response): Promise<Reading> {
  const reading: Reading = {
    turnId: "",
    conversationId: "",
    text: "",
    reasoning: "",
    terminal: undefined,
    frames: [],
  };
  for await (const frame of sse(response)) {
    reading.frames.push(frame);
    if (frame.data === "[DONE]") break;
    const chunk = JSON.parse(frame.data) as Chunk;
    if (chunk.type === "start") {
      const { turn_id, conversation_id } = chunk.messageMetadata as Record<string, string>;
      reading.turnId = turn_id ?? "";
      reading.conversationId = conversation_id ?? "";
    }
    if (chunk.type === "text-delta") reading.text += chunk.delta;
    if (chunk.type === "reasoning-delta") reading.reasoning += chunk.delta;
    if (["finish", "abort", "error"].includes(chunk.type)) reading.terminal = chunk;
  }
  return reading;
}
