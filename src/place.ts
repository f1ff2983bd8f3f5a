// Where a process works: the database, made ready, and who the process is to it. Whoever opens a place closes it.
import type { Instance } from "./config/config.ts";
import { instanceId, lock } from "./db/datadir.ts";
import { type Database, openDatabase } from "./db/db.ts";
import type { Embedded } from "./db/embedded.ts";
import { verifyIsolation } from "./db/isolation.ts";
import { migrate } from "./db/migrate.ts";
import { DatabaseStartError } from "./explain.ts";

/** `embedded` where the database is in this process, so that no other one can be at work on it. */
export type Place = {
  db: Database;
  instanceId: string;
  embedded: Embedded | undefined;
  close(): Promise<void>;
};

/** Opens the database and brings its schema up to date. Throws DataDirError, DatabaseStartError. */
export async function open(instance: Instance): Promise<Place> {
  const place = await connect(instance);
  try {
    await ready(instance, async () => {
      await migrate(place.db);
      await verifyIsolation(place.db);
    });
    return place;
  } catch (error) {
    await place.close();
    throw error;
  }
}

/** What fails in `work` is a database that cannot be made ready. */
export async function ready<T>({ databaseUrl }: Instance, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw new DatabaseStartError(databaseUrl?.reveal(), { cause: error });
  }
}

/** Opens the database as it stands. */
export async function connect({ databaseUrl, databasePoolSize, dataDir }: Instance): Promise<Place> {
  if (databaseUrl !== undefined) {
    const db = openDatabase({ url: databaseUrl.reveal(), poolSize: databasePoolSize });
    const { id, unlock } = successor(dataDir);
    const close = async () => {
      await db.close();
      unlock();
    };
    return { db, instanceId: id, embedded: undefined, close };
  }
  const unlock = lock(dataDir);
  const { openEmbedded } = await import("./db/embedded.ts");
  const embedded = await openEmbedded(dataDir);
  const db = openDatabase(embedded);
  const close = async () => {
    await db.close();
    await embedded.close();
    unlock();
  };
  return { db, instanceId: instanceId(dataDir), embedded, close };
}

/** With a database elsewhere the folder is no must: without it, this process is simply nobody's successor. */
function successor(dataDir: string): { id: string; unlock: () => void } {
  try {
    const unlock = lock(dataDir);
    return { id: instanceId(dataDir), unlock };
  } catch {
    return { id: Bun.randomUUIDv7(), unlock: () => {} };
  }
}
