// The scripted model: an OpenAI-compatible endpoint that says its answers at a fixed pace, or as fast as they are taken.
// All answers share one ring of milliseconds; a token is one send of bytes that were made before.
import { accept, listenOn, type Poll, pointerTo, readable, receive, send } from "./libc.ts";
import { asked, isLastWord, responseHead, responseTail, starts, tape, wordOf } from "./script.ts";

export type Pace = {
  tokens: number;
  /** Time between two tokens of an answer; 0: as fast as they are taken. */
  intervalMs: number;
  /** Tokens in one send, where they go as fast as they are taken. */
  burst: number;
};

/** `at` and `left`: the bytes that are being sent; `ended`: they are the last ones. */
type Answer = { fd: number; n: number; next: number; at: number; left: number; ended: boolean };

const tapeAt = pointerTo(tape);
const headAt = pointerTo(responseHead);

export class Model {
  /** When each token of each answer was sent first, `sentAt[n][i]`. */
  readonly sentAt: Float64Array[] = [];
  /** How late a token was that the ring had due, at worst. */
  lateMs = 0;
  readonly #pace: Pace;
  readonly #ring: Answer[][];
  #ringAt: number;
  #rushing: Answer[] = [];
  readonly #tail: Buffer;
  readonly #tailAt: number;
  readonly #requests = new Map<number, Buffer>();
  readonly #answering = new Map<number, Answer>();
  readonly #scratch = Buffer.alloc(65_536);
  readonly #scratchAt = pointerTo(this.#scratch);

  constructor(pace: Pace, nowMs: number) {
    this.#pace = pace;
    this.#ring = Array.from({ length: Math.max(1, pace.intervalMs) }, () => []);
    this.#ringAt = Math.floor(nowMs);
    this.#tail = responseTail(pace.tokens);
    this.#tailAt = pointerTo(this.#tail);
  }

  /** There is more to send at once. */
  get rushing(): boolean {
    return this.#rushing.length > 0;
  }

  /** Something came on a connection. False once it is at its end. */
  ready(fd: number): boolean {
    const length = receive(fd, this.#scratchAt, this.#scratch.length);
    if (length === 0) {
      this.#requests.delete(fd);
      this.#answering.delete(fd);
    }
    if (length <= 0) return length < 0;
    const before = this.#requests.get(fd) ?? Buffer.alloc(0);
    const request = Buffer.concat([before, this.#scratch.subarray(0, length)]);
    if (isWhole(request)) {
      this.#requests.delete(fd);
      this.#begin(fd, asked(request));
    } else this.#requests.set(fd, request);
    return length < this.#scratch.length || this.ready(fd);
  }

  /** Sends what is due. */
  advance(nowMs: number): void {
    for (; this.#ringAt <= nowMs; this.#ringAt++) {
      const slot = this.#ringAt % this.#ring.length;
      const due = this.#ring[slot];
      if (!due?.length) continue;
      this.lateMs = Math.max(this.lateMs, performance.now() - this.#ringAt - 1);
      this.#ring[slot] = due.filter((answer) => this.#say(answer, 1));
    }
    if (this.rushing) this.#rushing = this.#rushing.filter((answer) => this.#say(answer, this.#pace.burst));
  }

  #begin(fd: number, n: number): void {
    send(fd, headAt, responseHead.length);
    this.sentAt[n] = new Float64Array(this.#pace.tokens);
    const answer: Answer = { fd, n, next: 0, at: 0, left: 0, ended: false };
    this.#answering.set(fd, answer);
    if (!this.#say(answer, this.#pace.intervalMs > 0 ? 1 : this.#pace.burst)) return;
    if (this.#pace.intervalMs === 0) this.#rushing.push(answer);
    // The millisecond that was served last comes again after one interval.
    else this.#ring[(this.#ringAt - 1) % this.#ring.length]?.push(answer);
  }

  /** Sends up to `count` tokens, and the end after the last one. False once there is nothing more to say. */
  #say(answer: Answer, count: number): boolean {
    if (this.#answering.get(answer.fd) !== answer) return false;
    if (answer.left === 0) this.#load(answer, count);
    for (;;) {
      const sent = send(answer.fd, answer.at, answer.left);
      answer.at += sent;
      answer.left -= sent;
      if (sent < 0 || (answer.left === 0 && answer.ended)) this.#answering.delete(answer.fd);
      if (sent < 0) return false;
      if (answer.left > 0) return true;
      if (answer.ended) return false;
      if (answer.next < this.#pace.tokens) return true;
      answer.at = this.#tailAt;
      answer.left = this.#tail.length;
      answer.ended = true;
    }
  }

  /** Makes the next tokens, as far as they lie side by side on the tape, what is to be sent. */
  #load(answer: Answer, count: number): void {
    const first = wordOf(answer.n, answer.next);
    const sentAt = this.sentAt[answer.n] as Float64Array;
    const nowMs = performance.now();
    let k = first;
    for (let left = count; left > 0 && answer.next < this.#pace.tokens; left--) {
      sentAt[answer.next++] = nowMs;
      if (isLastWord(k++)) break;
    }
    answer.at = tapeAt + (starts[first] as number);
    answer.left = (starts[k] as number) - (starts[first] as number);
  }
}

/** Where requests come in. */
export class Entrance {
  readonly fd: number;
  readonly #poll: Poll;

  constructor(port: number, poll: Poll) {
    this.fd = listenOn(port);
    this.#poll = poll;
    poll.add(this.fd, readable);
  }

  /** Takes every connection that waits, and hands over its descriptor. */
  ready(taken: (fd: number) => void): void {
    for (let fd = accept(this.fd); fd >= 0; fd = accept(this.fd)) {
      this.#poll.add(fd, readable);
      taken(fd);
    }
  }
}

function isWhole(request: Buffer): boolean {
  const end = request.indexOf("\r\n\r\n");
  if (end < 0) return false;
  const length = /content-length: *(\d+)/i.exec(request.toString("latin1", 0, end))?.[1];
  return length === undefined
    ? request.subarray(-5).equals(Buffer.from("0\r\n\r\n"))
    : request.length >= end + 4 + Number(length);
}
