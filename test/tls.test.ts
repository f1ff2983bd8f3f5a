// The key of a model goes over TLS to whom its name says, and to nobody else.
import { beforeAll, describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { createServer, type TLSSocket, type TlsOptions } from "node:tls";
import { generate } from "selfsigned";
import { atTheEnd, repository, temporaryFolder, untilItExits, within } from "./support.ts";

type Pair = { key: string; cert: string };

let authority: Pair;
let authorityFile: string;

beforeAll(async () => {
  authority = await certificate({ authority: true });
  authorityFile = join(temporaryFolder(), "ca.pem");
  writeFileSync(authorityFile, authority.cert);
});

async function certificate(what: { authority?: boolean; name?: string; signer?: Pair; until?: Date }) {
  const { authority = false, name = "localhost", signer, until } = what;
  // Two authorities of one name would be taken for one.
  const subject = authority ? `authority ${crypto.randomUUID()}` : name;
  const { private: key, cert } = await generate([{ name: "commonName", value: subject }], {
    keyType: "ec",
    algorithm: "sha256",
    notBeforeDate: new Date(2020, 0, 1),
    notAfterDate: until ?? new Date(2099, 0, 1),
    extensions: [
      { name: "basicConstraints", cA: authority, critical: true },
      { name: "keyUsage", keyCertSign: authority, digitalSignature: true },
      {
        name: "subjectAltName",
        altNames: [
          { type: 2, value: name },
          { type: 7, ip: "127.0.0.1" },
        ],
      },
    ],
    ...(signer && { ca: signer }),
  });
  return { key, cert };
}

/** Answers each request with its own body; `heard` is all it was told inside TLS. */
async function server(pair: Pair) {
  const seen = { heard: "", protocols: new Set<unknown>(), names: new Set<unknown>() };
  const port = await listen({ ...pair, ALPNProtocols: ["h2", "http/1.1"] }, (socket) => {
    let request = "";
    seen.protocols.add(socket.alpnProtocol);
    seen.names.add((socket as TLSSocket & { servername: unknown }).servername);
    socket.on("error", () => {});
    socket.on("data", (bytes) => {
      const text = bytes.toString("latin1");
      seen.heard += text;
      request += text;
      const split = request.indexOf("\r\n\r\n");
      const length = Number(/content-length: (\d+)/i.exec(request)?.[1]);
      if (split === -1 || request.length < split + 4 + length) return;
      socket.write(`HTTP/1.1 200 OK\r\ncontent-length: ${length}\r\n\r\n`);
      socket.write(request.slice(split + 4), "latin1");
      request = "";
    });
  });
  return { seen, port };
}

async function listen(options: TlsOptions, serve: (socket: TLSSocket) => void): Promise<number> {
  const listening = createServer(options, serve);
  listening.on("tlsClientError", () => {});
  await new Promise<void>((ready) => listening.listen(0, "127.0.0.1", ready));
  atTheEnd(() => listening.close());
  return (listening.address() as { port: number }).port;
}

/** Asks from a process of its own, for who may vouch is read when a process begins. Twice, over one connection. */
function ask(port: number, environment: Record<string, string>, host = "localhost", bytes = 3) {
  return linesOf(
    `const { wireFetch } = await import("${repository}/src/model/wire.ts");
    const body = "x".repeat(${bytes});
    const ask = () => wireFetch("https://${host}:${port}/", { method: "POST", body, headers: { authorization: "sk-secret" } });
    try {
      for (const _ of [1, 2]) console.log(await (await ask()).text() === body);
    } catch (error) {
      console.log(error.code);
    }`,
    environment,
  );
}

async function linesOf(script: string, environment: Record<string, string>): Promise<string[]> {
  const child = Bun.spawn([process.execPath, "-e", script], {
    env: { PATH: process.env.PATH ?? "", ...environment },
    stdout: "pipe",
    stderr: "inherit",
  });
  untilItExits(child, child.exited);
  await within(child.exited, "it has asked", 20_000);
  return (await new Response(child.stdout).text()).trim().split("\n");
}

describe("a server whose certificate", () => {
  test("is vouched for and names it is asked, over HTTP/1.1 and with a body of any size", async () => {
    const { port, seen } = await server(await certificate({ signer: authority }));
    expect(await ask(port, { NODE_EXTRA_CA_CERTS: authorityFile }, "localhost", 3_000_000)).toEqual([
      "true",
      "true",
    ]);
    expect([...seen.protocols, ...seen.names]).toEqual(["http/1.1", "localhost"]);
    expect(seen.heard).toContain("sk-secret");
  });

  test("names its address is asked by it, and told no name", async () => {
    const { port, seen } = await server(await certificate({ signer: authority }));
    expect(await ask(port, { NODE_EXTRA_CA_CERTS: authorityFile }, "127.0.0.1")).toEqual(["true", "true"]);
    expect([...seen.names]).toEqual([false]);
  });

  test.each([
    [
      "is signed by nobody known",
      async () => certificate({ signer: await certificate({ authority: true }) }),
      "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
    ],
    ["is signed by itself", () => certificate({ authority: true }), "DEPTH_ZERO_SELF_SIGNED_CERT"],
    [
      "names another",
      () => certificate({ signer: authority, name: "elsewhere.example" }),
      "ERR_TLS_CERT_ALTNAME_INVALID",
    ],
    [
      "has expired",
      () => certificate({ signer: authority, until: new Date(2021, 0, 1) }),
      "CERT_HAS_EXPIRED",
    ],
  ])("%s is told nothing", async (_, make, code) => {
    const { port, seen } = await server(await make());
    for (const environment of [{}, { NODE_TLS_REJECT_UNAUTHORIZED: "0" }])
      expect(await ask(port, { NODE_EXTRA_CA_CERTS: authorityFile, ...environment })).toEqual([code]);
    expect(seen.heard).toBe("");
  });
});

test("a server that speaks no TLS is told nothing", async () => {
  let heard = "";
  const plain = Bun.listen({
    hostname: "127.0.0.1",
    port: 0,
    socket: {
      data(socket, bytes) {
        heard += bytes.toString("latin1");
        socket.end("HTTP/1.1 400 Bad Request\r\n\r\n");
      },
    },
  });
  atTheEnd(() => plain.stop(true));
  const answers = await ask(plain.port, {});
  expect(answers.length).toBe(1);
  expect(answers).not.toContain("true");
  expect(heard).not.toContain("sk-secret");
});

test.if(process.platform === "linux")(
  "an answer that is read several frames at a time is whole",
  async () => {
    const frame = (content: string, finish_reason: string | null = null) =>
      `data: ${JSON.stringify({ choices: [{ index: 0, delta: { content }, finish_reason }] })}\n\n`;
    const pair = await certificate({ signer: authority });
    const port = await listen({ ...pair, ALPNProtocols: ["http/1.1"] }, async (socket) => {
      socket.on("error", () => {});
      await new Promise((asked) => socket.once("data", asked));
      socket.write("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n");
      for (let i = 0; i < 100; i++) {
        socket.write(frame(` ${i}`));
        await Bun.sleep(14);
      }
      socket.end(frame("", "stop"));
    });
    const [reads, text] = await linesOf(
      `const { wireFetch } = await import("${repository}/src/model/wire.ts");
    const { read } = await import("${repository}/src/model/upstream.ts");
    const { Splitter } = await import("${repository}/src/model/reasoning.ts");
    const busy = setInterval(() => { for (const until = performance.now() + 6; performance.now() < until; ); }, 1);
    let text = "", reads = 0;
    const splitter = new Splitter({ append: (_kind, piece) => { text += piece; } });
    const response = await wireFetch("https://localhost:${port}/", { method: "POST", body: "{}" });
    await read(response, { splitter, progress: () => reads++, charsMax: 1e6, signal: new AbortController().signal });
    clearInterval(busy);
    console.log(reads + "\\n" + text);`,
      { NODE_EXTRA_CA_CERTS: authorityFile },
    );
    expect(text).toBe(Array.from({ length: 100 }, (_, i) => ` ${i}`).join(""));
    expect(Number(reads)).toBeLessThan(80);
  },
);
