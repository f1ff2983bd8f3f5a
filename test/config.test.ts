// Configuration, as the person who writes the files meets it: what they mean, and what is said of a mistake.
import { describe, expect, test } from "bun:test";
import { chmodSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { inspect, parseEnv } from "node:util";
import { asset } from "../src/assets.ts";
import { type Config, ConfigError, load, type Model } from "../src/config/config.ts";
import { exposureOf } from "../src/config/modes.ts";
import { Secret } from "../src/config/secret.ts";
import { settings } from "../src/config/settings.ts";
import { run } from "./server.ts";
import { repository, temporaryFolder } from "./support.ts";

type Files = Record<string, string | Uint8Array>;

function folderWith(files: Files): string {
  const folder = temporaryFolder();
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(join(folder, dirname(name)), { recursive: true });
    writeFileSync(join(folder, name), content, { mode: 0o600 });
  }
  return folder;
}

/** What load says, one string a problem; it must be refused. */
function problems(files: Files | string, environment: Record<string, string> = {}): string[] {
  try {
    load(typeof files === "string" ? files : folderWith(files), environment);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return error.problems.map(({ file, name, remedy }) => `${file}: ${name && `${name} `}${remedy}`);
  }
  throw new Error("was accepted");
}

const problem = (files: Files | string, environment: Record<string, string> = {}) => {
  const all = problems(files, environment);
  expect(all).toHaveLength(1);
  return all[0] ?? "";
};

const loaded = (files: Files, environment: Record<string, string> = {}) =>
  load(folderWith(files), environment);

/** The configuration as plain data, secrets revealed: toEqual() cannot see into a Secret. */
function revealed<T>(value: T): unknown {
  if (value instanceof Secret) return value.reveal();
  if (value instanceof Map) return new Map([...value].map(([key, item]) => [key, revealed(item)]));
  if (Array.isArray(value)) return value.map(revealed);
  if (typeof value !== "object" || value === null || value instanceof Uint8Array) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, revealed(item)]));
}

function tenant(config: Config, id = "default") {
  const found = config.tenants.get(id);
  if (!found) throw new Error(`there is no tenant ${id}`);
  return found;
}

/** The one problem that a line of `.env` leads to. */
const refusal = (line: string) => problem({ ".env": `${line}\n` });

describe("where a setting comes from", () => {
  test("an empty folder has one tenant, default, on the demo model and the bundled prompt", () => {
    const folder = temporaryFolder();
    const config = load(folder, {});
    expect(config.instance).toEqual({
      port: 3000,
      host: "0.0.0.0",
      publicUrl: undefined,
      databaseUrl: undefined,
      databasePoolSize: 10,
      dataDir: join(folder, "data"),
      tenantsDir: join(folder, "tenants"),
      secretKey: undefined,
      secretKeyPrevious: undefined,
      trustedProxies: 0,
      logLevel: "info",
      metricsToken: undefined,
      leaseMs: 45_000,
      leaseRenewMs: 10_000,
      drainMs: 25_000,
      backupsKept: 7,
    });
    expect([...config.tenants.keys()]).toEqual(["default"]);
    expect(tenant(config)).toEqual({
      id: "default",
      name: "this site",
      prompt: readFileSync(join(asset("prompts"), "default.md"), "utf8"),
      model: {
        baseUrl: "https://api.deepseek.com",
        apiKey: undefined,
        name: "deepseek-v4-flash",
        temperature: undefined,
        maxTokens: 4096,
        thinking: undefined,
        extraBody: {},
        connectTimeoutMs: 10_000,
        firstTimeoutMs: 60_000,
        idleTimeoutMs: 30_000,
        totalTimeoutMs: 600_000,
        fallback: undefined,
        demo: true,
      },
      concurrentRunsMax: undefined,
      queueWaitMs: 10_000,
      retentionDays: undefined,
      historyTokensMax: 16_000,
      messageCharsMax: 8000,
      allowedOrigins: [],
      visitorTokenTtlMs: 90 * 24 * 3_600_000,
      identity: { mode: "off" },
      apiKeys: [],
      limits: {
        messagesPerVisitor: { count: 20, periodMs: 60_000 },
        messagesPerAddress: { count: 60, periodMs: 60_000 },
        messagesPerTenant: { count: 600, periodMs: 60_000 },
        visitorsPerAddress: { count: 60, periodMs: 3_600_000 },
        readsPerVisitor: { count: 300, periodMs: 60_000 },
        concurrentRunsPerVisitorMax: 3,
        connectionsPerVisitorMax: 50,
        connectionsPerAddressMax: 500,
        dailyTokensMax: undefined,
        dailyTokensPerVisitorMax: undefined,
      },
      ui: {
        title: undefined,
        language: undefined,
        greeting: undefined,
        suggestions: [],
        accent: "#2456d6",
        colorScheme: "auto",
        position: "right",
        logo: undefined,
      },
    });
    expect(config.warnings).toEqual([]);
  });

  test("the environment goes before .env, and a tenant's file before both", () => {
    const config = loaded(
      {
        ".env": "PORT=1\nUI_TITLE=file\nUI_LANGUAGE=de",
        "tenants/acme.env": "UI_TITLE=acme",
        "tenants/b.env": "",
      },
      { PORT: "2", UI_TITLE: "environment" },
    );
    expect(config.instance.port).toBe(2);
    expect(tenant(config, "b").ui).toMatchObject({
      title: "environment",
      language: "de",
      greeting: undefined,
    });
    expect(tenant(config, "acme").ui).toMatchObject({ title: "acme", language: "de", greeting: undefined });
  });

  test("with tenant files there is no other tenant, and each is known by its id until it has a name", () => {
    const config = loaded({ "tenants/acme.env": "", "tenants/b-2.env": "TENANT_NAME=Bee" });
    expect([...config.tenants.keys()]).toEqual(["acme", "b-2"]);
    expect(tenant(config, "acme").name).toBe("acme");
    expect(tenant(config, "b-2")).toMatchObject({ name: "Bee", ui: { title: "Bee" } });
  });

  test("TENANTS_DIR moves the folder, and problems in it are told where they are", () => {
    expect([...loaded({ "sites/acme.env": "" }, { TENANTS_DIR: "sites" }).tenants.keys()]).toEqual(["acme"]);
    expect(problem({ "sites/acme.env": "UI_LANGUAGE=?" }, { TENANTS_DIR: "./sites/" })).toStartWith(
      "sites/acme.env: UI_LANGUAGE must be a BCP 47",
    );
    expect(problem({}, { TENANTS_DIR: "sits" })).toBe("environment: TENANTS_DIR cannot be read (ENOENT)");
    expect(problem({ sites: "" }, { TENANTS_DIR: "sites" })).toBe(
      "environment: TENANTS_DIR must name a folder",
    );
  });

  test("an empty or blank value counts as unset", () => {
    const config = loaded({ ".env": "PORT=\nLLM_API_KEY=\nUI_TITLE='  '" }, { HOST: "", DRAIN_MS: " " });
    expect(config.instance).toMatchObject({ port: 3000, host: "0.0.0.0", drainMs: 25_000 });
    expect(tenant(config)).toMatchObject({ model: { demo: true }, ui: { title: undefined } });
  });

  test("a byte order mark, Windows line ends, quotes and comments are understood", () => {
    const config = loaded({
      ".env":
        '\uFEFFPORT=8080 # the port\r\n# a comment\r\n\r\nUI_TITLE="Ask # us"\r\nUI_GREETING="One\\nTwo"\r\n',
    });
    expect(config.instance.port).toBe(8080);
    expect(tenant(config).ui).toMatchObject({ title: "Ask # us", greeting: "One\nTwo" });
  });
});

