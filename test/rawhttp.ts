// HTTP by hand, for what no client would send.
import { connect } from "node:net";
import { within } from "./support.ts";

export type Answer = { status: number; headers: Headers; body: string };

/**
 * Sends these bytes on a connection of their own and reads one whole answer. A last line `Connection: close` makes the
 * server end it; without one it must be an answer after which the server closes by itself.
 */
export async function raw(url: string, text: string): Promise<Answer> {
  const socket = connect(Number(new URL(url).port), "127.0.0.1");
  const received: Buffer[] = [];
  socket.on("data", (data: Buffer) => received.push(data)).on("error", () => {});
  const closed = new Promise((closed) => socket.once("close", closed));
  socket.write(text, "latin1");
  await within(closed, `an answer to ${JSON.stringify(text.slice(0, 80))}`, 30_000);
  return parsed(Buffer.concat(received).toString());
}

/** A request without a body, or with one that its headers speak of. */
export function request(line: string, headers: readonly string[] = [], body = ""): string {
  const host = headers.some((header) => /^host:/i.test(header)) ? [] : ["host: localhost"];
  return [`${line} HTTP/1.1`, ...host, "connection: close", ...headers, "", body].join("\r\n");
}

export function parsed(answer: string): Answer {
  const [head = "", ...rest] = answer.split("\r\n\r\n");
  const [status = "", ...lines] = head.split("\r\n");
  const headers = lines.map((line): [string, string] => {
    const colon = line.indexOf(":");
    return [line.slice(0, colon), line.slice(colon + 1).trim()];
  });
  return {
    status: Number(status.split(" ")[1] ?? 0),
    headers: new Headers(headers),
    body: rest.join("\r\n\r\n"),
  };
}
