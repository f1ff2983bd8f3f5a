// `cip restore`: what a backup of the embedded database holds takes the place of what is there, which is kept.
import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { loadInstance } from "../config/config.ts";
import * as backup from "../db/backup.ts";
import { lock } from "../db/datadir.ts";
import { type Given, Refusal } from "./command.ts";

export async function run({ words: [name] }: Given): Promise<number> {
  const { dataDir, databaseUrl } = loadInstance(process.cwd());
  if (databaseUrl !== undefined)
    throw new Refusal("DATABASE_URL is set: restore that database with PostgreSQL's own tools.");
  if (name === undefined) return print(table(backup.list(dataDir), dataDir));
  const path = find(name, dataDir);
  const unlock = lock(dataDir);
  try {
    const aside = await backup.restore(dataDir, path).catch((error: Error) => {
      throw new Refusal(`${path} cannot be restored, and nothing was changed: ${error.message}`);
    });
    return print(
      `Restored ${path}.\n${aside ? `The database that was there is now ${aside}; delete it when all is well.\n` : ""}`,
    );
  } finally {
    unlock();
  }
}

/** The backup of that name, or the file. */
function find(name: string, dataDir: string): string {
  const found = backup.list(dataDir).find((one) => one.name === name)?.path ?? resolve(name);
  if (!existsSync(found))
    throw new Refusal(
      `There is no backup '${name}'. 'cip restore' lists those in ${join(dataDir, "backups")}.`,
    );
  return found;
}

function table(backups: backup.Backup[], dataDir: string): string {
  if (backups.length === 0) return `No backups in ${join(dataDir, "backups")}.\n`;
  const rows = backups.map(({ name, bytes }) => `  ${name}  ${(bytes / 1e6).toFixed(1).padStart(8)} MB\n`);
  return `${rows.join("")}\nNewest first. To go back to one, stop cip and run: cip restore ${backups[0]?.name}\n`;
}

function print(text: string): number {
  process.stdout.write(text);
  return 0;
}