describe("mistakes in the files", () => {
  test("all problems are reported at once, each with file, name and remedy", () => {
    const files = {
      ".env": "PORT=http\nPROMPT_FILE=none.md\nPOTR=1\nLLM_FALLBACK_MODEL=x",
      "tenants/acme.env": "PORT=1\nLLM_MAX_TOKENS=0",
      "tenants/Bad.env": "",
    };
    const all = problems(files, { DRAIN_MS: "soon" });
    expect(all.sort()).toEqual([
      ".env: LLM_FALLBACK_MODEL needs LLM_FALLBACK_BASE_URL; set both or none",
      ".env: PORT must be a whole number from 0 to 65535",
      ".env: POTR is no setting of cip; did you mean PORT?",
      ".env: PROMPT_FILE names a file that does not exist",
      "environment: DRAIN_MS must be a whole number from 0 to 3600000",
      "tenants/Bad.env: must be named <tenant_id>.env, the id of small letters, digits and hyphens; rename it",
      "tenants/acme.env: LLM_MAX_TOKENS must be a whole number from 1 to 1000000",
      "tenants/acme.env: PORT belongs to the whole instance; set it in .env",
    ]);
    expect(() => load(folderWith(files), { DRAIN_MS: "soon" })).toThrow(
      "\n  .env: PORT must be a whole number from 0 to 65535\n",
    );
  });

  test("a mistake that many tenants inherit is told once", () => {
    const files = { ".env": "LLM_BASE_URL=http://x", "tenants/a.env": "", "tenants/b.env": "" };
    expect(problem(files)).toBe(".env: LLM_BASE_URL needs LLM_MODEL, a model of that server; set it as well");
  });

  test("an unknown name in a file is a problem, with the name that was meant when it is close", () => {
    expect(refusal("LLM_MODLE=x")).toEndWith("LLM_MODLE is no setting of cip; did you mean LLM_MODEL?");
    expect(refusal("port=80")).toEndWith("port is no setting of cip; did you mean PORT?");
    expect(refusal("LLM_API_KEY_FIEL=x")).toEndWith("did you mean LLM_API_KEY_FILE?");
    expect(refusal("SOMETHING_ELSE=")).toEndWith("SOMETHING_ELSE is no setting of cip; remove it");
    expect(problem({ "tenants/a.env": "UI_TITEL=x" })).toStartWith("tenants/a.env: UI_TITEL is no setting");
  });

  test("in the environment only a near miss of a name of ours is a problem", () => {
    const others = { PATH: "/bin", POTR: "1", HOME: "/", LLM_CACHE: "1", DATABASE_HOST: "db", UI: "1" };
    expect(loaded({}, others).instance.port).toBe(3000);
    const more = {
      LOGLEVEL: "debug",
      API_KEY: "k",
      DATADIR: "/",
      HOSTS: "a",
      IDENTIFIER: "1",
      PUBLIC_KEY: "k",
    };
    expect(loaded({}, more).instance.port).toBe(3000);
    const misses = {
      LLM_MODLE: "LLM_MODEL",
      UI_TITTLE: "UI_TITLE",
      DATABASE_URI: "DATABASE_URL",
      TENANT_DIR: "TENANTS_DIR",
      DAILY_TOKEN_MAX: "DAILY_TOKENS_MAX",
      ALOWED_ORIGINS: "ALLOWED_ORIGINS",
      LIMIT_MESSAGE_PER_VISITOR: "LIMIT_MESSAGES_PER_VISITOR",
      IDENTITI: "IDENTITY",
      SECERT_KEY: "SECRET_KEY",
    };
    expect(problems({}, misses)).toEqual(
      Object.entries(misses).map(
        ([name, meant]) => `environment: ${name} is no setting of cip; did you mean ${meant}?`,
      ),
    );
  });

  test("a line that is neither a setting nor a comment is a problem, not passed over", () => {
    expect(problem({ ".env": "# cip\r\nPORT 3000\r\n" })).toBe(".env: must hold NAME=value in line 2");
    expect(loaded({ ".env": "export LLM_EXTRA_BODY='{\n\"a\": 1\n}'\n" }).tenants.size).toBe(1);
  });

  test("a file that is not UTF-8, a folder or unreadable is a problem, be it .env, a tenant's or a prompt", () => {
    const latin1 = new Uint8Array([0x55, 0x49, 0xe4]);
    const folder = folderWith({
      ".env": latin1,
      "tenants/a.env": latin1,
      "tenants/b.env/x": "",
      "p.md": latin1,
    });
    symlinkSync("c.env", join(folder, "tenants/c.env"));
    expect(problems(folder, { PROMPT_FILE: "p.md" })).toEqual([
      ".env: must be saved as UTF-8",
      "tenants/a.env: must be saved as UTF-8",
      "environment: PROMPT_FILE names a file that must be saved as UTF-8",
      "tenants/b.env: is a folder; it must be a file",
      "tenants/c.env: cannot be read (ELOOP); check its owner and permissions",
    ]);
    expect(problem({ ".env/x": "" })).toBe(".env: is a folder; it must be a file");
  });

  test("what is no file, or too large for one of settings, is refused and not waited for", async () => {
    const files = { "tenants/b.env": "#".repeat(1024 * 1024 + 1), "tenants/c.env": "PROMPT_FILE=/dev/zero" };
    const folder = folderWith({ ...files, "tenants/d.env": "UI_LOGO=/dev/zero" });
    expect(Bun.spawnSync(["mkfifo", join(folder, "tenants/a.env")]).exitCode).toBe(0);
    // In a process of its own, which has a deadline: who opens a pipe without care waits for ever.
    const { stderr } = await run(["check"], { cwd: folder });
    expect(stderr.match(/(?<=^ {2})tenants.*$/gm)).toEqual([
      "tenants/a.env: is a pipe or a device; it must be a file",
      "tenants/b.env: is larger than 1 MiB",
      "tenants/c.env: PROMPT_FILE names a file that is a pipe or a device; it must be a file",
      "tenants/d.env: UI_LOGO names a pipe or a device; it must be a file",
    ]);
  });

  test("files in the tenants' folder are tenants, save hidden ones, README.md and examples", () => {
    const ignored = { "tenants/.git/x": "", "tenants/README.md": "", "tenants/acme.env.example": "X=1" };
    expect([...loaded(ignored).tenants.keys()]).toEqual(["default"]);
    const id63 = "a".repeat(63);
    expect([...loaded({ [`tenants/${id63}.env`]: "", "tenants/7.env": "" }).tenants.keys()]).toEqual([
      "7",
      id63,
    ]);
    for (const name of ["Acme.env", "-a.env", "a_b.env", "a.b.env", "acme.txt", "acme.env~", `${id63}a.env`])
      expect(problem({ [`tenants/${name}`]: "" })).toStartWith(
        `tenants/${name}: must be named <tenant_id>.env`,
      );
  });

  test("no tenant may hide an address of the server", () => {
    for (const id of ["v1", "assets", "healthz", "readyz"])
      expect(problem({ [`tenants/${id}.env`]: "" })).toBe(
        `tenants/${id}.env: must have another name; /${id} is an address of the server itself`,
      );
  });
});

