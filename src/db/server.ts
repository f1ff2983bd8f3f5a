// The server at the other end: how it is connected to, and what it is, asked once.
import postgres from "postgres";
import { log } from "../log.ts";
import { within } from "./dbfault.ts";

/** Where the database is: a server's address, or a stream of the wire protocol inside this process. */
export type Source = { url: string; poolSize: number } | { socket: () => unknown };

export const statementTimeoutMs = 5_000;
export const drainSeconds = 5;
const connectTimeoutSeconds = 5;

/** What is at the other end. `isCitus`: a coordinator, which has the rows on other servers, its workers. */
export type Server = { prepare: boolean; isCitus: boolean };
export const embeddedServer: Server = { prepare: true, isCitus: false };

/**
 * Who answers is not who the connection was made to where a pooler is in between. That may hand each transaction another
 * connection, on which the statements that were prepared are not there (PgBouncer before 1.21), and the package takes
 * that badly: what it then repeats, it repeats out of order. The other setting is there where Citus is loaded.
 *
 * Gives the pool that it asked through as well, where that may go on: a second connection would cost every start 7 ms.
 */
export async function meet(source: Source): Promise<Server & { asked: postgres.Sql | undefined }> {
  const pool = connect(source, true);
  let prepare = false;
  try {
    // This one statement is never prepared.
    const asked = pool.unsafe<{ pid: number; citus: string | null }[]>(
      "select pg_backend_pid() as pid, current_setting('citus.propagate_set_commands', true) as citus",
    );
    const { 0: row, state } = await within(asked, statementTimeoutMs);
    prepare = row?.pid === state.pid;
    const isCitus = typeof row?.citus === "string";
    if (!prepare) log.info("the database is reached through a pooler: statements are not prepared");
    if (isCitus) log.info("the database is a Citus coordinator");
    return { prepare, isCitus, asked: prepare ? pool : undefined };
  } finally {
    if (!prepare) pool.end({ timeout: drainSeconds }).catch(() => {});
  }
}

/** A pool; no connection is made before its first statement. */
export function connect(source: Source, prepare = false): postgres.Sql {
  const options = { connect_timeout: connectTimeoutSeconds, fetch_types: false, onnotice: () => {}, prepare };
  if ("url" in source) {
    return postgres(source.url, {
      ...options,
      max: source.poolSize,
      connection: { application_name: "cip" },
    });
  }
  // The embedded database has one session; `socket` is absent from the package's types.
  const session = { user: "postgres", database: "postgres", ssl: false, socket: source.socket, max: 1 };
  return postgres({ ...options, ...session } as object);
}

/** Runs one statement on a connection of its own, for as long as it takes. */
export async function outside(source: Source, statement: string): Promise<void> {
  const own = connect(source);
  try {
    await own.unsafe(statement).simple();
  } finally {
    own.end({ timeout: drainSeconds }).catch(() => {});
  }
}
