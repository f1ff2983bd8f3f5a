// The command line: what to do, and in words what went wrong when it cannot be done.
import { get } from "node:http";
import { parseArgs } from "node:util";
import pkg from "../package.json" with { type: "json" };
import { type Instance, load, loadInstance, type Role } from "./config.ts";
import { explain } from "./explain.ts";
import { log } from "./log.ts";
import { serve } from "./serve.ts";

const help = `cip ${pkg.version}: ${pkg.description}

Usage:
  cip            serve visitors and run what waits
  cip health     ask the server on this machine whether it is ready: exit status 0 or 1

      --role     web: serve visitors; worker: run the turns that wait; all (default): both
  -h, --help     show this
  -v, --version  show the version

Settings come from the environment and from .env in the working directory, sites from tenants/<id>.env.
`;

async function main(): Promise<void> {
  const { values, positionals, role } = commandLine();
  if (values.help) return print(help);
  if (values.version) return print(`${pkg.version}\n`);
  if (positionals[0] === "health") return health(loadInstance(process.cwd()));
  const config = load(process.cwd());
  if (role !== "all" && config.instance.databaseUrl === undefined)
    fail(
      `--role ${role} needs DATABASE_URL: the embedded database belongs to one process, which must do all.`,
      1,
    );
  log.level = config.instance.logLevel;
  await serve(config, role);
}

function commandLine() {
  try {
    const parsed = parseArgs({
      options: {
        role: { type: "string", default: "all" },
        help: { type: "boolean", short: "h" },
        version: { type: "boolean", short: "v" },
      },
      allowPositionals: true,
    });
    const unknown = parsed.positionals.find((word, i) => i > 0 || word !== "health");
    if (unknown !== undefined) throw new Error(`Unknown command '${unknown}'`);
    const { role } = parsed.values;
    if (role !== "all" && role !== "web" && role !== "worker") throw new Error(`Unknown role '${role}'`);
    const { values, positionals } = parsed;
    return { values, positionals, role: role as Role };
  } catch (error) {
    const [what] = (error as Error).message.split(". ");
    return fail(`${what}. Try 'cip --help'.`, 2);
  }
}

/** For a container without a shell or curl: the binary asks itself. Unlike fetch, `get` goes past any proxy. */
async function health({ host, port }: Instance): Promise<void> {
  const hostname = ["0.0.0.0", "::"].includes(host) ? "127.0.0.1" : host;
  const { promise, resolve } = Promise.withResolvers<number | undefined>();
  get({ hostname, port, path: "/readyz", agent: false, signal: AbortSignal.timeout(5_000) }, (answer) => {
    answer.resume();
    resolve(answer.statusCode);
  }).on("error", () => resolve(undefined));
  const status = await promise;
  if (status === undefined) fail(`nothing answers on port ${port}`, 1);
  if (status !== 200) fail(`not ready (${status})`, 1);
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