describe("values", () => {
  test.each([
    "PORT=-1",
    "PORT=65536",
    "PORT=3e3",
    "PORT=0x50",
    "PORT=80.5",
    "DATABASE_POOL_SIZE=0",
    "LLM_MAX_TOKENS=1,000",
    "LLM_TEMPERATURE=2.1",
    "LLM_TEMPERATURE=warm",
    "LOG_LEVEL=verbose",
    "LLM_THINKING=true",
    "HOST=http://localhost",
    "MESSAGE_CHARS_MAX=60001",
    "UI_LANGUAGE=en_US",
    "LLM_API_KEY='two words'",
    'TENANT_NAME="left open\nUI_TITLE="x',
    "DATABASE_URL=mysql://localhost/cip",
    "DATABASE_URL=localhost:5432",
    "DATABASE_URL=postgres://u:p/q@localhost/cip",
    "LLM_BASE_URL=api.example",
    "LLM_BASE_URL=ftp://api.example",
    "LLM_BASE_URL=https://user:password@api.example",
    "LLM_BASE_URL=https://api.example/v1?key=1",
    "PUBLIC_URL=chat.example",
    "PUBLIC_URL=https://chat.example/path",
    "PUBLIC_URL=https://user@chat.example",
    "TRUSTED_PROXIES=-1",
    "TRUSTED_PROXIES=true",
    "LIMIT_MESSAGES_PER_VISITOR=20",
    "LIMIT_MESSAGES_PER_ADDRESS=0/1m",
    "LIMIT_MESSAGES_PER_TENANT=20/0m",
    "LIMIT_VISITORS_PER_ADDRESS=20/2d",
    "LIMIT_READS_PER_VISITOR=20/1w",
    "DAILY_TOKENS_MAX=0",
    "CONCURRENT_RUNS_PER_VISITOR_MAX=off",
    "IDENTITY=on",
    `IDENTITY_SECRET=${"k".repeat(31)}`,
    `SECRET_KEY_PREVIOUS=${"k".repeat(31)}`,
    `API_KEYS=${"k".repeat(31)}`,
    "API_KEYS=sha256:abc",
    `API_KEYS=SHA256:${"a".repeat(63)}`,
    "UI_ACCENT=blue",
    "UI_ACCENT='#2456d'",
    `UI_SUGGESTIONS=${"a|".repeat(13)}`,
    `UI_SUGGESTIONS=${"a".repeat(201)}`,
    "UI_COLOR_SCHEME=black",
    "UI_POSITION=bottom",
    "LLM_EXTRA_BODY=[1]",
    "LLM_EXTRA_BODY=null",
    "LLM_EXTRA_BODY={a: 1}",
    "VISITOR_TOKEN_TTL=90",
    "VISITOR_TOKEN_TTL=1.5d",
    "VISITOR_TOKEN_TTL=0s",
    "VISITOR_TOKEN_TTL=4000d",
    "VISITOR_TOKEN_TTL=90w",
    "ALLOWED_ORIGINS=shop.example",
    "ALLOWED_ORIGINS=null",
    "ALLOWED_ORIGINS=https://shop.example/",
    "ALLOWED_ORIGINS=https://shop.example/path",
    "ALLOWED_ORIGINS=https://shop.*.example",
    "ALLOWED_ORIGINS=https://*",
    "ALLOWED_ORIGINS=https://*.com",
    "ALLOWED_ORIGINS=https://*.com.",
    "ALLOWED_ORIGINS=https://*.xn--p1ai",
    "ALLOWED_ORIGINS=https://*.1.2.3.4",
    "ALLOWED_ORIGINS=https://*.0x7f.1:8080",
    "ALLOWED_ORIGINS=https://a@shop.example",
    "ALLOWED_ORIGINS=ftp://shop.example",
    "ALLOWED_ORIGINS=https://shop.example;script-src",
    "ALLOWED_ORIGINS='* https://shop.example'",
  ])("%s is refused", (line) => {
    expect(refusal(line)).toStartWith(`.env: ${line.split("=")[0]} must `);
  });

  test("what is right is taken as meant", () => {
    const lines = [
      "PORT=0",
      "HOST=::1",
      "DATABASE_URL=postgresql://u:p%23@a:5432,b:5432/cip?sslmode=require",
      "LLM_BASE_URL=HTTP://LocalHost:11434/v1/",
      "LLM_MODEL=qwen3:8b",
      "LLM_TEMPERATURE=0.7",
      "LLM_THINKING=off",
      'LLM_EXTRA_BODY={"top_k": 20, "max_tokens": null}',
      "UI_LANGUAGE=pt-br-u-nu-latn-x-a-note-to-the-model",
      "VISITOR_TOKEN_TTL=12h",
    ];
    const config = loaded({ ".env": lines.join("\n") });
    expect(revealed(config.instance)).toMatchObject({
      port: 0,
      host: "::1",
      databaseUrl: "postgresql://u:p%23@a:5432,b:5432/cip?sslmode=require",
    });
    expect(tenant(config)).toMatchObject({
      model: {
        baseUrl: "http://localhost:11434/v1",
        name: "qwen3:8b",
        temperature: 0.7,
        thinking: "off",
        extraBody: { top_k: 20, max_tokens: null },
        demo: false,
      },
      visitorTokenTtlMs: 12 * 3_600_000,
      ui: { language: "pt-BR" },
    });
  });

  test("a language that the page has no words in is warned about, for the model may know it", () => {
    const files = { "tenants/a.env": "UI_LANGUAGE=it", "tenants/b.env": "UI_LANGUAGE=pt-BR" };
    const config = loaded(files);
    expect(tenant(config, "a").ui.language).toBe("it");
    expect(config.warnings).toEqual([expect.stringMatching(/^tenants\/a\.env: .*UI_LANGUAGE.* en, ru, /)]);
  });

  test("off takes away for one tenant what bounds the others", () => {
    const names = ["DAILY_TOKENS_MAX", "DAILY_TOKENS_PER_VISITOR_MAX", "CONCURRENT_RUNS_MAX"];
    const all = (value: string) => names.map((name) => `${name}=${value}`).join("\n");
    const config = loaded({ ".env": all("5000"), "tenants/a.env": all("off"), "tenants/b.env": "" });
    const boundsOf = (id: string) => {
      const { concurrentRunsMax, limits } = tenant(config, id);
      return [limits.dailyTokensMax, limits.dailyTokensPerVisitorMax, concurrentRunsMax];
    };
    expect(boundsOf("a")).toEqual([null, null, undefined]);
    expect(boundsOf("b")).toEqual([5000, 5000, 5000]);
    expect(refusal("DAILY_TOKENS_MAX=none")).toEndWith("from 1 to 1000000000000, or off");
  });

  test("rates are counts in a time, or off", () => {
    const { limits } = tenant(
      loaded({
        ".env": "LIMIT_MESSAGES_PER_VISITOR=5/2s\nLIMIT_READS_PER_VISITOR=off\nDAILY_TOKENS_MAX=100000",
      }),
    );
    expect(limits).toMatchObject({
      messagesPerVisitor: { count: 5, periodMs: 2_000 },
      readsPerVisitor: null,
      dailyTokensMax: 100_000,
    });
  });

  test("keys of a backend are kept as their SHA-256, in whichever form they are given", () => {
    const key = "a-key-of-the-backend-of-32-bytes-or-more";
    const hash = new Bun.CryptoHasher("sha256").update(key).digest("hex");
    const { apiKeys } = tenant(loaded({ ".env": `API_KEYS='${key}, sha256:${hash.toUpperCase()}'` }));
    expect(revealed(apiKeys)).toEqual([hash, hash]);
    expect(refusal(`API_KEYS='${key} short'`)).toEndWith("entry 2 is neither");
  });

  test("PUBLIC_URL, UI_ACCENT and UI_SUGGESTIONS are kept in one spelling", () => {
    const config = loaded({
      ".env":
        "PUBLIC_URL=HTTPS://Chat.Example:443/\nUI_ACCENT='#ABC'\nUI_SUGGESTIONS='Opening hours? | Delivery?|\nReturns? '",
    });
    expect(config.instance.publicUrl).toBe("https://chat.example");
    expect(tenant(config).ui).toMatchObject({
      accent: "#aabbcc",
      suggestions: ["Opening hours?", "Delivery?", "Returns?"],
    });
  });

  test("a value that a # cuts short is a problem, and one in quotation marks or before a comment is not", () => {
    const remedy = "holds a # that would begin a comment; put the value in quotation marks";
    expect(refusal("UI_ACCENT=#2456d6")).toBe(`.env: UI_ACCENT ${remedy}`);
    expect(refusal("export DATABASE_URL = postgres://u:p#w@host/cip")).toEndWith(`DATABASE_URL ${remedy}`);
    const config = loaded({
      ".env": "UI_ACCENT='#2456d6' # blue\nUI_TITLE=Ask us # C#\nUI_GREETING= # none",
    });
    expect(tenant(config).ui).toMatchObject({ accent: "#2456d6", title: "Ask us", greeting: undefined });
  });

  test("ALLOWED_ORIGINS is a list by commas or whitespace, in canonical spelling, each once", () => {
    const origins = (text: string) => tenant(loaded({}, { ALLOWED_ORIGINS: text })).allowedOrigins;
    expect(origins("*")).toEqual(["*"]);
    expect(
      origins(
        "https://Shop.Example, https://*.shop.example\n http://localhost:8080,https://shop.example:443",
      ),
    ).toEqual(["https://shop.example", "https://*.shop.example", "http://localhost:8080"]);
    expect(origins("http://*.localhost:8080")).toEqual(["http://*.localhost:8080"]);
    expect(origins("https://*.пример.example")).toEqual(["https://*.xn--e1afmkfd.example"]);
    expect(refusal("ALLOWED_ORIGINS=https://a.example b.example")).toEndWith("entry 2 is none");
  });
});

