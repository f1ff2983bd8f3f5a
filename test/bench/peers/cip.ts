// cip whole, as it is run: the compiled binary, tokens checked, limits on, turns stored, checkpoints taken.
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import postgres from "postgres";
import { privateCluster } from "../../postgres.ts";
import { binary } from "../../server.ts";
import { atTheEnd, freePort, temporaryFolder } from "../../support.ts";
import { question } from "../load/script.ts";
import { moveToLoadCore } from "../machine.ts";
import { launch, type Peer, post, type Running, type Setting } from "./peer.ts";

/** Every limit is on and checked, at a height that the load does not reach: the readers all have one address. */
const limits = {
  LIMIT_MESSAGES_PER_VISITOR: "1000000/1m",
  LIMIT_MESSAGES_PER_ADDRESS: "1000000/1m",
  LIMIT_MESSAGES_PER_TENANT: "1000000/1m",
  LIMIT_VISITORS_PER_ADDRESS: "1000000/1m",
  LIMIT_READS_PER_VISITOR: "1000000/1m",
  CONNECTIONS_PER_ADDRESS_MAX: "100000",
  DAILY_TOKENS_MAX: "1000000000000",
  DAILY_TOKENS_PER_VISITOR_MAX: "1000000000",
};

export const cip: Peer = {
  name: "cip",
  missing: async () => undefined,
  async start(setting) {
    const { createDatabase, pid } = await database();
    if (setting.pinned) moveToLoadCore(pid);
    const running = await startCip(setting, { DATABASE_URL: await createDatabase() });
    return { ...running, databasePids: [pid] };
  },
};

export const cipEmbedded: Peer = {
  name: "cip, embedded",
  missing: async () => undefined,
  start: (setting) => startCip(setting, {}),
};

type Place = { cwd?: string; tenants?: Record<string, string> };

export async function startCip(
  setting: Setting,
  env: Record<string, string>,
  { cwd = temporaryFolder(), tenants = {} }: Place = {},
): Promise<Running> {
  mkdirSync(join(cwd, "tenants"), { recursive: true });
  for (const [id, text] of Object.entries(tenants))
    writeFileSync(join(cwd, "tenants", `${id}.env`), text, { mode: 0o600 });
  const port = await freePort();
  const model = { LLM_BASE_URL: `http://127.0.0.1:${setting.modelPort}/v1`, LLM_MODEL: "scripted" };
  const running = await launch(
    {
      command: [await binary()],
      port,
      cwd,
      env: { PORT: `${port}`, HOST: "127.0.0.1", ...model, ...limits, ...env },
      path: "/readyz",
    },
    setting,
  );
  const tokens: string[] = [];
  return {
    ...running,
    async requests(count) {
      while (tokens.length < count)
        tokens.push(...(await Promise.all(Array.from({ length: 32 }, () => visitor(port)))));
      return Array.from({ length: count }, (_, n) =>
        post("/v1/default/turns", { message: question(n) }, [`authorization: Bearer ${tokens[n]}`]),
      );
    },
  };
}

async function visitor(port: number): Promise<string> {
  return (await newVisitor(port, "default")).token;
}

export async function newVisitor(port: number, tenant: string): Promise<{ token: string; user_id: string }> {
  const init = { method: "POST", headers: { "content-type": "application/json" }, body: "{}" };
  const response = await fetch(`http://127.0.0.1:${port}/v1/${tenant}/visitors`, init);
  if (!response.ok) throw new Error(`no visitor token: ${response.status} ${await response.text()}`);
  return (await response.json()) as { token: string; user_id: string };
}

let shared: ReturnType<typeof startDatabase> | undefined;

/** One PostgreSQL for the run, and the process that is its parent. */
export function database() {
  shared ??= startDatabase();
  return shared;
}

async function startDatabase() {
  const { superuserUrl, createDatabase } = await privateCluster({ durable: true });
  const sql = postgres(superuserUrl, { max: 1 });
  atTheEnd(() => sql.end());
  const [row] = await sql<{ pid: number }[]>`select pg_backend_pid() as pid`;
  const status = await Bun.file(`/proc/${row?.pid}/status`).text();
  const pid = Number(/^PPid:\s+(\d+)/m.exec(status)?.[1]);
  return { superuserUrl, createDatabase, pid };
}
