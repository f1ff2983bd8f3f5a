// The reader of HTTP/1.1 responses: what is well formed, what is refused, and that no split of the bytes matters.
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { ResponseParser } from "../src/model/http1.ts";

type Heard = {
  status?: number;
  headers?: Record<string, string>;
  body: string;
  ended: boolean;
  reusable: boolean;
  error?: string;
};

/** Pushes the pieces, then ends the connection. */
function hear(...pieces: Buffer[]): Heard {
  const heard: Heard = { body: "", ended: false, reusable: false };
  const parser = new ResponseParser({
    head(head) {
      expect(heard.status).toBeUndefined();
      heard.status = head.status;
      heard.headers = Object.fromEntries(head.headers);
    },
    body(bytes, from, to) {
      expect([heard.status !== undefined, heard.ended]).toEqual([true, false]);
      heard.body += bytes.toString("latin1", from, to);
    },
    end() {
      expect(heard.ended).toBe(false);
      heard.ended = true;
    },
  });
  try {
    for (const piece of pieces) parser.push(piece);
    heard.reusable = parser.reusable;
    parser.finish();
  } catch (error) {
    heard.error = (error as Error).message;
  }
  return heard;
}

const heard = (text: string) => hear(Buffer.from(text, "latin1"));
const ok = "HTTP/1.1 200 OK\r\n";
const chunked = `${ok}transfer-encoding: chunked\r\n\r\n`;

const last = "0\r\n\r\n";

describe("a response", () => {
  test.each([
    ["of a given length", `${ok}content-length: 5\r\n\r\nhello`, "hello", true],
    ["of no length", `${ok}content-length: 0\r\n\r\n`, "", true],
    ["with its length said twice", `${ok}content-length: 2, 2\r\ncontent-length: 2\r\n\r\nhi`, "hi", true],
    ["in chunks", `${chunked}2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n`, "hello", true],
    [
      "in chunks of sixteen and more",
      `${chunked}0000010\r\n${"a".repeat(16)}\r\n00\r\n\r\n`,
      "a".repeat(16),
      true,
    ],
    [
      "in chunks with extensions",
      `${chunked}2;a=b\r\nhe\r\n3 ; c="d;e"\r\nllo\r\n0;last\r\n\r\n`,
      "hello",
      true,
    ],
    ["in chunks with trailers", `${chunked}1\r\na\r\n0\r\nx: y\r\nz: 0\r\n\r\n`, "a", true],
    [
      "in chunks, in capitals",
      `${ok}Transfer-Encoding: Chunked\r\n\r\nA\r\n0123456789\r\n0\r\n\r\n`,
      "0123456789",
      true,
    ],
    ["whose lines end in LF alone", "HTTP/1.1 200\ntransfer-encoding: chunked\n\n1\na\n0\n\n", "a", true],
    [
      "after interim ones",
      `HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103\r\nlink: x\r\n\r\n${ok}content-length: 1\r\n\r\na`,
      "a",
      true,
    ],
    ["in very many chunks", `${chunked}${"1\r\na\r\n".repeat(9_000)}${last}`, "a".repeat(9_000), true],
    ["that ends with the connection", `${ok}\r\nhello`, "hello", false],
    ["of HTTP/1.0", "HTTP/1.0 200 OK\r\ncontent-length: 1\r\n\r\na", "a", false],
    ["that announces the close", `${ok}connection: x, Close\r\ncontent-length: 1\r\n\r\na`, "a", false],
    [
      "with two ways to end",
      `${ok}content-length: 9\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n`,
      "a",
      false,
    ],
    ["with something after its end", `${ok}content-length: 1\r\n\r\nab`, "a", false],
    [
      "with another response after it",
      `${ok}content-length: 1\r\n\r\na${ok}content-length: 1\r\n\r\nb`,
      "a",
      false,
    ],
    ["without content", "HTTP/1.1 204 No Content\r\ncontent-length: 5\r\n\r\n", "", true],
  ])("%s", (_, text, body, reusable) => {
    expect(heard(text)).toMatchObject({ body, reusable, ended: true });
    expect(heard(text).error).toBeUndefined();
  });

  test("has its status and headers, several of one name, folded ones, and any byte but line ends", () => {
    const { status, headers } = heard(
      `HTTP/1.1 429 Slow down\r\nA:1\r\na: \t2 \r\nb: x\r\n  y\r\nc: \xe9\r\nd:\r\n\r\n`,
    );
    expect([status, headers]).toEqual([429, { a: "1, 2", b: "x y", c: "\xe9", d: "" }]);
  });
});