describe("the prompt", () => {
  test("prompts/default.md of the working folder goes before the bundled one", () => {
    expect(tenant(loaded({ "prompts/default.md": "\uFEFFOurs." })).prompt).toBe("Ours.");
  });

  test("each tenant may name its own, relative to the working folder", () => {
    const config = loaded({ "tenants/a.env": "PROMPT_FILE=p/a.md", "p/a.md": "A.", "tenants/b.env": "" });
    expect(tenant(config, "a").prompt).toBe("A.");
    expect(tenant(config, "b").prompt).toBe(readFileSync(join(asset("prompts"), "default.md"), "utf8"));
  });

  test("one that is named and missing, empty or a folder is a problem of every file that names it", () => {
    const named = { "tenants/a.env": "PROMPT_FILE=p.md", "tenants/b.env": "PROMPT_FILE=./p.md" };
    const both = (remedy: string) =>
      ["a", "b"].map((id) => `tenants/${id}.env: PROMPT_FILE names a file that ${remedy}`);
    expect(problems(named)).toEqual(both("does not exist"));
    expect(problems({ ...named, "p.md": " \n" })).toEqual(both("is empty"));
    expect(problems({ ...named, "p.md/x": "" })).toEqual(
      ["a", "b"].map((id) => `tenants/${id}.env: PROMPT_FILE names a folder; it must be a file`),
    );
  });
});

