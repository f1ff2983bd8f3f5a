// Starts the parts in the order they need one another, and ends them in the reverse order.
import { setImmediate } from "node:timers/promises";
import pkg from "../package.json" with { type: "json" };
import { banner } from "./banner.ts";
import type { Config, Role } from "./config/config.ts";
import { Reload } from "./config/reload.ts";
import { loadKeys } from "./identity/keys.ts";
import { clearAway } from "./keep/janitor.ts";
import { log } from "./log.ts";
import { watchEventLoop } from "./metrics/vitals.ts";
import { open, type Place, ready } from "./place.ts";
import { shrinkAfterLoad } from "./shrink.ts";
import { hasTerminal } from "./terminal.ts";

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
  const reload = new Reload(config.tenants);
  const atTerminal = hasTerminal();
  process.on("SIGHUP", (signal) => (atTerminal && !hasTerminal() ? shutDown(signal) : reload.now()));
  // A mistake in the handling of one request must not end those of all others.
  process.on("unhandledRejection", (error) => log.error({ err: error }, "a promise failed unhandled"));

  const [place, parts] = await Promise.all([open(instance), load()]);
  try {
    const { runs, queue } = await prepare(place, config, role, parts);
    const chat = new parts.Chat(place.db, runs, queue);
    const clearing = new AbortController();
    clearAway(place.db, config.tenants, clearing.signal);
    watchEventLoop(clearing.signal);
    if (place.embedded) {
      const backups = await import("./db/backup.ts");
      backups.keep(place.embedded, instance, clearing.signal);
    }
    void reload.run(clearing.signal);
    const app = parts.createApp({ config, db: place.db, keys: runs.keys, runs, chat }, role !== "worker");
    const server = parts.listen(app, { port: instance.port, hostname: instance.host });
    end = async () => {
      await runs.drain(instance.drainMs);
      await setImmediate(); // when readers are told of the last endings
      queue.close();
      clearing.abort();
      await Promise.race([server.stop(), Bun.sleep(flushMs)]);
      await server.stop(true);
      await place.close();
    };
    const port = server.port ?? instance.port;
    process.stdout.write(banner(config, role, port));
    log.info({ version: pkg.version, role, port }, "listening");
    shrinkAfterLoad(runs, clearing.signal);
    Bun.unsafe.setJITPolicy(1); // what runs from here on, runs often: see build/build.ts
  } catch (error) {
    await place.close();
    throw error;
  }
}

type Parts = Awaited<ReturnType<typeof load>>;

/**
 * Loads what serves, while the database is asked. The evaluation of a module holds up everything else, so they come one
 * after the other, and in between what has arrived from the database meanwhile is answered.
 */
async function load() {
  await setImmediate();
  const { Runs } = await import("./chat/runs.ts");
  await setImmediate();
  const { Queue } = await import("./chat/queue.ts");
  const { Chat } = await import("./chat/chat.ts");
  await setImmediate();
  await import("./http/schemas.ts"); // and with them the framework
  await setImmediate();
  const { createApp } = await import("./http/app.ts");
  const { listen } = await import("./http/listen.ts");
  return { Runs, Queue, Chat, createApp, listen };
}

async function prepare(
  { db, instanceId, embedded }: Place,
  { instance, tenants }: Config,
  role: Role,
  { Runs, Queue }: Parts,
) {
  return ready(instance, async () => {
    const keys = await loadKeys(db, instance.secretKey, instance.secretKeyPrevious);
    const runs = new Runs(db, keys, { instanceId, leaseMs: instance.leaseMs }, instance.leaseRenewMs);
    const queue = new Queue(db, runs, tenants, role !== "web");
    await queue.recover(embedded ? "all" : { instanceId });
    return { runs, queue };
  });
}
