// Connections that wait for another request to the same server. Only those that ended one cleanly come here, and
// neither how long they wait nor how many they are is left to the servers.
import { Connection, type Origin } from "./connection.ts";

type Kept = { connection: Connection; timer: Timer };

export class Pool {
  readonly #kept = new Map<string, Kept[]>();
  #count = 0;
  readonly #idleMs: number;
  readonly #idleMax: number;

  constructor(idleMs: number, idleMax: number) {
    this.#idleMs = idleMs;
    this.#idleMax = idleMax;
  }

  /** The one used last, for it is the likeliest to live. */
  take(origin: Origin): Connection | undefined {
    const key = keyOf(origin);
    for (let kept = this.#pop(key); kept; kept = this.#pop(key)) {
      if (kept.connection.usable) return kept.connection;
    }
  }

  open(origin: Origin, signal: AbortSignal | undefined): Promise<Connection> {
    return Connection.open(origin, signal, (connection) => this.#keep(keyOf(origin), connection));
  }

  #keep(key: string, connection: Connection): void {
    if (this.#count >= this.#idleMax) {
      connection.close();
      return;
    }
    const timer = setTimeout(() => this.#drop(key, connection), this.#idleMs);
    timer.unref();
    const all = this.#kept.get(key) ?? [];
    all.push({ connection, timer });
    this.#kept.set(key, all);
    this.#count++;
  }

  #pop(key: string): Kept | undefined {
    const kept = this.#kept.get(key)?.pop();
    if (!kept) return;
    clearTimeout(kept.timer);
    this.#forget(key);
    return kept;
  }

  /** The first in line is the oldest, and its time comes first. */
  #drop(key: string, connection: Connection): void {
    connection.close();
    this.#kept.get(key)?.shift();
    this.#forget(key);
  }

  #forget(key: string): void {
    this.#count--;
    if (this.#kept.get(key)?.length === 0) this.#kept.delete(key);
  }
}

function keyOf({ hostname, port, tls }: Origin): string {
  return `${tls ? "https" : "http"}://${hostname}:${port}`;
}
