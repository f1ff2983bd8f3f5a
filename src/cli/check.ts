// `cip check`: are the settings sound, what is in force and who said so; `--live`: does all of it work.
import pkg from "../../package.json" with { type: "json" };
import { database } from "../check/database.ts";
import { deployment } from "../check/deployment.ts";
import { inForce } from "../check/inforce.ts";
import { models } from "../check/models.ts";
import { line, type Result } from "../check/result.ts";
import { type Config, load, type Tenant } from "../config/config.ts";
import { log } from "../log.ts";
import { type Given, Refusal } from "./command.ts";

const shownMax = 10;

export async function run({ words: [id], flags }: Given): Promise<number> {
  log.level = "silent"; // what the parts would log is in what is said here
  const config = load(process.cwd());
  const named = id === undefined ? undefined : tenantOf(config, id);
  process.stdout.write(`${inForce(config, named)}\n`);
  for (const warning of config.warnings) process.stderr.write(`Warning: ${warning}\n`);
  if (!flags.live) {
    const { size } = config.tenants;
    process.stdout.write(`\nThe settings hold together: ${size === 1 ? "1 site" : `${size} sites`}.\n`);
    return 0;
  }
  return (await live(config, named ? [named] : [...config.tenants.values()])) ? 0 : 1;
}

function tenantOf({ tenants }: Config, id: string): Tenant {
  const tenant = tenants.get(id);
  if (tenant) return tenant;
  const ids = [...tenants.keys()];
  const more = ids.length > shownMax ? ` and ${ids.length - shownMax} more` : "";
  throw new Refusal(`There is no site '${id}'. There are: ${ids.slice(0, shownMax).join(", ")}${more}.`);
}

/** Says each result as it comes; returns whether nothing failed. */
async function live(config: Config, tenants: Tenant[]): Promise<boolean> {
  process.stdout.write("\nLive\n\n");
  const count = { ok: 0, warn: 0, fail: 0, unseen: 0 } satisfies Record<Result["state"], number>;
  const parts = [models(tenants), database(config.instance), deployment(config, tenants, pkg.version)];
  for (const part of parts)
    for await (const result of part) {
      count[result.state] += 1;
      process.stdout.write(`${line(result)}\n`);
    }
  process.stdout.write(`\n${count.ok} in order, ${count.warn} to be looked at, ${count.fail} failed.\n`);
  return count.fail === 0;
}