describe("identity", () => {
  const secret = "a secret of thirty-two bytes or more";
  const identity = (lines: string) => revealed(tenant(loaded({ ".env": lines })).identity);

  test("a secret alone makes it optional, and off is off whatever else is set", () => {
    expect(identity(`IDENTITY_SECRET=${secret}`)).toEqual({ mode: "optional", secret });
    expect(identity(`IDENTITY_SECRET=${secret}\nIDENTITY=required`)).toEqual({ mode: "required", secret });
    expect(identity(`IDENTITY_SECRET=${secret}\nIDENTITY=off`)).toEqual({ mode: "off" });
    expect(identity("IDENTITY=off")).toEqual({ mode: "off" });
  });

  test("a mode without a secret is a problem, told once", () => {
    expect(refusal("IDENTITY=required")).toStartWith(".env: IDENTITY needs IDENTITY_SECRET; set it as well");
    expect(problem({ ".env": "IDENTITY=optional", "tenants/a.env": "", "tenants/b.env": "" })).toContain(
      "needs",
    );
    expect(refusal("IDENTITY=required\nIDENTITY_SECRET=short")).toStartWith(
      ".env: IDENTITY_SECRET must have",
    );
  });

  test("a previous key needs the new one", () => {
    expect(refusal(`SECRET_KEY_PREVIOUS=${secret}`)).toBe(
      ".env: SECRET_KEY_PREVIOUS needs SECRET_KEY, the new one; set both",
    );
    const { instance } = loaded({ ".env": `SECRET_KEY=${secret}s\nSECRET_KEY_PREVIOUS=${secret}` });
    expect(revealed(instance)).toMatchObject({ secretKey: `${secret}s`, secretKeyPrevious: secret });
  });
});

