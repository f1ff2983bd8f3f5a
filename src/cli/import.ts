// `cip import`: what `cip export` wrote, into this cip, beside what is there. It can be repeated at any time.
import { accessSync, constants, createReadStream, type Stats, statSync } from "node:fs";
import { load } from "../config/config.ts";
import { read, type Tally } from "../keep/import.ts";
import { LineError } from "../keep/lines.ts";
import { open } from "../place.ts";
import { type Given, Refusal } from "./command.ts";
import { progress } from "./progress.ts";
import { amount, tenantId, using } from "./stored.ts";

export async function run({ words: [file = ""], flags }: Given): Promise<number> {
  const other = flags.tenant === undefined ? undefined : tenantId(flags.tenant as string);
  const source = sourceOf(file);
  const { instance, tenants } = load(process.cwd());
  const place = await open(instance);
  const bar = progress();
  let stopped = false;
  const stop = () => {
    stopped = true;
  };
  // The second one ends the process where it stands: every transaction is whole or not there.
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, stop);
  try {
    const tell = (tally: Tally) => {
      bar.show(source.share(), amount(turnsIn(tally), "turn"));
      return !stopped;
    };
    const { tenantId: into, tally } = await using(instance, () =>
      read(place.db, source.chunks(), other, tell),
    );
    bar.end();
    process.stdout.write(summary(into, tally));
    if (!tenants.get(into))
      process.stderr.write(
        `cip: there is no tenant ${into} here, so nobody can see this yet; --tenant names another one\n`,
      );
    if (stopped) throw new Refusal("Stopped. What was read is stored; the same command does the rest.", 130);
    return 0;
  } catch (error) {
    if (!(error instanceof LineError)) throw error;
    const before = error.number > 1 ? "What comes before it is imported. " : "";
    throw new Refusal(
      `${file}: line ${error.number} ${error.message}.\n${before}Mend the file, or export it anew, and import it again.`,
    );
  } finally {
    bar.end();
    await place.close();
  }
}

type Source = { chunks(): AsyncIterable<Uint8Array>; share(): number | undefined };

/** Throws Refusal. */
function sourceOf(file: string): Source {
  if (file === "-") return { chunks: () => process.stdin, share: () => undefined };
  const found = lookAt(file);
  if (!found) throw new Refusal(`There is no file ${file}.`);
  if (found.isDirectory()) throw new Refusal(`${file} is a folder; import its files one by one.`);
  const stream = createReadStream(file);
  return { chunks: () => stream, share: () => (found.size > 0 ? stream.bytesRead / found.size : undefined) };
}

/** Before the database is opened, which may take its time. Throws Refusal. */
function lookAt(file: string): Stats | undefined {
  try {
    const found = statSync(file, { throwIfNoEntry: false });
    if (found) accessSync(file, constants.R_OK);
    return found;
  } catch (error) {
    throw new Refusal(`${file} cannot be read: ${(error as Error).message}`);
  }
}

function turnsIn({ turns }: Tally): number {
  return turns.added + turns.there + turns.foreign;
}

function summary(into: string, tally: Tally): string {
  const line = (what: string, which: "added" | "there" | "foreign") => {
    const [users, conversations, turns] = [tally.users, tally.conversations, tally.turns].map(
      (of) => of[which],
    );
    if (which !== "added" && !(users || conversations || turns)) return "";
    return `${what}: ${amount(conversations ?? 0, "conversation")}, ${amount(turns ?? 0, "turn")}, ${amount(users ?? 0, "user")}.\n`;
  };
  return (
    line(`Imported into ${into}`, "added") +
    line("Left as they are, for they were there", "there") +
    line("Left out, for their ids are others' here", "foreign")
  );
}
