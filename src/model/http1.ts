// Reads one HTTP/1.1 response (RFC 9112) out of bytes that may be split anywhere. What is malformed throws and is
// never guessed at, and nothing of the response is kept but a head of bounded size.

export type Head = { status: number; headers: Headers };

/**
 * Is told of the response in order: `head`, any number of `body`, `end`. What belongs to the body is said by where it
 * begins and ends in the bytes that came: a view of them would cost more than all else here.
 */
export type Receiver = {
  head(head: Head): void;
  body(bytes: Buffer, from: number, to: number): void;
  end(): void;
};

type State =
  | "head"
  | "length" // a body as long as its Content-Length
  | "rest" // a body that ends with the connection
  | "size" // the first line of a chunk, its digits
  | "extension" // the rest of that line
  | "chunk"
  | "chunk-end"
  | "trailers"
  | "done";

const headBytesMax = 64 * 1024;
const lineBytesMax = 4 * 1024;
/** Of 100 and its like before a response; some servers send one every few seconds while they work. */
const interimMax = 100;
const lf = 10;
const cr = 13;

export class ResponseParser {
  #state: State = "head";
  #head = "";
  #interim = 0;
  /** Bytes still to come of a body or a chunk; while its first line is read, what that has said so far. */
  #left = 0;
  /** Of the line or, in trailers, lines that are being read. */
  #lineBytes = 0;
  #afterCr = false;
  #lineIsEmpty = true;
  #persistent = false;
  readonly #to: Receiver;

  constructor(to: Receiver) {
    this.#to = to;
  }

  /** The response has ended by its own account, and the connection may carry another (RFC 9112, 9.3). */
  get reusable(): boolean {
    return this.#state === "done" && this.#persistent;
  }

  push(bytes: Buffer): void {
    let at = 0;
    while (at < bytes.length) {
      switch (this.#state) {
        case "head":
          at = this.#readHead(bytes, at);
          break;
        case "length":
        case "chunk":
          at = this.#readBody(bytes, at);
          break;
        case "rest":
          this.#to.body(bytes, at, bytes.length);
          return;
        case "done":
          this.#persistent = false; // nobody asked for more
          return;
        default:
          at = this.#readLine(bytes, at);
      }
    }
  }

