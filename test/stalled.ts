// Readers that ask, read how the answer begins, and then no more: bare connections, for a client of the web reads ahead.
import { connect, type Socket } from "node:net";
import { within } from "./support.ts";

export type Stalled = {
  /** Reads on at last, and tells whether the server had closed the connection before it had sent all. */
  wasCutOff(): Promise<boolean>;
  leave(): void;
};

/** By HTTP; resolves when the response has begun. */
export async function stalledRequest(
  url: string,
  method: string,
  path: string,
  token: string,
  body?: object,
): Promise<Stalled> {
  const text = body ? JSON.stringify(body) : "";
  const head = [
    `${method} ${path} HTTP/1.1`,
    "host: localhost",
    `authorization: Bearer ${token}`,
    "content-type: application/json",
    `content-length: ${text.length}`,
  ];
  return stalled(await begin(url, head, text));
}

/** By WebSocket (RFC 6455): it shakes hands, says who it is and what it follows. */
export async function stalledSocket(url: string, token: string, turn_id: string): Promise<Stalled> {
  const head = [
    "GET /v1/default/socket HTTP/1.1",
    "host: localhost",
    "upgrade: websocket",
    "connection: upgrade",
    "sec-websocket-version: 13",
    `sec-websocket-key: ${Buffer.alloc(16).toString("base64")}`,
  ];
  const socket = await begin(url, head);
  for (const frame of [
    { type: "auth", token },
    { type: "follow", turn_id },
  ]) {
    const text = Buffer.from(JSON.stringify(frame));
    const mask = Buffer.alloc(4); // of zeros: the text stays as it is
    socket.write(Buffer.concat([Buffer.from([0x81, 0xfe, text.length >> 8, text.length & 255]), mask, text]));
  }
  return stalled(socket);
}

async function begin(url: string, head: string[], body = ""): Promise<Socket> {
  const socket = connect(Number(new URL(url).port), "127.0.0.1");
  const begun = new Promise((begun) => socket.once("data", begun));
  socket.write(`${head.join("\r\n")}\r\n\r\n${body}`);
  await within(begun, `${head[0]} is answered`);
  socket.pause();
  return socket;
}

function stalled(socket: Socket): Stalled {
  const closed = new Promise((closed) => socket.once("close", closed).on("error", () => {}));
  return {
    leave: () => socket.destroy(),
    async wasCutOff() {
      let tail = "";
      const isWhole = () => /\[DONE\]|"type":"finish"/.test(tail);
      const whole = new Promise<void>((whole) => {
        socket.on("data", (data) => {
          tail = (tail + data).slice(-2_000);
          if (isWhole()) whole();
        });
      });
      socket.resume();
      await within(Promise.race([closed, whole]), "the connection ends");
      socket.destroy();
      return !isWhole();
    },
  };
}
