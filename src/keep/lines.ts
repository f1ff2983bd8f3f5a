// Lines out of bytes as they come: UTF-8 with or without a byte order mark, ended as on any system, none of them longer
// than is allowed. What is something else is named.

/** Says why, to follow the number of the line. */
export class LineError extends Error {
  override readonly name = "LineError";

  constructor(
    readonly number: number,
    reason: string,
  ) {
    super(reason);
  }
}

export type Line = { number: number; text: string; bytes: number };

const newline = 0x0a;

/** Those that are not blank, counted from 1. Throws LineError. */
export async function* linesOf(chunks: AsyncIterable<Uint8Array>, bytesMax: number): AsyncGenerator<Line> {
  let number = 1;
  let bytes = 0;
  let parts: Uint8Array[] = [];
  const take = (part: Uint8Array) => {
    bytes += part.length;
    if (bytes > bytesMax) throw new LineError(number, `is longer than ${bytesMax} bytes`);
    parts.push(part);
  };
  const line = () => ({ number, text: textOf(Buffer.concat(parts), number), bytes });

  for await (const chunk of chunks) {
    let from = 0;
    for (let end = chunk.indexOf(newline); end >= 0; end = chunk.indexOf(newline, from)) {
      take(chunk.subarray(from, end));
      const whole = line();
      if (whole.text !== "") yield whole;
      from = end + 1;
      number++;
      bytes = 0;
      parts = [];
    }
    take(chunk.subarray(from));
  }
  const last = line();
  if (last.text !== "") yield last;
}

function textOf(bytes: Buffer, number: number): string {
  if (number === 1) refuseOthers(bytes);
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes).trim();
  } catch {
    throw new LineError(number, "is not UTF-8");
  }
}

/** By what such files begin with. */
function refuseOthers([first, second]: Buffer): void {
  if (first === 0x1f && second === 0x8b)
    throw new LineError(1, "is compressed; unpack it first, as with gunzip");
  if ((first === 0xff && second === 0xfe) || (first === 0xfe && second === 0xff))
    throw new LineError(
      1,
      "is UTF-16, as some shells write it; give cip export the file's name instead of >",
    );
}
