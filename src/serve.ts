// Starts the parts in the order they need one another, and ends them in the reverse order.
import { banner } from "./banner.ts";
import { Chat } from "./chat.ts";
import type { Config, Role } from "./config.ts";
import { instanceId, lock } from "./datadir.ts";
import { type Database, openDatabase } from "./db.ts";
import { openEmbedded } from "./embedded.ts";
import { DatabaseStartError } from "./explain.ts";
import { createApp } from "./http/app.ts";
import { verifyIsolation } from "./isolation.ts";
import { clearAway } from "./janitor.ts";
import { loadKeys } from "./keys.ts";
import { log } from "./log.ts";
import { migrate } from "./migrate.ts";
import { Queue } from "./queue.ts";
import { Runs } from "./runs.ts";

/** How long readers may take for the last of what they were sent once all turns have ended. */
const flushMs = 2_000;

/** Returns once the server listens; SIGTERM and SIGINT end it and the process. Throws what explain() can explain. */
export async function serve(config: Config, role: Role): Promise<void> {
  const { instance } = config;
  // Until the server listens nobody was promised anything, and the process may end as it stands.
  let end = async () => {};
  let ending = false;
  const shutDown = async (signal: string) => {
    // More signals change nothing: one Ctrl-C reaches a process that npx or a shell started several times.
    if (ending) return;
    ending = true;
    log.info({ signal, drain_ms: instance.drainMs }, "shutting down");
    await end();
    process.exit(0);
  };
  process.on("SIGTERM", shutDown);
  process.on("SIGINT", shutDown);
  // A mistake in the handling of one request must not end those of all others.
  process.on("unhandledRejection", (error) => log.error({ err: error }, "a promise failed unhandled"));

  const place = await open(instance);
  try {
    const { runs, queue } = await prepare(place, config, role);
    const chat = new Chat(place.db, runs, queue);
    const clearing = new AbortController();
    clearAway(place.db, clearing.signal);
    const app = await createApp({ config, db: place.db, keys: runs.keys, runs, chat }, role !== "worker");
    // Elysia would let a second process listen on the same port and take half of the requests.
    const { server } = app.listen({ port: instance.port, hostname: instance.host, reusePort: false });
    end = async () => {
      await runs.drain(instance.drainMs);
      queue.close();
      clearing.abort();
      await Promise.race([server?.stop(), Bun.sleep(flushMs)]);
      await server?.stop(true);
      await place.close();
    };
    process.stdout.write(banner(config, role, server?.port ?? instance.port));
  } catch (error) {
    await place.close();
    throw error;
  }
}

async function prepare({ db, instanceId, alone }: Place, { instance, tenants }: Config, role: Role) {
  try {
    // Migrations may take their time, the first answer may not: whatever is at that address, it is not a database.
    await db.system((tx) => tx`select 1`);
    await migrate(db);
    await verifyIsolation(db);
    const lease = { instanceId, leaseMs: instance.leaseMs };
    const runs = new Runs(
      db,
      await loadKeys(db, instance.secretKey, instance.secretKeyPrevious),
      lease,
      instance.leaseRenewMs,
    );
    const queue = new Queue(db, runs, tenants, role !== "web");
    await queue.recover(alone ? "all" : { instanceId });
    return { runs, queue };
  } catch (error) {
    throw new DatabaseStartError(instance.databaseUrl?.reveal(), { cause: error });
  }
}

/** The database, and who this process is to it. `alone`: no other process can be at work on it. */
type Place = { db: Database; instanceId: string; alone: boolean; close(): Promise<void> };

async function open({ databaseUrl, databasePoolSize, dataDir }: Config["instance"]): Promise<Place> {
  if (databaseUrl !== undefined) {
    const db = openDatabase({ url: databaseUrl.reveal(), poolSize: databasePoolSize });
    const { id, unlock } = successor(dataDir);
    const close = async () => {
      await db.close();
      unlock();
    };
    return { db, instanceId: id, alone: false, close };
  }
  const unlock = lock(dataDir);
  const embedded = await openEmbedded(dataDir);
  const db = openDatabase(embedded);
  const close = async () => {
    await db.close();
    await embedded.close();
    unlock();
  };
  return { db, instanceId: instanceId(dataDir), alone: true, close };
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