describe("what is refused", () => {
  test.each([
    ["nothing at all", "", "in mid-response"],
    ["no HTTP", "SSH-2.0-OpenSSH\r\n\r\n", "does not begin"],
    ["HTTP/2", "HTTP/2 200\r\n\r\n", "does not begin"],
    ["HTTP/0.9", "hello\n\n", "does not begin"],
    ["a status that is none", "HTTP/1.1 600 X\r\n\r\n", "does not begin"],
    ["a status of two digits", "HTTP/1.1 20 X\r\n\r\n", "does not begin"],
    ["another protocol", "HTTP/1.1 101 Switching Protocols\r\n\r\n", "switches"],
    ["a header without a colon", `${ok}content-length\r\n\r\n`, "malformed header"],
    ["a header without a name", `${ok}: 5\r\n\r\n`, "malformed header"],
    ["a space before the colon", `${ok}content-length : 5\r\n\r\n`, ""],
    ["a CR within a header", `${ok}a: b\rcontent-length: 5\r\n\r\n`, ""],
    ["a NUL within a header", `${ok}a: b\0\r\n\r\n`, ""],
    ["a fold before any header", `${ok} content-length: 5\r\n\r\n`, ""],
    ["two lengths", `${ok}content-length: 5\r\ncontent-length: 6\r\n\r\nhello`, "Content-Length"],
    ["a negative length", `${ok}content-length: -5\r\n\r\n`, "Content-Length"],
    ["a hexadecimal length", `${ok}content-length: 0x5\r\n\r\nhello`, "Content-Length"],
    ["an empty length", `${ok}content-length:\r\n\r\n`, "Content-Length"],
    ["a length beyond counting", `${ok}content-length: 99999999999999999999\r\n\r\n`, "Content-Length"],
    ["another transfer coding", `${ok}transfer-encoding: gzip, chunked\r\n\r\n`, "transfer coding"],
    [
      "chunks within chunks",
      `${ok}transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n`,
      "transfer coding",
    ],
    ["a chunk without a size", `${chunked}\r\n`, "no size"],
    ["a chunk with an extension only", `${chunked};a\r\n`, "no size"],
    ["a chunk of a negative size", `${chunked}-1\r\n`, "no size"],
    ["a chunk of a size with 0x", `${chunked}0x1\r\n`, "no size"],
    ["a chunk of a size beyond counting", `${chunked}${"f".repeat(14)}\r\n`, "too long"],
    ["a chunk with a CR in its size", `${chunked}1\r0\r\n`, "broken line"],
    ["a chunk longer than it says", `${chunked}1\r\nab\r\n`, "longer than it says"],
    ["an endless chunk line", `${chunked}1;${"a".repeat(5_000)}`, "too long a line"],
    ["endless trailers", `${chunked}0\r\n${"a: b\r\n".repeat(1_000)}`, "too long a line"],
    ["an endless head", `${ok}a: ${"b".repeat(70_000)}`, "head of more than"],
    ["a head of too many headers", `${ok}${"a: b\r\n".repeat(12_000)}\r\n`, "head of more than"],
    ["a body that is cut off", `${ok}content-length: 6\r\n\r\nhello`, "in mid-response"],
    ["chunks that are cut off", `${chunked}5\r\nhello\r\n0\r\n`, "in mid-response"],
    ["an interim response alone", "HTTP/1.1 100 Continue\r\n\r\n", "in mid-response"],
    ["interim responses without end", "HTTP/1.1 100 Continue\r\n\r\n".repeat(101), "more than 100 others"],
  ])("%s", (_, text, message) => {
    const { error, ended, reusable } = heard(text);
    expect(error).toContain(message);
    expect([ended, reusable]).toEqual([false, false]);
  });
});

const pieces = fc.constantFrom(
  ok,
  chunked,
  "HTTP/1.1 100 Continue\r\n\r\n",
  "HTTP/1.0 404\n",
  "content-length: 7\r\n",
  "content-length: 0\r\n",
  "transfer-encoding: chunked\r\n",
  "connection: close\r\n",
  "\r\n",
  "\n",
  "\r",
  "5\r\nhello\r\n",
  "b;x=y\r\nhello world\r\n",
  "0\r\n\r\n",
  "0\r\na: b\r\n\r\n",
  "data: {}\n\n",
  " \x00\xff",
);

/** `bytes`, cut at each of these places. */
function cut(bytes: Buffer, places: number[]): Buffer[] {
  const at = [...new Set([0, ...places.map((place) => place % (bytes.length + 1)), bytes.length])];
  at.sort((a, b) => a - b);
  return at.slice(1).map((end, i) => bytes.subarray(at[i], end));
}

test("however the bytes are split, well formed or not, the same is heard", () => {
  const responses = fc.oneof(
    fc.array(pieces, { maxLength: 12 }),
    fc.array(pieces, { maxLength: 6 }).map((rest) => [chunked, ...rest, "0\r\n\r\n"]),
  );
  fc.assert(
    fc.property(responses, fc.array(fc.nat(1_000), { maxLength: 30 }), (parts, places) => {
      const bytes = Buffer.from(parts.join(""), "latin1");
      const whole = hear(bytes);
      expect(hear(...cut(bytes, places))).toEqual(whole);
      expect(hear(...Array.from(bytes, (byte) => Buffer.of(byte)))).toEqual(whole);
    }),
    { numRuns: 2_000 },
  );
});

test("any body in any chunks is that body", () => {
  fc.assert(
    fc.property(
      fc.array(fc.uint8Array({ minLength: 1, maxLength: 400 })),
      fc.array(fc.nat(9_999)),
      (chunks, places) => {
        const framed = chunks.map((chunk) =>
          Buffer.concat([Buffer.from(`${chunk.length.toString(16)}\r\n`), chunk, Buffer.from("\r\n")]),
        );
        const bytes = Buffer.concat([Buffer.from(chunked), ...framed, Buffer.from("0\r\n\r\n")]);
        expect(hear(...cut(bytes, places))).toMatchObject({
          body: Buffer.concat(chunks).toString("latin1"),
          ended: true,
          reusable: true,
        });
      },
    ),
  );
});
