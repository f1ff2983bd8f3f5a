// `cip` without a command: the server, in the foreground, until a signal ends it.
import { load, type Role } from "../config/config.ts";
import { log } from "../log.ts";
import { serve as start } from "../serve.ts";
import { type Given, Refusal } from "./command.ts";

const roles: readonly string[] = ["all", "web", "worker"] satisfies Role[];

export async function run({ flags }: Given): Promise<number> {
  const role = flags.role as Role;
  if (!roles.includes(role)) throw new Refusal(`Unknown role '${role}'. Try 'cip --help'.`, 2);
  const config = load(process.cwd());
  if (role !== "all" && config.instance.databaseUrl === undefined)
    throw new Refusal(
      `--role ${role} needs DATABASE_URL: the embedded database belongs to one process, which must do all.`,
    );
  log.level = config.instance.logLevel;
  await start(config, role);
  return new Promise<never>(() => {}); // a signal ends the process
}
