// What the commands on stored rows begin with: the database as it is, which they neither make nor bring up to date.
import type { Instance } from "../config/config.ts";
import { pending } from "../db/migrate.ts";
import { isThere } from "../db/pgdata.ts";
import { CipError } from "../errors.ts";
import { DatabaseStartError } from "../explain.ts";
import { connect, type Place } from "../place.ts";
import { Refusal } from "./command.ts";

/** Opens the database that is there, at this release's schema. Throws Refusal, and what explain() can explain. */
export async function stored(instance: Instance): Promise<Place> {
  const place = await present(instance);
  try {
    if ((await using(instance, () => pending(place.db))).length > 0)
      throw new Refusal("The database is not up to date with this cip. Run 'cip migrate' first.");
    return place;
  } catch (error) {
    await place.close();
    throw error;
  }
}

/** As `stored`, whatever its schema. */
export async function present(instance: Instance): Promise<Place> {
  if (instance.databaseUrl === undefined && !isThere(instance.dataDir))
    throw new Refusal(
      `There is no database yet: DATABASE_URL is not set, and in ${instance.dataDir} there is none.`,
    );
  return connect(instance);
}

/** What the database is at fault for in `work` is told as such, and everything else as it is. */
export async function using<T>({ databaseUrl }: Instance, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof CipError || (error as Error).name === "PostgresError")) throw error;
    throw new DatabaseStartError(databaseUrl?.reveal(), { cause: error });
  }
}

/** Throws Refusal where no tenant can have that id. */
export function tenantId(word: string): string {
  if (/^[a-z0-9][a-z0-9-]{0,62}$/.test(word)) return word;
  throw new Refusal(`'${word}' is no tenant's id: these have small letters, digits and hyphens.`, 2);
}

export function amount(count: number, thing: string): string {
  return `${count} ${thing}${count === 1 ? "" : "s"}`;
}
