// DATA_DIR: one process at a time holds it, and finds there who it was before.
import { Database as Lock } from "bun:sqlite";
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** The folder cannot be used; the message says why in words for the person who starts cip. */
export class DataDirError extends Error {
  override readonly name: string = "DataDirError";
}

/** Another process has it. */
export class DataDirHeld extends DataDirError {
  override readonly name = "DataDirHeld";
}

/**
 * Takes the folder for this process, making it where it is not there. An open SQLite transaction is a lock of the
 * operating system: it ends with the process however that dies, and needs no cleaning up. Throws DataDirError.
 */
export function lock(dataDir: string): () => void {
  const pidFile = join(dataDir, "pid");
  try {
    mkdirSync(dataDir, { recursive: true, mode: 0o700 });
    const file = new Lock(join(dataDir, "lock"));
    file.run("pragma journal_mode = memory");
    file.run("begin exclusive");
    writeFileSync(pidFile, String(process.pid));
    return () => file.close();
  } catch (error) {
    if ((error as { code?: string }).code === "SQLITE_BUSY") {
      const holder = existsSync(pidFile) ? ` (process ${readFileSync(pidFile, "utf8")})` : "";
      throw new DataDirHeld(
        `Another cip${holder} is using ${dataDir}. Stop it, or give this one its own DATA_DIR.`,
      );
    }
    throw new DataDirError(`DATA_DIR ${dataDir} cannot be written to: ${(error as Error).message}`);
  }
}

/**
 * The id that the holder of the folder keeps from start to start: a UUID. It belongs to this very file: were it to come
 * along with a copy of the folder, each of the two would take the other's answers for its own from before.
 */
export function instanceId(dataDir: string): string {
  const path = join(dataDir, "instance");
  const [kept = "", mark] = existsSync(path) ? readFileSync(path, "utf8").split(" ") : [];
  if (/^[0-9a-f-]{36}$/.test(kept) && mark === markOf(path)) return kept;
  const id = Bun.randomUUIDv7(); // also where a full disk left the file empty
  writeFileSync(path, id);
  writeFileSync(path, `${id} ${markOf(path)}`);
  return id;
}

/** The same for as long as a file is written in place, and another one for its copy. */
function markOf(path: string): string {
  const { ino, birthtimeNs } = statSync(path, { bigint: true });
  return `${ino}-${birthtimeNs}`;
}
