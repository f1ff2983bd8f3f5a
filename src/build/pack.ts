// Packs a release: what comes out depends on what goes in and on nothing else; entries as given, one date, no owner.
import { createWriteStream } from "node:fs";
import { writeFile } from "node:fs/promises";
import { pipeline } from "node:stream/promises";
import { createGzip } from "node:zlib";
import { zipSync } from "fflate";
import { pack } from "tar-stream";

/** `name` is the path inside the archive, with slashes. */
export type Entry = { name: string; data: Uint8Array; executable: boolean };

/** Makes the archive that the end of `path` says: .zip or .tar.gz. */
export async function packed(path: string, entries: readonly Entry[], date: Date): Promise<void> {
  if (path.endsWith(".zip")) await writeFile(path, zip(entries, date));
  else await tarball(path, entries, date);
}

async function tarball(path: string, entries: readonly Entry[], mtime: Date): Promise<void> {
  const tar = pack();
  for (const { name, data, executable } of entries)
    tar.entry({ name, mtime, mode: executable ? 0o755 : 0o644 }, Buffer.from(data));
  tar.finalize();
  await pipeline(tar, createGzip(), createWriteStream(path));
}

function zip(entries: readonly Entry[], date: Date): Uint8Array {
  // A zip has no time zone, and fflate writes the local time.
  const mtime = new Date(date.getTime() + date.getTimezoneOffset() * 60_000);
  return zipSync(Object.fromEntries(entries.map(({ name, data }) => [name, data])), { mtime });
}
