// One TCP or TLS connection to a model's server and the requests it carries, one after the other. Nothing is written
// before the certificate is verified, and any fault, surprise or abort closes it for good.
import { setLowWater } from "./lowwater.ts";
import { type Flow, Reply } from "./reply.ts";

export type Origin = { hostname: string; port: number; tls: boolean };

/** As TLS carries it (RFC 7301, 3.1): a list of names, each after its length. */
const alpn = "\x08http/1.1";

/** Shared by all connections; which one is meant, `socket.data` says. */
const handlers: Bun.SocketHandler<Connection> = {
  open: (socket) => socket.data.opened(socket),
  handshake: (socket, success, error) => socket.data.verified(success, error),
  data: (socket, bytes) => socket.data.received(bytes),
  drain: (socket) => socket.data.drained(),
  close: (socket, error) => socket.data.closed(error),
  error: (socket, error) => socket.data.fail(error),
  connectError: (socket, error) => socket.data.fail(error),
};

export class Connection implements Flow {
  readonly #tls: boolean;
  readonly #ready = Promise.withResolvers<Connection>();
  #socket: Bun.Socket<Connection> | undefined;
  #reply: Reply | undefined;
  /** What the socket has not taken yet of a request. */
  #unsent: Buffer | undefined;
  #signal: AbortSignal | undefined;
  #over = false;
  #lowWater = 1;
  /** Is handed the connection when it is free for another request. */
  readonly #released: (connection: Connection) => void;

  private constructor(tls: boolean, released: (connection: Connection) => void) {
    this.#tls = tls;
    this.#released = released;
  }

  /** Rejects with why there is none, on an abort with the signal's reason. Host names are tried in both families. */
  static open(
    { hostname, port, tls }: Origin,
    signal: AbortSignal | undefined,
    released: (connection: Connection) => void,
  ): Promise<Connection> {
    signal?.throwIfAborted();
    const connection = new Connection(tls, released);
    connection.#heed(signal);
    const secure = { tls: { rejectUnauthorized: true, serverName: hostname, ALPNProtocols: alpn } };
    Bun.connect({ hostname, port, socket: handlers, data: connection, ...(tls && secure) }).catch((error) =>
      connection.fail(error),
    );
    return connection.#ready.promise;
  }

  get usable(): boolean {
    return !this.#over;
  }

  /** Writes a whole request. One at a time: the next when this connection was released. */
  send(request: Buffer, signal: AbortSignal | undefined): Reply {
    const reply = new Reply(this);
    this.#reply = reply;
    if (this.#over) reply.fail(new Error("the connection was lost before it was used"));
    this.#socket?.ref();
    this.#heed(signal);
    this.#unsent = request;
    this.drained();
    return reply;
  }

  pause(): void {
    this.#socket?.pause();
  }

  resume(): void {
    this.#socket?.resume();
  }

  lowWater(bytes: number): void {
    if (!this.#socket || this.#over || bytes === this.#lowWater) return;
    this.#lowWater = bytes;
    setLowWater(this.#socket, bytes);
  }

  close(): void {
    this.fail(new Error("the connection was given up"));
  }

  /** Ends it whatever it is doing. */
  fail(reason: unknown): void {
    if (this.#over) return;
    this.#over = true;
    this.#heed(undefined);
    this.#socket?.terminate(); // one that still connects is ended when it is opened
    this.#ready.reject(reason);
    this.#reply?.fail(reason);
  }

  opened(socket: Bun.Socket<Connection>): void {
    this.#socket = socket;
    if (this.#over) socket.terminate();
    else if (!this.#tls) this.#ready.resolve(this);
  }

  verified(success: boolean, error: Error | null): void {
    if (success && !error) this.#ready.resolve(this);
    else this.fail(error ?? new Error("the TLS handshake failed"));
  }

  received(bytes: Buffer): void {
    const reply = this.#reply;
    if (this.#over) return;
    try {
      if (!reply) throw new Error("the server sent what nobody asked for");
      reply.push(bytes);
      if (reply.ended) this.#release(reply.reusable && this.#unsent === undefined);
    } catch (error) {
      this.fail(error);
    }
  }

  /** The socket takes as much as it has room for, and says when there is room again. */
  drained(): void {
    if (this.#unsent === undefined || this.#over) return;
    const taken = this.#socket?.write(this.#unsent) ?? -1;
    if (taken < 0) this.closed();
    else this.#unsent = taken < this.#unsent.length ? this.#unsent.subarray(taken) : undefined;
  }

  closed(error?: Error): void {
    const reply = this.#reply;
    if (this.#over) return;
    try {
      if (error) throw error;
      if (!reply?.begun) throw new Error("the server closed the connection without an answer");
      reply.finish();
      this.#release(false);
    } catch (fault) {
      this.fail(fault);
    }
  }

  #release(reusable: boolean): void {
    this.lowWater(1);
    this.#reply = undefined;
    this.#heed(undefined);
    if (reusable) {
      this.#socket?.unref(); // an idle connection keeps no process
      this.#released(this);
    } else {
      this.close();
    }
  }

  #heed(signal: AbortSignal | undefined): void {
    this.#signal?.removeEventListener("abort", this.#abort);
    this.#signal = signal;
    if (signal?.aborted) this.#abort();
    else signal?.addEventListener("abort", this.#abort);
  }

  #abort = (): void => this.fail(this.#signal?.reason);
}
