// Reads what the readers got: every answer's text against the one that the model was to give, and when each token came.
import type { Response } from "./reader.ts";

/** What one answer was, seen from its reader. `arrivedAt[i]`: when token `i` was there whole. */
export type Read = { text: string; arrivedAt: number[]; textAt: number[]; status: number };

type Chunk = { delta?: unknown; choices?: { delta?: { content?: unknown } }[] };

export function readBack(response: Response, tokens: readonly string[]): Read {
  const raw = response.bytes.subarray(0, response.length);
  const headEnd = raw.indexOf("\r\n\r\n");
  const head = raw.toString("latin1", 0, Math.max(0, headEnd));
  const chunked = /^transfer-encoding: *chunked/im.test(head);
  const read: Read = { text: "", arrivedAt: [], textAt: [], status: Number(head.slice(9, 12)) };
  let row = 0;
  let whole = 0;
  const arrival = (end: number) => {
    while (row < response.reads - 1 && (response.lengths[row] as number) < end) row++;
    return response.times[row] as number;
  };
  for (const { data, end } of frames(raw, headEnd + 4, chunked)) {
    const text = textOf(data);
    if (text === "") continue;
    read.text += text;
    const at = arrival(end);
    if (read.textAt.at(-1) !== at) read.textAt.push(at);
    for (let next = tokens[read.arrivedAt.length]; next !== undefined; next = tokens[read.arrivedAt.length]) {
      if (whole + next.length > read.text.length) break;
      whole += next.length;
      read.arrivedAt.push(at);
    }
  }
  return read;
}

type Frame = { data: string; end: number };

/** The event stream's frames, each with where in the bytes it ended. */
function* frames(raw: Buffer, start: number, chunked: boolean): Generator<Frame> {
  const { body, offsetOf } = chunked ? unchunked(raw, start) : plain(raw, start);
  let from = 0;
  for (let to = body.indexOf("\n\n"); to >= 0; to = body.indexOf("\n\n", from)) {
    for (const line of body.toString("utf8", from, to).split("\n"))
      if (line.startsWith("data:")) yield { data: line.slice(5).trim(), end: offsetOf(to + 2) };
    from = to + 2;
  }
}

function plain(raw: Buffer, start: number) {
  return { body: raw.subarray(start), offsetOf: (end: number) => end + start };
}

/** The body without its chunks' framing (RFC 9112, 7.1). */
function unchunked(raw: Buffer, start: number) {
  const pieces: Buffer[] = [];
  const ends: { body: number; shift: number }[] = [];
  let length = 0;
  for (let at = start; at < raw.length; ) {
    const lineEnd = raw.indexOf("\r\n", at);
    const size = lineEnd < 0 ? 0 : Number.parseInt(raw.toString("latin1", at, lineEnd), 16);
    if (!(size > 0)) break;
    const piece = raw.subarray(lineEnd + 2, lineEnd + 2 + size);
    pieces.push(piece);
    length += piece.length;
    ends.push({ body: length, shift: lineEnd + 2 + piece.length - length });
    at = lineEnd + 2 + size + 2;
  }
  let row = 0;
  // Asked in rising order only.
  const offsetOf = (end: number) => {
    while (row < ends.length - 1 && (ends[row]?.body ?? 0) < end) row++;
    return end + (ends[row]?.shift ?? 0);
  };
  return { body: Buffer.concat(pieces), offsetOf };
}

/** The text that a frame carries, of whichever of the streams compared here it is. */
function textOf(data: string): string {
  if (!data.startsWith("{")) return "";
  const { delta, choices } = JSON.parse(data) as Chunk;
  const text = typeof delta === "string" ? delta : choices?.[0]?.delta?.content;
  return typeof text === "string" ? text : "";
}
