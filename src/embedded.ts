// PostgreSQL inside this process (PGlite), for an installation without a database server.
import { existsSync, mkdirSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { Duplex } from "node:stream";
import { PGlite } from "@electric-sql/pglite";
import initdbWasm from "../node_modules/@electric-sql/pglite/dist/initdb.wasm" with { type: "file" };
import fsBundle from "../node_modules/@electric-sql/pglite/dist/pglite.data" with { type: "file" };
import pgliteWasm from "../node_modules/@electric-sql/pglite/dist/pglite.wasm" with { type: "file" };
import { asset } from "./assets.ts";
import { DataDirError } from "./datadir.ts";

export type Embedded = { socket: () => Duplex; close(): Promise<void> };

/** Opens the database under `dataDir`, which must be locked, making it on the first start. Throws DataDirError. */
export async function openEmbedded(dataDir: string): Promise<Embedded> {
  try {
    const pglite = await openDirectory(dataDir);
    return { socket: () => connect(pglite), close: () => pglite.close() };
  } catch (error) {
    throw new DataDirError(`The embedded database in ${dataDir} could not be opened`, { cause: error });
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
    mkdirSync(directory, { recursive: true, mode: 0o700 });
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
