// Caddy as docker-compose.scale.yml has it, before processes of cip.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { installed } from "./pgbouncer.ts";
import { freePort, repository, temporaryFolder, until, untilItExits } from "./support.ts";

/** Starts one before the servers at `urls` and gives its URL; undefined where it is not installed. */
export async function caddy(...urls: string[]): Promise<string | undefined> {
  const program = installed("caddy");
  if (!program) return undefined;
  const url = `http://127.0.0.1:${await freePort()}`;
  const home = temporaryFolder();
  const env = {
    HOME: home,
    XDG_CONFIG_HOME: home,
    XDG_DATA_HOME: home,
    PUBLIC_URL: url,
    WEB: urls.map((each) => new URL(each).host).join(" "),
  };
  const configuration = join(repository, "deploy/Caddyfile");
  const child = spawn(program, ["run", "--adapter", "caddyfile", "--config", configuration], {
    env,
    stdio: "ignore",
  });
  untilItExits(child, once(child, "exit"));
  await until(async () => (await fetch(`${url}/readyz`).catch(() => undefined))?.ok, "Caddy serves cip");
  return url;
}
