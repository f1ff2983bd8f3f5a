// A tenant's logo: read once, known by its first bytes whatever its name says, and small enough to be kept.
import { readFileSync, statSync } from "node:fs";
import { Wrong } from "./values.ts";

/** `hash` changes with the image. */
export type Logo = Readonly<{ type: string; bytes: Uint8Array<ArrayBuffer>; hash: string }>;

const bytesMax = 128 * 1024;

/** Like all that is wrong with a setting, a `Wrong` is worded to follow its name. */
export function readLogo(path: string): Logo | Wrong {
  let bytes: Uint8Array<ArrayBuffer>;
  try {
    const stats = statSync(path); // before it is read: it may be a film, or a pipe that never ends
    if (!stats.isFile() && !stats.isDirectory())
      return new Wrong("names a pipe or a device; it must be a file");
    if (stats.size > bytesMax) return new Wrong(`names a file of more than ${bytesMax / 1024} KiB`);
    bytes = new Uint8Array(readFileSync(path));
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT") return new Wrong("names a file that does not exist");
    if (code === "EISDIR") return new Wrong("names a folder; it must be a file");
    return new Wrong(`names a file that cannot be read (${code})`);
  }
  const type = typeOf(bytes);
  return type
    ? { type, bytes, hash: Bun.hash(bytes).toString(36) }
    : new Wrong("names a file that is no SVG, PNG, JPEG or WebP image");
}

/** By the signatures of the WHATWG's MIME Sniffing standard, section 6.1; an SVG by its root element. */
function typeOf(bytes: Uint8Array): string | undefined {
  const start = Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(bytes.length, 16)).toString("latin1");
  if (start.startsWith("\x89PNG\r\n\x1a\n")) return "image/png";
  if (start.startsWith("\xff\xd8\xff")) return "image/jpeg";
  if (/^RIFF[\s\S]{4}WEBPVP/.test(start)) return "image/webp";
  return isSvg(bytes) ? "image/svg+xml" : undefined;
}

/** Before the root element only white space, an XML declaration, comments and a DOCTYPE may come. */
const prolog = /^(\s+|<\?[\s\S]*?\?>|<!--[\s\S]*?-->|<!DOCTYPE\s+svg\b[^[>]*(\[[^\]]*\]\s*)?>)/i;

function isSvg(bytes: Uint8Array): boolean {
  try {
    let rest = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    for (let part = prolog.exec(rest); part; part = prolog.exec(rest)) rest = rest.slice(part[0].length);
    return /^<svg[\s>/]/.test(rest);
  } catch {
    return false;
  }
}
