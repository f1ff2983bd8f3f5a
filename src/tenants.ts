// Makes each tenant of what its file says over the defaults of the instance; equal parts are one object.
import { existsSync, readdirSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { asset } from "./assets.ts";
import { defaults, type Name, type Values } from "./settings.ts";
import { type Report, readEnvFile, readRequired, type Source } from "./sources.ts";
import { Wrong } from "./values.ts";

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
  /** Undefined: as many as there are. */
  concurrentRunsMax: number | undefined;
  queueWaitMs: number;
  ui: Readonly<{ title: string; language: string | undefined; greeting: string | undefined }>;
}>;

/** What every tenant starts from: the values of the instance, and who gave them, the strongest first. */
export type Base = { cwd: string; values: Values; sources: readonly Source[]; report: Report };

/** One tenant's file over the base. `giver` is the file that sets a name, undefined when none does. */
type Layers = { values: Values; base: Base; own: Source; giver(name: Name): string | undefined };

/** Addresses of the server itself, which a tenant of that name would hide (`GET /{tenant}`). */
const reserved = new Set(["v1", "assets", "healthz", "readyz"]);

/** Reads the tenants' folder. Without any tenant's file there is one tenant, `default`. */
export function readTenants(base: Base): ReadonlyMap<string, Tenant> {
  const files = tenantFiles(base);
  if (files.size === 0) files.set("default", { file: "", given: new Set(), values: {} });

  // Ten thousand tenants have a few prompts, and one model object is one client with one pool of connections.
  const prompts = new Map<string, string | Wrong>();
  const models = new Map<string, Model>();
  const tenants = new Map<string, Tenant>();
  for (const [id, own] of files) {
    const giver = (name: Name) => [own, ...base.sources].find(({ given }) => given.has(name))?.file;
    const layers: Layers = { values: { ...base.values, ...own.values }, base, own, giver };
    checkModel(layers);
    const model = toModel(layers);
    const sharedModel = models.getOrInsertComputed(JSON.stringify(model), () => model);
    const prompt = prompts.getOrInsertComputed(promptPath(layers), readRequired);
    if (prompt instanceof Wrong) base.report(giver("PROMPT_FILE") ?? ".env", "PROMPT_FILE", prompt.remedy);
    else tenants.set(id, toTenant(id, layers.values, sharedModel, prompt));
  }
  return tenants;
}

function tenantFiles({ cwd, values, sources, report }: Base): Map<string, Source> {
  const folder = values.TENANTS_DIR;
  const files = new Map<string, Source>();
  for (const entry of folderEntries(resolve(cwd, folder))) {
    if (entry.startsWith(".") || entry === "README.md" || entry.endsWith(".example")) continue;
    const file = join(folder, entry);
    const [, id] = /^([a-z0-9][a-z0-9-]{0,62})\.env$/.exec(entry) ?? [];
    if (id === undefined)
      report(
        file,
        "",
        "must be named <tenant_id>.env, the id of small letters, digits and hyphens; rename it",
      );
    else if (reserved.has(id))
      report(file, "", `must have another name; /${id} is an address of the server itself`);
    else files.set(id, readEnvFile(cwd, file, "tenant", report));
  }
  return files;

  function folderEntries(path: string): string[] {
    try {
      return readdirSync(path).sort();
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      const given = sources.some(({ given }) => given.has("TENANTS_DIR"));
      if (code === "ENOENT" && !given) return [];
      const giver = sources.find(({ given }) => given.has("TENANTS_DIR"))?.file ?? ".env";
      report(giver, "TENANTS_DIR", code === "ENOTDIR" ? "must name a folder" : `cannot be read (${code})`);
      return [];
    }
  }
}

