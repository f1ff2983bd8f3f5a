// Reads a JSON body: at most 64 KiB, UTF-8, text that the database can store, and in a time that no sender can draw out.
import { CipError } from "../errors.ts";

type BodyParser = "json" | ((context: { request: Request }) => Promise<unknown>);

export const bodyBytesMax = 64 * 1024;
/** For the whole body, however its bytes are spread. 64 KiB take 3 s on a bad mobile line. */
const bodyMs = 10_000;
const utf8 = new TextDecoder("utf-8", { fatal: true });

/**
 * For the routes that take a body; every other one leaves it unread, with `parse: "none"`. The second parser is
 * never reached: it says in the OpenAPI document what the first one reads.
 */
export const jsonBody: { parse: BodyParser[] } = { parse: [({ request }) => readJson(request), "json"] };

/** Throws unsupported_media_type, body_too_large, body_timeout or invalid_json. */
async function readJson(request: Request): Promise<unknown> {
  const type = request.headers.get("content-type") ?? "";
  const coding = request.headers.get("content-encoding") ?? "identity";
  if (!/^application\/(?:[\w.+-]+\+)?json\s*(?:;|$)/i.test(type) || coding !== "identity")
    throw new CipError("unsupported_media_type");
  return parsed(await readBytes(request));
}

/** The value of a JSON text, with strings that the database can store. Throws invalid_json. */
export function parsed(json: string | Uint8Array): unknown {
  try {
    const text = typeof json === "string" ? json : utf8.decode(json);
    return JSON.parse(text, (_key, value) => (typeof value === "string" ? storable(value) : value));
  } catch {
    throw new CipError("invalid_json");
  }
}

async function readBytes(request: Request): Promise<Uint8Array> {
  const declared = request.headers.get("content-length");
  if (Number(declared) > bodyBytesMax) throw tooLarge();
  if (!request.body) return new Uint8Array();
  // The server holds a body to the length it declares.
  return declared === null ? readCounting(request.body.getReader()) : inTime(request.bytes(), () => {});
}

/** Counts while reading, for no length was declared. */
async function readCounting(reader: ReadableStreamDefaultReader<Uint8Array>): Promise<Uint8Array> {
  const cancel = () => void reader.cancel().catch(() => {});
  const chunks: Uint8Array[] = [];
  let length = 0;
  const read = async () => {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return Buffer.concat(chunks);
      length += value.byteLength;
      if (length > bodyBytesMax) throw tooLarge();
      chunks.push(value);
    }
  };
  return inTime(read(), cancel).finally(cancel);
}

/** Throws body_timeout. */
async function inTime<T>(reading: Promise<T>, giveUp: () => void): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => {
    reject(new CipError("body_timeout"));
    giveUp();
  }, bodyMs);
  try {
    return await Promise.race([reading, late]);
  } finally {
    clearTimeout(timer);
  }
}

function tooLarge(): CipError {
  return new CipError("body_too_large", {
    detail: `The body may have at most ${bodyBytesMax} bytes.`,
  });
}

/** PostgreSQL stores neither NUL nor half a surrogate pair: both become U+FFFD. */
function storable(text: string): string {
  return text.toWellFormed().replaceAll("\0", "\ufffd");
}
