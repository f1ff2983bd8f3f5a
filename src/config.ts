// Turns `.env`, the environment and the tenants' files into one checked `Config`, or says all that is wrong at once.
// The only file that reads the process environment.
import { resolve } from "node:path";
import { defaults, type Values } from "./settings.ts";
import { type Problem, type Report, readEnvFile, readEnvironment } from "./sources.ts";
import { readTenants, type Tenant } from "./tenants.ts";

export type { Endpoint, Model, Tenant } from "./tenants.ts";

export type Instance = Readonly<{
  port: number;
  host: string;
  databaseUrl: string | undefined;
  databasePoolSize: number;
  dataDir: string;
  tenantsDir: string;
  secretKey: string | undefined;
  logLevel: string;
  leaseMs: number;
  leaseRenewMs: number;
  drainMs: number;
}>;

/** What of the work an instance does: serve visitors (`web`), run turns that wait (`worker`), or both. */
export type Role = "web" | "worker" | "all";

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
  if (values.LEASE_RENEW_MS * 2 > values.LEASE_MS)
    report(".env", "LEASE_RENEW_MS", "must be at most half of LEASE_MS");

  if (problems.size > 0) throw new ConfigError([...problems.values()]);
  return { instance: toInstance(cwd, values), tenants };
}

/** The instance's part alone, whatever may be wrong with the tenants. Throws `ConfigError`. */
export function loadInstance(
  cwd: string,
  environment: Record<string, string | undefined> = process.env,
): Instance {
  const problems: Problem[] = [];
  const report: Report = (file, name, remedy) => problems.push({ file, name, remedy });
  const fromEnvironment = readEnvironment(cwd, environment, report);
  const fromFile = readEnvFile(cwd, ".env", "instance", report);
  if (problems.length > 0) throw new ConfigError(problems);
  return toInstance(cwd, { ...defaults, ...fromFile.values, ...fromEnvironment.values });
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
    leaseMs: values.LEASE_MS,
    leaseRenewMs: values.LEASE_RENEW_MS,
    drainMs: values.DRAIN_MS,
  };
}
