// PostgreSQL inside this process (PGlite), for an installation without a database server. One process a directory.
import { Database as Lock } from "bun:sqlite";
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Duplex } from "node:stream";
import { PGlite } from "@electric-sql/pglite";
import initdbWasm from "../node_modules/@electric-sql/pglite/dist/initdb.wasm" with { type: "file" };
import fsBundle from "../node_modules/@electric-sql/pglite/dist/pglite.data" with { type: "file" };
import pgliteWasm from "../node_modules/@electric-sql/pglite/dist/pglite.wasm" with { type: "file" };
import { asset } from "./assets.ts";

export type Embedded = { socket: () => Duplex; close(): Promise<void> };

/** The directory cannot be used; the message says why in words for the person who starts cip. */
export class EmbeddedError extends Error {
  override readonly name = "EmbeddedError";
}

/** Opens the database under `dataDir`, making it on the first start. Throws EmbeddedError. */
export async function openEmbedded(dataDir: string): Promise<Embedded> {
  const unlock = lock(dataDir);
  try {
    const pglite = await openDirectory(dataDir);
    return {
      socket: () => connect(pglite),
      async close() {
        await pglite.close();
        unlock();
      },
    };
  } catch (error) {
    unlock();
    throw new EmbeddedError(`The embedded database in ${dataDir} could not be opened`, { cause: error });
  }
}

/**
 * PGlite has no lock of its own, and two processes on one directory destroy it. An open SQLite transaction is a lock
 * of the operating system: it ends with the process however that dies, and needs no cleaning up.
 */
function lock(dataDir: string): () => void {
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
      throw new EmbeddedError(
        `Another cip${holder} is using ${dataDir}. Stop it, or give this one its own DATA_DIR.`,
      );
    }
    throw new EmbeddedError(`DATA_DIR ${dataDir} cannot be written to: ${(error as Error).message}`);
  }
}

async function openDirectory(dataDir: string): Promise<PGlite> {
  const directory = join(dataDir, "postgres");
  const modules = await wasm();
  if (!existsSync(directory)) {
    // Made aside and moved into place whole, so that a first start which is cut short leaves nothing behind.
    const unfinished = `${directory}.unfinished`;
    rmSync(unfinished, { recursive: true, force: true });
    await makeDirectory(unfinished, modules);
    renameSync(unfinished, directory);
  }
  return PGlite.create({ dataDir: directory, ...modules });
}

/** Unpacking the directory that the build prepared takes 0.2 s; initdb, as from source, 3 s and 1 GB at its peak. */
async function makeDirectory(directory: string, modules: Awaited<ReturnType<typeof wasm>>): Promise<void> {
  const prepared = Bun.file(asset("dist/postgres.tar.gz"));
  if (await prepared.exists()) {
    mkdirSync(directory, { mode: 0o700 });
    await new Bun.Archive(await prepared.bytes()).extract(directory);
  } else {
    const pglite = await PGlite.create({ dataDir: directory, ...modules });
    await pglite.close();
  }
}

/** In a compiled binary PGlite cannot find its own files, so it is handed all three. */
async function wasm() {
  const compile = async (path: string) => WebAssembly.compile(await Bun.file(path).arrayBuffer());
  const [pgliteWasmModule, initdbWasmModule] = await Promise.all([compile(pgliteWasm), compile(initdbWasm)]);
  return { pgliteWasmModule, initdbWasmModule, fsBundle: Bun.file(fsBundle) };
}

const terminate = 0x58; // 'X', https://www.postgresql.org/docs/18/protocol-message-formats.html
const rollback = Buffer.from("Q\0\0\0\rrollback\0", "latin1");

/** A socket for the `postgres` package whose other end is PGlite: no port, no copy through the kernel. */
function connect(pglite: PGlite): Duplex {
  // All connections are the one session: what the last one may have left open must not be this one's.
  const clean = pglite.execProtocolRaw(rollback);
  const duplex: Duplex = new Duplex({
    read() {},
    write(message: Buffer, _encoding, done) {
      if (message[0] === terminate) {
        duplex.destroy();
        return done();
      }
      clean
        .then(() => pglite.execProtocolRaw(message))
        .then((reply) => {
          duplex.push(reply);
          done();
        }, done);
    },
  });
  // The package says goodbye only to a socket that says, as one of node:net does, that it is open.
  return Object.assign(duplex, { readyState: "open" });
}