describe("the model", () => {
  test("another server needs its model, and a model needs a server or a key", () => {
    expect(refusal("LLM_BASE_URL=http://localhost:11434/v1")).toStartWith(
      ".env: LLM_BASE_URL needs LLM_MODEL",
    );
    expect(refusal("LLM_MODEL=x")).toStartWith(".env: LLM_MODEL is not used by the demo model");
    expect(tenant(loaded({ ".env": "LLM_MODEL=x\nLLM_API_KEY=k" })).model).toMatchObject({
      demo: false,
      name: "x",
    });
    expect(revealed(tenant(loaded({ ".env": "LLM_API_KEY=k" })).model)).toMatchObject({
      demo: false,
      apiKey: "k",
    });
    expect(tenant(loaded({ ".env": "LLM_BASE_URL=https://api.deepseek.com/" })).model.demo).toBe(false);
  });

  test("a fallback needs its address and its model; its key is its own", () => {
    expect(refusal("LLM_FALLBACK_BASE_URL=http://b")).toStartWith(
      ".env: LLM_FALLBACK_BASE_URL needs LLM_FALLBACK_M",
    );
    expect(refusal("LLM_FALLBACK_MODEL=b")).toStartWith(
      ".env: LLM_FALLBACK_MODEL needs LLM_FALLBACK_BASE_URL",
    );
    const lines = "LLM_API_KEY=k\nLLM_FALLBACK_BASE_URL=http://b/v1\nLLM_FALLBACK_MODEL=b";
    expect(tenant(loaded({ ".env": lines })).model.fallback).toEqual({
      baseUrl: "http://b/v1",
      apiKey: undefined,
      name: "b",
    });
    expect(
      tenant(loaded({ ".env": `${lines}\nLLM_FALLBACK_API_KEY=f` })).model.fallback?.apiKey?.reveal(),
    ).toBe("f");
  });

  test("a day's tokens are more than one answer may use, or nothing would ever be answered", () => {
    for (const name of ["DAILY_TOKENS_MAX", "DAILY_TOKENS_PER_VISITOR_MAX"]) {
      expect(refusal(`${name}=4096`)).toStartWith(`.env: ${name} must be above LLM_MAX_TOKENS`);
      expect(loaded({ ".env": `${name}=4097` }).tenants.size).toBe(1);
      const inherited = {
        ".env": `${name}=5000`,
        "tenants/a.env": "LLM_MAX_TOKENS=5000",
        "tenants/b.env": "",
      };
      expect(problem(inherited)).toStartWith(`.env: ${name} must be above LLM_MAX_TOKENS`);
    }
  });

  test("two that differ only in a key are two", () => {
    const config = loaded({
      ".env": "LLM_API_KEY=k\nLLM_FALLBACK_BASE_URL=http://b\nLLM_FALLBACK_MODEL=b\nLLM_FALLBACK_API_KEY=f",
      "tenants/a.env": "",
      "tenants/b.env": "LLM_API_KEY=other",
      "tenants/c.env": "LLM_FALLBACK_API_KEY=other",
      "tenants/d.env": "LLM_API_KEY=k",
    });
    const [a, b, c, d] = ["a", "b", "c", "d"].map((id) => tenant(config, id).model);
    expect(new Set([a, b, c, d]).size).toBe(3);
    expect(d).toBe(a as Model);
  });

  test("the instance's key goes to no other server that a tenant names, only to the same origin", () => {
    const files = {
      ".env": "LLM_BASE_URL=https://a.example/v1\nLLM_API_KEY=instance\nLLM_MODEL=m",
      "tenants/inherits.env": "",
      "tenants/same.env": "LLM_BASE_URL=https://a.example/v2",
      "tenants/other.env": "LLM_BASE_URL=https://b.example/v1",
      "tenants/plain.env": "LLM_BASE_URL=http://a.example/v1",
      "tenants/own.env": "LLM_BASE_URL=https://b.example/v1\nLLM_API_KEY=own",
      "tenants/file.env": "LLM_BASE_URL=https://b.example/v1\nLLM_API_KEY_FILE=key",
      key: "from file\n".replace(" ", "-"),
    };
    const config = loaded(files);
    const keys = Object.fromEntries(
      [...config.tenants].map(([id, { model }]) => [id, model.apiKey?.reveal()]),
    );
    expect(keys).toEqual({
      inherits: "instance",
      same: "instance",
      other: undefined,
      plain: undefined,
      own: "own",
      file: "from-file",
    });
    expect(tenant(config, "other").model.demo).toBe(false);
  });

  test("nor does its fallback key", () => {
    const config = loaded({
      ".env":
        "LLM_API_KEY=k\nLLM_FALLBACK_BASE_URL=https://a.example\nLLM_FALLBACK_MODEL=m\nLLM_FALLBACK_API_KEY=f",
      "tenants/inherits.env": "",
      "tenants/other.env": "LLM_FALLBACK_BASE_URL=https://b.example",
    });
    expect(tenant(config, "inherits").model.fallback?.apiKey?.reveal()).toBe("f");
    expect(revealed(tenant(config, "other").model)).toMatchObject({
      apiKey: "k",
      fallback: { apiKey: undefined },
    });
  });
});

