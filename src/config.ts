// Turns `.env`, the environment and the tenants' files into one checked `Config`, or says all that is wrong at once.
// The only file that reads the process environment.
import { resolve } from "node:path";
import type { Secret } from "./secret.ts";
import { defaults, type Values } from "./settings.ts";
import { type Notes, type Problem, readEnvFile, readEnvironment } from "./sources.ts";
import { readTenants, type Tenant } from "./tenants.ts";

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

/** `warnings`: what is better mended though it works, one line each. */
export type Config = Readonly<{
  instance: Instance;
  tenants: ReadonlyMap<string, Tenant>;
  warnings: readonly string[];
}>;

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
  const findings = new Findings();
  const { report } = findings;
  const { values, sources } = readInstance(cwd, environment, findings);
  const tenants = readTenants({ cwd, values, sources, ...findings });
  if (values.LEASE_RENEW_MS * 2 > values.LEASE_MS)
    report(".env", "LEASE_RENEW_MS", "must be at most half of LEASE_MS");
  if (values.SECRET_KEY_PREVIOUS !== undefined && values.SECRET_KEY === undefined)
    report(".env", "SECRET_KEY_PREVIOUS", "needs SECRET_KEY, the new one; set both");
  findings.end();
  return { instance: toInstance(cwd, values), tenants, warnings: findings.warnings };
}

/** The instance's part alone, whatever may be wrong with the tenants. Throws `ConfigError`. */
export function loadInstance(
  cwd: string,
  environment: Record<string, string | undefined> = process.env,
): Instance {
  const findings = new Findings();
  const { values } = readInstance(cwd, environment, findings);
  findings.end();
  return toInstance(cwd, values);
}

function readInstance(cwd: string, environment: Record<string, string | undefined>, notes: Notes) {
  const fromEnvironment = readEnvironment(cwd, environment, notes);
  const fromFile = readEnvFile(cwd, ".env", "instance", notes);
  const values: Values = { ...defaults, ...fromFile.values, ...fromEnvironment.values };
  return { values, sources: [fromEnvironment, fromFile] };
}

const exposedShownMax = 5;

/** What the reading comes upon. Tenants that inherit a mistake share one problem. */
class Findings implements Notes {
  readonly #problems = new Map<string, Problem>();
  readonly #warnings = new Set<string>();
  readonly #exposed = new Map<string, string>();

  report = (file: string, name: string, remedy: string) =>
    void this.#problems.set(JSON.stringify([file, name, remedy]), { file, name, remedy });
  warn = (warning: string) => void this.#warnings.add(warning);
  exposed = (name: string, mend: string) => void this.#exposed.set(name, mend);

  end(): void {
    if (this.#problems.size > 0) throw new ConfigError([...this.#problems.values()]);
  }

  get warnings(): string[] {
    const exposed = [...this.#exposed].map(
      ([name, mend]) => `${name} holds a secret that others can read; run: ${mend}`,
    );
    const more = exposed.splice(exposedShownMax).length;
    if (more > 0) exposed.push(`${more} more such files hold secrets that others can read`);
    return [...exposed, ...this.#warnings];
  }
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