  /** The connection has ended. Throws where the response has not. */
  finish(): void {
    if (this.#state === "rest") this.#end();
    else if (this.#state !== "done") throw new Error("the connection was closed in mid-response");
  }

  #readHead(bytes: Buffer, at: number): number {
    const before = this.#head.length;
    this.#head += bytes.toString("latin1", at, at + headBytesMax + 1);
    // Lines may end in LF alone (RFC 9112, 2.2); the last line end may have been cut in two.
    const end = /\n\r?\n/g;
    end.lastIndex = Math.max(0, before - 2);
    const found = end.exec(this.#head);
    const length = found ? end.lastIndex : this.#head.length;
    if (length > headBytesMax) throw new Error(`the response has a head of more than ${headBytesMax} bytes`);
    if (!found) return bytes.length;
    const text = this.#head.slice(0, found.index);
    this.#head = "";
    this.#begin(text);
    return at + length - before;
  }

  #begin(text: string): void {
    const [, minor, digits, fields = ""] =
      /^HTTP\/1\.(\d) ([1-5]\d\d)(?: [^\r\n]*)?(?:\r?\n(.*))?$/s.exec(text.replace(/\r$/, "")) ?? [];
    if (!digits) throw new Error("the response does not begin as one of HTTP/1.1 does");
    const status = Number(digits);
    if (status === 101) throw new Error("the response switches to a protocol that nobody asked for");
    if (status < 200) {
      if (++this.#interim > interimMax)
        throw new Error(`the response comes after more than ${interimMax} others`);
      return; // an interim response, the final one follows
    }
    const headers = readFields(fields);
    this.#frame(status, headers);
    if (minor === "0" || /(^|,)\s*close\s*(,|$)/i.test(headers.get("connection") ?? ""))
      this.#persistent = false;
    this.#to.head({ status, headers });
    if (this.#state === "length" && this.#left === 0) this.#end();
  }

  /** How long the body is (RFC 9112, 6.3). */
  #frame(status: number, headers: Headers): void {
    const coding = headers.get("transfer-encoding");
    const length = headers.get("content-length");
    this.#persistent = true;
    this.#state = "length";
    if (status === 204 || status === 304) return;
    if (coding !== null) {
      if (coding.toLowerCase() !== "chunked") throw new Error("the response has an unknown transfer coding");
      this.#startLine("size");
      // Either may be a lie, so nothing after this response is believed.
      if (length !== null) this.#persistent = false;
    } else if (length !== null) {
      this.#left = readLength(length);
    } else {
      this.#state = "rest";
      this.#persistent = false;
    }
  }

  #readBody(bytes: Buffer, at: number): number {
    const end = Math.min(bytes.length, at + this.#left);
    this.#left -= end - at;
    this.#to.body(bytes, at, end);
    if (this.#left === 0) {
      if (this.#state === "chunk") this.#startLine("chunk-end");
      else this.#end();
    }
    return end;
  }

  /** Reads one line of those around chunks (RFC 9112, 7.1), as far as it is there. Extensions and trailers say nothing of use. */
  #readLine(bytes: Buffer, from: number): number {
    let at = from;
    while (at < bytes.length) {
      const byte = bytes[at++] as number;
      if (++this.#lineBytes > lineBytesMax) throw new Error("a chunk of the response has too long a line");
      if (byte === lf) {
        this.#endLine();
        break;
      }
      if (this.#afterCr) throw new Error("a chunk of the response has a broken line");
      if (byte === cr) {
        this.#afterCr = true;
        continue;
      }
      if (this.#state === "size") this.#readSize(byte);
      else if (this.#state === "chunk-end") throw new Error("a chunk of the response is longer than it says");
      this.#lineIsEmpty = false;
    }
    return at;
  }

  #readSize(byte: number): void {
    const digit = hexDigit(byte);
    if (digit !== undefined) {
      this.#left = this.#left * 16 + digit;
      if (this.#left > Number.MAX_SAFE_INTEGER) throw new Error("a chunk of the response is too long");
    } else if (!this.#lineIsEmpty && (byte === 0x3b || byte === 0x20 || byte === 0x09)) {
      this.#state = "extension";
    } else {
      throw new Error("a chunk of the response has no size");
    }
  }

  #endLine(): void {
    const empty = this.#lineIsEmpty;
    if (this.#state === "chunk-end") this.#startLine("size");
    else if (this.#state === "trailers" && empty) this.#end();
    else if (this.#state === "trailers") this.#nextLine();
    else if (empty) throw new Error("a chunk of the response has no size");
    else if (this.#left === 0) this.#startLine("trailers");
    else this.#state = "chunk";
  }

  #startLine(state: State): void {
    this.#state = state;
    this.#lineBytes = 0;
    this.#nextLine();
  }

  #nextLine(): void {
    this.#afterCr = false;
    this.#lineIsEmpty = true;
  }

  #end(): void {
    this.#state = "done";
    this.#to.end();
  }
}

function readFields(text: string): Headers {
  const headers = new Headers();
  // A line that begins with a space continues the one before (obs-fold, RFC 9112, 5.2).
  for (const line of text.replace(/\r?\n[ \t]+/g, " ").split(/\r?\n/)) {
    if (line === "") continue;
    const colon = line.indexOf(":");
    if (colon < 1) throw new Error("the response has a malformed header");
    headers.append(line.slice(0, colon), line.slice(colon + 1).trim()); // throws where either is malformed
  }
  return headers;
}

/** A list of the same length over and over is that length (RFC 9112, 6.3). */
function readLength(value: string): number {
  const [first = "", ...others] = value.split(",").map((length) => length.trim());
  const length = Number(first);
  if (!/^\d+$/.test(first) || !Number.isSafeInteger(length) || others.some((other) => other !== first))
    throw new Error("the response has a malformed Content-Length");
  return length;
}

function hexDigit(byte: number): number | undefined {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const letter = byte | 0x20;
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : undefined;
}
