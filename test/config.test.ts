// Configuration, as the person who writes the files meets it: what they mean, and what is said of a mistake.
import { describe, expect, test } from "bun:test";
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { parseEnv } from "node:util";
import { asset } from "../src/assets.ts";
import { type Config, ConfigError, load } from "../src/config.ts";
import { settings } from "../src/settings.ts";
import { repository, temporaryFolder } from "./support.ts";

type Files = Record<string, string | Uint8Array>;

function folderWith(files: Files): string {
  const folder = temporaryFolder();
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(join(folder, dirname(name)), { recursive: true });
    writeFileSync(join(folder, name), content);
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
      databaseUrl: undefined,
      databasePoolSize: 10,
      dataDir: join(folder, "data"),
      tenantsDir: join(folder, "tenants"),
      secretKey: undefined,
      logLevel: "info",
      leaseMs: 45_000,
      leaseRenewMs: 10_000,
      drainMs: 25_000,
    });
    expect([...config.tenants.keys()]).toEqual(["default"]);
    expect(tenant(config)).toEqual({
      id: "default",
      name: "this site",
      prompt: readFileSync(join(asset("prompts"), "default.md"), "utf8"),
      model: {
        baseUrl: "https://api.deepseek.com",
        apiKey: "",
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
      historyTokensMax: 16_000,
      messageCharsMax: 8000,
      allowedOrigins: [],
      visitorTokenTtlMs: 90 * 24 * 3_600_000,
      ui: { title: "Chat", language: undefined, greeting: undefined },
    });
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
    expect(tenant(config, "b").ui).toEqual({ title: "environment", language: "de", greeting: undefined });
    expect(tenant(config, "acme").ui).toEqual({ title: "acme", language: "de", greeting: undefined });
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
    expect(tenant(config)).toMatchObject({ model: { demo: true }, ui: { title: "Chat" } });
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
    const misses = { LLM_MODLE: "x", UI_TITTLE: "x", DATABASE_URI: "x", TENANT_DIR: "x" };
    const meant = ["LLM_MODEL", "UI_TITLE", "DATABASE_URL", "TENANTS_DIR"];
    expect(problems({}, misses)).toEqual(
      Object.keys(misses).map(
        (name, i) => `environment: ${name} is no setting of cip; did you mean ${meant[i]}?`,
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
      "tenants/b.env: must be a file, but is a folder",
      "tenants/c.env: cannot be read (ELOOP); check its owner and permissions",
      "environment: PROMPT_FILE names a file that must be saved as UTF-8",
    ]);
    expect(problem({ ".env/x": "" })).toBe(".env: must be a file, but is a folder");
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
      "UI_LANGUAGE=pt-br",
      "VISITOR_TOKEN_TTL=12h",
    ];
    const config = loaded({ ".env": lines.join("\n") });
    expect(config.instance).toMatchObject({
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

  test("ALLOWED_ORIGINS is a list by commas or whitespace, in canonical spelling, each once", () => {
    const origins = (text: string) => tenant(loaded({}, { ALLOWED_ORIGINS: text })).allowedOrigins;
    expect(origins("*")).toEqual(["*"]);
    expect(
      origins(
        "https://Shop.Example, https://*.shop.example\n http://localhost:8080,https://shop.example:443",
      ),
    ).toEqual(["https://shop.example", "https://*.shop.example", "http://localhost:8080"]);
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
    expect(problems({ ...named, "p.md/x": "" })).toEqual(both("must be a file, but is a folder"));
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
    expect(tenant(loaded({ ".env": "LLM_API_KEY=k" })).model).toMatchObject({ demo: false, apiKey: "k" });
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
      apiKey: "",
      name: "b",
    });
    expect(tenant(loaded({ ".env": `${lines}\nLLM_FALLBACK_API_KEY=f` })).model.fallback?.apiKey).toBe("f");
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
    const keys = Object.fromEntries([...config.tenants].map(([id, { model }]) => [id, model.apiKey]));
    expect(keys).toEqual({
      inherits: "instance",
      same: "instance",
      other: "",
      plain: "",
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
    expect(tenant(config, "inherits").model.fallback?.apiKey).toBe("f");
    expect(tenant(config, "other").model).toMatchObject({ apiKey: "k", fallback: { apiKey: "" } });
  });
});

describe("secrets", () => {
  const secrets = Object.entries(settings).flatMap(([name, { secret }]) => (secret ? [name] : []));

  test("are these, and no other setting has a file form", () => {
    expect(secrets).toEqual(["DATABASE_URL", "SECRET_KEY", "LLM_API_KEY", "LLM_FALLBACK_API_KEY"]);
    expect(refusal("LLM_MODEL_FILE=x")).toContain("LLM_MODEL_FILE is no setting");
  });

  test("may stay in a file, whose content counts without the space around it", () => {
    const key = "k".repeat(32);
    const files = {
      ".env": "SECRET_KEY_FILE=secrets/key\nDATABASE_URL_FILE=url",
      "secrets/key": `\uFEFF${key}\r\n`,
    };
    const config = loaded({ ...files, url: " postgres://localhost/cip\n" });
    expect(config.instance).toMatchObject({ secretKey: key, databaseUrl: "postgres://localhost/cip" });
  });

  test("in a stronger source replace the weaker one's, in either form", () => {
    const inFile = { ".env": "LLM_API_KEY=weak", key: "strong" };
    expect(tenant(loaded(inFile, { LLM_API_KEY_FILE: "key" })).model.apiKey).toBe("strong");
    const inText = { ".env": "LLM_API_KEY_FILE=key", key: "weak" };
    expect(tenant(loaded(inText, { LLM_API_KEY: "strong" })).model.apiKey).toBe("strong");
  });

  test("must not be given twice in one source", () => {
    expect(problem({ "tenants/a.env": "LLM_API_KEY=a\nLLM_API_KEY_FILE=key", key: "b" })).toBe(
      "tenants/a.env: LLM_API_KEY_FILE must not be set together with LLM_API_KEY; remove one of them",
    );
  });

  test("in a file that is missing, empty, a folder or no text are problems", () => {
    const bad: [Files, string][] = [
      [{}, "does not exist"],
      [{ key: "\n" }, "is empty"],
      [{ "key/x": "" }, "must be a file, but is a folder"],
      [{ key: new Uint8Array([0xff]) }, "must be saved as UTF-8"],
    ];
    for (const [files, remedy] of bad)
      expect(problem({ ...files, "tenants/a.env": "LLM_API_KEY_FILE=key" })).toBe(
        `tenants/a.env: LLM_API_KEY_FILE names a file that ${remedy}`,
      );
  });

  test("SECRET_KEY needs 32 bytes, not characters", () => {
    expect(refusal(`SECRET_KEY=${"k".repeat(31)}`)).toContain("SECRET_KEY must have at least 32 bytes");
    expect(loaded({ ".env": `SECRET_KEY=${"ж".repeat(16)}` }).instance.secretKey).toBe("ж".repeat(16));
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
    expect(all).toHaveLength(13);
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
