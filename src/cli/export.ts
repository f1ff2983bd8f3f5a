// `cip export`: all that a tenant's visitors said as JSON Lines (docs/export.md), to a file or down a pipe.
import { createWriteStream, realpathSync, renameSync, rmSync, statSync } from "node:fs";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { loadInstance } from "../config/config.ts";
import type { Database } from "../db/db.ts";
import type { Counts } from "../keep/archive.ts";
import { countTurns, pieces } from "../keep/export.ts";
import { type Given, Refusal } from "./command.ts";
import { progress } from "./progress.ts";
import { amount, stored, tenantId, using } from "./stored.ts";

/** As a shell has it for a program that SIGPIPE ended: whoever read has read enough. */
const brokenPipe = 141;

export async function run({ words: [tenant = "", name] }: Given): Promise<number> {
  const file = name === "-" ? undefined : name;
  const id = tenantId(tenant);
  const instance = loadInstance(process.cwd());
  const place = await stored(instance);
  try {
    const counts: Counts = { users: 0, conversations: 0, turns: 0 };
    await using(instance, () => write(place.db, id, file, counts));
    const { users, conversations, turns } = counts;
    const said = `${amount(conversations, "conversation")} with ${amount(turns, "turn")}, ${amount(users, "user")}`;
    if (file !== undefined) process.stdout.write(`Exported of ${id}: ${said}.\n`);
    if (users + conversations === 0)
      process.stderr.write(`cip: nothing is stored of a tenant ${id}; the export is empty\n`);
    return 0;
  } catch (error) {
    if (file === undefined && isBrokenPipe(error)) return brokenPipe;
    throw error;
  } finally {
    await place.close();
  }
}

async function write(db: Database, id: string, file: string | undefined, counts: Counts): Promise<void> {
  const bar = progress();
  const total = process.stderr.isTTY ? await db.tenant(id, countTurns).catch(() => undefined) : undefined;
  async function* watched() {
    for await (const piece of pieces(db, id, counts)) {
      yield piece;
      bar.show(total && counts.turns / total, amount(counts.turns, "turn"));
    }
  }
  const text = Readable.from(watched());
  try {
    if (file === undefined) await pipeline(text, process.stdout, { end: false });
    else await toFile(text, file);
  } finally {
    bar.end();
  }
}

/** Under its name only once it is whole, and readable by nobody else: these are people's words. */
async function toFile(text: Readable, file: string): Promise<void> {
  const found = statSync(file, { throwIfNoEntry: false });
  // A renaming would put a file in the place of a device.
  if (found && !found.isFile())
    throw new Refusal(`${file} is no regular file; name another one, or none for standard output.`);
  const path = found ? realpathSync(file) : file;
  const unfinished = `${path}.unfinished`;
  try {
    rmSync(unfinished, { force: true });
    await pipeline(text, createWriteStream(unfinished, { mode: 0o600, flags: "wx" }));
    renameSync(unfinished, path);
  } catch (error) {
    rmSync(unfinished, { force: true });
    const { syscall, message } = error as NodeJS.ErrnoException;
    throw syscall ? new Refusal(`${file} cannot be written: ${message}`) : error;
  }
}

function isBrokenPipe(error: unknown): boolean {
  return (error as { code?: unknown }).code === "EPIPE";
}
