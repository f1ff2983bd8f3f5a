// Makes each tenant of what its file says over the defaults of the instance; equal parts are one object.
import { existsSync, readdirSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { asset } from "../assets.ts";
import { languages } from "./languages.ts";
import { type Logo, readLogo } from "./logo.ts";
import { checkModel, type Model, toModel, wordsOf } from "./model.ts";
import { unknownIn } from "./placeholders.ts";
import type { Secret } from "./secret.ts";
import { defaults, type Name, type Values } from "./settings.ts";
import { type Base, type Ground, type Layers, type Notes, readRequired, type Source } from "./sources.ts";
import { type Rate, Wrong } from "./values.ts";

/** What the page and the loader show, as far as the tenant's file says it. */
export type Ui = Readonly<{
  title: string | undefined;
  language: string | undefined;
  greeting: string | undefined;
  suggestions: readonly string[];
  /** As `#rrggbb`. */
  accent: string;
  colorScheme: "auto" | "light" | "dark";
  position: "right" | "left";
  logo: Logo | undefined;
}>;

/** Whether visitors may, or must, be users that the site vouches for, and the secret it does that with. */
export type Identity = Readonly<{ mode: "off" } | { mode: "optional" | "required"; secret: Secret }>;

/** Null is no limit; where undefined is one too, nobody has said so. */
export type Limits = Readonly<{
  messagesPerVisitor: Rate | null;
  messagesPerAddress: Rate | null;
  messagesPerTenant: Rate | null;
  visitorsPerAddress: Rate | null;
  readsPerVisitor: Rate | null;
  concurrentRunsPerVisitorMax: number;
  connectionsPerVisitorMax: number;
  connectionsPerAddressMax: number;
  dailyTokensMax: number | null | undefined;
  dailyTokensPerVisitorMax: number | null | undefined;
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
  identity: Identity;
  /** SHA-256 of each key of the tenant's backend, in hex. */
  apiKeys: readonly Secret[];
  limits: Limits;
  /** Undefined: as many as there are. */
  concurrentRunsMax: number | undefined;
  queueWaitMs: number;
  /** Undefined: what was said is kept. */
  retentionDays: number | undefined;
  ui: Ui;
}>;

/** Addresses of the server itself, which a tenant of that name would hide (`GET /{tenant}`). */
const reserved = new Set(["v1", "assets", "healthz", "readyz", "metrics"]);

/** What tenants share: ten thousand have a few prompts, and one model object is one client with one pool of connections. */
export type Shared = {
  prompts: Map<string, string | Wrong>;
  logos: Map<string, Logo | Wrong>;
  models: Map<string, Model>;
};

/** The tenant of that file in the tenants' folder, `undefined` for what is none and need not be; or why it cannot be one. */
export function idOf(entry: string): string | undefined | Wrong {
  if (entry.startsWith(".") || entry === "README.md" || entry.endsWith(".example")) return undefined;
  const [, id] = /^([a-z0-9][a-z0-9-]{0,62})\.env$/.exec(entry) ?? [];
  if (id === undefined)
    return new Wrong("must be named <tenant_id>.env, the id of small letters, digits and hyphens; rename it");
  if (reserved.has(id)) return new Wrong(`must have another name; /${id} is an address of the server itself`);
  return id;
}

/** The names in the tenants' folder. Without a folder, unless somebody named it, there are none. */
export function entriesOf(path: string, { sources }: Ground, { report }: Notes): string[] {
  try {
    return readdirSync(path).sort();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const giver = sources.find(({ given }) => given.has("TENANTS_DIR"))?.file;
    if (code === "ENOENT" && giver === undefined) return [];
    report(
      giver ?? ".env",
      "TENANTS_DIR",
      code === "ENOTDIR" ? "must name a folder" : `cannot be read (${code})`,
    );
    return [];
  }
}

/** One tenant of what its file says. What is wrong with it is reported; undefined where that leaves none. */
export function readTenant(id: string, own: Source, base: Base, shared: Shared): Tenant | undefined {
  const layers = layersOf(own, base);
  checkModel(layers);
  checkIdentity(layers);
  warnOfLanguage(layers);
  const { values, giver } = layers;
  const model = toModel(layers);
  const sharedModel = shared.models.getOrInsertComputed(wordsOf(model), () => model);
  const prompt = shared.prompts.getOrInsertComputed(promptPath(layers), readRequired);
  const logoPath = values.UI_LOGO && resolve(base.cwd, values.UI_LOGO);
  if (logoPath) base.uses(logoPath);
  const logo = logoPath ? shared.logos.getOrInsertComputed(logoPath, readLogo) : undefined;
  if (logo instanceof Wrong) base.report(giver("UI_LOGO") ?? ".env", "UI_LOGO", logo.remedy);
  if (prompt instanceof Wrong) base.report(giver("PROMPT_FILE") ?? ".env", "PROMPT_FILE", prompt.remedy);
  else warnOfPlaceholders(layers, prompt);
  if (logo instanceof Wrong || prompt instanceof Wrong) return undefined;
  return toTenant(id, values, { model: sharedModel, prompt, logo });
}

export function layersOf(own: Source, base: Base): Layers {
  const giver = (name: Name) => [own, ...base.sources].find(({ given }) => given.has(name))?.file;
  return { values: { ...base.values, ...own.values }, base, own, giver };
}

/** They stay in the prompt as they are, so that only the model would ever see the mistake. */
function warnOfPlaceholders({ base, giver }: Layers, prompt: string): void {
  for (const place of unknownIn(prompt))
    base.warn(`${giver("PROMPT_FILE") ?? ".env"}: PROMPT_FILE has ${place}, which is no placeholder of cip`);
}

/** The model is told of it all the same, and may speak it. */
function warnOfLanguage({ values: { UI_LANGUAGE: tag = "en" }, base, giver }: Layers): void {
  if (languages.has(tag.split("-", 1)[0] ?? "")) return;
  const spoken = `${[...languages.keys()].join(", ")}; it will be in the browser's, or English`;
  base.warn(`${giver("UI_LANGUAGE") ?? ".env"}: the page has no words in UI_LANGUAGE, but in ${spoken}`);
}

const sharingShownMax = 5;

/**
 * The instance's `.env` gives what it holds to every tenant, and that is seldom meant of what opens one. It may be left
 * alone between two steps.
 */
export function* warnOfShared(tenants: Iterable<Tenant>, { warn }: Notes): Generator<void, void> {
  const holders = { IDENTITY_SECRET: new Map<string, string>(), API_KEYS: new Map<string, string>() };
  const sharing = { IDENTITY_SECRET: new Set<string>(), API_KEYS: new Set<string>() };
  for (const { id, identity, apiKeys } of tenants) {
    const held = { IDENTITY_SECRET: identity.mode === "off" ? [] : [identity.secret], API_KEYS: apiKeys };
    for (const name of ["IDENTITY_SECRET", "API_KEYS"] as const)
      for (const secret of held[name]) {
        const first = holders[name].getOrInsert(secret.reveal(), id);
        if (first !== id) sharing[name].add(first).add(id);
      }
    yield;
  }
  for (const [name, ids] of Object.entries(sharing)) {
    if (ids.size === 0) continue;
    const shown = [...ids].slice(0, sharingShownMax).join(", ");
    const more = ids.size > sharingShownMax ? ` and ${ids.size - sharingShownMax} more` : "";
    warn(`tenants ${shown}${more} have the same ${name}: what opens one opens the others; give each its own`);
  }
}

type Parts = { model: Model; prompt: string; logo: Logo | undefined };

function toTenant(id: string, values: Values, { model, prompt, logo }: Parts): Tenant {
  return {
    id,
    name: values.TENANT_NAME ?? (id === "default" ? "this site" : id),
    prompt,
    model,
    historyTokensMax: values.HISTORY_TOKENS_MAX,
    concurrentRunsMax: values.CONCURRENT_RUNS_MAX ?? undefined,
    queueWaitMs: values.QUEUE_WAIT_MS,
    retentionDays: values.RETENTION_DAYS ?? undefined,
    messageCharsMax: values.MESSAGE_CHARS_MAX,
    allowedOrigins: values.ALLOWED_ORIGINS ?? [],
    visitorTokenTtlMs: values.VISITOR_TOKEN_TTL,
    identity: toIdentity(values),
    apiKeys: values.API_KEYS ?? [],
    limits: {
      messagesPerVisitor: values.LIMIT_MESSAGES_PER_VISITOR,
      messagesPerAddress: values.LIMIT_MESSAGES_PER_ADDRESS,
      messagesPerTenant: values.LIMIT_MESSAGES_PER_TENANT,
      visitorsPerAddress: values.LIMIT_VISITORS_PER_ADDRESS,
      readsPerVisitor: values.LIMIT_READS_PER_VISITOR,
      concurrentRunsPerVisitorMax: values.CONCURRENT_RUNS_PER_VISITOR_MAX,
      connectionsPerVisitorMax: values.CONNECTIONS_PER_VISITOR_MAX,
      connectionsPerAddressMax: values.CONNECTIONS_PER_ADDRESS_MAX,
      dailyTokensMax: values.DAILY_TOKENS_MAX,
      dailyTokensPerVisitorMax: values.DAILY_TOKENS_PER_VISITOR_MAX,
    },
    ui: {
      title: values.UI_TITLE ?? values.TENANT_NAME,
      language: values.UI_LANGUAGE,
      greeting: values.UI_GREETING,
      suggestions: values.UI_SUGGESTIONS ?? [],
      accent: values.UI_ACCENT,
      colorScheme: values.UI_COLOR_SCHEME,
      position: values.UI_POSITION,
      logo,
    },
  };
}

/** A secret alone means that the site wants to use it. */
function toIdentity({ IDENTITY: mode, IDENTITY_SECRET: secret }: Values): Identity {
  if (secret === undefined || mode === "off") return { mode: "off" };
  return { mode: mode ?? "optional", secret };
}

/** The default prompt comes with cip; one of that name in the working folder goes before it. */
function promptPath({ values, base, giver }: Layers): string {
  const path = resolve(base.cwd, values.PROMPT_FILE);
  base.uses(path);
  return giver("PROMPT_FILE") || existsSync(path)
    ? path
    : join(asset("prompts"), basename(defaults.PROMPT_FILE));
}

function checkIdentity({ values, base, giver }: Layers): void {
  const { IDENTITY: mode, IDENTITY_SECRET: secret } = values;
  // One that was given and refused has its own problem.
  if (mode !== undefined && mode !== "off" && secret === undefined && !giver("IDENTITY_SECRET"))
    base.report(
      giver("IDENTITY") ?? ".env",
      "IDENTITY",
      "needs IDENTITY_SECRET; set it as well, or IDENTITY=off",
    );
}
