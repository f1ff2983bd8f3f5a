// One response as it comes in over a connection: its head, then bytes, handed on as they come to one who drinks, or
// joined between two reads for one who reads. A buffer that is full stops the connection.
import { type Head, ResponseParser } from "./http1.ts";

/** Is handed a body as it comes. Told of nothing after `end` or `fail`. */
export type Drinker = {
  bytes(bytes: Buffer, from: number, to: number): void;
  /** What came together has been handed over. */
  pause(): void;
  end(): void;
  fail(reason: unknown): void;
};

export type Body = {
  /** Hands over what has come, and from now on what comes. */
  drink(drinker: Drinker): void;
  /** Lets the drinker be told only of so many bytes and more, or of the end; where it can be had. */
  lowWater(bytes: number): void;
  /** Ends it, and the connection if there was more to come. */
  cancel(): void;
};

/** The connection, as far as what comes in can direct it. */
export type Flow = { pause(): void; resume(): void; close(): void; lowWater(bytes: number): void };

const bufferedBytesMax = 256 * 1024;
const atEnd = { done: true } as const;

export class Reply implements Body {
  readonly #head = Promise.withResolvers<Head>();
  readonly #parser = new ResponseParser(this);
  readonly #flow: Flow;
  #parts: Buffer[] = [];
  #bytes = 0;
  #paused = false;
  #waiting: PromiseWithResolvers<{ done: boolean; value?: Uint8Array }> | undefined;
  #failure: { reason: unknown } | undefined;
  #drinker: Drinker | undefined;
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
    if (this.#drinker) this.#drinker.pause();
    else if (this.#bytes > bufferedBytesMax && !this.ended && !this.#paused) {
      this.#paused = true;
      this.#flow.pause();
    }
    if (this.ended || this.#waiting) this.#deliver();
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

  body(bytes: Buffer, from: number, to: number): void {
    if (this.#drinker) {
      this.#drinker.bytes(bytes, from, to);
    } else {
      this.#parts.push(bytes.subarray(from, to));
      this.#bytes += to - from;
    }
  }

  end(): void {
    this.ended = true;
  }

  /** Resolves with what has come since the last one. A body is either read or drunk. */
  read(): Promise<{ done: boolean; value?: Uint8Array }> {
    this.#waiting = Promise.withResolvers();
    const { promise } = this.#waiting;
    this.#deliver();
    return promise;
  }

  drink(drinker: Drinker): void {
    this.#drinker = drinker;
    if (this.#parts.length > 0) {
      const bytes = this.#take();
      drinker.bytes(bytes, 0, bytes.length);
      drinker.pause();
    }
    this.#deliver();
  }

  lowWater(bytes: number): void {
    if (!this.ended) this.#flow.lowWater(bytes);
  }

  cancel(): void {
    this.#waiting?.resolve(atEnd);
    this.#waiting = undefined;
    this.#drinker = undefined;
    if (!this.ended) this.#flow.close();
  }

  #deliver(): void {
    const drinker = this.#drinker;
    if (this.ended) drinker?.end();
    else if (this.#failure) drinker?.fail(this.#failure.reason);
    const waiting = this.#waiting;
    if (!waiting) return;
    if (this.#parts.length > 0) waiting.resolve({ done: false, value: this.#take() });
    else if (this.ended) waiting.resolve(atEnd);
    else if (this.#failure) waiting.reject(this.#failure.reason);
    else return;
    this.#waiting = undefined;
  }

  #take(): Buffer {
    const [first, ...others] = this.#parts as [Buffer, ...Buffer[]];
    const bytes = others.length === 0 ? first : Buffer.concat(this.#parts, this.#bytes);
    this.#parts = [];
    this.#bytes = 0;
    if (this.#paused && !this.ended) this.#flow.resume();
    this.#paused = false;
    return bytes;
  }
}
