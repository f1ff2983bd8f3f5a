// Files that a browser may keep for a while and then asks about: with an entity tag, and 304 where nothing changed
// (RFC 9110, 13.1.2).
import type { BunFile } from "bun";

export type File = {
  body: string | Uint8Array<ArrayBuffer> | BunFile;
  etag: string;
  headers: Readonly<Record<string, string>>;
};

const maxAgeSeconds = 300;

export function file(body: Exclude<File["body"], BunFile>, headers: File["headers"]): File {
  const caching = { "cache-control": `public, max-age=${maxAgeSeconds}` };
  return { body, etag: `"${Bun.hash(body).toString(36)}"`, headers: { ...caching, ...headers } };
}

export function served({ body, etag, headers }: File, ifNoneMatch = ""): Response {
  const isKept = ifNoneMatch.split(",").some((tag) => tag.trim().replace(/^W\//, "") === etag);
  return isKept
    ? new Response(null, { status: 304, headers: { ...headers, etag } })
    : new Response(body, { headers: { ...headers, etag } });
}
