// PgBouncer as docker-compose.scale.yml has it, before a database: each transaction may have another connection.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { accessSync, chmodSync, constants, readFileSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { delimiter, join } from "node:path";
import { freePort, repository, temporaryFolder, until, untilItExits } from "./support.ts";

/** So few that transactions have to wait for one another. */
const poolSize = 4;

/** Starts one before the database of `databaseUrl` and gives the URL to use instead; undefined where it is not installed. */
export async function pgbouncer(databaseUrl: string): Promise<string | undefined> {
  const program = installed("pgbouncer");
  if (!program) return undefined;
  const url = new URL(databaseUrl);
  const folder = temporaryFolder();
  const port = await freePort();
  const configuration = join(folder, "pgbouncer.ini");
  const users = join(folder, "users");
  writeFileSync(users, `"${url.username}" "${url.password}"\n`);
  writeFileSync(
    configuration,
    shipped({
      "*": `host=${url.hostname} port=${url.port}`,
      listen_addr: "127.0.0.1",
      listen_port: port,
      auth_file: users,
      default_pool_size: poolSize,
    }),
  );
  // It refuses to be root.
  chmodSync(folder, 0o755);
  const account = process.getuid?.() === 0 ? ["-u", "nobody"] : [];
  const child = spawn(program, [...account, configuration], { stdio: "ignore" });
  untilItExits(child, once(child, "exit"));
  url.port = String(port);
  await until(() => listens(port), "PgBouncer listens");
  return url.href;
}

/** The configuration of this repository, with what is another one here. */
function shipped(here: Record<string, string | number>): string {
  const text = readFileSync(join(repository, "deploy/pgbouncer/pgbouncer.ini"), "utf8");
  return Object.entries(here).reduce((changed, [name, value]) => {
    const line = new RegExp(`^${name === "*" ? "\\*" : name} = .*$`, "m");
    if (!line.test(changed)) throw new Error(`pgbouncer.ini does not set ${name}`);
    return changed.replace(line, `${name} = ${value}`);
  }, text);
}

/** Where a program of Debian's is, if it is. */
export function installed(program: string): string | undefined {
  const folders = [...(process.env.PATH ?? "").split(delimiter), "/usr/sbin"];
  return folders
    .map((folder) => join(folder, program))
    .find((path) => {
      try {
        accessSync(path, constants.X_OK);
        return true;
      } catch {
        return false;
      }
    });
}

function listens(port: number): Promise<boolean> {
  const socket = connect(port, "127.0.0.1");
  return new Promise<boolean>((resolve) => {
    socket.once("connect", () => resolve(true));
    socket.once("error", () => resolve(false));
  }).finally(() => socket.destroy());
}
