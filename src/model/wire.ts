// HTTP/1.1 on the thread that reads the answer: a `fetch` for model calls. Bun's own runs its sockets on a thread
// apart, which costs every streamed token a wake-up and two switches. What it does not speak it leaves to Bun's.
import { isIP } from "node:net";
import type { Origin } from "./connection.ts";
import type { Head } from "./http1.ts";
import { Pool } from "./pool.ts";
import type { Body, Drinker, Reply } from "./reply.ts";

type Transform = ReadableWritablePair<Uint8Array, Uint8Array>;
type Post = { origin: Origin; bytes: Buffer };

/** Not the caller's to say. */
const framing = ["connection", "content-length", "host", "transfer-encoding"];
const redirects = new Set([301, 302, 303, 307, 308]);
const bodiless = new Set([204, 205, 304]);
/** As content codings are called (RFC 9110, 8.4.1), and as DecompressionStream calls them. */
const codings = new Map([
  ["gzip", "gzip"],
  ["x-gzip", "gzip"],
  ["deflate", "deflate"],
  ["br", "brotli"],
  ["zstd", "zstd"],
]);

/** Below the time for which most servers keep a connection. */
const idleMs = 15_000;
/** Each holds some 10 KB; those of a thousand answers that ended together would be a tenth of the process. */
const idleMax = 128;
const pool = new Pool(idleMs, idleMax);
const replies = new WeakMap<Response, Reply>();

/**
 * `fetch` for POSTs of text. Rejects as `fetch` does: with the signal's reason, or the error of the connection. Left to
 * Bun's `fetch` are other methods and bodies, addresses with a password in them, TLS to a bare IP address (of which
 * `Bun.connect` would make a server name), and, from the start, a request that is redirected. Proxies are not heeded.
 */
export async function wireFetch(input: string | URL | Request, init: RequestInit = {}) {
  const post = typeof input === "object" && "url" in input ? undefined : toPost(new URL(input), init);
  if (!post) return fetch(input, init);
  const { reply, head } = await exchange(post, init.signal ?? undefined);
  if (!redirects.has(head.status) || !head.headers.has("location")) return toResponse(reply, head);
  reply.cancel();
  return fetch(input, init);
}

/** The body of a response, past its stream where there is a shorter way. */
export function bodyOf(response: Response, body: ReadableStream<Uint8Array>): Body {
  return replies.get(response) ?? new Streamed(body);
}

class Streamed implements Body {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;

  constructor(body: ReadableStream<Uint8Array>) {
    this.#reader = body.getReader();
  }

  drink(drinker: Drinker): void {
    this.#drain(drinker).then(
      () => drinker.end(),
      (error) => drinker.fail(error),
    );
  }

  lowWater(): void {}

  cancel(): void {
    this.#reader.cancel().catch(() => {});
  }

  async #drain(drinker: Drinker): Promise<void> {
    for (;;) {
      const { done, value } = await this.#reader.read();
      if (done) return;
      drinker.bytes(Buffer.from(value.buffer, value.byteOffset, value.byteLength), 0, value.byteLength);
      drinker.pause();
    }
  }
}

function toPost(url: URL, init: RequestInit): Post | undefined {
  const { protocol, username, password, host, pathname, search } = url;
  const hostname = url.hostname.replace(/^\[(.*)\]$/, "$1");
  const tls = protocol === "https:";
  const plain = protocol === "http:";
  if (init.method !== "POST" || typeof init.body !== "string" || username !== "" || password !== "") return;
  if (!(plain || tls) || (tls && isIP(hostname))) return;

  const body = Buffer.from(init.body);
  const headers = new Headers(init.headers); // whose names and values have no line ends in them
  for (const name of framing) headers.delete(name);
  headers.set("accept-encoding", "identity"); // unpacking costs more than the few bytes of a token save
  const fields = [...headers].map(([name, value]) => `${name}: ${value}\r\n`).join("");
  const head = `POST ${pathname}${search} HTTP/1.1\r\nhost: ${host}\r\n${fields}content-length: ${body.length}\r\n\r\n`;
  const port = Number(url.port) || (tls ? 443 : 80);
  return { origin: { hostname, port, tls }, bytes: Buffer.concat([Buffer.from(head, "latin1"), body]) };
}

/**
 * A server may close a connection just as it is taken up again. That fails like any other loss before the first byte:
 * whether it is tried again is for the one who counts the tries.
 */
async function exchange({ origin, bytes }: Post, signal: AbortSignal | undefined) {
  signal?.throwIfAborted();
  const connection = pool.take(origin) ?? (await pool.open(origin, signal));
  const reply = connection.send(bytes, signal);
  return { reply, head: await reply.answered };
}

function toResponse(reply: Reply, { status, headers }: Head): Response {
  if (bodiless.has(status)) {
    reply.cancel();
    return new Response(null, { status, headers });
  }
  const body = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const { done, value } = await reply.read();
        if (value) controller.enqueue(value);
        if (done) controller.close();
      },
      cancel: () => reply.cancel(),
    },
    { highWaterMark: 0 },
  );
  const coding = headers.get("content-encoding")?.toLowerCase() ?? "identity";
  if (coding !== "identity") return new Response(decoded(reply, body, coding), { status, headers });
  const response = new Response(body, { status, headers });
  replies.set(response, reply);
  return response;
}

/** A server may compress what it was asked not to. */
function decoded(reply: Reply, body: ReadableStream<Uint8Array>, coding: string): ReadableStream<Uint8Array> {
  const format = codings.get(coding);
  if (!format) {
    reply.cancel();
    throw new Error(`the response has the unknown content coding ${coding}`);
  }
  return body.pipeThrough(new DecompressionStream(format as CompressionFormat) as Transform);
}
