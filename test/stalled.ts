// Readers that ask, read how the answer begins, and then no more: bare connections, for a client of the web reads ahead.
import { connect, type Socket } from "node:net";
import { until, within } from "./support.ts";

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
  const socket = await begin(url, shake);
  for (const said of [
    { type: "auth", token },
    { type: "follow", turn_id },
  ])
    socket.write(frame("text", JSON.stringify(said)));
  return stalled(socket);
}

/** By WebSocket; it sends pings until the server closes the connection. */
export async function unreadPongs(url: string): Promise<void> {
  const socket = await begin(url, shake);
  socket.on("error", () => {});
  const some = Buffer.concat(Array.from({ length: 1_000 }, () => frame("ping", "x".repeat(125))));
  const isClosed = () => {
    if (socket.writableLength < some.length) socket.write(some);
    return socket.destroyed;
  };
  await until(isClosed, "the server closes the connection").finally(() => socket.destroy());
}

const shake = [
  "GET /v1/default/socket HTTP/1.1",
  "host: localhost",
  "upgrade: websocket",
  "connection: upgrade",
  "sec-websocket-version: 13",
  `sec-websocket-key: ${Buffer.alloc(16).toString("base64")}`,
];
const opcodes = { text: 0x81, ping: 0x89 };

/** Masked with zeros: the text stays as it is. Its length takes one byte up to 125, else two more. */
function frame(kind: keyof typeof opcodes, text: string): Buffer {
  const { length } = text;
  const size = length < 126 ? [0x80 | length] : [0xfe, length >> 8, length & 255];
  return Buffer.concat([Buffer.from([opcodes[kind], ...size]), Buffer.alloc(4), Buffer.from(text)]);
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
