// What every system under test is to the scenarios: a command on its core, a port, and requests that have it answer.
import { openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { freePort, temporaryFolder, untilItExits, within } from "../../support.ts";
import { question } from "../load/script.ts";
import { onSystemCore, processCost } from "../machine.ts";

export type Peer = {
  name: string;
  /** Why it cannot be measured here, after having tried to install it; undefined where it can. */
  missing(): Promise<string | undefined>;
  start(setting: Setting): Promise<Running>;
};

export type Setting = {
  modelPort: number;
  /** False: it may run on all cores, as a server has it. */
  pinned: boolean;
};

export type Running = {
  port: number;
  pids: number[];
  databasePids: number[];
  /** From the begin of the process to its first answer. */
  startMs: number;
  /** The requests for answers 0 to `count`, each of a reader of its own. */
  requests(count: number): Promise<string[]>;
  rssKb(): number;
  stop(): Promise<void>;
};

type Program = {
  command: string[];
  port: number;
  env?: Record<string, string>;
  cwd?: string;
  /** What answers with a status as soon as it serves. */
  path?: string;
};

/** Starts the program and waits for its first answer, whatever that is. */
export async function launch(program: Program, { pinned }: Setting): Promise<Running> {
  const { port, cwd = temporaryFolder(), env } = program;
  const output = join(temporaryFolder(), "output");
  const descriptor = openSync(output, "w");
  const startedAt = performance.now();
  const child = Bun.spawn([...(pinned ? onSystemCore : []), ...program.command], {
    cwd,
    env: { PATH: process.env.PATH ?? "", HOME: cwd, ...env },
    stdio: ["ignore", descriptor, descriptor],
  });
  untilItExits(child, child.exited);
  while (!(await answers(port, program.path ?? "/"))) {
    if (child.exitCode !== null || performance.now() > startedAt + 30_000)
      throw new Error(`${program.command.join(" ")} does not serve:\n${readFileSync(output, "utf8")}`);
    await Bun.sleep(1);
  }
  return {
    port,
    pids: [child.pid],
    databasePids: [],
    startMs: performance.now() - startedAt,
    requests: completions,
    rssKb: () => processCost([child.pid]).rssKb,
    async stop() {
      child.kill("SIGTERM");
      await within(child.exited, `${program.command[0]} stops`, 40_000);
    },
  };
}

async function answers(port: number, path: string): Promise<boolean> {
  return fetch(`http://127.0.0.1:${port}${path}`, { keepalive: false }).then(
    async (response) => (await response.arrayBuffer()) !== undefined && response.status < 500,
    () => false,
  );
}

/** Chat completions as an OpenAI client asks for them. */
export async function completions(count: number): Promise<string[]> {
  return Array.from({ length: count }, (_, n) => {
    const system = { role: "system", content: "You are a helpful assistant." };
    const messages = [system, { role: "user", content: question(n) }];
    return post("/v1/chat/completions", { model: "scripted", stream: true, messages });
  });
}

export function post(path: string, body: object, headers: string[] = []): string {
  const text = JSON.stringify(body);
  const lines = [
    `POST ${path} HTTP/1.1`,
    "host: 127.0.0.1",
    "accept: text/event-stream",
    "content-type: application/json",
    `content-length: ${Buffer.byteLength(text)}`,
    ...headers,
  ];
  return `${lines.join("\r\n")}\r\n\r\n${text}`;
}

/** A server of our own under Bun, from a file beside this one. */
export const bunServer = (name: string, file: string): Peer => ({
  name,
  missing: async () => undefined,
  async start(setting) {
    const port = await freePort();
    const env = {
      PORT: `${port}`,
      MODEL_PORT: `${setting.modelPort}`,
      NODE_ENV: "production",
      BUN_CONFIG_MAX_HTTP_REQUESTS: "65535",
    };
    return launch({ command: [process.execPath, join(import.meta.dir, file)], port, env }, setting);
  },
});
