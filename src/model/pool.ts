// Connections that wait for another request to the same server. Only those that ended one cleanly come here, and
// neither how long they wait nor how many they are is left to the servers.
import { Connection, type Origin } from "./connection.ts";

type Kept = { key: string; connection: Connection; timer: Timer };

export class Pool {
  /** Those of all servers, the oldest first. They are few: to look through all takes a microsecond. */
  #kept: Kept[] = [];
  readonly #idleMs: number;
  readonly #idleMax: number;

  constructor(idleMs: number, idleMax: number) {
    this.#idleMs = idleMs;
    this.#idleMax = idleMax;
  }

  /** The one used last, for it is the likeliest to live. */
  take(origin: Origin): Connection | undefined {
    const key = keyOf(origin);
    for (;;) {
      const kept = this.#kept.findLast((one) => one.key === key);
      if (!kept) return;
      this.#forget(kept);
      if (kept.connection.usable) return kept.connection;
    }
  }

  open(origin: Origin, signal: AbortSignal | undefined): Promise<Connection> {
    return Connection.open(origin, signal, (connection) => this.#keep(keyOf(origin), connection));
  }

  /** Where there are too many, the oldest makes room: servers that nobody asks any more shall not have it all. */
  #keep(key: string, connection: Connection): void {
    const kept: Kept = { key, connection, timer: setTimeout(() => this.#drop(kept), this.#idleMs) };
    kept.timer.unref();
    this.#kept.push(kept);
    const [oldest] = this.#kept;
    if (oldest && this.#kept.length > this.#idleMax) this.#drop(oldest);
  }

  #drop(kept: Kept): void {
    this.#forget(kept);
    kept.connection.close();
  }

  #forget(kept: Kept): void {
    clearTimeout(kept.timer);
    this.#kept = this.#kept.filter((one) => one !== kept);
  }
}

function keyOf({ hostname, port, tls }: Origin): string {
  return `${tls ? "https" : "http"}://${hostname}:${port}`;
}