describe("secrets", () => {
  const secrets = Object.entries(settings).flatMap(([name, { secret }]) => (secret ? [name] : []));

  test("are these, and no other setting has a file form", () => {
    expect(secrets).toEqual([
      "DATABASE_URL",
      "SECRET_KEY",
      "SECRET_KEY_PREVIOUS",
      "METRICS_TOKEN",
      "LLM_API_KEY",
      "LLM_FALLBACK_API_KEY",
      "IDENTITY_SECRET",
      "API_KEYS",
    ]);
    expect(refusal("LLM_MODEL_FILE=x")).toContain("LLM_MODEL_FILE is no setting");
  });

  test("may stay in a file, whose content counts without the space around it", () => {
    const key = "k".repeat(32);
    const files = {
      ".env": "SECRET_KEY_FILE=secrets/key\nDATABASE_URL_FILE=url",
      "secrets/key": `\uFEFF${key}\r\n`,
    };
    const config = loaded({ ...files, url: " postgres://localhost/cip\n" });
    expect(revealed(config.instance)).toMatchObject({
      secretKey: key,
      databaseUrl: "postgres://localhost/cip",
    });
  });

  test("in a stronger source replace the weaker one's, in either form", () => {
    const inFile = { ".env": "LLM_API_KEY=weak", key: "strong" };
    expect(tenant(loaded(inFile, { LLM_API_KEY_FILE: "key" })).model.apiKey?.reveal()).toBe("strong");
    const inText = { ".env": "LLM_API_KEY_FILE=key", key: "weak" };
    expect(tenant(loaded(inText, { LLM_API_KEY: "strong" })).model.apiKey?.reveal()).toBe("strong");
  });

  test("must not be given twice in one source", () => {
    expect(problem({ "tenants/a.env": "LLM_API_KEY=a\nLLM_API_KEY_FILE=key", key: "b" })).toBe(
      "tenants/a.env: LLM_API_KEY_FILE must not be set together with LLM_API_KEY; remove one of them",
    );
  });

  test("in a file that is missing, empty or no text are problems", () => {
    const bad: [Files, string][] = [
      [{}, "does not exist"],
      [{ key: "\n" }, "is empty"],
      [{ key: new Uint8Array([0xff]) }, "must be saved as UTF-8"],
    ];
    for (const [files, remedy] of bad)
      expect(problem({ ...files, "tenants/a.env": "LLM_API_KEY_FILE=key" })).toBe(
        `tenants/a.env: LLM_API_KEY_FILE names a file that ${remedy}`,
      );
  });

  test("in a folder is a problem", () => {
    expect(problem({ "tenants/a.env": "LLM_API_KEY_FILE=key", "key/x": "" })).toBe(
      "tenants/a.env: LLM_API_KEY_FILE names a folder; it must be a file",
    );
  });

  test("SECRET_KEY needs 32 bytes, not characters", () => {
    expect(refusal(`SECRET_KEY=${"k".repeat(31)}`)).toContain("SECRET_KEY must have at least 32 bytes");
    expect(loaded({ ".env": `SECRET_KEY=${"ж".repeat(16)}` }).instance.secretKey?.reveal()).toBe(
      "ж".repeat(16),
    );
  });

  /** Makes the files of `modes` and then gives each its mode. */
  const folderOf = (files: Files, modes: Record<string, number>) => {
    const folder = folderWith(files);
    for (const [name, mode] of Object.entries(modes)) chmodSync(join(folder, name), mode);
    return folder;
  };
  const said = (name: string) => `${name} holds a secret that others can read; run: chmod 600 ${name}`;

  test("in a file that others can change are a problem", () => {
    for (const mode of [0o620, 0o602, 0o666])
      expect(
        problem(folderOf({ ".env": "LLM_API_KEY_FILE=key", key: "k" }, { ".env": 0o600, key: mode })),
      ).toBe(".env: LLM_API_KEY_FILE names a file that others can change; give it the mode 600");
  });

  test("in files that others can read are warned of, each with the command that mends it", () => {
    const folder = folderOf(
      {
        ".env": "LLM_API_KEY=k",
        "tenants/a.env": "LLM_API_KEY_FILE=a key",
        "tenants/b.env": "UI_TITLE=B",
        "tenants/c.env": "API_KEYS=",
        "a key": "k",
      },
      { ".env": 0o640, "a key": 0o604, "tenants/b.env": 0o666, "tenants/c.env": 0o644 },
    );
    const { warnings } = load(folder, {});
    expect(warnings).toEqual([said(".env"), said("'a key'").replace("'", "").replace("'", "")]);
    for (const warning of warnings)
      expect(Bun.spawnSync(["sh", "-c", warning.split("run: ")[1] ?? ""], { cwd: folder }).exitCode).toBe(0);
    expect(load(folder, {}).warnings).toEqual([]);
  });

  test("in many such files are warned of in six lines", () => {
    const files: Files = {};
    for (let i = 0; i < 8; i++) files[`tenants/t${i}.env`] = "LLM_API_KEY=k";
    const names = Object.keys(files);
    const folder = folderOf(files, Object.fromEntries(names.map((name) => [name, 0o644])));
    expect(load(folder, {}).warnings).toEqual([
      ...names.slice(0, 5).map(said),
      "3 more such files hold secrets that others can read",
    ]);
  });

  test("of another owner may be read by the group, and are made ours before they are closed", () => {
    const others = { uid: 1, mode: 0o640 };
    expect(exposureOf("/etc/cip/key", "key", others, 2)).toBeUndefined();
    expect(exposureOf("/etc/cip/key", "key", { ...others, mode: 0o644 }, 2)).toEqual({
      others: "read",
      mend: "chown 2 key && chmod 600 key",
    });
  });

  test("where containers have them have the modes that they have", () => {
    const open = { uid: 0, mode: 0o666 };
    for (const path of ["/run/secrets/key", "/var/run/secrets/key"])
      expect(exposureOf(path, path, open, 0)).toBeUndefined();
    expect(exposureOf("/run/secretskey", "key", open, 0)).toMatchObject({ others: "write" });
  });

  test("print as ***, however they are printed", () => {
    const { instance, tenants } = loaded({
      ".env": `SECRET_KEY=${"k".repeat(32)}\nLLM_API_KEY=kkkkk\nAPI_KEYS=sha256:${"5c".repeat(32)}`,
    });
    const all = { instance, tenant: tenants.get("default") };
    const bytes = Buffer.from("5c".repeat(32), "hex");
    for (const shown of [
      Bun.inspect(all),
      inspect(all, { depth: 9 }),
      JSON.stringify(all),
      `${instance.secretKey}`,
    ]) {
      for (const secret of ["kkkkk", "5c5c5c", bytes.join(",").slice(0, 20), "92, 92"])
        expect(shown).not.toContain(secret);
      expect(shown).toContain("***");
    }
  });

  test("that open more than one site are warned of, in one line a setting", () => {
    const [secret, key, other] = ["s".repeat(32), "k".repeat(32), "o".repeat(32)];
    const files = { "tenants/a.env": "", "tenants/b.env": "", "tenants/c.env": "" };
    const warnings = (lines: string, more: Files = {}) =>
      loaded({ ...files, ".env": lines, ...more }).warnings;
    const all = `IDENTITY_SECRET=${secret}\nAPI_KEYS=${key}`;
    const remedy = "what opens one opens the others; give each its own";
    expect(warnings(all)).toEqual([
      `tenants a, b, c have the same IDENTITY_SECRET: ${remedy}`,
      `tenants a, b, c have the same API_KEYS: ${remedy}`,
    ]);
    // One of several is enough, but not twice the same in one place; and what is off opens nothing.
    const own = {
      "tenants/a.env": `IDENTITY=off\nAPI_KEYS=${key} ${key} ${other}`,
      "tenants/b.env": `IDENTITY_SECRET=${other}\nAPI_KEYS=${"b".repeat(32)}`,
    };
    expect(warnings(all, { ...own, "tenants/c.env": `API_KEYS=${"c".repeat(32)}` })).toEqual([]);
    const hash = new Bun.CryptoHasher("sha256").update(other).digest("hex");
    expect(warnings(all, { ...own, "tenants/c.env": `API_KEYS=sha256:${hash}` })).toEqual([
      `tenants a, c have the same API_KEYS: ${remedy}`,
    ]);
    expect(loaded({ ".env": all }).warnings).toEqual([]);
    const many = Object.fromEntries(Array.from({ length: 7 }, (_, i) => [`tenants/t${i}.env`, ""]));
    expect(warnings(`API_KEYS=${key}`, many)).toEqual([
      `tenants a, b, c, t0, t1 and 5 more have the same API_KEYS: ${remedy}`,
    ]);
  });

  test("are never repeated in a problem, wherever they were put by mistake", () => {
    const secret = "hunter2Hunter2";
    const url = `://user:${secret}@host/x`;
    const all = problems(
      {
        ".env": [
          `SECRET_KEY=${secret}`,
          `DATABASE_URL=mysql${url}`,
          `LLM_API_KEY='${secret} ${secret}'`,
          `IDENTITY_SECRET=${secret}`,
          `API_KEYS=sha256:${secret}`,
          `SECRET_KEY_PREVIOUS=${secret}#${secret}`,
          `UI_ACCENT=${secret}`,
          `PUBLIC_URL=https${url}`,
          `LIMIT_READS_PER_VISITOR=${secret}`,
          `LLM_FALLBACK_API_KEY_FILE=${secret}`,
          `LLM_BASE_URL=https${url}`,
          `LLM_FALLBACK_BASE_URL=ftp${url}`,
          `ALLOWED_ORIGINS=https${url}`,
          `PORT=${secret}`,
          `${secret}==`,
          secret,
        ].join("\n"),
      },
      { HOST: `http${url}`, PROMPT_FILE: secret },
    );
    expect(all).toHaveLength(19);
    expect(all.join("\n")).not.toContain("unter2");
  });
});

