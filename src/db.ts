// The only door to the database: every statement runs in a short transaction that belongs to one tenant, or is openly the system's.
import postgres from "postgres";
import { CipError } from "./errors.ts";
import { log } from "./log.ts";

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
const drainSeconds = 5;
const graceMs = 1_000;
const idleTimeoutMs = 5_000;

/**
 * Opens a pool. No connection is made before the first transaction. The embedded database has no clock of its own to
 * end a slow statement by; all its statements are ours and short.
 */
export function openDatabase(source: Source): Database {
  const slot = slots("url" in source ? source.poolSize : 1);
  /** Undefined until the first transaction has shown whether a pooler is in between. */
  let prepare: boolean | undefined = "socket" in source || undefined;
  let pool = connect(source, prepare);

  /**
   * A pool that lost a connection, or met a server that is no longer the one to write to, serves no new transaction:
   * in the package a transaction whose connection dropped can still reach the next one on it.
   */
  function replace(failed: postgres.Sql): void {
    if (pool !== failed) return;
    pool = connect(source, prepare);
    failed.end({ timeout: drainSeconds }).catch(() => {});
  }

  /**
   * A pooler may hand each transaction another connection, on which the statements that were prepared are not there
   * (PgBouncer before 1.21), and the package takes that badly: what it then repeats, it repeats out of order.
   */
  function meet(pool: postgres.Sql, direct: boolean): void {
    prepare = direct;
    if (direct) replace(pool);
    else log.info("the database is reached through a pooler: statements are not prepared");
  }

  async function transaction<T>(timeoutMs: number, first: First, work: Work<T>): Promise<T> {
    const release = await slot();
    const current = pool;
    const done = begin(current, first, work);
    try {
      const { result, direct } = await within(done, timeoutMs + graceMs);
      if (prepare === undefined) meet(current, direct);
      return result;
    } catch (error) {
      const fault = faultOf(error);
      if (fault === "lost") replace(current);
      throw fault ? unavailable(error) : error;
    } finally {
      // What is overdue still holds the embedded database's one session; a server's connections were replaced.
      if ("socket" in source) done.then(release, release);
      else release();
    }
  }

  return {
    tenant: (tenantId, work) =>
      transaction(
        statementTimeoutMs,
        (tx) => tx`
          select set_config('app.tenant_id', ${tenantId}, true),
                 set_config('role', 'cip_app', true),
                 ${opening(tx, statementTimeoutMs)}`,
        (tx) => work(Object.assign(tx, { tenantId }) as unknown as TenantTx),
      ),
    system: (work, timeoutMs = statementTimeoutMs) =>
      transaction(
        timeoutMs,
        (tx) => tx`select ${opening(tx, timeoutMs)}`,
        (tx) => work(tx as SystemTx),
      ),
    close: () => pool.end({ timeout: drainSeconds }),
  };
}

type First = (tx: postgres.TransactionSql) => Promise<postgres.RowList<postgres.Row[]>>;
type Work<T> = (tx: postgres.TransactionSql) => Promise<T>;

/**
 * Begins every transaction. Nobody waits long for the locks of a process that was paused in the middle of one, or whose
 * machine is gone. `pid` is who answers, which is not who the connection was made to where a pooler is in between.
 */
function opening(tx: postgres.TransactionSql, timeoutMs: number) {
  return tx`set_config('statement_timeout', ${String(timeoutMs)}, true),
            set_config('idle_in_transaction_session_timeout', ${String(idleTimeoutMs)}, true),
            pg_backend_pid() as pid`;
}

type Done<T> = { result: T; direct: boolean };

function begin<T>(pool: postgres.Sql, first: First, work: Work<T>): Promise<Done<T>> {
  return pool.begin(async (tx) => {
    try {
      // Not awaited: it travels with the first statement of `work`, and if it fails, all that follows fails.
      const scoped = first(tx);
      scoped.catch(() => {});
      const result = await work(tx);
      const { state, 0: row } = await scoped;
      return { result, direct: row?.pid === state.pid };
    } catch (error) {
      // The package would write a rollback to the socket that is gone, and the process would die of that. Its begin()
      // has failed, or is about to, by the closing of the connection.
      if (isDisconnection(error)) return new Promise<never>(() => {});
      throw error;
    }
  }) as Promise<Done<T>>;
}

function connect(source: Source, prepare = false): postgres.Sql {
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

class Overdue extends Error {}

/** The server ends a slow statement by itself; this is for a server that is gone without a word. */
async function within<T>(done: Promise<T>, timeoutMs: number): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Overdue(`no answer within ${timeoutMs} ms`)), timeoutMs);
  try {
    return await Promise.race([done, promise]);
  } finally {
    clearTimeout(timer);
  }
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

/**
 * What is at fault where it is not the statement itself. `busy`: overtime or no room, the connection is fine. `lost`:
 * the connection, or a server that goes down or may not write. Codes: PostgreSQL's appendix A, and those of sockets.
 */
function faultOf(error: unknown): "busy" | "lost" | undefined {
  if (error instanceof Overdue) return "lost";
  const code = (error as { code?: unknown } | null)?.code;
  if (typeof code !== "string") return undefined;
  if (code === "57014" || /^53/.test(code)) return "busy";
  if (isDisconnection(error) || /^(08|57)/.test(code) || code === "25006") return "lost";
  return undefined;
}

/** The connection is closed, or is being closed: the server says FATAL with whatever it closes one for. */
function isDisconnection(error: unknown): boolean {
  const { code, severity, severity_local } = (error ?? {}) as Record<string, unknown>;
  if (severity ?? severity_local) return /^(FATAL|PANIC)$/.test(String(severity ?? severity_local));
  return /^(CONNECT|ECONN|ENOTFOUND|ETIMEDOUT|EPIPE|EAI_|ENOENT)/.test(String(code));
}
