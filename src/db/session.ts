// The embedded database's one session: the driver's messages and the statements that can be in no transaction take
// turns, and such a statement runs only where no transaction is open.
import { Duplex } from "node:stream";
import type { PGlite } from "@electric-sql/pglite";

// https://www.postgresql.org/docs/18/protocol-message-formats.html
const terminate = 0x58; // 'X'
const rollback = Buffer.from("Q\0\0\0\rrollback\0", "latin1");
const readyAndIdle = Buffer.from("Z\0\0\0\x05I", "latin1");

export class Session {
  readonly #pglite: PGlite;
  /** Whether the last answer ended with: ready, in no transaction. */
  #idle = true;
  readonly #waiting: (() => Promise<void>)[] = [];
  #running: Promise<void> | undefined;

  constructor(pglite: PGlite) {
    this.#pglite = pglite;
  }

  /** Runs one statement as the owner, between two transactions. The process does nothing else until it has ended. */
  alone<Row>(statement: string): Promise<Row[]> {
    const { promise, resolve, reject } = Promise.withResolvers<Row[]>();
    this.#waiting.push(() =>
      this.#pglite.exec(statement).then((results) => resolve((results[0]?.rows ?? []) as Row[]), reject),
    );
    this.#next();
    return promise;
  }

  /** A socket for the `postgres` package whose other end is PGlite: no port, no copy through the kernel. */
  connect(): Duplex {
    // All connections are the one session: what the last one may have left open must not be this one's.
    const clean = this.#send(rollback);
    const duplex: Duplex = new Duplex({
      read() {},
      write: (message: Buffer, _encoding, done) => {
        if (message[0] === terminate) {
          duplex.destroy();
          return done();
        }
        clean
          .then(() => this.#send(message))
          .then((reply) => {
            duplex.push(reply);
            done();
          }, done);
      },
    });
    // The package says goodbye only to a socket that says, as one of node:net does, that it is open.
    return Object.assign(duplex, { readyState: "open" });
  }

  async close(): Promise<void> {
    while (this.#running) await this.#running;
    await this.#pglite.close();
  }

  async #send(message: Uint8Array): Promise<Buffer> {
    while (this.#running) await this.#running;
    const chunks: Buffer[] = [];
    // Not execProtocolRaw: it takes three times as long, and PGlite 0.5.16 keeps every answer it gives there for ever.
    // Each chunk is copied, for it lies in memory that the next message overwrites.
    const onRawData = (bytes: Uint8Array) => void chunks.push(Buffer.from(bytes));
    await this.#pglite.execProtocolRawStream(message, { onRawData, syncToFs: false });
    const reply = chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks);
    this.#idle = reply.subarray(-readyAndIdle.length).equals(readyAndIdle);
    this.#next();
    return reply;
  }

  #next(): void {
    if (!this.#idle || this.#running) return;
    const statement = this.#waiting.shift();
    if (!statement) return;
    this.#running = statement().finally(() => {
      this.#running = undefined;
      this.#next();
    });
  }
}
