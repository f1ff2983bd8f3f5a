// Several instances of cip on one database and one scripted model, each with a folder of its own unless told otherwise.
import postgres from "postgres";
import { drain } from "./client.ts";
import { type ScriptedModel, scriptedModel } from "./model.ts";
import { type Cluster, postgresCluster } from "./postgres.ts";
import { type Place, type Server, startServer } from "./server.ts";
import type { siteOf, Turn } from "./site.ts";
import { atTheEnd, until } from "./support.ts";

export type Fleet = {
  model: ScriptedModel;
  databaseUrl: string;
  /** The database as its owner sees it: the rows of all tenants. */
  sql: postgres.Sql;
  /** Starts one more instance. */
  start(place?: Place): Promise<Server>;
};

/** A lease so short that a test can wait for its end. */
export const shortLease = { LEASE_MS: "1500", LEASE_RENEW_MS: "500" };

export async function fleet(
  env: Record<string, string> = {},
  tenants: Record<string, string> = {},
  cluster?: Cluster,
): Promise<Fleet> {
  const model = await scriptedModel();
  const databaseUrl = await (cluster ?? (await postgresCluster())).createDatabase();
  const sql = postgres(databaseUrl, { max: 2, onnotice: () => {} });
  atTheEnd(() => sql.end({ timeout: 1 }));
  const common = { DATABASE_URL: databaseUrl, LLM_BASE_URL: model.baseUrl, LLM_MODEL: "scripted", ...env };
  const start = (place: Place = {}) => startServer({ tenants, ...place, env: { ...common, ...place.env } });
  return { model, databaseUrl, sql, start };
}

/** The turn, once it has ended, however long its lease makes that take. */
export function settled(site: ReturnType<typeof siteOf>, token: string, id: string): Promise<Turn> {
  return until(
    async () => {
      const turn = await site.turn(token, id);
      return turn.finished_at ? turn : undefined;
    },
    "the turn ends",
    20_000,
  );
}

/** Asks so that this very instance answers, and reads along. A turn that nobody waits for might be run by another one. */
export async function askHere(site: ReturnType<typeof siteOf>, token: string, message: string) {
  const response = await site.stream(token, message);
  const id = response.headers.get("location")?.split("/").at(-1) ?? "";
  return { id, reader: drain(response) };
}
