// Server-sent events: frames onto one HTTP response, a heartbeat in silence, and word when the reader leaves.
import { Type } from "@sinclair/typebox";
import type { Frame } from "../chat/chunks.ts";
import type { Follower } from "../chat/follow.ts";
import { beginReading } from "../metrics/metrics.ts";

const heartbeatMs = 10_000;
/**
 * The server's own limit on a connection on which nothing moves. Heartbeats keep a silent one open; one whose reader
 * does not take what is there is closed by it. An error of the stream would not close it: Bun keeps such a socket.
 */
export const stalledSeconds = 20;
const heartbeat = ":\n\n";
const done = "data: [DONE]\n\n";

/** As the OpenAPI document says it. */
export const eventStream = {
  "text/event-stream": Type.String({ description: "AI SDK UI message stream, protocol v1" }),
};

const headers = {
  "content-type": "text/event-stream; charset=utf-8",
  "cache-control": "no-store, no-transform",
  "x-accel-buffering": "no",
  "x-vercel-ai-ui-message-stream": "v1",
};

/**
 * Streams what the follower takes. `gone` is aborted when its reader has all or leaves, and ends the stream if it is
 * aborted by others. Written to Bun's own sink as the answer grows: a stream that is pulled costs more for each token.
 */
export function sse(follower: Follower, gone: AbortController, extra: Record<string, string> = {}): Response {
  const over = beginReading("sse");
  gone.signal.addEventListener("abort", () => over("left"));
  if (gone.signal.aborted) over("left");
  const source: Bun.DirectUnderlyingSource<string> = {
    type: "direct",
    async pull(sink) {
      await write(follower, sink, gone.signal);
      if (follower.over) over("whole");
      gone.abort();
    },
    cancel: () => gone.abort(),
  };
  const stream = new ReadableStream(source as unknown as UnderlyingSource);
  return new Response(stream, { headers: { ...headers, ...extra } });
}

type Sink = ReadableStreamDirectController;

/** Writes all there is and will be. What a slow reader has not taken is waited for: for it only its place is held. */
async function write(follower: Follower, sink: Sink, gone: AbortSignal): Promise<void> {
  const left = new Promise<void>((resolve) => gone.addEventListener("abort", () => resolve()));
  let isMoving = true;
  let isFull = false;
  const timer = setInterval(() => {
    // The server counts from the last write, taken or not.
    if (!isMoving && !isFull) void send(heartbeat);
    isMoving = false;
  }, heartbeatMs / 2);
  /** Returns what to wait for where the socket does not take it all yet. Bun's types do not know of that promise. */
  const send = (text: string): Promise<void> | undefined => {
    isMoving = true;
    const written: unknown = sink.write(text);
    sink.flush();
    if (!(written instanceof Promise)) return undefined;
    isFull = true;
    return Promise.race([written, left]).then(() => {
      isFull = false;
    });
  };
  while (!follower.over && !gone.aborted) {
    let text = "";
    for (const frame of follower.take()) text += encode(frame);
    if (follower.over) text += done;
    // An await costs a turn of the microtasks even where there is nothing to wait for.
    const room = text === "" ? undefined : send(text);
    if (room) await room;
    const more = follower.more();
    if (more) await more;
  }
  clearInterval(timer);
  if (!gone.aborted) sink.end();
}

/** One frame; `id` where it carries text, for Last-Event-ID (WHATWG HTML, 9.2). JSON has no raw newline in it. */
function encode({ offset, chunk }: Frame): string {
  if (!("delta" in chunk)) return `data: ${JSON.stringify(chunk)}\n\n`;
  const { type, id, delta } = chunk; // one of thousands, so it is built by hand
  return `id: ${offset}\ndata: {"type":"${type}","id":"${id}","delta":${JSON.stringify(delta)}}\n\n`;
}
