// `cip check` as its user meets it: mistakes in the words of the start, whose word each value is, and with --live what
// the proxies in between make of an answer.
import { beforeAll, describe, expect, test } from "bun:test";
import { readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { generate } from "selfsigned";
import { drain, visitor } from "./client.ts";
import { front, type Manner } from "./front.ts";
import { type ScriptedModel, scriptedModel } from "./model.ts";
import { postgresCluster } from "./postgres.ts";
import { run, type Server, startServer } from "./server.ts";
import { freePort, temporaryFolder } from "./support.ts";

/** The line of the output that begins with these words. */
const lineOf = (text: string, name: string) =>
  text
    .split("\n")
    .map((line) => line.trim())
    .find((line) => line.startsWith(name));

describe("offline", () => {
  const files = {
    ".env":
      "ALLOWED_ORIGINS=https://shop.example\nLLM_API_KEY_FILE=key\nSECRET_KEY=0123456789012345678901234567890123\n",
    key: "sk-not-to-be-seen-0123456789",
  };
  const tenants = {
    acme: 'LLM_BASE_URL=http://127.0.0.1:9/v1\nLLM_MODEL=m\nUI_GREETING="Hello\nyou"\n',
    globex: "",
  };

  test("each value has who gave it, no secret is shown, and nothing is left behind", async () => {
    const cwd = temporaryFolder();
    const { exitCode, stdout, stderr } = await run(["check"], {
      cwd,
      files,
      tenants,
      env: { DRAIN_MS: "100" },
    });
    expect([exitCode, stderr]).toEqual([0, ""]);
    expect(lineOf(stdout, "PORT ")).toMatch(/^PORT +3000 +default$/);
    expect(lineOf(stdout, "DRAIN_MS")).toMatch(/^DRAIN_MS +100 +environment$/);
    expect(lineOf(stdout, "SECRET_KEY ")).toMatch(/^SECRET_KEY +\*{3} +\.env$/);
    const [acme = "", globex = ""] = stdout.split(/^Site /m).slice(1);
    expect(lineOf(acme, "LLM_MODEL")).toMatch(/^LLM_MODEL +m +tenants\/acme\.env$/);
    expect(lineOf(acme, "UI_GREETING")).toMatch(/^UI_GREETING +Hello you +tenants\/acme\.env$/);
    expect(lineOf(acme, "LLM_API_KEY")).toMatch(/not sent: it is for another server/);
    expect(lineOf(globex, "LLM_API_KEY")).toMatch(/^LLM_API_KEY +\*{3} +key, by \.env$/);
    expect(lineOf(globex, "ALLOWED_ORIGINS")).toMatch(/https:\/\/shop\.example +\.env$/);
    expect(globex).not.toContain("UI_ACCENT");
    expect(stdout).not.toMatch(/not-to-be-seen|0123456789/);
    expect(Math.max(...stdout.split("\n").map((line) => line.length))).toBeLessThanOrEqual(100);
    expect(readdirSync(cwd).sort()).toEqual([".env", "key", "tenants"]);
  });

  test("a site that is named is shown whole", async () => {
    const { stdout } = await run(["check", "globex"], { files, tenants });
    expect(lineOf(stdout, "UI_ACCENT")).toMatch(/^UI_ACCENT +2456d6 +default$/);
    expect(lineOf(stdout, "TENANT_NAME")).toMatch(/^TENANT_NAME +unset: its id +default$/);
    expect(stdout).not.toContain("Site acme");
    const unknown = await run(["check", "nobody"], { files, tenants });
    expect([unknown.exitCode, unknown.stderr]).toEqual([
      1,
      "cip: There is no site 'nobody'. There are: acme, globex.\n",
    ]);
  });

  test("what by its name is a secret within LLM_EXTRA_BODY is not shown", async () => {
    const tenants = { acme: 'LLM_EXTRA_BODY={"metadata":{"api_key":"sk-1"},"n":1}\n' };
    const { exitCode, stdout } = await run(["check", "acme"], { tenants });
    expect([exitCode, stdout]).toEqual([0, expect.stringContaining('{"metadata":{"api_key":"***"},"n":1}')]);
  });

  test("mistakes are those of the start, all of them", async () => {
    const wrong = {
      files: { ".env": "PORT=high\n" },
      tenants: { acme: "UI_TITEL=x\n", b: "PROMPT_FILE=none.md\n" },
    };
    const [checked, started] = await Promise.all([run(["check"], wrong), run([], wrong)]);
    expect(checked).toEqual({ exitCode: 1, stdout: "", stderr: started.stderr });
    expect(checked.stderr.split("\n")).toHaveLength(5);
  });

  test("many sites have a line each", async () => {
    const many = Object.fromEntries(Array.from({ length: 30 }, (_, i) => [`t${i}`, ""]));
    const { stdout } = await run(["check"], { tenants: many });
    expect(stdout.match(/^Site t\d+: .*$/gm)).toHaveLength(30);
  });
});

describe("live", () => {
  let model: ScriptedModel;
  let server: Server;
  let databaseUrl: string;
  beforeAll(async () => {
    model = await scriptedModel();
    databaseUrl = await (await postgresCluster()).createDatabase();
    server = await startServer({ env: { ...common(), TRUSTED_PROXIES: "1" } });
  });
  const common = () => ({
    DATABASE_URL: databaseUrl,
    LLM_BASE_URL: model.baseUrl,
    LLM_MODEL: "scripted",
    ALLOWED_ORIGINS: "https://shop.example",
  });
  const live = async (manner: Manner | undefined, env: Record<string, string> = {}) => {
    const PUBLIC_URL = manner ? await front(server.url, manner) : server.url;
    return run(["check", "--live"], { env: { ...common(), TRUSTED_PROXIES: "1", PUBLIC_URL, ...env } });
  };
  const stateOf = (text: string, what: string) =>
    new RegExp(`^(ok|warn|FAIL|-) +${what} `, "m").exec(text)?.[1] ?? "not there";

  test("all is in order behind a proxy that does no harm", async () => {
    const { exitCode, stdout } = await live({});
    expect(stdout.match(/^(warn|FAIL).*/gm)).toBeNull();
    for (const what of [
      "model",
      "database",
      "migrations",
      "/healthz",
      "/readyz",
      "streaming",
      "embed.js",
      "WebSocket",
    ])
      expect([what, stateOf(stdout, what)]).toEqual([what, "ok"]);
    expect(stdout).toMatch(/^ok +site default +may be framed by 'self' https:\/\/shop\.example$/m);
    expect(stdout).toMatch(/^ok +model +scripted at .*: first token after \d+ ms/m);
    expect(exitCode).toBe(0);
  });

  const ofProxies: [string, Manner | undefined, string, "warn" | "FAIL"][] = [
    ["holds streams back", { buffers: true }, "streaming", "FAIL"],
    ["adds nothing, so that visitors choose their address", { forwards: "nothing" }, "forwarded for", "FAIL"],
    ["strips the policy", { answers: without("content-security-policy") }, "site default", "FAIL"],
    [
      "has a policy of its own",
      { answers: having("content-security-policy", "frame-ancestors *") },
      "site default",
      "FAIL",
    ],
    ["adds X-Frame-Options", { answers: having("x-frame-options", "DENY") }, "site default", "warn"],
    [
      "keeps the loader to its own site",
      { answers: without("cross-origin-resource-policy") },
      "embed.js",
      "FAIL",
    ],
    ["passes no handshake on", { noUpgrade: true }, "WebSocket", "warn"],
  ];
  for (const [name, manner, what, state] of ofProxies) {
    test(`a proxy that ${name} is found out`, async () => {
      const { exitCode, stdout } = await live(manner);
      expect(stdout.match(/^(warn|FAIL).*/gm)).toHaveLength(1);
      expect(stateOf(stdout, what)).toBe(state);
      expect(exitCode).toBe(state === "FAIL" ? 1 : 0);
    });
  }

  test("proxies are counted, whether they add to the list or begin it anew", async () => {
    const second = await front(server.url);
    const { stdout } = await live(undefined, { PUBLIC_URL: await front(second) });
    expect(stdout).toMatch(/^FAIL +forwarded for +2 proxies add .*TRUSTED_PROXIES is 1/m);
    expect(stdout).toContain("→ set TRUSTED_PROXIES=2");
    const anew = await live({ forwards: "anew" });
    expect(anew.stdout).toMatch(/^ok +forwarded for +1 proxy adds/m);
  });

  test("proxies that it goes past for want of PUBLIC_URL are not advised away", async () => {
    const { exitCode, stdout } = await live(undefined, { PUBLIC_URL: "", PORT: new URL(server.url).port });
    expect(stdout).toMatch(/^- +forwarded for +this went past the proxies; set PUBLIC_URL/m);
    expect(stdout).not.toContain("set TRUSTED_PROXIES");
    expect(exitCode).toBe(0);
  });

  test("a certificate that nobody trusts is found out, and all else is looked at nevertheless", async () => {
    const { exitCode, stdout } = await live({ tls: await certificate(30) });
    expect(stdout).toMatch(/^FAIL +certificate +browsers will not trust it/m);
    expect(stdout).toMatch(/^warn +HSTS/m);
    expect(stateOf(stdout, "streaming")).toBe("ok");
    expect(stateOf(stdout, "WebSocket")).toBe("ok");
    expect(exitCode).toBe(1);
  });

  test("a certificate that is trusted is told to end soon", async () => {
    const tls = await certificate(5);
    const folder = temporaryFolder();
    writeFileSync(join(folder, "ca.pem"), tls.cert);
    const { stdout } = await live({ tls }, { NODE_EXTRA_CA_CERTS: join(folder, "ca.pem") });
    expect(stdout).toMatch(/^warn +certificate +ends in [45] days/m);
  });

  test("a model that refuses is told in words, the key of it never; so is its fallback", async () => {
    const fallback = await scriptedModel();
    fallback.always(() => ({ status: 401, body: '{"error":{"message":"no such key sk-secret-fallback"}}' }));
    const { exitCode, stdout, stderr } = await live(
      {},
      {
        LLM_FALLBACK_BASE_URL: fallback.baseUrl,
        LLM_FALLBACK_MODEL: "second",
        LLM_FALLBACK_API_KEY: "sk-secret-fallback",
      },
    );
    expect(stateOf(stdout, "model")).toBe("ok");
    expect(stdout).toMatch(/^FAIL +fallback +second at .*did not accept this server's key/m);
    expect(stdout + stderr).not.toContain("sk-secret-fallback");
    expect(exitCode).toBe(1);
  });

  test("a database that refuses, and a server that is not there, are told in words", async () => {
    const { stdout, exitCode } = await run(["check", "--live"], {
      env: { DATABASE_URL: databaseUrl.replace(/:[^:@]+@/, ":wrong@"), PORT: String(await freePort()) },
    });
    expect(stdout).toMatch(/^FAIL +database .*does not accept the user owner/m);
    expect(stdout).toMatch(/^FAIL +\/healthz +http:\/\/127\.0\.0\.1:\d+: /m);
    expect(exitCode).toBe(1);
  });

  test("what is to be migrated is told, and left to the start", async () => {
    const empty = await (await postgresCluster()).createDatabase();
    const check = () => live({}, { DATABASE_URL: empty });
    expect((await check()).stdout).toMatch(/^ok +migrations +\d+ to be applied at the next start/m);
    expect((await check()).stdout).toMatch(/^ok +migrations +[1-9]\d* to be applied/m);
  });

  test("the embedded database is left to the server that runs on it", async () => {
    const embedded = await startServer();
    const port = new URL(embedded.url).port;
    const { stdout, exitCode } = await run(["check", "--live"], { cwd: embedded.cwd, env: { PORT: port } });
    expect(stateOf(stdout, "database")).toBe("-");
    expect(stateOf(stdout, "model")).toBe("-");
    expect(exitCode).toBe(0);
    expect((await drain(await ask(embedded.url))).terminal?.type).toBe("finish");
  });

  test("the probe is over within a second and says nothing but the caller's own address", async () => {
    const response = await fetch(`${server.url}/healthz/probe`, {
      headers: { "x-forwarded-for": "198.51.100.7" },
    });
    const events = (await response.text())
      .trim()
      .split("\n\n")
      .map((event) => JSON.parse(event.slice(6)));
    expect(events).toHaveLength(3);
    expect(Object.keys(events[0])).toEqual(["time", "version", "address", "forwarded_for", "event"]);
    expect(events[0]).toMatchObject({ address: "198.51.100.7", forwarded_for: 1, event: 1 });
  });

  test("no more than twenty probes run at once, and those who leave make room", async () => {
    const open = () => fetch(`${server.url}/healthz/probe`);
    const all = await Promise.all(Array.from({ length: 60 }, open));
    const statuses = new Set(all.map(({ status }) => status));
    expect([...statuses].sort()).toEqual([200, 429]);
    await Promise.all(all.map((response) => response.body?.cancel()));
    expect((await open()).status).toBe(200);
  });
});

async function ask(url: string): Promise<Response> {
  const token = await visitor(url);
  const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
  return fetch(`${url}/v1/default/turns`, { method: "POST", headers, body: '{"message":"Hello"}' });
}

function without(name: string): NonNullable<Manner["answers"]> {
  return ({ [name]: _, ...headers }) => headers;
}

function having(name: string, value: string): NonNullable<Manner["answers"]> {
  return (headers) => ({ ...headers, [name]: value });
}

/** One that nobody has signed but its own key. */
async function certificate(days: number): Promise<{ key: string; cert: string }> {
  const { private: key, cert } = await generate([{ name: "commonName", value: "127.0.0.1" }], {
    keyType: "ec",
    algorithm: "sha256",
    notAfterDate: new Date(Date.now() + days * 86_400_000),
    extensions: [
      { name: "basicConstraints", cA: true, critical: true },
      { name: "subjectAltName", altNames: [{ type: 7, ip: "127.0.0.1" }] },
    ],
  });
  return { key, cert };
}
