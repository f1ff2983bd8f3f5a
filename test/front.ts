// A reverse proxy as operators put in front of cip: real HTTP, that does one thing right or wrong as it is told.
import {
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type OutgoingHttpHeaders,
  request,
  type ServerResponse,
} from "node:http";
import { createServer as createSecureServer } from "node:https";
import { type AddressInfo, connect } from "node:net";
import { atTheEnd } from "./support.ts";

export type Manner = {
  /** Holds an answer until it is whole. */
  buffers?: boolean;
  /** Begins X-Forwarded-For anew, or leaves it as it comes; else it adds to it. */
  forwards?: "anew" | "nothing";
  /** What it makes of the headers of an answer. */
  answers?: (headers: OutgoingHttpHeaders) => OutgoingHttpHeaders;
  /** Passes no handshake on. */
  noUpgrade?: boolean;
  tls?: { key: string; cert: string };
};

/** Returns its address. */
export async function front(target: string, manner: Manner = {}): Promise<string> {
  const serve = (request: IncomingMessage, response: ServerResponse) =>
    pass(target, manner, request, response);
  const server = manner.tls ? createSecureServer(manner.tls, serve) : createServer(serve);
  server.on("upgrade", (request, near) => {
    if (manner.noUpgrade) return void near.end("HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n");
    const { hostname, port } = new URL(target);
    const far = connect(Number(port), hostname);
    const lines = Object.entries(request.headers).map(([name, value]) => `${name}: ${value}`);
    far.write([`GET ${request.url} HTTP/1.1`, ...lines, "", ""].join("\r\n"));
    near.pipe(far).pipe(near);
    for (const socket of [near, far]) socket.on("error", () => near.destroy() && far.destroy());
  });
  await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
  atTheEnd(() => {
    server.close();
    server.closeAllConnections();
  });
  return `${manner.tls ? "https" : "http"}://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

function pass(target: string, manner: Manner, near: IncomingMessage, response: ServerResponse): void {
  const { method = "GET", url = "/" } = near;
  const headers = { ...near.headers, ...forwarded(near.headers, manner, near.socket.remoteAddress ?? "") };
  const far = request(new URL(url, target), { method, headers, agent: false }, (answer) => {
    response.writeHead(answer.statusCode ?? 502, (manner.answers ?? ((same) => same))(answer.headers));
    const held: Buffer[] = [];
    answer.on("data", (piece: Buffer) => (manner.buffers ? held.push(piece) : response.write(piece)));
    answer.on("end", () => response.end(Buffer.concat(held)));
  });
  far.on("error", () => response.destroy());
  near.pipe(far);
}

function forwarded(headers: IncomingHttpHeaders, { forwards }: Manner, address: string): OutgoingHttpHeaders {
  if (forwards === "nothing") return {};
  const before = headers["x-forwarded-for"];
  return { "x-forwarded-for": before && forwards !== "anew" ? `${before}, ${address}` : address };
}
