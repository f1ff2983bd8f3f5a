// Both databases that cip runs on, opened in this process and migrated: what holds on one must hold on the other.
import { join } from "node:path";
import { type Database, openDatabase } from "../src/db/db.ts";
import { openEmbedded } from "../src/db/embedded.ts";
import { migrate } from "../src/db/migrate.ts";
import { postgresCluster } from "./postgres.ts";
import { atTheEnd, temporaryFolder } from "./support.ts";

/** Name and opener of each, for `describe.each`. */
export const databases: [name: string, open: () => Promise<Database>][] = [
  ["PostgreSQL", async () => opened(openDatabase({ url: await databaseUrl(), poolSize: 10 }))],
  [
    "PGlite",
    async () => {
      const embedded = await openEmbedded(join(temporaryFolder(), "data"));
      const db = await opened(openDatabase(embedded));
      atTheEnd(() => embedded.close());
      return db;
    },
  ],
];

async function databaseUrl(): Promise<string> {
  return (await postgresCluster()).createDatabase();
}

async function opened(db: Database): Promise<Database> {
  await migrate(db);
  atTheEnd(() => db.close());
  return db;
}
