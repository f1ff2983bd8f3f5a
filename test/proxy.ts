// A bad line between browser and server: a TCP proxy that breaks event streams after as many bytes as it is told.
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { atTheEnd } from "./support.ts";

export type Line = {
  url: string;
  /** How many event streams went through so far. */
  streams(): number;
  /** Breaks the next event streams, each after so many bytes of it; 0 is right after its headers. */
  breakAfter(...bytes: number[]): void;
  /** Breaks every connection and lets none through, until told otherwise. */
  down(down: boolean): void;
};

const eventStream = Buffer.from("text/event-stream;");
const statusLine = Buffer.from("HTTP/1.1 ");

export async function badLine(target: string): Promise<Line> {
  const { hostname, port } = new URL(target);
  const sockets = new Set<Socket>();
  const breaks: number[] = [];
  let isDown = false;
  let streams = 0;

  const server = createServer((near) => {
    const far = connect(Number(port), hostname);
    const hangUp = () => {
      near.destroy();
      far.destroy();
      sockets.delete(near);
    };
    sockets.add(near);
    for (const socket of [near, far]) socket.on("error", hangUp).on("close", hangUp);
    if (isDown) return hangUp();

    let left = Number.POSITIVE_INFINITY;
    near.on("data", (bytes) => far.write(bytes));
    let head = Buffer.alloc(0); // of a response whose headers have not come whole
    far.on("data", (piece: Buffer) => {
      const bytes = Buffer.concat([head, piece]);
      const isHead = bytes.subarray(0, statusLine.length).equals(statusLine) && !bytes.includes("\r\n\r\n");
      head = isHead ? bytes : Buffer.alloc(0);
      if (isHead) return;
      let begin = 0;
      // Nothing follows a stream on its connection.
      if (bytes.includes(eventStream)) {
        streams += 1;
        left = breaks.shift() ?? left;
        begin = bytes.indexOf("\r\n\r\n") + 4;
      }
      near.write(bytes.subarray(0, begin + left));
      left -= bytes.length - begin;
      if (left <= 0) near.end(hangUp);
    });
  });
  await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
  const hangUpAll = () => {
    for (const socket of sockets) socket.destroy();
  };
  atTheEnd(() => {
    server.close();
    hangUpAll();
  });
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    streams: () => streams,
    breakAfter: (...bytes) => void breaks.push(...bytes),
    down(down) {
      isDown = down;
      if (down) hangUpAll();
    },
  };
}
