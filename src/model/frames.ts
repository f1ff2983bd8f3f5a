// Cuts what a model sends into the JSON documents it is made of, however the bytes were split on their way.
// Neither kind of response is buffered beyond a limit.
import { Fault } from "./fault.ts";

const bufferedCharsMax = 1024 * 1024;
const lf = 10;
const cr = 13;

/**
 * Bytes as text (UTF-8, without a byte order mark). A decoder that remembers half a character from one read to the next
 * is made only where one was cut in two: it takes three times as long, and memory in each stream.
 */
class Utf8 {
  /** The last byte may be one of a character that is still to come. */
  isCut = false;
  #begun = false;
  #decoder: TextDecoder | undefined;

  text(bytes: Buffer, from: number, to: number): string {
    if (from === to) return "";
    const wasCut = this.isCut;
    // No character but those of ASCII ends in such a byte; what it may cut short is as wrong to either decoder.
    this.isCut = (bytes[to - 1] as number) >= 0x80;
    let text: string;
    if (wasCut || this.isCut) {
      this.#decoder ??= new TextDecoder("utf-8", { ignoreBOM: true });
      text = this.#decoder.decode(bytes.subarray(from, to), { stream: true });
    } else text = bytes.toString("utf8", from, to);
    if (this.#begun || text === "") return text;
    this.#begun = true;
    return text.startsWith("\ufeff") ? text.slice(1) : text;
  }
}

/** Is given what was cut out. */
export type Taker = {
  take(data: string): void;
  /** Is asked first. Takes the frames it knows, from `from` on, where they stand; returns where the last of them ends. */
  skim(bytes: Buffer, from: number, to: number): number;
};

/** One event stream (WHATWG HTML, 9.2.6) cut into frames; of a frame only its data counts here. */
export class Frames {
  /** No part of a frame is held. */
  #isEmpty = true;
  /** What has come of the next frame. */
  #buffer = "";
  #afterCr = false;
  readonly #utf8 = new Utf8();
  readonly #to: Taker;

  constructor(to: Taker) {
    this.#to = to;
  }

  push(bytes: Buffer, from: number, to: number): void {
    let at = from;
    while (at < to) {
      if (this.#isEmpty) at = this.#to.skim(bytes, at, to);
      if (at === to) return;
      const end = endOfFrame(bytes, at, to);
      this.#read(this.#utf8.text(bytes, at, end));
      this.#isEmpty = this.#buffer === "" && !this.#utf8.isCut;
      at = end;
    }
  }

  #read(text: string): void {
    if (text === "") return;
    const rest = this.#afterCr && text.startsWith("\n") ? text.slice(1) : text;
    this.#afterCr = text.endsWith("\r");
    this.#buffer += rest.includes("\r") ? rest.replace(/\r\n?/g, "\n") : rest;
    const buffer = this.#buffer;
    let start = 0;
    for (let end = buffer.indexOf("\n\n"); end !== -1; end = buffer.indexOf("\n\n", start)) {
      limit(end - start);
      this.#frame(buffer, start, end);
      start = end + 2;
    }
    this.#buffer = buffer.slice(start);
    limit(this.#buffer.length);
  }

  /** A frame without its blank line was cut off; the specification has it dropped. */
  end(): void {}

  #frame(buffer: string, start: number, end: number): void {
    const data: string[] = [];
    for (const line of buffer.slice(start, end).split("\n")) {
      if (line.startsWith("data:")) data.push(line.slice(line.startsWith("data: ") ? 6 : 5));
    }
    if (data.length > 0) this.#to.take(data.join("\n"));
  }
}

/** A completion that came as one JSON document. */
export class Whole {
  #text = "";
  readonly #utf8 = new Utf8();
  readonly #to: Taker;

  constructor(to: Taker) {
    this.#to = to;
  }

  push(bytes: Buffer, from: number, to: number): void {
    this.#text += this.#utf8.text(bytes, from, to);
    limit(this.#text.length);
  }

  end(): void {
    this.#to.take(this.#text);
  }
}

/** Where the first blank line ends, or else all that there is. */
function endOfFrame(bytes: Buffer, from: number, to: number): number {
  for (let at = from; at < to; at++) {
    if (bytes[at] !== lf) continue;
    if (at + 2 <= to && bytes[at + 1] === lf) return at + 2;
    if (at + 3 <= to && bytes[at + 1] === cr && bytes[at + 2] === lf) return at + 3;
  }
  return to;
}

function limit(chars: number): void {
  if (chars > bufferedCharsMax)
    throw new Fault("model_failed", `a frame has more than ${bufferedCharsMax} characters`);
}
