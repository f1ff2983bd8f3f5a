// The command line: what to do, and in words what went wrong when it cannot be done.
import { parseArgs } from "node:util";
import pkg from "../package.json" with { type: "json" };
import { type Config, load } from "./config.ts";
import { explain } from "./explain.ts";
import { log } from "./log.ts";
import { serve } from "./serve.ts";

const help = `cip ${pkg.version}: ${pkg.description}

Usage:
  cip            serve
  cip health     ask the server on this machine whether it is ready: exit status 0 or 1

  -h, --help     show this
  -v, --version  show the version

Settings come from the environment and from .env in the working directory, sites from tenants/<id>.env.
`;

async function main(): Promise<void> {
  const { values, positionals } = commandLine();
  if (values.help) return print(help);
  if (values.version) return print(`${pkg.version}\n`);
  const config = load(process.cwd());
  log.level = config.instance.logLevel;
  await (positionals[0] === "health" ? health(config) : serve(config));
}

function commandLine() {
  try {
    const parsed = parseArgs({
      options: { help: { type: "boolean", short: "h" }, version: { type: "boolean", short: "v" } },
      allowPositionals: true,
    });
    const unknown = parsed.positionals.find((word, i) => i > 0 || word !== "health");
    if (unknown !== undefined) throw new Error(`Unknown command '${unknown}'`);
    return parsed;
  } catch (error) {
    const [what] = (error as Error).message.split(". ");
    return fail(`${what}. Try 'cip --help'.`, 2);
  }
}

/** For a container without a shell or curl: the binary asks itself. */
async function health({ instance }: Config): Promise<void> {
  const url = `http://127.0.0.1:${instance.port}/readyz`;
  const answer = await fetch(url, { signal: AbortSignal.timeout(5_000) }).catch(() => undefined);
  if (!answer) fail(`nothing answers on port ${instance.port}`, 1);
  if (!answer.ok) fail(`not ready (${answer.status})`, 1);
}

function print(text: string): void {
  process.stdout.write(text);
}

function fail(message: string, status: number): never {
  process.stderr.write(`cip: ${message}\n`);
  process.exit(status);
}

try {
  await main();
} catch (error) {
  fail(explain(error), 1);
}
