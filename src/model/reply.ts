// One response as it comes in over a connection: its head, then bytes for the one who reads. What came between two
// reads is joined, so a reader pays one promise for each read, and a buffer that is full stops the connection.
import { type Head, ResponseParser } from "./http1.ts";

/** What reading a body takes; a `ReadableStreamDefaultReader` is one. */
export type ByteReader = {
  read(): Promise<{ done: boolean; value?: Uint8Array | undefined }>;
  /** Ends the reading, and the connection if there was more to read. */
  cancel(): Promise<void>;
};

/** The connection, as far as what comes in can direct it. */
export type Flow = { pause(): void; resume(): void; close(): void };

const bufferedBytesMax = 256 * 1024;
const atEnd = { done: true } as const;

export class Reply implements ByteReader {
  readonly #head = Promise.withResolvers<Head>();
  readonly #parser = new ResponseParser(this);
  readonly #flow: Flow;
  #parts: Uint8Array[] = [];
  #bytes = 0;
  #paused = false;
  #waiting: PromiseWithResolvers<{ done: boolean; value?: Uint8Array }> | undefined;
  #failure: { reason: unknown } | undefined;
  /** A first byte has come. */
  begun = false;
  /** All has come. */
  ended = false;

  constructor(flow: Flow) {
    this.#flow = flow;
  }

  get answered(): Promise<Head> {
    return this.#head.promise;
  }

  get reusable(): boolean {
    return this.#parser.reusable;
  }

  /** Throws where the bytes are no HTTP response. */
  push(bytes: Buffer): void {
    this.begun = true;
    this.#parser.push(bytes);
    this.#deliver();
    if (this.#bytes <= bufferedBytesMax || this.ended || this.#paused) return;
    this.#paused = true;
    this.#flow.pause();
  }

  /** The server has closed the connection. Throws where more should have come. */
  finish(): void {
    this.#parser.finish();
    this.#deliver();
  }

  /** Nothing more will come. What has come before can still be read. */
  fail(reason: unknown): void {
    this.#failure = { reason };
    this.#head.reject(reason);
    this.#deliver();
  }

  head(head: Head): void {
    this.#head.resolve(head);
  }

  body(bytes: Uint8Array): void {
    this.#parts.push(bytes);
    this.#bytes += bytes.length;
  }

  end(): void {
    this.ended = true;
  }

  read(): Promise<{ done: boolean; value?: Uint8Array }> {
    this.#waiting = Promise.withResolvers();
    const { promise } = this.#waiting;
    this.#deliver();
    return promise;
  }

  async cancel(): Promise<void> {
    this.#waiting?.resolve(atEnd);
    this.#waiting = undefined;
    if (!this.ended) this.#flow.close();
  }

  #deliver(): void {
    const waiting = this.#waiting;
    if (!waiting) return;
    if (this.#parts.length > 0) waiting.resolve({ done: false, value: this.#take() });
    else if (this.ended) waiting.resolve(atEnd);
    else if (this.#failure) waiting.reject(this.#failure.reason);
    else return;
    this.#waiting = undefined;
  }

  #take(): Uint8Array {
    const [first, ...others] = this.#parts as [Uint8Array, ...Uint8Array[]];
    const bytes = others.length === 0 ? first : Buffer.concat(this.#parts, this.#bytes);
    this.#parts = [];
    this.#bytes = 0;
    if (this.#paused && !this.ended) this.#flow.resume();
    this.#paused = false;
    return bytes;
  }
}
