// The only door to the database: every statement runs in a short transaction that belongs to one tenant, or is openly the system's.
import type postgres from "postgres";
import { CipError } from "../errors.ts";
import * as metrics from "../metrics/metrics.ts";
import {
  batches,
  type CameOf,
  callWithin,
  doBatch,
  inTransactions,
  StepError,
  type Steps,
  type TenantCalls,
} from "./batch.ts";
import { faultOf, isDisconnection, within } from "./dbfault.ts";
import {
  connect,
  drainSeconds,
  embeddedServer,
  meet,
  outside,
  type Server,
  type Source,
  statementTimeoutMs,
} from "./server.ts";
import { slots } from "./slots.ts";

export type { Source } from "./server.ts";

declare const scope: unique symbol;
/** A transaction that sees one tenant's rows. Queries still name `tenant_id`, for the planner. */
export type TenantTx = postgres.TransactionSql & TenantCalls & { readonly [scope]: "tenant" };
/** A transaction as the owner, across tenants: migrations, checkpoints, sweeps. */
export type SystemTx = postgres.TransactionSql & { readonly [scope]: "system" };

export type Database = {
  /** Runs `work` in a transaction that sees only the rows of `tenantId`. Throws CipError database_unavailable. */
  tenant<T>(tenantId: string, work: (tx: TenantTx) => Promise<T>): Promise<T>;
  /** Runs functions of sql/0006_batches.sql for the tenant, together with what others ask at the same time. */
  of(tenantId: string): TenantCalls;
  /** Runs `work` across tenants. Without `timeoutMs` a statement may take as long as any other. */
  system<T>(work: (tx: SystemTx) => Promise<T>, timeoutMs?: number): Promise<T>;
  /**
   * Runs one statement as the owner in no transaction, on a connection of its own, for as long as it takes. Undefined
   * on the embedded database, which has one session.
   */
  outside: ((statement: string) => Promise<void>) | undefined;
  close(): Promise<void>;
};

const graceMs = 1_000;
const idleTimeoutMs = 5_000;

/**
 * Opens a pool. No connection is made before the first transaction. The embedded database has no clock of its own to
 * end a slow statement by; all its statements are ours and short.
 */
export function openDatabase(source: Source): Database {
  const slot = slots("url" in source ? source.poolSize : 1);
  let known: Promise<Server> | undefined = "url" in source ? undefined : Promise.resolve(embeddedServer);
  let pool: postgres.Sql | undefined;

  /** Asked once, before the first transaction; where there was no answer, the next one asks again. */
  function server(): Promise<Server> {
    known ??= meet(source).then(
      ({ asked, ...server }) => {
        pool = asked;
        return server;
      },
      (error: unknown) => {
        known = undefined;
        throw error;
      },
    );
    return known;
  }

  /**
   * A pool that lost a connection, or met a server that is no longer the one to write to, serves no new transaction:
   * in the package a transaction whose connection dropped can still reach the next one on it.
   */
  function drop(failed: postgres.Sql): void {
    if (pool !== failed) return;
    pool = undefined;
    failed.end({ timeout: drainSeconds }).catch(() => {});
  }

  /** Has `use` work on the pool, where a connection is free for it. */
  async function connected<T>(
    timeoutMs: number,
    use: (pool: postgres.Sql, server: Server) => Promise<T>,
  ): Promise<T> {
    const release = await slot();
    let current: postgres.Sql | undefined;
    let done: Promise<T> | undefined;
    try {
      const known = await server();
      current = pool ??= connect(source, known.prepare);
      done = use(current, known);
      return await within(done, timeoutMs + graceMs);
    } catch (error) {
      throw failed(error, current);
    } finally {
      // What is overdue still holds the embedded database's one session; a server's connections were dropped.
      if ("socket" in source && done) done.then(release, release);
      else release();
    }
  }

  /** What the caller is told of it. */
  function failed<E>(error: E, on: postgres.Sql | undefined): E | CipError {
    const fault = faultOf(error);
    if (fault) metrics.databaseErrors.inc({ kind: fault });
    if (fault === "lost" && on) drop(on);
    return fault ? unavailable(error) : error;
  }

  function transaction<T>(timeoutMs: number, first: First, work: Work<T>): Promise<T> {
    return connected(timeoutMs, (pool, { isCitus }) => begin(pool, (tx) => first(tx, isCitus), work));
  }

  const tenant: Database["tenant"] = (tenantId, work) =>
    transaction(
      statementTimeoutMs,
      (tx, isCitus) =>
        Promise.all([
          tx`
              select set_config('app.tenant_id', ${tenantId}, true),
                     set_config('role', 'cip_app', true),
                     ${isCitus ? tx`set_config('citus.propagate_set_commands', 'local', true),` : tx``}
                     ${opening(tx, statementTimeoutMs)}`,
          isCitus && onWorkers(tx, tenantId),
        ]),
      (tx) => {
        const call = (steps: Steps) => callWithin(tx, tenantId, steps);
        return work(Object.assign(tx, { tenantId, call }) as unknown as TenantTx);
      },
    );

  const line = batches(
    async (requests, patienceMs) => {
      const { answers, on } = await connected(statementTimeoutMs, async (sql) => ({
        answers: await doBatch(sql, requests, patienceMs),
        on: sql,
      }));
      return answers.map((answer) => (answer instanceof StepError ? failed(answer, on) : answer));
    },
    "url" in source,
  );

  async function call(tenantId: string, steps: Steps): Promise<CameOf> {
    const { isCitus } = await server().catch((error: unknown) => {
      throw failed(error, undefined);
    });
    return isCitus ? inTransactions(tenant, tenantId, steps) : line.ask({ tenant: tenantId, ...steps });
  }

  return {
    tenant,
    of: (tenantId) => ({ tenantId, call: (steps) => call(tenantId, steps) }),
    system: (work, timeoutMs = statementTimeoutMs) =>
      transaction(
        timeoutMs,
        (tx) => tx`select ${opening(tx, timeoutMs)}`,
        (tx) => work(tx as SystemTx),
      ),
    outside: "url" in source ? (statement) => outside(source, statement) : undefined,
    close: async () => pool?.end({ timeout: drainSeconds }),
  };
}

