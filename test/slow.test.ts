// Slow senders: a thousand connections that trickle a byte a second keep nobody waiting and are ended all.
import { beforeAll, expect, test } from "bun:test";
import { readdirSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { parsed } from "./rawhttp.ts";
import { type Site, startSite } from "./site.ts";
import { leftOut, until, within } from "./support.ts";

let site: Site;
beforeAll(async () => {
  site = await startSite();
});

const head = (path: string, ...headers: string[]) =>
  [`POST ${path} HTTP/1.1`, "host: localhost", "content-type: application/json", ...headers, "", ""].join(
    "\r\n",
  );

type Sender = { socket: Socket; answer(): string; closed: Promise<void> };

/** Sends `begin`, and then `piece` again and again, a byte a second unless told otherwise, until the server ends it. */
async function trickle(begin: string, piece = "1", everyMs = 1_000): Promise<Sender> {
  const socket = connect(Number(new URL(site.url).port), "127.0.0.1");
  let received = "";
  socket.on("data", (data) => {
    received += data;
  });
  socket.on("error", () => {}); // a byte may meet a connection that has just been closed
  const closed = new Promise<void>((closed) => {
    socket.once("close", () => {
      clearInterval(timer);
      closed();
    });
  });
  const timer = setInterval(() => socket.write(piece), everyMs);
  await new Promise<void>((connected) => socket.once("connect", connected));
  socket.write(begin);
  return { socket, answer: () => received, closed };
}

/** What the server's process has open; undefined where the machine does not tell. */
function descriptors(): number | undefined {
  try {
    return readdirSync(`/proc/${site.server.pid}/fd`).length;
  } catch {
    return undefined;
  }
}

test("a thousand of them, half in their headers and half in a body, hold nothing for long", async () => {
  const token = await site.visitor();
  await site.ask(token, "before");
  const before = descriptors();
  const begin = [
    "POST /v1/default/turns HTTP/1.1\r\nhost: localhost\r\nx-slow: ",
    head("/v1/default/visitors", "content-length: 1000"),
  ] as const;
  const senders: Sender[] = [];
  for (let i = 0; i < 1_000; i += 50)
    senders.push(...(await Promise.all(Array.from({ length: 50 }, (_, j) => trickle(begin[j % 2] ?? "")))));
  // Meanwhile others, kept alive from before, may have ended.
  if (before !== undefined) await until(() => (descriptors() ?? 0) >= before + 900, "all are connected");

  let ended = false;
  const all = within(Promise.all(senders.map(({ closed }) => closed)), "all are ended", 45_000);
  all.then(
    () => {
      ended = true;
    },
    () => {},
  );
  let asked = 0;
  while (!ended && asked < 200) {
    const { status, answer } = await site.ask(token, `while others are slow ${asked}`);
    expect([status, answer]).toEqual(["done", `echo: while others are slow ${asked}`]);
    asked += 1;
    await Bun.sleep(50);
  }
  await all;
  expect(asked).toBeGreaterThan(10);

  // Of half a head nothing can be said, so those are closed without a word; of half a body the sender is told.
  const answers = Map.groupBy(senders, ({ answer }) => (answer() === "" ? 0 : parsed(answer()).status));
  expect([...answers].map(([status, those]) => [status, those.length]).sort()).toEqual([
    [0, 500],
    [408, 500],
  ]);
  const [told] = answers.get(408) ?? [];
  expect(JSON.parse(parsed(told?.answer() ?? "").body)).toMatchObject({ status: 408, code: "body_timeout" });
  if (before === undefined) leftOut("that slow connections give their descriptors back", "no /proc here");
  else await until(() => (descriptors() ?? 0) <= before + 20, "their descriptors are given back");
  await site.ask(token, "after");
});

test("a body that goes on and on ends its connection, read or not, at whatever pace", async () => {
  const chunk = `4000\r\n${"x".repeat(0x4000)}\r\n`;
  const bodies = [
    [408, "/v1/default/visitors", "1\r\n \r\n"],
    [413, "/v1/default/visitors", chunk],
    [401, "/v1/default/turns/x/stop", chunk],
    [413, "/v1/default/turns", chunk],
    [405, "/healthz", chunk],
    [404, "/a/b/c", chunk],
  ] as const;
  const ended = bodies.map(async ([status, path, piece]) => {
    const { answer, closed } = await trickle(head(path, "transfer-encoding: chunked"), piece, 100);
    await within(closed, `${path} is closed`, 45_000);
    return [parsed(answer()).status, path, status];
  });
  expect(await Promise.all(ended)).toEqual(bodies.map(([status, path]) => [status, path, status]));
});