function toTenant(id: string, values: Values, model: Model, prompt: string): Tenant {
  return {
    id,
    name: values.TENANT_NAME ?? (id === "default" ? "this site" : id),
    prompt,
    model,
    historyTokensMax: values.HISTORY_TOKENS_MAX,
    concurrentRunsMax: values.CONCURRENT_RUNS_MAX,
    queueWaitMs: values.QUEUE_WAIT_MS,
    messageCharsMax: values.MESSAGE_CHARS_MAX,
    allowedOrigins: values.ALLOWED_ORIGINS ?? [],
    visitorTokenTtlMs: values.VISITOR_TOKEN_TTL,
    ui: {
      title: values.UI_TITLE ?? values.TENANT_NAME ?? "Chat",
      language: values.UI_LANGUAGE,
      greeting: values.UI_GREETING,
    },
  };
}

/** The default prompt comes with cip; one of that name in the working folder goes before it. */
function promptPath({ values, base, giver }: Layers): string {
  const path = resolve(base.cwd, values.PROMPT_FILE);
  return giver("PROMPT_FILE") || existsSync(path)
    ? path
    : join(asset("prompts"), basename(defaults.PROMPT_FILE));
}

function toModel(layers: Layers): Model {
  const { values, giver } = layers;
  const { LLM_FALLBACK_BASE_URL: fallbackUrl, LLM_FALLBACK_MODEL: fallbackName } = values;
  const fallback: Endpoint | undefined =
    fallbackUrl && fallbackName
      ? {
          baseUrl: fallbackUrl,
          apiKey: keyFor("LLM_FALLBACK_BASE_URL", "LLM_FALLBACK_API_KEY", layers),
          name: fallbackName,
        }
      : undefined;
  return {
    baseUrl: values.LLM_BASE_URL,
    apiKey: keyFor("LLM_BASE_URL", "LLM_API_KEY", layers),
    name: values.LLM_MODEL,
    temperature: values.LLM_TEMPERATURE,
    maxTokens: values.LLM_MAX_TOKENS,
    thinking: values.LLM_THINKING,
    extraBody: values.LLM_EXTRA_BODY,
    connectTimeoutMs: values.LLM_CONNECT_TIMEOUT_MS,
    firstTimeoutMs: values.LLM_FIRST_TIMEOUT_MS,
    idleTimeoutMs: values.LLM_IDLE_TIMEOUT_MS,
    totalTimeoutMs: values.LLM_TOTAL_TIMEOUT_MS,
    fallback,
    demo: !giver("LLM_API_KEY") && !giver("LLM_BASE_URL"),
  };
}

/**
 * The instance's key is for the instance's server only: a tenant whose file names another origin brings its
 * own key or sends none.
 */
function keyFor(
  url: "LLM_BASE_URL" | "LLM_FALLBACK_BASE_URL",
  key: "LLM_API_KEY" | "LLM_FALLBACK_API_KEY",
  { values, base, own }: Layers,
): string {
  const origin = (address: string | undefined) => address && new URL(address).origin;
  const elsewhere = origin(values[url]) !== origin(base.values[url]);
  return (elsewhere && !own.given.has(key) ? undefined : values[key]) ?? "";
}

/** Settings that mean nothing without another one. */
function checkModel({ values, base, giver }: Layers): void {
  const need = (name: Name, remedy: string) => base.report(giver(name) ?? ".env", name, remedy);
  if (values.LLM_BASE_URL !== defaults.LLM_BASE_URL && !giver("LLM_MODEL"))
    need("LLM_BASE_URL", "needs LLM_MODEL, a model of that server; set it as well");
  if (giver("LLM_MODEL") && !giver("LLM_API_KEY") && !giver("LLM_BASE_URL"))
    need("LLM_MODEL", "is not used by the demo model; set LLM_API_KEY or LLM_BASE_URL as well");
  if (giver("LLM_FALLBACK_BASE_URL") && !giver("LLM_FALLBACK_MODEL"))
    need("LLM_FALLBACK_BASE_URL", "needs LLM_FALLBACK_MODEL; set both or none");
  if (giver("LLM_FALLBACK_MODEL") && !giver("LLM_FALLBACK_BASE_URL"))
    need("LLM_FALLBACK_MODEL", "needs LLM_FALLBACK_BASE_URL; set both or none");
}
