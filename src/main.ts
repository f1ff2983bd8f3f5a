// The command line: which command is meant, and in words what went wrong when it cannot be done.
import { parseArgs } from "node:util";
import pkg from "../package.json" with { type: "json" };
import { type Command, type Given, Refusal } from "./cli/command.ts";
import { visible } from "./terminal.ts";

const serve: Command = {
  usage: "",
  help: "serve visitors and run what waits",
  options: { role: { type: "string", default: "all" } },
  load: () => import("./cli/serve.ts"),
};

/** By the words that call them, in the order in which help shows them. */
const commands: Record<string, Command> = {
  "": serve,
  check: {
    usage: "[tenant]",
    help: "say whether the settings are sound, and what is in force; with --live, whether it works",
    options: { live: { type: "boolean", default: false } },
    load: () => import("./cli/check.ts"),
  },
  health: {
    usage: "",
    help: "ask the server on this machine whether it is ready: exit status 0 or 1",
    load: () => import("./cli/health.ts"),
  },
  export: {
    usage: "<tenant> [file]",
    help: "write all that is stored of a tenant's visitors as JSON Lines",
    load: () => import("./cli/export.ts"),
  },
  import: {
    usage: "<file>",
    help: "add what was exported; - reads it from a pipe, --tenant gives it to another tenant",
    options: { tenant: { type: "string" } },
    load: () => import("./cli/import.ts"),
  },
  "delete-user": {
    usage: "<tenant> <user_id>",
    help: "delete all that is stored of a user; --anonymous: the id is one that cip gave",
    options: { anonymous: { type: "boolean" } },
    load: () => import("./cli/delete-user.ts"),
  },
  migrate: {
    usage: "",
    help: "bring the database up to date; --dry-run: only list what is missing",
    options: { "dry-run": { type: "boolean" } },
    load: () => import("./cli/migrate.ts"),
  },
  "secret-key": {
    usage: "",
    help: "print the key that is kept in the database, as a line of .env",
    load: () => import("./cli/secret-key.ts"),
  },
  restore: {
    usage: "[backup]",
    help: "put a backup of the embedded database in its place; without a name: list them",
    load: () => import("./cli/restore.ts"),
  },
};

const help = `cip ${pkg.version}: ${pkg.description}

Usage:
${rows(Object.entries(commands).map(([name, { usage, help }]) => [`cip ${name} ${usage}`.trimEnd(), help]))}

      --role     web: serve visitors; worker: run the turns that wait; all (default): both
      --live     check as well that the models, the database and the deployment work
  -h, --help     show this
  -v, --version  show the version

Settings come from the environment and from .env in the working directory, sites from tenants/<id>.env.
`;

async function main(args: string[]): Promise<number> {
  const { name, command, given } = meant(args);
  if (given.flags.help) return print(help);
  if (given.flags.version) return print(`${pkg.version}\n`);
  try {
    const { run } = await command.load();
    if (command !== serve) Bun.unsafe.setJITPolicy(1); // see build/build.ts; the server does so itself, once it listens
    return await run(given);
  } catch (error) {
    if (error instanceof Refusal) throw error;
    const { explain } = await import("./explain.ts");
    throw new Refusal(explain(error, command === serve ? undefined : `${name} could not be done`));
  }
}

/** Throws Refusal. */
function meant(args: string[]): { name: string; command: Command; given: Given } {
  const at = args.findIndex((arg) => Object.hasOwn(commands, arg) && arg !== "");
  const name = at < 0 ? "" : (args[at] ?? "");
  const command = commands[name] ?? serve;
  const options = {
    help: { type: "boolean", short: "h" },
    version: { type: "boolean", short: "v" },
    ...command.options,
  } as const;
  try {
    const { values, positionals } = parseArgs({
      args: args.toSpliced(at, at < 0 ? 0 : 1),
      options,
      allowPositionals: true,
    });
    const flags = values as Given["flags"];
    if (!(flags.help || flags.version)) checkWords(name, command, positionals);
    return { name, command, given: { words: positionals, flags } };
  } catch (error) {
    if (error instanceof Refusal) throw error;
    const [what] = (error as Error).message.split(". ");
    throw new Refusal(`${what}. Try 'cip --help'.`, 2);
  }
}

/** As many words as the command's usage names. */
function checkWords(name: string, { usage }: Command, words: string[]): void {
  const [must, may] = [/<[^>]+>/g, /\[[^\]]+\]/g].map((form) => usage.match(form) ?? []);
  const missing = must?.[words.length];
  if (missing) throw new Refusal(`${name} needs ${missing}. Try 'cip --help'.`, 2);
  const extra = words[(must?.length ?? 0) + (may?.length ?? 0)];
  if (extra !== undefined)
    throw new Refusal(
      `${name ? `${name} does not take` : "Unknown command"} '${extra}'. Try 'cip --help'.`,
      2,
    );
}

function rows(lines: [string, string][]): string {
  const width = Math.max(...lines.map(([left]) => left.length));
  return lines.map(([left, right]) => `  ${left.padEnd(width)}  ${right}`).join("\n");
}

function print(text: string): number {
  process.stdout.write(text);
  return 0;
}

// Who reads no further, as `head`, has read enough, and what was begun ends as it would.
for (const stream of [process.stdout, process.stderr])
  stream.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE") throw error;
  });

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof Refusal)) throw error;
  process.stderr.write(`cip: ${visible(error.message)}\n`);
  process.exit(error.status);
}
