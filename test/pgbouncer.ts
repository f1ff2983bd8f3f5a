// PgBouncer in transaction mode before a database: each transaction may have another connection to the server.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { accessSync, chmodSync, constants, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { delimiter, join } from "node:path";
import { freePort, temporaryFolder, until, untilItExits } from "./support.ts";

/** Starts one before the database of `databaseUrl` and gives the URL to use instead; undefined where it is not installed. */
export async function pgbouncer(databaseUrl: string): Promise<string | undefined> {
  const program = installed();
  if (!program) return undefined;
  const url = new URL(databaseUrl);
  const folder = temporaryFolder();
  const port = await freePort();
  const configuration = join(folder, "pgbouncer.ini");
  const users = join(folder, "users");
  writeFileSync(users, `"${url.username}" "${url.password}"\n`);
  writeFileSync(
    configuration,
    `[databases]
* = host=${url.hostname} port=${url.port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = plain
auth_file = ${users}
pool_mode = transaction
default_pool_size = 4
max_client_conn = 200
`,
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

function installed(): string | undefined {
  const folders = [...(process.env.PATH ?? "").split(delimiter), "/usr/sbin"];
  return folders
    .map((folder) => join(folder, "pgbouncer"))
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
