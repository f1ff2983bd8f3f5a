// The readers: each asks over a connection of its own, keeps what comes as it comes, and notes when. Nothing is parsed
// here but the end of a response; load/check.ts looks at the bytes when all is over.
import { close, connectTo, type Poll, pointerTo, readable, receive, send, writable } from "./libc.ts";

/** One response: its bytes, and where they stood at which time. */
export type Response = {
  n: number;
  askedAt: number;
  bytes: Buffer;
  /** The address of the bytes. */
  at: number;
  length: number;
  /** `lengths[i]` bytes were there at `times[i]`. */
  lengths: Uint32Array;
  times: Float64Array;
  reads: number;
  /** How long it will be in all, Infinity where only its last chunk will tell; undefined until its head is there. */
  whole: number | undefined;
  ended: boolean;
};

export type Questions = {
  port: number;
  /** Whole HTTP requests; each is asked once, in this order. */
  requests: readonly string[];
  connections: number;
  /** The connections are opened evenly over this time. */
  rampMs: number;
  /** Room for one response. */
  bytesMax: number;
  readsMax: number;
};

const endOfChunks = Buffer.from("0\r\n\r\n");

export class Readers {
  readonly responses: Response[] = [];
  endedCount = 0;
  readonly #questions: Questions;
  readonly #poll: Poll;
  readonly #startedAt: number;
  readonly #open = new Map<number, Response | undefined>();
  #opened = 0;

  constructor(questions: Questions, poll: Poll, nowMs: number) {
    this.#questions = questions;
    this.#poll = poll;
    this.#startedAt = nowMs;
  }

  get over(): boolean {
    return this.endedCount === this.#questions.requests.length;
  }

  has(fd: number): boolean {
    return this.#open.has(fd);
  }

  /** Opens the connections that are due. */
  advance(nowMs: number): void {
    const { connections, rampMs, port } = this.#questions;
    while (this.#opened < connections) {
      if (nowMs < this.#startedAt + (rampMs * this.#opened) / connections) return;
      const fd = connectTo(port);
      this.#opened++;
      this.#open.set(fd, undefined);
      this.#poll.add(fd, readable | writable);
    }
  }

  ready(fd: number, mask: number): void {
    const response = this.#open.get(fd);
    if (response === undefined) {
      if (mask & writable) this.#ask(fd);
      return;
    }
    const { at, bytes, length } = response;
    const received = receive(fd, at + length, bytes.length - length);
    if (received < 0) return;
    if (received === 0) {
      this.#end(fd, response);
      return;
    }
    response.length = length + received;
    if (response.reads < response.times.length) response.reads++;
    response.lengths[response.reads - 1] = response.length;
    response.times[response.reads - 1] = performance.now();
    response.whole ??= wholeLength(response);
    if (isWhole(response) || isRefusal(response)) this.#end(fd, response);
  }

  /** Leaves, whatever is still to come. */
  close(): void {
    for (const fd of this.#open.keys()) close(fd);
    this.#open.clear();
  }

  #ask(fd: number): void {
    const { requests, bytesMax, readsMax } = this.#questions;
    const n = this.responses.length;
    const text = requests[n];
    if (text === undefined) {
      close(fd);
      this.#open.delete(fd);
      return;
    }
    const request = Buffer.from(text);
    const bytes = Buffer.allocUnsafeSlow(bytesMax);
    const response: Response = {
      n,
      askedAt: performance.now(),
      bytes,
      at: pointerTo(bytes),
      length: 0,
      lengths: new Uint32Array(readsMax),
      times: new Float64Array(readsMax),
      reads: 0,
      whole: undefined,
      ended: false,
    };
    this.responses.push(response);
    this.#open.set(fd, response);
    if (send(fd, pointerTo(request), request.length) !== request.length)
      throw new Error("a request did not fit into an empty socket");
  }

  #end(fd: number, response: Response): void {
    response.ended = true;
    this.endedCount++;
    if (this.responses.length < this.#questions.requests.length && isWhole(response)) this.#ask(fd);
    else {
      close(fd);
      this.#open.delete(fd);
    }
  }
}

/** All has come, or the last chunk has (RFC 9112, 7.1): nothing else ends like it, for text has no carriage return. */
function isWhole({ bytes, length, whole }: Response): boolean {
  return length === whole || (length > 5 && bytes.compare(endOfChunks, 0, 5, length - 5, length) === 0);
}

/** Short answers that were there at once may come with their length (RFC 9112, 6.3). */
function wholeLength({ bytes, length }: Response): number | undefined {
  const headEnd = bytes.subarray(0, length).indexOf("\r\n\r\n");
  if (headEnd < 0) return undefined;
  const body = /^content-length: *(\d+)/im.exec(bytes.toString("latin1", 0, headEnd))?.[1];
  return body === undefined ? Number.POSITIVE_INFINITY : headEnd + 4 + Number(body);
}

/** No status of the second hundred: `HTTP/1.1 2…`. */
function isRefusal({ bytes }: Response): boolean {
  return bytes[9] !== 0x32;
}
