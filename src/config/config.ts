// Turns `.env`, the environment and the tenants' files into one checked `Config`, or says all that is wrong at once.
// The only file that reads the process environment.
import { resolve } from "node:path";
import { setsEgress } from "./egress.ts";
import { ConfigError, Findings, problemsOf } from "./findings.ts";
import { Roster } from "./roster.ts";
import type { Secret } from "./secret.ts";
import { defaults, type Values } from "./settings.ts";
import { type Ground, type Notes, readEnvFile, readEnvironment } from "./sources.ts";

export { ConfigError } from "./findings.ts";
export type { Endpoint, Model } from "./model.ts";
export type { Identity, Limits, Tenant } from "./tenants.ts";

export type Instance = Readonly<{
  port: number;
  host: string;
  /** Scheme, host and port. */
  publicUrl: string | undefined;
  databaseUrl: Secret | undefined;
  databasePoolSize: number;
  dataDir: string;
  tenantsDir: string;
  secretKey: Secret | undefined;
  secretKeyPrevious: Secret | undefined;
  /** How many proxies in front may be believed about where a request comes from. */
  trustedProxies: number;
  logLevel: string;
  /** Undefined: there are no metrics. */
  metricsToken: Secret | undefined;
  leaseMs: number;
  leaseRenewMs: number;
  drainMs: number;
  backupsKept: number;
}>;

/** What of the work an instance does: serve visitors (`web`), run turns that wait (`worker`), or both. */
export type Role = "web" | "worker" | "all";

/** `warnings`: what was better mended at the start though it worked, one line each. */
export type Config = Readonly<{ instance: Instance; tenants: Roster; warnings: readonly string[] }>;

type Environment = Record<string, string | undefined>;

/** Reads the configuration of the folder `cwd`. Throws `ConfigError` with all problems there are. */
export function load(cwd: string, environment: Environment = process.env): Config {
  const atStart = { ...environment };
  const tenants = new Roster((notes) => readInstance(cwd, atStart, notes));
  if (tenants.problems.length > 0) throw new ConfigError(tenants.problems);
  return { instance: toInstance(cwd, tenants.ground.values), tenants, warnings: tenants.warnings };
}

/** The instance's part alone, whatever may be wrong with the tenants. Throws `ConfigError`. */
export function loadInstance(cwd: string, environment: Environment = process.env): Instance {
  const findings = new Findings();
  const { values } = readInstance(cwd, environment, findings);
  const problems = [...problemsOf([findings.found]).values()];
  if (problems.length > 0) throw new ConfigError(problems);
  return toInstance(cwd, values);
}

/** Whether model calls have to be made by Bun's own `fetch`. */
export function egressIsSet(environment: Environment = process.env): boolean {
  return setsEgress(environment);
}

function readInstance(cwd: string, environment: Environment, notes: Notes): Ground {
  const fromEnvironment = readEnvironment(cwd, environment, notes);
  const fromFile = readEnvFile(cwd, ".env", "instance", notes);
  const values: Values = { ...defaults, ...fromFile.values, ...fromEnvironment.values };
  if (values.LEASE_RENEW_MS * 2 > values.LEASE_MS)
    notes.report(".env", "LEASE_RENEW_MS", "must be at most half of LEASE_MS");
  if (values.SECRET_KEY_PREVIOUS !== undefined && values.SECRET_KEY === undefined)
    notes.report(".env", "SECRET_KEY_PREVIOUS", "needs SECRET_KEY, the new one; set both");
  return { cwd, values, sources: [fromEnvironment, fromFile] };
}

function toInstance(cwd: string, values: Values): Instance {
  return {
    port: values.PORT,
    host: values.HOST,
    publicUrl: values.PUBLIC_URL,
    databaseUrl: values.DATABASE_URL,
    databasePoolSize: values.DATABASE_POOL_SIZE,
    dataDir: resolve(cwd, values.DATA_DIR),
    tenantsDir: resolve(cwd, values.TENANTS_DIR),
    secretKey: values.SECRET_KEY,
    secretKeyPrevious: values.SECRET_KEY_PREVIOUS,
    trustedProxies: values.TRUSTED_PROXIES,
    logLevel: values.LOG_LEVEL,
    metricsToken: values.METRICS_TOKEN,
    leaseMs: values.LEASE_MS,
    leaseRenewMs: values.LEASE_RENEW_MS,
    drainMs: values.DRAIN_MS,
    backupsKept: values.BACKUPS_KEPT,
  };
}