test("ten thousand tenants load at once and share what is equal", () => {
  const files: Files = { ".env": "LLM_API_KEY=k", "p.md": "Shared." };
  for (let i = 0; i < 10_000; i++)
    files[`tenants/t${i}.env`] =
      `TENANT_NAME=Tenant ${i}\nPROMPT_FILE=p.md\nLLM_MODEL=${i % 2 ? "odd" : "even"}\n`;
  const folder = folderWith(files);
  const startedMs = performance.now();
  const { tenants } = load(folder, {});
  const tookMs = performance.now() - startedMs;
  expect(tenants.size).toBe(10_000);
  expect(tenant({ tenants } as Config, "t9999")).toMatchObject({ name: "Tenant 9999", prompt: "Shared." });
  expect(new Set([...tenants.values()].map(({ model }) => model)).size).toBe(2);
  // Measured: 0.2 s. The bound leaves room for a machine that does other things as well.
  expect(tookMs).toBeLessThan(2000);
});

test(".env.example names every setting with its help and default, and nothing else", () => {
  const example = readFileSync(join(repository, ".env.example"), "utf8");
  const written: string[][] = [];
  let group = "";
  let help = "";
  for (const line of example.split("\n")) {
    if (line.startsWith("## ")) group = line.slice(3);
    else if (line.startsWith("# ")) help = line.slice(2);
    else if (line) written.push([group, help, line]);
  }
  const expected = Object.entries(settings).map(([name, setting]) => [
    setting.group,
    setting.secret ? `${setting.help} (secret)` : setting.help,
    `#${name}=${setting.default ?? ""}`,
  ]);
  expect(written).toEqual(expected);
  const uncommented = parseEnv(example.replace(/^#(?=[A-Z])/gm, ""));
  for (const [name, setting] of Object.entries(settings))
    expect(uncommented[name]).toBe(setting.default ?? "");
});
