// Starting, as the person at the command line meets it: what is said, what is refused, and what of a folder counts.
import { beforeAll, describe, expect, test } from "bun:test";
import { existsSync, readdirSync, writeFileSync } from "node:fs";
import { createServer, type Server as Listener, type Socket } from "node:net";
import { join } from "node:path";
import postgres from "postgres";
import pkg from "../package.json";
import { call, drain, visitor } from "./client.ts";
import { type ScriptedModel, scriptedModel } from "./model.ts";
import { postgresCluster } from "./postgres.ts";
import { binary, type Origin, type Place, run, type Server, startServer } from "./server.ts";
import { atTheEnd, freePort, repository, temporaryFolder, until, untilItExits } from "./support.ts";

const password = "correct-horse-battery";

let model: ScriptedModel;
/** The settings that connect the scripted model, and those that also name a database, which starts sooner. */
let connected: Record<string, string>;
let complete: Record<string, string>;
beforeAll(async () => {
  model = await scriptedModel();
  connected = { LLM_BASE_URL: model.baseUrl, LLM_MODEL: "scripted" };
  complete = { ...connected, DATABASE_URL: await (await postgresCluster()).createDatabase() };
});

/** What cip says when it refuses to start: nothing on standard output, no stack, exit status 1. */
async function refusal(place: Place): Promise<string> {
  const { exitCode, stdout, stderr } = await run([], { from: "binary", ...place });
  expect({ exitCode, stdout }).toEqual({ exitCode: 1, stdout: "" });
  expect(stderr).toStartWith("cip: ");
  expect(stderr).not.toMatch(/^\s+at |node_modules|\.ts:\d/m);
  return stderr;
}

async function ask(url: string, message: string, tenant = "default") {
  const token = await visitor(url, tenant);
  const reading = await drain(await call(url, "POST", `/v1/${tenant}/turns`, { token, body: { message } }));
  return { ...reading, token };
}

/** Runs `work` on the cluster of the tests as its superuser, in the database of `url`. */
async function asSuperuser<T>(work: (sql: postgres.Sql) => Promise<T>, url?: string): Promise<T> {
  const address = new URL((await postgresCluster()).superuserUrl);
  if (url) address.pathname = new URL(url).pathname;
  const sql = postgres(address.href, { max: 1, onnotice: () => {} });
  try {
    return await work(sql);
  } finally {
    await sql.end();
  }
}

describe.each<Origin>(["source", "binary"])("the command line, from %s", (from) => {
  const say = async (...args: string[]) => {
    const { exitCode, stdout, stderr } = await run(args, { from });
    return [exitCode, stdout, stderr];
  };

  test("help and version are answered, and nothing is started", async () => {
    const cwd = temporaryFolder();
    for (const flag of ["--help", "-h"]) {
      const { exitCode, stdout, stderr } = await run([flag], { from, cwd });
      expect([exitCode, stderr]).toEqual([0, ""]);
      for (const word of ["Usage:", "cip health", "--version", ".env", "tenants/"])
        expect(stdout).toContain(word);
    }
    expect(await say("--version")).toEqual([0, `${pkg.version}\n`, ""]);
    expect(readdirSync(cwd)).toEqual([]);
  });

  test("whoever reads no further than he needs is no mistake", async () => {
    const program = from === "binary" ? [await binary()] : [process.execPath, `${repository}/src/index.ts`];
    for (const command of ["--help", "check"]) {
      const script = `{ "$@" ${command}; echo status $? >&2; } | true`;
      const child = Bun.spawn(["sh", "-c", script, "sh", ...program], {
        cwd: temporaryFolder(),
        env: { PATH: process.env.PATH ?? "", HOME: temporaryFolder() },
        stderr: "pipe",
      });
      untilItExits(child, child.exited);
      expect(await new Response(child.stderr).text()).toBe("status 0\n");
    }
  });

  test("an unknown flag or command is refused in one line, with exit status 2", async () => {
    expect(await say("--port", "80")).toEqual([2, "", "cip: Unknown option '--port'. Try 'cip --help'.\n"]);
    expect(await say("serve")).toEqual([2, "", "cip: Unknown command 'serve'. Try 'cip --help'.\n"]);
    expect(await say("health", "now")).toEqual([
      2,
      "",
      "cip: health does not take 'now'. Try 'cip --help'.\n",
    ]);
  });
});

