// Starts the parts in the order they need one another, and ends them in the reverse order.
import { banner } from "./banner.ts";
import type { Config } from "./config.ts";
import { openDatabase } from "./db.ts";
import { openEmbedded } from "./embedded.ts";
import { DatabaseStartError } from "./explain.ts";
import { createApp } from "./http/app.ts";
import { loadKeys } from "./keys.ts";
import { log } from "./log.ts";
import { migrate } from "./migrate.ts";
import { Runs } from "./runs.ts";

/** How long readers may take for the last of what they were sent once all turns have ended. */
const flushMs = 2_000;

/** Returns once the server listens; SIGTERM and SIGINT end it and the process. Throws what explain() can explain. */
export async function serve(config: Config): Promise<void> {
  const { instance } = config;
  const { databaseUrl } = instance;
  const embedded = databaseUrl === undefined ? await openEmbedded(instance.dataDir) : undefined;
  const db = openDatabase(embedded ?? { url: databaseUrl as string, poolSize: instance.databasePoolSize });

  const end = async (graceMs: number) => {
    await runs?.drain(graceMs);
    await Promise.race([server?.stop(), Bun.sleep(flushMs)]);
    await server?.stop(true);
    await db.close();
    await embedded?.close();
  };
  let runs: Runs | undefined;
  let server: Awaited<ReturnType<typeof createApp>>["server"] | undefined;
  let ending = false;
  const shutDown = async (signal: string) => {
    if (ending) return;
    ending = true;
    log.info({ signal }, "shutting down");
    await end(instance.drainMs);
    process.exit(0);
  };
  process.on("SIGTERM", shutDown);
  process.on("SIGINT", shutDown);

  try {
    await migrate(db);
    runs = new Runs(db, await loadKeys(db, instance.secretKey));
    await runs.recover(embedded !== undefined);
  } catch (error) {
    throw new DatabaseStartError(databaseUrl, { cause: error });
  }
  const app = await createApp({ config, db, keys: runs.keys, runs });
  server = app.listen({ port: instance.port, hostname: instance.host }).server;
  process.stdout.write(banner(config, server?.port ?? instance.port));
}
