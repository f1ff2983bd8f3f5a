// Server-sent events: frames onto one HTTP response, a heartbeat in silence, and word when the reader leaves.
import { Type } from "@sinclair/typebox";
import type { Frame } from "../chunks.ts";

const heartbeatMs = 10_000;
/**
 * The server's own limit on a connection on which nothing moves. Heartbeats keep a silent one open; one whose reader
 * does not take what is there is closed by it. An error of the stream would not close it: Bun keeps such a socket.
 */
export const stalledSeconds = 20;
const encoder = new TextEncoder();
const heartbeat = encoder.encode(":\n\n");
const done = encoder.encode("data: [DONE]\n\n");

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
 * Streams the frames, one a pull, so that a slow reader slows nobody else and nothing is held for it but its place.
 * `gone` is aborted when the reader has all or leaves, and ends the heartbeat if it is aborted by others.
 */
export function sse(
  frames: AsyncGenerator<Frame, void, void>,
  gone: AbortController,
  extra: Record<string, string> = {},
): Response {
  let timer: Timer;
  gone.signal.addEventListener("abort", () => clearInterval(timer));
  const stream = new ReadableStream<Uint8Array>(
    {
      start(controller) {
        if (gone.signal.aborted) return;
        timer = setInterval(() => controller.enqueue(heartbeat), heartbeatMs);
      },
      async pull(controller) {
        const next = await frames.next();
        if (gone.signal.aborted) return;
        if (next.done) {
          controller.enqueue(done);
          controller.close();
          gone.abort();
          return;
        }
        timer.refresh();
        controller.enqueue(encode(next.value));
      },
      cancel() {
        gone.abort();
        frames.return(); // or one that waits to be asked for the next would keep its place for ever
      },
    },
    { highWaterMark: 0 },
  );
  return new Response(stream, { headers: { ...headers, ...extra } });
}

/** One frame; `id` where it carries text, for Last-Event-ID (WHATWG HTML, 9.2). JSON has no raw newline in it. */
function encode({ offset, chunk }: Frame): Uint8Array {
  const id = "delta" in chunk ? `id: ${offset}\n` : "";
  return encoder.encode(`${id}data: ${JSON.stringify(chunk)}\n\n`);
}
