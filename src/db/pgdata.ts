// Where the files of the embedded database lie under DATA_DIR. What is there under its final name is whole: it is made
// aside and renamed, and what a restore began is finished or undone by the next start.
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { BunFile } from "bun";
import { asset } from "../assets.ts";

const present = (dataDir: string) => join(dataDir, "postgres");
const restored = (dataDir: string) => join(dataDir, "postgres.restored");
const unfinished = (dataDir: string) => join(dataDir, "postgres.unfinished");

/** Whether there is a database under `dataDir`, be it one whose restoring was cut short. */
export function isThere(dataDir: string): boolean {
  return existsSync(present(dataDir)) || existsSync(restored(dataDir));
}

/** The folder of the database, made with what the build prepared, or else by `initialise`, where there is none yet. */
export async function prepared(
  dataDir: string,
  initialise: (folder: string) => Promise<void>,
): Promise<string> {
  const folder = present(dataDir);
  finishRestoring(dataDir);
  if (existsSync(folder)) return folder;
  const aside = emptied(dataDir);
  const archive = Bun.file(asset("dist/postgres.tar.gz"));
  if ((await archive.exists()) && isCurrent(archive))
    await new Bun.Archive(await archive.bytes()).extract(aside);
  else await initialise(aside);
  renameSync(aside, folder);
  return folder;
}

/** It has the migrations behind it: while one is being written it may have another state of it than the file has now. */
function isCurrent(archive: BunFile): boolean {
  const changedMs = readdirSync(asset("sql")).map((name) => Bun.file(join(asset("sql"), name)).lastModified);
  return !changedMs.some((ms) => ms > archive.lastModified);
}

/** An empty folder to make a database in; nothing that is killed there is ever taken for one. */
export function emptied(dataDir: string): string {
  const folder = unfinished(dataDir);
  discard(dataDir);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  return folder;
}

/** Forgets what was begun in `emptied()`. */
export function discard(dataDir: string): void {
  rmSync(unfinished(dataDir), { recursive: true, force: true });
}

/**
 * Puts what was made in `emptied()` in the place of the database, which is set aside. Killed before the second renaming
 * it changed nothing, and after it the next start does the third. Gives where the old one is, if there was one.
 */
export function replace(dataDir: string, now: Date): string | undefined {
  const aside = `${present(dataDir)}.before-${stamp(now)}`;
  rmSync(restored(dataDir), { recursive: true, force: true });
  renameSync(unfinished(dataDir), restored(dataDir));
  const had = existsSync(present(dataDir));
  if (had) renameSync(present(dataDir), aside);
  finishRestoring(dataDir);
  return had ? aside : undefined;
}

function finishRestoring(dataDir: string): void {
  if (!existsSync(restored(dataDir))) return;
  if (existsSync(present(dataDir))) rmSync(restored(dataDir), { recursive: true, force: true });
  else renameSync(restored(dataDir), present(dataDir));
}

/** A time as part of a file's name, on every file system: 2026-11-22T20-57-39Z. */
export function stamp(time: Date): string {
  return time.toISOString().replace(/\.\d+/, "").replaceAll(":", "-");
}
