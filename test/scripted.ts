// A server that is scripted byte by byte, for what no HTTP library would send.
import { createServer, type Socket } from "node:net";
import { atTheEnd } from "./support.ts";

export type Received = {
  head: string;
  text: string;
  body: Record<string, unknown>;
  closedAt: number | undefined;
};

/** Called with each request that has come in whole, and which one it is, counted from 1. */
export type Script = (socket: Socket, call: number, request: Received) => unknown;

/** A server that reads each request whole, then does as the script says. */
export async function upstream(script: Script, host = "127.0.0.1") {
  const requests: Received[] = [];
  const sockets = new Set<Socket>();
  let connections = 0;
  const server = createServer({ noDelay: true }, (socket) => {
    connections++;
    sockets.add(socket);
    let received = Buffer.alloc(0);
    let last: Received | undefined;
    socket.on("error", () => {});
    socket.on("close", () => {
      sockets.delete(socket);
      if (last) last.closedAt = performance.now();
    });
    socket.on("data", (bytes) => {
      received = Buffer.concat([received, bytes as Buffer]);
      const split = received.indexOf("\r\n\r\n");
      if (split === -1) return;
      const head = received.subarray(0, split).toString();
      const length = Number(/content-length: (\d+)/i.exec(head)?.[1] ?? 0);
      if (received.length < split + 4 + length) return;
      const text = received.subarray(split + 4, split + 4 + length).toString();
      received = received.subarray(split + 4 + length);
      last = { head, text, body: text === "" ? {} : JSON.parse(text), closedAt: undefined };
      script(socket, requests.push(last), last);
    });
  });
  await new Promise<void>((listening, failed) =>
    server.once("error", failed).listen(0, host, () => listening()),
  );
  atTheEnd(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  const { port } = server.address() as { port: number };
  return {
    port,
    baseUrl: `http://127.0.0.1:${port}/v1`,
    requests,
    /** Those that are open now. */
    sockets,
    /** How many there were so far. */
    get connections() {
      return connections;
    },
  };
}
