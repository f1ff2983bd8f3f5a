// What a PostgreSQL server does by itself and a single session does not: checkpoints, without which the write-ahead log
// grows for ever, and vacuum, without which the tables do. Each step is short, for it holds up the whole process.
import { every } from "../every.ts";
import type { Session } from "./session.ts";

const periodMs = 2_000;
const walBytesMax = 64 * 2 ** 20;

/** 5,000 dead rows took 114 ms to vacuum, 25,000 took 754. */
const deadRowsMax = 1_000;
const newRowsMax = 10_000;
/** Transactions are numbered with 32 bits; PostgreSQL begins to worry at this age of a table, too. */
const ageMax = 200_000_000;

type Log = { position: string; since_checkpoint: string };

export class Upkeep {
  readonly #session: Session;
  readonly #end = new AbortController();
  /** The steps and what excludes them, one behind the other. */
  #last: Promise<unknown> = Promise.resolve();
  #position = "";

  constructor(session: Session) {
    this.#session = session;
    every(periodMs, () => this.without(() => this.#step()), this.#end.signal);
  }

  /** Runs `work` while none of this is under way. */
  without<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#last.then(work);
    this.#last = done.catch(() => {});
    return done;
  }

  /** Returns when nothing is under way any more. */
  async end(): Promise<void> {
    this.#end.abort();
    await this.#last;
  }

  async #step(): Promise<void> {
    if (this.#end.signal.aborted) return;
    const [log] = await this.#session.alone<Log>(`
      select pg_current_wal_insert_lsn()::text as position,
        pg_wal_lsn_diff(pg_current_wal_insert_lsn(), redo_lsn)::text as since_checkpoint
      from pg_control_checkpoint()`);
    if (!log || log.position === this.#position) return; // nothing was written since
    if (Number(log.since_checkpoint) > walBytesMax) await this.#session.alone("checkpoint");
    await this.#vacuum();
    this.#position = log.position;
  }

  /** One table at a time, the one that needs it most; a table's long values (TOAST) are a table of their own. */
  async #vacuum(): Promise<void> {
    const [table] = await this.#session.alone<{ name: string; changed: boolean }>(`
      select c.oid::regclass::text as name,
        s.n_mod_since_analyze > ${deadRowsMax} + s.n_live_tup / 10 as changed
      from pg_class c
        join pg_stat_all_tables s on s.relid = c.oid
        left join pg_class t on t.oid = c.reltoastrelid
        left join pg_stat_all_tables ts on ts.relid = t.oid
      where c.relkind = 'r' and c.relpersistence <> 't' and (
        s.n_dead_tup + coalesce(ts.n_dead_tup, 0) > ${deadRowsMax}
        or s.n_ins_since_vacuum > ${newRowsMax}
        or greatest(age(c.relfrozenxid), age(t.relfrozenxid)) > ${ageMax})
      order by s.n_dead_tup + coalesce(ts.n_dead_tup, 0) desc limit 1`);
    if (table) await this.#session.alone(`vacuum ${table.changed ? "(analyze)" : ""} ${table.name}`);
  }
}
