// The only door to the database: every statement runs in a short transaction that belongs to one tenant, or is openly the system's.
import postgres from "postgres";
import { CipError } from "./errors.ts";

declare const scope: unique symbol;
/** A transaction that sees one tenant's rows. Queries still name `tenant_id`, for the planner. */
export type TenantTx = postgres.TransactionSql & { readonly tenantId: string; readonly [scope]: "tenant" };
/** A transaction as the owner, across tenants: migrations, checkpoints, sweeps. */
export type SystemTx = postgres.TransactionSql & { readonly [scope]: "system" };

export type Database = {
  /** Runs `work` in a transaction that sees only the rows of `tenantId`. Throws CipError database_unavailable. */
  tenant<T>(tenantId: string, work: (tx: TenantTx) => Promise<T>): Promise<T>;
  /** Runs `work` across tenants. Without `timeoutMs` a statement may take as long as any other. */
  system<T>(work: (tx: SystemTx) => Promise<T>, timeoutMs?: number): Promise<T>;
  close(): Promise<void>;
};

/** Where the database is: a server's address, or a stream of the wire protocol inside this process. */
export type Source = { url: string; poolSize: number } | { socket: () => unknown };

const statementTimeoutMs = 5_000;
const poolWaitMs = 2_000;
const connectTimeoutSeconds = 5;

/**
 * Opens a pool. No connection is made before the first transaction. The embedded database has no clock of its own to
 * end a slow statement by; all its statements are ours and short.
 */
export function openDatabase(source: Source): Database {
  const size = "url" in source ? source.poolSize : 1;
  const options = {
    max: size,
    connect_timeout: connectTimeoutSeconds,
    fetch_types: false,
    onnotice: () => {},
  } satisfies postgres.Options<Record<string, never>>;
  const sql =
    "url" in source
      ? postgres(source.url, { ...options, connection: { application_name: "cip" } })
      : // The embedded database has one session; `socket` is absent from the package's types.
        postgres({
          ...options,
          user: "postgres",
          database: "postgres",
          ssl: false,
          socket: source.socket,
        } as object);
  const slot = slots(size);

  async function transaction<T>(
    timeoutMs: number,
    first: (tx: postgres.TransactionSql) => Promise<unknown>,
    work: (tx: postgres.TransactionSql) => Promise<T>,
  ): Promise<T> {
    const release = await slot();
    let timer: Timer | undefined;
    // The server ends a slow statement by itself; this deadline is for a server that is gone without a word.
    const deadline = new Promise<never>((_, reject) => {
      timer = setTimeout(
        () => reject(unavailable(new Error(`no answer within ${timeoutMs + 1_000} ms`))),
        timeoutMs + 1_000,
      );
    });
    const done = sql.begin(async (tx) => {
      // Not awaited: it travels with the first statement of `work`, and if it fails, all that follows fails.
      const scoped = first(tx);
      scoped.catch(() => {});
      const result = await work(tx);
      await scoped;
      return result;
    }) as Promise<T>;
    done.then(release, release);
    try {
      return await Promise.race([done, deadline]);
    } catch (error) {
      throw isConnectionFailure(error) ? unavailable(error) : error;
    } finally {
      clearTimeout(timer);
    }
  }

  return {
    tenant: (tenantId, work) =>
      transaction(
        statementTimeoutMs,
        (tx) => tx`
          select set_config('app.tenant_id', ${tenantId}, true),
                 set_config('statement_timeout', ${String(statementTimeoutMs)}, true),
                 set_config('role', 'cip_app', true)`,
        (tx) => work(Object.assign(tx, { tenantId }) as unknown as TenantTx),
      ),
    system: (work, timeoutMs = statementTimeoutMs) =>
      transaction(
        timeoutMs,
        (tx) => tx`select set_config('statement_timeout', ${String(timeoutMs)}, true)`,
        (tx) => work(tx as SystemTx),
      ),
    close: () => sql.end({ timeout: 5 }),
  };
}

/**
 * A queue for the pool that, unlike the pool's own, has an end: who waits longer than 2 s gets database_unavailable.
 * With it the pool itself never queues, and on the embedded database transactions never interleave.
 */
function slots(size: number): () => Promise<() => void> {
  let free = size;
  const waiting = new Set<() => void>();
  const release = () => {
    free++;
    const [next] = waiting;
    next?.();
  };
  return async () => {
    if (free > 0) {
      free--;
      return release;
    }
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const wake = () => {
      clearTimeout(timer);
      waiting.delete(wake);
      free--;
      resolve();
    };
    const timer = setTimeout(() => {
      waiting.delete(wake);
      reject(unavailable(new Error(`no free connection within ${poolWaitMs} ms`)));
    }, poolWaitMs);
    waiting.add(wake);
    await promise;
    return release;
  };
}

function unavailable(cause: unknown): CipError {
  return new CipError("database_unavailable", { retryAfterSeconds: 2 }, { cause });
}

/** True where the database, not the statement, is at fault: no connection, going down, read-only, overtime. */
export function isConnectionFailure(error: unknown): boolean {
  const code = (error as { code?: unknown } | null)?.code;
  return (
    typeof code === "string" &&
    (/^(08|53|57)/.test(code) ||
      code === "25006" ||
      /^(CONNECT|ECONN|ENOTFOUND|ETIMEDOUT|EPIPE|EAI_|ENOENT)/.test(code))
  );
}
