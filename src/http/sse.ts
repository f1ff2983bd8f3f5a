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
      await new Writer(follower, sink).write();
      if (follower.over) over("whole");
      gone.abort();
    },
    cancel: () => gone.abort(),
  };
  const stream = new ReadableStream(source as unknown as UnderlyingSource);
  return new Response(stream, { headers: { ...headers, ...extra } });
}

type Sink = ReadableStreamDirectController;

/** Writes to one reader whenever he is woken: a promise for each time would be a good part of what a token costs. */
class Writer {
  readonly #follower: Follower;
  readonly #sink: Sink;
  readonly #over = Promise.withResolvers<void>();
  #timer: Timer | undefined;
  #moves = true;
  #isFull = false;

  constructor(follower: Follower, sink: Sink) {
    this.#follower = follower;
    this.#sink = sink;
  }

  /** Until all is written, or the reader has left. */
  write(): Promise<void> {
    this.#timer = setInterval(this.#beat, heartbeatMs / 2);
    this.#follower.onMore(this);
    this.wake();
    return this.#over.promise;
  }

  /** The server counts from the last write, taken or not. */
  #beat = (): void => {
    if (!this.#moves && !this.#isFull) this.#send(heartbeat);
    this.#moves = false;
  };

  /** Writes what is there. What a slow reader has not taken is waited for: for him only his place is held. */
  wake(): void {
    const follower = this.#follower;
    while (!(this.#isFull || follower.waits || follower.over || follower.left)) {
      let text = "";
      for (const frame of follower.take()) text += encode(frame);
      if (follower.over) text += done;
      if (text !== "") this.#send(text);
    }
    if (follower.left || (follower.over && !this.#isFull)) this.#end();
  }

  /** Bun's types do not know that a write is a promise where the socket does not take all of it yet. */
  #send(text: string): void {
    this.#moves = true;
    const written: unknown = this.#sink.write(text);
    this.#sink.flush();
    if (!(written instanceof Promise)) return;
    this.#isFull = true;
    const resume = () => {
      this.#isFull = false;
      this.wake();
    };
    written.then(resume, resume);
  }

  #end(): void {
    clearInterval(this.#timer);
    if (!this.#follower.left) this.#sink.end();
    this.#over.resolve();
  }
}

/** One frame; `id` where it carries text, for Last-Event-ID (WHATWG HTML, 9.2). JSON has no raw newline in it. */
function encode({ offset, chunk }: Frame): string {
  if (!("delta" in chunk)) return `data: ${JSON.stringify(chunk)}\n\n`;
  const { type, id, delta } = chunk; // one of thousands, so it is built by hand
  return `id: ${offset}\ndata: {"type":"${type}","id":"${id}","delta":${JSON.stringify(delta)}}\n\n`;
}
