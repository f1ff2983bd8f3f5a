// Peers are installed when they are first measured: Debian's by apt-get, npm's into a folder that git does not see.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { repository } from "../../support.ts";

/** Where npm's peers lie; inside the repository, so that what cip itself depends on is found from there too. */
export const folder = join(repository, "dist/bench/peers");

/** Exact, so that figures of different days speak of the same programs. */
export const versions = { express: "5.3.0", "@portkey-ai/gateway": "1.15.2" };
/** The gateway's own ranges bring newer ones, with which it fails on Node 20: "TypeError: immutable". */
const overrides = { hono: "4.9.7", "@hono/node-server": "1.13.8" };
const manifest = JSON.stringify({ private: true, dependencies: versions, overrides });

/** Undefined where all is there, else what is not and why. */
export async function fromNpm(name: keyof typeof versions): Promise<string | undefined> {
  const installed = join(folder, "node_modules", name, "package.json");
  const path = join(folder, "package.json");
  if (existsSync(installed) && readFileSync(path, "utf8") === manifest) return undefined;
  mkdirSync(folder, { recursive: true });
  writeFileSync(path, manifest);
  const said = await run([process.execPath, "install", "--no-progress"], folder);
  return existsSync(installed) ? undefined : `npm gives no ${name}: ${said}`;
}

/** The same of Debian's packages; `proof` is a command that works once they are there. */
export async function fromDebian(packages: string[], proof: string[]): Promise<string | undefined> {
  if ((await run(proof)) === "") return undefined;
  if (!Bun.which("apt-get")) return `${packages.join(", ")}: not installed, and there is no apt-get`;
  if (process.getuid?.() !== 0) return `${packages.join(", ")}: not installed, and only root may do that`;
  await run(["apt-get", "update"]);
  const said = await run(["apt-get", "install", "-y", "--no-install-recommends", ...packages]);
  return (await run(proof)) === "" ? undefined : `${packages.join(", ")}: ${said}`;
}

/** Empty where the command ended well, else its last line. */
async function run(command: string[], cwd = repository): Promise<string> {
  if (!Bun.which(command[0] ?? "")) return `there is no ${command[0]}`;
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  const child = Bun.spawn(command, { cwd, env, stdin: "ignore", stdout: "pipe", stderr: "pipe" });
  const said = (await new Response(child.stdout).text()) + (await new Response(child.stderr).text());
  return (await child.exited) === 0 ? "" : (said.trim().split("\n").at(-1) ?? "it failed");
}