type First = (tx: postgres.TransactionSql, isCitus: boolean) => Promise<unknown>;
type Work<T> = (tx: postgres.TransactionSql) => Promise<T>;

/**
 * Citus takes the tenant to its workers, where policies ask for it as well, by the statement only and never by the
 * function; the role it takes along by connecting as it. The statement has no parameters, hence a quoted identifier,
 * and is not prepared, for it is another one for each tenant.
 */
function onWorkers(tx: postgres.TransactionSql, tenantId: string): Promise<unknown> {
  return tx`set local app.tenant_id to ${tx(tenantId)}`.simple();
}

/**
 * Begins every transaction. Nobody waits long for the locks of a process that was paused in the middle of one, or whose
 * machine is gone. And what is asked for is a few rows, in the order of an index mostly: where the planner thinks that a
 * table is small, it would rather read all of it and sort, and a plan that it makes while that is so, it keeps. Before
 * PostgreSQL 18 what is switched off so counts as dear, and would be compiled first.
 */
function opening(tx: postgres.TransactionSql, timeoutMs: number) {
  return tx`set_config('statement_timeout', ${String(timeoutMs)}, true),
            set_config('idle_in_transaction_session_timeout', ${String(idleTimeoutMs)}, true),
            set_config('enable_seqscan', 'off', true), set_config('enable_bitmapscan', 'off', true),
            set_config('jit', 'off', true)`;
}

function begin<T>(pool: postgres.Sql, first: Work<unknown>, work: Work<T>): Promise<T> {
  return pool.begin(async (tx) => {
    try {
      // Not awaited: it travels with the first statement of `work`, and if it fails, all that follows fails.
      const scoped = first(tx);
      scoped.catch(() => {});
      const result = await work(tx);
      await scoped;
      return result;
    } catch (error) {
      // The package would write a rollback to the socket that is gone, and the process would die of that. Its begin()
      // has failed, or is about to, by the closing of the connection.
      if (isDisconnection(error)) return new Promise<never>(() => {});
      throw error;
    }
  }) as Promise<T>;
}

function unavailable(cause: unknown): CipError {
  return new CipError("database_unavailable", { retryAfterSeconds: 2 }, { cause });
}
