// The command line: which command is meant, and in words what went wrong when it cannot be done.
import { parseArgs } from "node:util";
import pkg from "../package.json" with { type: "json" };
import { check } from "./cli/check.ts";
import { type Command, type Given, Refusal } from "./cli/command.ts";
import { deleteUser } from "./cli/delete-user.ts";
import { exporting } from "./cli/export.ts";
import { health } from "./cli/health.ts";
import { importing } from "./cli/import.ts";
import { migrate } from "./cli/migrate.ts";
import { restore } from "./cli/restore.ts";
import { secretKey } from "./cli/secret-key.ts";
import { serve } from "./cli/serve.ts";
import { explain } from "./explain.ts";
import { visible } from "./terminal.ts";

/** By the words that call them, in the order in which help shows them. */
const commands: Record<string, Command> = {
  "": serve,
  check,
  health,
  export: exporting,
  import: importing,
  "delete-user": deleteUser,
  migrate,
  "secret-key": secretKey,
  restore,
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
    return await command.run(given);
  } catch (error) {
    if (command === serve || error instanceof Refusal) throw error;
    throw new Refusal(explain(error, `${name} could not be done`));
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
  process.stderr.write(`cip: ${visible(error instanceof Refusal ? error.message : explain(error))}\n`);
  process.exit(error instanceof Refusal ? error.status : 1);
}