test("a process that cannot begin anew goes on as it is", async () => {
  const preload = join(temporaryFolder(), "preload.ts");
  writeFileSync(preload, `Object.defineProperty(process, "execPath", { value: "/nowhere/cip" });`);
  const child = Bun.spawn(
    [process.execPath, "--preload", preload, `${repository}/src/index.ts`, "--version"],
    {
      env: { PATH: process.env.PATH ?? "", HTTPS_PROXY: "http://127.0.0.1:1" },
      stdout: "pipe",
      stderr: "ignore",
    },
  );
  untilItExits(child, child.exited);
  expect(await new Response(child.stdout).text()).toBe(`${pkg.version}\n`);
});

describe("a start that is refused", () => {
  test("tells all problems of the configuration at once, and touches nothing", async () => {
    const place = {
      cwd: temporaryFolder(),
      env: { LLM_BASE_URL: "https://llm.example/v1", LLM_MODL: "large" },
      files: {
        ".env": `PROT=3000\nLLM_TEMPERATURE=hot\nSECRET_KEY=${password}\nLLM_API_KEY_FILE=nowhere\n`,
        "tenants/acme.env/folder": "",
        "tenants/Acme Inc.env": "",
        "tenants/shop.env": "PROMPT_FILE=prompts/shop.md\nPORT=80\n",
      },
    };
    const told = await refusal(place);
    for (const problem of [
      ".env: PROT is no setting of cip; did you mean PORT?",
      ".env: LLM_TEMPERATURE must be a number",
      ".env: SECRET_KEY must have at least 32 bytes",
      ".env: LLM_API_KEY_FILE names a file that does not exist",
      "environment: LLM_MODL is no setting of cip; did you mean LLM_MODEL?",
      "environment: LLM_BASE_URL needs LLM_MODEL",
      "tenants/acme.env: is a folder; it must be a file",
      "tenants/Acme Inc.env: must be named <tenant_id>.env",
      "tenants/shop.env: PROMPT_FILE names a file that does not exist",
      "tenants/shop.env: PORT belongs to the whole instance",
    ])
      expect(told).toContain(`\n  ${problem}`);
    expect(told.trimEnd().split("\n")).toHaveLength(11);
    expect(told).not.toContain(password);
    expect(readdirSync(place.cwd).sort()).toEqual([".env", "tenants"]);

    const health = await run(["health"], { cwd: place.cwd });
    expect([health.exitCode, health.stdout]).toEqual([1, ""]);
    expect(health.stderr).toContain("did you mean PORT?");
  });

  test("names the port that is in use, be it another program's or another cip's", async () => {
    const others = await listener(() => {});
    const cip = await startServer({ from: "binary", env: complete });
    for (const { port } of [new URL(`http://${others}`), new URL(cip.url)])
      expect(await refusal({ env: { ...complete, PORT: port } })).toMatch(
        /^cip: The port is in use\..* PORT\.\n$/,
      );
    expect((await fetch(`${cip.url}/healthz`)).status).toBe(200);
    await cip.stop();
  });

  test("a second process on one data directory is told who holds it, and the first goes on", async () => {
    const first = await startServer({ from: "binary", env: connected });
    const { token, conversationId } = await ask(first.url, "first");
    for (const DATA_DIR of ["data", "./tenants/../data", join(first.cwd, "data")]) {
      const told = await refusal({ cwd: first.cwd, env: { PORT: "0", DATA_DIR } });
      expect(told).toStartWith(
        `cip: Another cip (process ${first.pid}) is using ${join(first.cwd, "data")}.`,
      );
    }
    const message = { message: "second", conversation_id: conversationId };
    const reading = await drain(await call(first.url, "POST", "/v1/default/turns", { token, body: message }));
    expect(reading.terminal?.type).toBe("finish");
    await first.stop();
  });

  test("names a data directory that cannot be used", async () => {
    const cwd = temporaryFolder();
    writeFileSync(join(cwd, "file"), "");
    // Not even root makes a folder under /proc, and where there is no /proc only root could make one.
    for (const DATA_DIR of ["file", "file/data", "/proc/cip"]) {
      const told = await refusal({ cwd, env: { DATA_DIR } });
      expect(told).toMatch(/^cip: DATA_DIR \/.* cannot be written to: .+\n$/);
    }
  });

  test.concurrent("says in one line what is wrong with DATABASE_URL, within 10 s and without the password", async () => {
    const real = new URL(await (await postgresCluster()).createDatabase());
    const at = (host: string, database = "cip") => `postgres://cip:${password}@${host}/${database}`;
    const speechless = await listener(() => {});
    const curt = await listener((socket) => setTimeout(() => socket.destroy(), 200));
    const wrong: [url: string, says: RegExp][] = [
      [at(`127.0.0.1:${await freePort()}`), /cip at 127\.0\.0\.1:\d+ cannot be reached .*ECONNREFUSED/],
      [at("db.invalid"), /cip at db\.invalid:5432 cannot be reached/],
      [at(speechless), /cannot be reached or used: .*(TIMEOUT|no answer within)/],
      [at(curt), /cannot be reached or used: no answer within/],
      [at(`${curt},${curt}`), /cannot be reached or used/],
      [
        at(real.host, real.pathname.slice(1)),
        /cip_\d+ at .* does not accept the user cip with that password/,
      ],
      [real.href.replace(/cip_\d+$/, "%D1%87at"), /The database чat at .* does not exist/],
      [at("127.0.0.1", "%zz"), /DATABASE_URL must be postgres:\/\/.* percent-encoded/],
      [`postgres://cip:${password}%@127.0.0.1/cip`, /DATABASE_URL must be postgres:\/\/.* percent-encoded/],
      [`mysql://cip:${password}@127.0.0.1/cip`, /DATABASE_URL must be postgres:\/\//],
    ];
    await Promise.all(
      wrong.map(async ([DATABASE_URL, says]) => {
        const begun = performance.now();
        const told = await refusal({ env: { DATABASE_URL, LOG_LEVEL: "trace" } });
        expect(told).toMatch(says);
        expect(told).not.toContain(password);
        expect(told.trim().split("\n").length, told).toBeLessThanOrEqual(2);
        expect(performance.now() - begun).toBeLessThan(10_000);
      }),
    );
  });

  test.concurrent("tells a database user without rights the commands that give them, and they are enough", async () => {
    const cluster = await postgresCluster();
    // The role cip_app belongs to the cluster, and to whoever's cip came first.
    const before = await startServer({ from: "binary", env: complete });
    await before.stop();
    const url = new URL(await cluster.createDatabase());
    const database = url.pathname.slice(1);
    Object.assign(url, { username: "modest", password });
    await asSuperuser((sql) => sql.unsafe(`create role modest login password '${password}'`));
    const place = { from: "binary", env: { ...connected, DATABASE_URL: url.href } } as const;

    const told = await refusal(place);
    expect(told).toContain(`${database} at 127.0.0.1:${url.port} does not let modest do what cip needs`);
    expect(told).not.toContain(password);

    const commands = told.match(/^ {2}(alter|grant) .*;$/gm) ?? [];
    expect(commands).toHaveLength(3);
    await asSuperuser(async (sql) => {
      for (const command of [...commands, "grant cip_app to modest"]) await sql.unsafe(command);
    }, url.href);
    const server = await startServer(place);
    expect((await ask(server.url, "hello")).terminal?.type).toBe("finish");
    expect(await server.stop()).toBe(0);
  });
});

describe("what cip runs on", () => {
  test.concurrent("an empty folder and an empty environment are enough: database, pages and a whole answer", async () => {
    const server = await startServer({ from: "binary", env: { PATH: "", HOME: "" } });
    expect(server.stdout().split("\n")).toEqual([
      `cip ${pkg.version} listens on ${server.url}`,
      `  database  embedded, in ${join(server.cwd, "data")}`,
      "  model     the built-in demo model: no AI is connected",
      "  sites     default",
      "",
      expect.stringMatching(/^Next: .*LLM_API_KEY.*LLM_BASE_URL.*\.env$/),
      expect.stringMatching(/^Next: .*ALLOWED_ORIGINS/),
      "",
    ]);
    const answered = ask(server.url, "Can you hear me?");
    const pages = await Promise.all(["/", "/default"].map((path) => call(server.url, "GET", path)));
    const html = (await Promise.all(pages.map((page) => page.text()))).join("");
    const files = new Set(
      [...html.matchAll(/(?:src|href)="(\/[^"]+\.(?:js|css))"/g)].map(([, path = ""]) => path),
    );
    expect(files.size).toBeGreaterThanOrEqual(3);
    for (const path of [...files, "/embed.js", "/openapi.json", "/healthz"])
      expect([path, (await call(server.url, "GET", path)).status]).toEqual([path, 200]);

    const { text, terminal, token, turnId } = await answered;
    expect(text).toContain("Can you hear me?");
    expect(text).toContain("demo");
    expect(terminal).toMatchObject({ type: "finish", finishReason: "stop" });
    const stored = await call(server.url, "GET", `/v1/default/turns/${turnId}`, { token });
    expect(await stored.json()).toMatchObject({ turn: { status: "done", answer: text } });
    expect(await server.stop()).toBe(0);
    expect(readdirSync(server.cwd)).toEqual(["data"]);
  });

  test.concurrent("of the working directory .env, tenants/ and prompts/ count, and nothing else is trusted", async () => {
    const marked = join(temporaryFolder(), "marked");
    const mark = `require("node:fs").writeFileSync(${JSON.stringify(marked)}, "")`;
    const dependencies = [...Object.keys(pkg.dependencies), "pino-pretty", "bufferutil", "utf-8-validate"];
    const server = await startServer({
      from: "binary",
      files: {
        ".env": `DATABASE_URL=${complete.DATABASE_URL}\nLLM_BASE_URL=${model.baseUrl}\nLLM_MODEL=scripted\nTENANT_NAME=From the file\n`,
        "prompts/default.md": "Speak for {{tenant_name}}.",
        "prompts/shop.md": "Sell for {{tenant_name}}.",
        "tenants/acme.env": "",
        "tenants/shop.env":
          "TENANT_NAME=The Shop\nPROMPT_FILE=prompts/shop.md\nALLOWED_ORIGINS=https://shop.example",

        ".env.local": "TENANT_NAME=Mallory",
        ".env.production": "TENANT_NAME=Mallory",
        "bunfig.toml": 'preload = ["./mark.js"]\n[run]\npreload = ["./mark.js"]\n',
        "package.json": '{"type":"module","main":"./mark.js","imports":{"#*":"./mark.js"}}',
        "tsconfig.json": '{"compilerOptions":{"baseUrl":".","paths":{"*":["./mark.js"]}}}',
        ...Object.fromEntries(["mark.js", "index.ts", "src/main.ts"].map((path) => [path, mark])),
        ...Object.fromEntries(dependencies.map((name) => [`node_modules/${name}/index.js`, mark])),
        "sql/0000_mallory.sql": "create table mallory ()",
        "public/chat.html": "Mallory",
        "dist/public/chat.html": "Mallory",
      },
    });
    const told = server.stdout();
    expect(told).toContain(`  model     scripted at ${model.baseUrl}\n  sites     acme, shop\n`);
    for (const [tenant, prompt] of [
      ["acme", "Speak for From the file."],
      ["shop", "Sell for The Shop."],
    ] as const) {
      const question = `what does ${tenant} say?`;
      expect((await ask(server.url, question, tenant)).text).toBe(`echo: ${question}`);
      const asked = model.calls.find(({ body }) => body.messages.at(-1)?.content === question);
      expect(asked?.body.messages[0]).toEqual({ role: "system", content: prompt });
    }
    const page = await call(server.url, "GET", "/shop");
    expect(page.headers.get("content-security-policy")).toContain(
      "frame-ancestors 'self' https://shop.example",
    );
    expect(await page.text()).not.toContain("Mallory");
    expect(await server.stop()).toBe(0);
    expect(existsSync(marked)).toBe(false);
  });
});

describe("without SECRET_KEY", () => {
  test("a token is good after a restart, and on every instance of the database", async () => {
    for (const env of [connected, complete]) {
      const first = await startServer({ from: "binary", env });
      const { token, turnId } = await ask(first.url, "remember me");
      const look = async ({ url }: Server) => {
        const response = await call(url, "GET", `/v1/default/turns/${turnId}`, { token });
        expect(await response.json()).toMatchObject({ turn: { message: "remember me", status: "done" } });
      };
      if (env === complete) {
        const second = await startServer({ from: "binary", env });
        await look(second);
        await second.stop();
      }
      await first.stop();
      const again = await startServer({ from: "binary", cwd: first.cwd, env });
      await look(again);
      await again.stop();
    }
  });

  test("tokens are signed by another key than with it", async () => {
    const statusOf = async ({ url }: Server, token: string) =>
      (await call(url, "GET", "/v1/default/conversations", { token })).status;
    const [kept, one, other] = await Promise.all(
      [{}, { SECRET_KEY: "1".repeat(32) }, { SECRET_KEY: "2".repeat(32) }].map((env) =>
        startServer({ from: "binary", env: { ...complete, ...env } }),
      ),
    );
    if (!kept || !one || !other) throw new Error("three were started");
    const token = await visitor(one.url);
    expect(await Promise.all([kept, one, other].map((server) => statusOf(server, token)))).toEqual([
      401, 200, 401,
    ]);
    await Promise.all([kept, one, other].map((server) => server.stop()));
  });
});

describe("the log", () => {
  test("is one JSON object a line on standard error, holds no secret, and LOG_LEVEL thins it out", async () => {
    const database = new URL(await (await postgresCluster()).createDatabase());
    const key = "sk-0123456789abcdef";
    const secrets = { DATABASE_URL: database.href, LLM_API_KEY: key };
    const refusing = await scriptedModel();
    refusing.always(() => ({ status: 401, body: `{"error":{"message":"wrong key ${key}"}}` }));
    const logged = async (level: string) => {
      const env = { ...secrets, LLM_BASE_URL: refusing.baseUrl, LLM_MODEL: "scripted", LOG_LEVEL: level };
      const server = await startServer({ from: "binary", env });
      expect((await ask(server.url, "hello")).terminal).toMatchObject({ type: "error" });
      expect(await server.stop()).toBe(0);
      const printed = `${server.stdout()}\n${server.stderr()}`;
      expect(printed).not.toContain(key);
      expect(printed).not.toContain(database.password);
      expect(server.stdout()).toContain(
        `  database  PostgreSQL, ${database.pathname.slice(1)} at ${database.host}\n`,
      );
      return server
        .stderr()
        .split("\n")
        .filter(Boolean)
        .map((line) => JSON.parse(line));
    };
    const [trace, info, error, silent] = await Promise.all(["trace", "info", "error", "silent"].map(logged));
    const ended = { level: "info", time: expect.any(String), msg: "shutting down", signal: "SIGTERM" };
    const failed = { level: "error", msg: "a turn failed", tenant_id: "default", code: "model_unauthorized" };
    const turn = { level: "info", msg: "a turn ended", tenant_id: "default", status: "failed" };
    const begun = { level: "info", msg: "listening", role: "all" };
    expect(info).toMatchObject([begun, failed, turn, ended]);
    expect(trace?.filter((line) => line.level !== "debug")).toMatchObject([begun, failed, turn, ended]);
    expect(error).toMatchObject([failed]);
    expect(silent).toEqual([]);
  });
});

test("health says by its exit status whether the server on this machine is ready", async () => {
  const PORT = String(await freePort());
  const health = async (env = {}) => {
    const { exitCode, stdout, stderr } = await run(["health"], { from: "binary", env: { PORT, ...env } });
    return [exitCode, stdout, stderr];
  };
  expect(await health()).toEqual([1, "", `cip: nothing answers on port ${PORT}\n`]);
  const server = await startServer({ from: "binary", env: { ...complete, PORT } });
  const proxy = `http://127.0.0.1:${await freePort()}`;
  expect(await health()).toEqual([0, "", ""]);
  expect(await health({ HTTP_PROXY: proxy, http_proxy: proxy })).toEqual([0, "", ""]);
  await server.stop();

  // An address of this machine that is not the usual one.
  const HOST = process.platform === "linux" ? "127.0.0.2" : "::1";
  const env = { ...complete, PORT, HOST };
  const child = Bun.spawn([await binary()], { cwd: temporaryFolder(), env, stdout: "pipe" });
  untilItExits(child, child.exited);
  await until(async () => (await health(env))[0] === 0, "cip is ready on its own address");
  child.kill();
  expect(await new Response(child.stdout).text()).toContain(
    `listens on http://${HOST.replace("::1", "[::1]")}:${PORT}\n`,
  );
});

// Not beside the others: it needs a cluster that no cip has ever seen.
test("instances that start at once on two new databases all come up, and one that comes later finds nothing to do", async () => {
  const cluster = await postgresCluster();
  const known = await asSuperuser((sql) => sql`select from pg_roles where rolname = 'cip_app'`);
  if (known.length > 0) await asSuperuser((sql) => sql`alter role cip_app rename to cip_app_aside`);
  const urls = [await cluster.createDatabase(), await cluster.createDatabase()];
  const migrations = (url: string) =>
    asSuperuser((sql) => sql`select name, applied_at::text from migrations order by name`, url);
  try {
    const env = (DATABASE_URL: string) => ({ ...connected, DATABASE_URL });
    const origins: Origin[] = ["binary", "source"];
    const servers = await Promise.all(
      origins.flatMap((from) => urls.map((url) => startServer({ from, env: env(url) }))),
    );
    const done = await Promise.all(servers.map(async ({ url }) => (await ask(url, "hello")).terminal?.type));
    expect(done).toEqual(["finish", "finish", "finish", "finish"]);
    await Promise.all(servers.map((server) => server.stop()));

    const files = readdirSync(join(repository, "sql")).sort();
    for (const url of urls) {
      const before = await migrations(url);
      expect(before.map((row) => row.name)).toEqual(files);
      const again = await startServer({ from: "binary", env: env(url) });
      expect((await ask(again.url, "again")).terminal?.type).toBe("finish");
      await again.stop();
      expect(await migrations(url)).toEqual(before);
    }
  } finally {
    if (known.length > 0) {
      await asSuperuser(async (sql) => {
        for (const url of urls)
          await sql.unsafe(`drop database ${new URL(url).pathname.slice(1)} with (force)`);
        await sql`drop role cip_app`;
        await sql`alter role cip_app_aside rename to cip_app`;
      });
    }
  }
});

/** A TCP server of 127.0.0.1 that does with each connection what it is told; its host and port. */
async function listener(receive: (socket: Socket) => void): Promise<string> {
  const server: Listener = createServer((socket) => receive(socket.on("error", () => {})));
  await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
  atTheEnd(() => server.close());
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no TCP port was given");
  return `127.0.0.1:${address.port}`;
}
