// PostgreSQL inside this process (PGlite), for an installation without a database server.
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import type { Duplex } from "node:stream";
import { PGlite } from "@electric-sql/pglite";
import initdbWasm from "../../node_modules/@electric-sql/pglite/dist/initdb.wasm" with { type: "file" };
import fsBundle from "../../node_modules/@electric-sql/pglite/dist/pglite.data" with { type: "file" };
import pgliteWasm from "../../node_modules/@electric-sql/pglite/dist/pglite.wasm" with { type: "file" };
import { DataDirError } from "./datadir.ts";
import * as pgdata from "./pgdata.ts";
import { Session } from "./session.ts";
import { Upkeep } from "./upkeep.ts";

export type Embedded = {
  socket: () => Duplex;
  /** The folder of its files. */
  folder: string;
  /** Runs one statement that can be in no transaction, between two of them. */
  alone<Row>(statement: string): Promise<Row[]>;
  /** Runs `work` while no checkpoint and no vacuum is under way. */
  withoutUpkeep<T>(work: () => Promise<T>): Promise<T>;
  close(): Promise<void>;
};

/** What differs from PostgreSQL's defaults, which are for machines that do nothing else. */
const parameters = {
  // Every page of it is written to at the start: 120 MB of memory and 100 ms more with the default of 128 MB.
  shared_buffers: "16MB",
  // What a checkpoint leaves of the log. A single session begins none by itself, whatever is set here: see upkeep.ts.
  min_wal_size: "32MB",
  max_wal_size: "64MB",
  // A sample of 3,000 rows: with the default of 100, analyzing a table holds everything up for 0.3 s.
  default_statistics_target: "10",
};

/** Opens the database under `dataDir`, which must be locked, making it on the first start. Throws DataDirError. */
export async function openEmbedded(dataDir: string): Promise<Embedded> {
  try {
    const engine = compiled(pgliteWasm);
    engine.catch(() => {}); // it is awaited later
    const folder = await pgdata.prepared(dataDir, (folder) => initialise(folder, engine));
    const session = new Session(await start(folder, engine));
    const upkeep = new Upkeep(session);
    return {
      socket: () => session.connect(),
      folder,
      alone: (statement) => session.alone(statement),
      withoutUpkeep: (work) => upkeep.without(work),
      close: async () => {
        await upkeep.end();
        await session.close();
      },
    };
  } catch (error) {
    throw new DataDirError(`The embedded database in ${dataDir} could not be opened`, { cause: error });
  }
}

/** Opens what lies in `folder` once, so that it recovers, and closes it whole. Throws where that is no database of cip. */
export async function verify(folder: string): Promise<void> {
  const session = new Session(await start(folder));
  try {
    await session.alone("select from migrations limit 1");
  } finally {
    await session.close();
  }
}

async function compiled(path: string): Promise<WebAssembly.Module> {
  return WebAssembly.compile(await Bun.file(path).arrayBuffer());
}

/** In a compiled binary PGlite cannot find its own files, so it is handed all three. */
async function files(engine: Promise<WebAssembly.Module>, initdb: Promise<WebAssembly.Module>) {
  const [pgliteWasmModule, initdbWasmModule] = await Promise.all([engine, initdb]);
  return { pgliteWasmModule, initdbWasmModule, fsBundle: Bun.file(fsBundle) };
}

/** WebAssembly's magic number and version, and nothing else. */
const emptyModule = Uint8Array.from([0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00]);

/** initdb has no use here, and to compile it would take 13 ms: an empty module is in its place. */
async function start(folder: string, engine = compiled(pgliteWasm)): Promise<PGlite> {
  // PGlite would run initdb over what else is there.
  if (!existsSync(join(folder, "PG_VERSION")))
    throw new Error(`there is no PG_VERSION in its folder ${basename(folder)}, so that is no database`);
  const set = Object.entries(parameters).flatMap(([name, value]) => ["-c", `${name}=${value}`]);
  const startParams = [...PGlite.defaultStartParams, ...set];
  const pglite = new Raw({
    dataDir: folder,
    startParams,
    ...(await files(engine, WebAssembly.compile(emptyModule))),
  });
  await pglite.waitReady;
  return pglite;
}

/** PGlite for a driver that knows the types itself: it would ask for those of all arrays first, for 60 ms. */
class Raw extends PGlite {
  override async _initArrayTypes(): Promise<void> {}
}

/**
 * initdb takes 3 s and 1 GB at its peak, hence the prepared folder. The templates of other databases, which nobody makes
 * here, would be more than half of all files, and as nobody vacuums them, their age would end the database some day.
 */
export async function initialise(folder: string, engine = compiled(pgliteWasm)): Promise<void> {
  rmSync(folder, { recursive: true, force: true });
  const pglite = new Raw({
    dataDir: folder,
    initDbStartParams: ["--wal-segsize=4"],
    ...(await files(engine, compiled(initdbWasm))),
  });
  await pglite.waitReady;
  for (const name of ["template0", "template1"]) {
    await pglite.exec(`alter database ${name} is_template false`);
    await pglite.exec(`drop database ${name}`);
  }
  await pglite.close();
  dropComments(join(folder, "postgresql.conf"));
}

/** It has 800 lines of them, which PostgreSQL would read at each start, twice: 5 ms. */
function dropComments(path: string): void {
  writeFileSync(path, readFileSync(path, "utf8").replace(/^\s*#.*\n|^\s*\n/gm, ""));
}
