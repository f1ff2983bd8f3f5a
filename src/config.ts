// Turns `.env`, the environment and the tenants' files into one checked `Config`, or says all that is wrong at once.
// The only file that reads the process environment.
import { resolve } from "node:path";
import { defaults, type Values } from "./settings.ts";
import { type Problem, type Report, readEnvFile, readEnvironment } from "./sources.ts";
import { readTenants } from "./tenants.ts";

export type Instance = Readonly<{
  port: number;
  host: string;
  databaseUrl: string | undefined;
  databasePoolSize: number;
  dataDir: string;
  tenantsDir: string;
  secretKey: string | undefined;
  logLevel: string;
  drainMs: number;
}>;

/** `apiKey` is empty when the endpoint needs none. */
export type Endpoint = Readonly<{ baseUrl: string; apiKey: string; name: string }>;

export type Model = Endpoint &
  Readonly<{
    temperature: number | undefined;
    maxTokens: number;
    thinking: "on" | "off" | undefined;
    /** Merged into each request as RFC 7396 says. */
    extraBody: Record<string, unknown>;
    connectTimeoutMs: number;
    firstTimeoutMs: number;
    idleTimeoutMs: number;
    totalTimeoutMs: number;
    fallback: Endpoint | undefined;
    /** No endpoint was named, so the built-in demo model answers. */
    demo: boolean;
  }>;

export type Tenant = Readonly<{
  id: string;
  name: string;
  /** The system prompt, its placeholders unfilled. */
  prompt: string;
  model: Model;
  historyTokensMax: number;
  messageCharsMax: number;
  /** CSP host-sources; none means this server only, `*` anyone. */
  allowedOrigins: readonly string[];
  visitorTokenTtlMs: number;
  ui: Readonly<{ title: string; language: string | undefined; greeting: string | undefined }>;
}>;

export type Config = Readonly<{ instance: Instance; tenants: ReadonlyMap<string, Tenant> }>;

/** Its message lists every problem, one a line, without the value of any setting. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";

  constructor(readonly problems: readonly Problem[]) {
    const lines = problems.map(({ file, name, remedy }) => `  ${file}: ${name && `${name} `}${remedy}`);
    super(["The configuration does not hold together:", ...lines].join("\n"));
  }
}

/** Reads the configuration of the folder `cwd`. Throws `ConfigError` with all problems there are. */
export function load(cwd: string, environment: Record<string, string | undefined> = process.env): Config {
  // Tenants that inherit a mistake share one problem.
  const problems = new Map<string, Problem>();
  const report: Report = (file, name, remedy) =>
    problems.set(JSON.stringify([file, name, remedy]), { file, name, remedy });

  const fromEnvironment = readEnvironment(cwd, environment, report);
  const fromFile = readEnvFile(cwd, ".env", "instance", report);
  const values: Values = { ...defaults, ...fromFile.values, ...fromEnvironment.values };
  const base = { cwd, values, sources: [fromEnvironment, fromFile], report };
  const tenants = readTenants(base);

  if (problems.size > 0) throw new ConfigError([...problems.values()]);
  return { instance: toInstance(cwd, values), tenants };
}

function toInstance(cwd: string, values: Values): Instance {
  return {
    port: values.PORT,
    host: values.HOST,
    databaseUrl: values.DATABASE_URL,
    databasePoolSize: values.DATABASE_POOL_SIZE,
    dataDir: resolve(cwd, values.DATA_DIR),
    tenantsDir: resolve(cwd, values.TENANTS_DIR),
    secretKey: values.SECRET_KEY,
    logLevel: values.LOG_LEVEL,
    drainMs: values.DRAIN_MS,
  };
}
