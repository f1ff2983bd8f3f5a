// Folders as tar archives, in a stream: what is read while it changes takes exactly the room that its header says.
import { createReadStream, createWriteStream } from "node:fs";
import { mkdir, readdir, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { extract, type Header, type Pack } from "tar-stream";

/** No time, so that one content gives one archive. */
const mtime = new Date(0);

/** All that is under `folder` and passes `wanted`, sorted: paths with slashes, those of folders with one at their end. */
export async function list(folder: string, wanted = (_path: string) => true, under = ""): Promise<string[]> {
  const entries = await readdir(join(folder, under), { withFileTypes: true });
  const paths: string[] = [];
  for (const entry of entries.toSorted((a, b) => (a.name < b.name ? -1 : 1))) {
    const path = under + entry.name + (entry.isDirectory() ? "/" : "");
    if (!wanted(path)) continue;
    paths.push(path);
    if (entry.isDirectory()) paths.push(...(await list(folder, wanted, path)));
  }
  return paths;
}

/** Adds what `list` gave of `folder`. A file that is gone by now is left out. */
export async function add(pack: Pack, folder: string, paths: string[], signal?: AbortSignal): Promise<void> {
  for (const path of paths) {
    signal?.throwIfAborted();
    if (path.endsWith("/")) await entry(pack, { name: path, type: "directory", mode: 0o700 });
    else {
      const found = await stat(join(folder, path)).catch(goneOrThrow);
      if (found) await entry(pack, { name: path, size: found.size }, content(join(folder, path), found.size));
    }
  }
}

export function addText(pack: Pack, name: string, text: string): Promise<void> {
  const bytes = Buffer.from(text);
  return entry(pack, { name, size: bytes.length }, [bytes]);
}

/** Writes what is in `archive` under `folder`. Throws where the archive is broken or has anything but files. */
export async function unpack(archive: Readable, folder: string): Promise<void> {
  const entries = extract();
  const reading = pipeline(archive, entries);
  const failed = new AbortController();
  reading.catch((error: unknown) => failed.abort(error)); // a file that waits for the rest of it would not notice
  for await (const file of entries) {
    const { name, type } = file.header;
    const path = join(folder, name);
    if (!path.startsWith(join(folder, "/"))) throw new Error(`${name} would lie outside`);
    if (type === "directory") {
      await mkdir(path, { recursive: true, mode: 0o700 });
      file.resume();
    } else if (type === "file") {
      await mkdir(dirname(path), { recursive: true, mode: 0o700 });
      await pipeline(file, createWriteStream(path, { mode: 0o600 }), { signal: failed.signal });
    } else throw new Error(`${name} is no file`);
  }
  await reading;
}

type Chunks = Iterable<Buffer> | AsyncIterable<Buffer>;

async function entry(
  pack: Pack,
  header: Partial<Header> & { name: string },
  chunks: Chunks = [],
): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const sink = pack.entry({ mode: 0o600, mtime, ...header }, (error) => (error ? reject(error) : resolve()));
  if (header.type !== "directory") await pipeline(Readable.from(chunks), sink);
  await promise;
}

/** `size` bytes of a file: those that were added since are left out, those that are gone are zeros. */
async function* content(path: string, size: number): AsyncGenerator<Buffer> {
  let left = size;
  if (left > 0)
    for await (const chunk of createReadStream(path, { end: size - 1, highWaterMark: 2 ** 18 })) {
      left -= chunk.length;
      yield chunk;
    }
  for (const zeros = Buffer.alloc(2 ** 16); left > 0; left -= zeros.length) yield zeros.subarray(0, left);
}

function goneOrThrow(error: unknown): undefined {
  if ((error as { code?: unknown }).code !== "ENOENT") throw error;
}
