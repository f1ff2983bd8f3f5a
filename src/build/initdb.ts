// Makes a migrated, empty database directory in a process of its own, the same bytes each time: here the clock stands and
// chance is none, so that one state of the sources gives one binary. What lies in it is in every copy of cip anyway.
import nodeCrypto from "node:crypto";
import { createWriteStream } from "node:fs";
import { mkdtemp, rename, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createGzip } from "node:zlib";
import { pack } from "tar-stream";
import * as tar from "../db/tar.ts";

// initdb writes the time and 32 random bytes (for passwords of users that do not exist) into pg_control.
const standing = Date.UTC(2000, 0, 1);
globalThis.Date = class extends Date {
  constructor(...date: ConstructorParameters<DateConstructor>) {
    super(...((date.length > 0 ? date : [standing]) as [number]));
  }
  static override now = () => standing;
} as DateConstructor;
performance.now = () => 0;
nodeCrypto.randomFillSync = (bytes) => bytes;

// Only now, for they keep the clock that they find.
const { initialise, openEmbedded } = await import("../db/embedded.ts");
const { openDatabase } = await import("../db/db.ts");
const { migrate } = await import("../db/migrate.ts");
const [path = ""] = process.argv.slice(2);

const dataDir = await mkdtemp(join(tmpdir(), "cip-initdb-"));
const folder = join(dataDir, "postgres");
await initialise(folder);
// The first start has these behind it; keys and the instance's id are made there, so that no two have the same.
const embedded = await openEmbedded(dataDir);
const db = openDatabase(embedded);
// What upkeep leaves depends on when it comes, so it gets no turn between these.
const { promise: closed, resolve } = Promise.withResolvers<void>();
await embedded.withoutUpkeep(async () => {
  await migrate(db);
  await db.close();
  resolve(embedded.close());
});
await closed;

const archive = pack();
const unfinished = `${path}.${process.pid}`;
await Promise.all([
  pipeline(Readable.from(archive), createGzip({ level: 9 }), createWriteStream(unfinished)),
  tar.add(archive, folder, await tar.list(folder)).then(() => archive.finalize()),
]);
await rename(unfinished, path);
await rm(dataDir, { recursive: true });
process.exit(0); // PGlite leaves something behind that would keep the process alive
