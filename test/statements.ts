// A line to PostgreSQL that writes down every statement that goes through it, by transactions, with its values.
import { connect, createServer } from "node:net";
import { atTheEnd, freePort } from "./support.ts";

export type Statement = { sql: string; values: (string | null)[] };
/** What one transaction did, without its begin and commit. */
export type Transaction = Statement[];

/** Gives the URL to use instead of `databaseUrl`, and all that has been done through it so far. */
export async function tapped(databaseUrl: string) {
  const target = new URL(databaseUrl);
  const transactions: Transaction[] = [];
  const server = createServer((near) => {
    const far = connect(Number(target.port), target.hostname);
    const hear = listener(transactions);
    near.on("data", (bytes: Buffer) => {
      hear(bytes);
      far.write(bytes);
    });
    far.on("data", (bytes) => near.write(bytes));
    const hangUp = () => [near, far].map((socket) => socket.destroy());
    for (const socket of [near, far]) socket.on("error", hangUp).on("close", hangUp);
  });
  const port = await freePort();
  await new Promise<void>((listening) => server.listen(port, "127.0.0.1", listening));
  atTheEnd(() => server.close());
  const url = new URL(databaseUrl);
  url.port = String(port);
  return { url: url.href, transactions };
}

/** Reads what one client sends: PostgreSQL's documentation, "Message Formats". The first message has no type. */
function listener(transactions: Transaction[]): (bytes: Buffer) => void {
  const prepared = new Map<string, string>();
  let current: Transaction | undefined;
  let started = false;
  let rest: Buffer = Buffer.alloc(0);

  const executed = (sql: string, values: Statement["values"] = []) => {
    if (/^\s*begin\b/i.test(sql)) current = [];
    else if (/^\s*(commit|rollback)\b/i.test(sql)) current = undefined;
    else if (current) {
      if (current.length === 0) transactions.push(current);
      current.push({ sql, values });
    } else transactions.push([{ sql, values }]);
  };
  const message = (type: string, body: Buffer) => {
    const reader = readerOf(body);
    if (type === "Q") executed(reader.text());
    if (type === "P") prepared.set(reader.text(), reader.text());
    if (type !== "B") return;
    reader.text(); // the portal
    const sql = prepared.get(reader.text()) ?? "";
    for (let formats = reader.int16(); formats > 0; formats--) reader.int16();
    executed(sql, Array.from({ length: reader.int16() }, reader.value));
  };

  return (bytes) => {
    rest = Buffer.concat([rest, bytes]);
    for (;;) {
      const head = started ? 1 : 0;
      if (rest.length < head + 4) return;
      const end = head + rest.readInt32BE(head);
      if (rest.length < end) return;
      if (started) message(String.fromCharCode(rest[0] ?? 0), rest.subarray(5, end));
      started = true;
      rest = rest.subarray(end);
    }
  };
}

function readerOf(body: Buffer) {
  let at = 0;
  const take = (length: number) => {
    at += length;
    return body.subarray(at - length, at);
  };
  const int16 = () => take(2).readInt16BE();
  return {
    int16,
    text: () => {
      const text = take(body.indexOf(0, at) - at).toString();
      at++;
      return text;
    },
    value: () => {
      const length = take(4).readInt32BE();
      return length < 0 ? null : take(length).toString();
    },
  };
}
