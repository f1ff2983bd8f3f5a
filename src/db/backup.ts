// Backups of the embedded database: one file each, taken while everything goes on. One under its final name is whole.
import {
  createReadStream,
  createWriteStream,
  existsSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
} from "node:fs";
import { open } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { constants, createZstdCompress, createZstdDecompress } from "node:zlib";
import { type Pack, pack } from "tar-stream";
import type { Instance } from "../config/config.ts";
import { every } from "../every.ts";
import { log } from "../log.ts";
import { type Embedded, verify } from "./embedded.ts";
import * as pgdata from "./pgdata.ts";
import * as tar from "./tar.ts";

export type Backup = { name: string; path: string; bytes: number; madeAt: Date };

const dayMs = 86_400_000;
const lookMs = 10_000;
const retryMs = 3_600_000;
/** A backup that takes longer is given up: until it has ended the write-ahead log grows. */
const timeoutMs = 1_800_000;

const suffix = ".tar.zst";
/** PostgreSQL recovers from it. It is the last in the archive, so that one which was cut off anywhere has none. */
const label = "backup_label";
const folderOf = (dataDir: string) => join(dataDir, "backups");

/** Those that are there, newest first. */
export function list(dataDir: string): Backup[] {
  return namesIn(folderOf(dataDir)).flatMap((file) => {
    const [, day, hour, minute, second] =
      /^(\d{4}-\d\d-\d\d)T(\d\d)-(\d\d)-(\d\d)Z\.tar\.zst$/.exec(file) ?? [];
    if (!day) return [];
    const path = join(folderOf(dataDir), file);
    const madeAt = new Date(`${day}T${hour}:${minute}:${second}Z`);
    return [{ name: file.slice(0, -suffix.length), path, bytes: statSync(path).size, madeAt }];
  });
}

/** Makes one whenever the newest is a day old; what goes wrong is logged and tried again an hour later. */
export function keep(embedded: Embedded, { dataDir, backupsKept }: Instance, end: AbortSignal): void {
  if (backupsKept === 0) return;
  let notBeforeMs = 0;
  const look = async () => {
    const nowMs = Date.now();
    const [newest] = list(dataDir);
    // One of the future is of a clock that was wrong.
    if (nowMs < notBeforeMs || (newest && Math.abs(nowMs - newest.madeAt.getTime()) < dayMs)) return;
    try {
      const { path, bytes } = await make(embedded, dataDir, backupsKept, end);
      log.info({ path, bytes, duration_ms: Date.now() - nowMs }, "backed up the embedded database");
    } catch (error) {
      if (end.aborted) return;
      notBeforeMs = nowMs + retryMs;
      log.error(
        { err: error },
        "the embedded database was not backed up; the earlier backups are still there",
      );
    }
  };
  every(lookMs, look, end);
}

/** Makes one, and then, only then, deletes all but the newest `kept`. Throws where the disk is full or not writable. */
export async function make(
  embedded: Embedded,
  dataDir: string,
  kept: number,
  end: AbortSignal,
): Promise<Backup> {
  const folder = folderOf(dataDir);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const path = join(folder, pgdata.stamp(new Date()) + suffix);
  const unfinished = join(folder, "unfinished");
  const signal = AbortSignal.any([end, AbortSignal.timeout(timeoutMs)]);
  try {
    await write(embedded, unfinished, signal);
    renameSync(unfinished, path);
  } finally {
    rmSync(unfinished, { force: true });
  }
  const [newest, ...others] = list(dataDir);
  for (const { path } of others.slice(kept - 1)) rmSync(path);
  return newest as Backup;
}

/** Puts a backup in the place of the database under `dataDir`, which must be locked. Gives where that one is now. */
export async function restore(dataDir: string, path: string): Promise<string | undefined> {
  const folder = pgdata.emptied(dataDir);
  try {
    const archive = createZstdDecompress();
    await Promise.all([pipeline(createReadStream(path), archive), tar.unpack(archive, folder)]);
    if (!existsSync(join(folder, label))) throw new Error("it is no whole backup");
    await verify(folder);
  } catch (error) {
    pgdata.discard(dataDir);
    throw error;
  }
  return pgdata.replace(dataDir, new Date());
}

async function write(embedded: Embedded, path: string, signal: AbortSignal): Promise<void> {
  const archive = pack();
  const compress = createZstdCompress({
    params: { [constants.ZSTD_c_compressionLevel]: 1, [constants.ZSTD_c_checksumFlag]: 1 },
  });
  const file = createWriteStream(path, { mode: 0o600 });
  const written = pipeline(Readable.from(archive), compress, file, { signal });
  const filled = fill(embedded, archive, signal).catch((error: unknown) => archive.destroy(error as Error));
  await Promise.all([written, filled]);
  // The database runs without fsync; a backup of it must not.
  const handle = await open(path, "r+");
  await handle.sync();
  await handle.close();
}

/**
 * PostgreSQL's own way, https://www.postgresql.org/docs/18/continuous-archiving.html#BACKUP-LOWLEVEL-BASE-BACKUP: files
 * may change while they are read, for what changes is in the write-ahead log, which is read last and replayed first.
 */
function fill(embedded: Embedded, archive: Pack, signal: AbortSignal): Promise<void> {
  const { folder, alone } = embedded;
  // A checkpoint would delete the log that this one needs.
  return embedded.withoutUpkeep(async () => {
    await alone("select pg_backup_start('cip', true)");
    const stop = () => alone<{ labelfile: string }>("select labelfile from pg_backup_stop(false)");
    try {
      await tar.add(archive, folder, await tar.list(folder, isData), signal);
    } catch (error) {
      await stop();
      throw error;
    }
    const [made] = await stop();
    await tar.add(archive, folder, await tar.list(folder, (path) => path.startsWith("pg_wal/")), signal);
    await tar.addText(archive, label, made?.labelfile ?? "");
    archive.finalize();
  });
}

function isData(path: string): boolean {
  return !/^pg_wal\/.|^postmaster\.|(^|\/)pgsql_tmp|^backup_label/.test(path);
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder).sort().reverse();
  } catch (error) {
    if ((error as { code?: unknown }).code === "ENOENT") return [];
    throw error;
  }
}
