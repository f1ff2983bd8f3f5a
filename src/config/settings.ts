// The one table of all settings: its rows are what may be set, where, how it is read and what holds otherwise.
import {
  apiKeys,
  apiUrl,
  bearer,
  bearerToken,
  colour,
  decimal,
  duration,
  host,
  integer,
  jsonObject,
  language,
  line,
  list,
  oneOf,
  origin,
  origins,
  orOff,
  type Parse,
  postgresUrl,
  rate,
  secret,
  signingKey,
  text,
  Wrong,
} from "./values.ts";

/** `default` is text, as `.env` would say it; undefined means that the setting may stay unset. */
export type Setting<T = unknown, D extends string | undefined = string | undefined> = {
  group: string;
  scope: "instance" | "tenant";
  parse: Parse<T>;
  default: D;
  help: string;
  secret: boolean;
};

const instance = group("Instance", "instance");
const model = group("Model", "tenant");
const prompt = group("Prompt", "tenant");
const embedding = group("Identity and embedding", "tenant");
const limits = group("Limits", "tenant");
const keeping = group("Keeping", "tenant");
const page = group("Page", "tenant");

const path = line(4096);
const timeoutMs = integer(1, 3_600_000);

export const settings = {
  PORT: instance(integer(0, 65_535), "3000", "Port to listen on; 0 takes any free one"),
  HOST: instance(host, "0.0.0.0", "Address to listen on"),
  PUBLIC_URL: instance(origin, undefined, "Where visitors reach it, as https://chat.example"),
  DATABASE_URL: instance(
    secret(postgresUrl),
    undefined,
    "PostgreSQL; unset: embedded, in DATA_DIR",
    "secret",
  ),
  DATABASE_POOL_SIZE: instance(integer(1, 1000), "10", "Connections to PostgreSQL at most"),
  DATA_DIR: instance(path, "data", "Folder of the embedded database"),
  TENANTS_DIR: instance(path, "tenants", "Folder of the tenants' files, <tenant_id>.env"),
  SECRET_KEY: instance(
    secret(signingKey(32)),
    undefined,
    "Signs tokens; unset: one kept in the database",
    "secret",
  ),
  SECRET_KEY_PREVIOUS: instance(
    secret(signingKey(32)),
    undefined,
    "The one before it; its tokens stay valid",
    "secret",
  ),
  TRUSTED_PROXIES: instance(integer(0, 10), "0", "Proxies in front whose X-Forwarded-For counts"),
  LOG_LEVEL: instance(
    oneOf("fatal", "error", "warn", "info", "debug", "trace", "silent"),
    "info",
    "fatal, error, warn, info, debug, trace or silent",
  ),
  METRICS_TOKEN: instance(
    secret(bearerToken),
    undefined,
    "What a scraper sends as bearer token to read /metrics; unset: no metrics",
    "secret",
  ),
  LEASE_MS: instance(integer(1_000, 3_600_000), "45000", "Time after which a silent process counts as dead"),
  LEASE_RENEW_MS: instance(
    integer(100, 3_600_000),
    "10000",
    "Time between two signs of life of a running answer",
  ),
  DRAIN_MS: instance(integer(0, 3_600_000), "25000", "Time that running answers get at shutdown"),
  BACKUPS_KEPT: instance(
    integer(0, 1000),
    "7",
    "Daily backups of the embedded database that are kept; 0: none are made",
  ),

  LLM_BASE_URL: model(apiUrl, "https://api.deepseek.com", "Any OpenAI-compatible API, many end in /v1"),
  LLM_API_KEY: model(
    secret(bearer),
    undefined,
    "Its key; unset, and LLM_BASE_URL too: the demo model",
    "secret",
  ),
  LLM_MODEL: model(line(200), "deepseek-v4-flash", "Model to ask; needed with another LLM_BASE_URL"),
  LLM_TEMPERATURE: model(decimal(0, 2), undefined, "0 to 2; unset: as the model has it"),
  LLM_MAX_TOKENS: model(integer(1, 1_000_000), "4096", "Tokens of one answer at most"),
  LLM_THINKING: model(oneOf("on", "off"), undefined, "on or off (DeepSeek); unset: as the model has it"),
  LLM_EXTRA_BODY: model(jsonObject, "{}", "JSON object merged into each request (RFC 7396)"),
  LLM_CONNECT_TIMEOUT_MS: model(
    timeoutMs,
    "10000",
    "Wait for a connection, on top of that for the first token",
  ),
  LLM_FIRST_TIMEOUT_MS: model(timeoutMs, "60000", "Wait for the first token at most"),
  LLM_IDLE_TIMEOUT_MS: model(timeoutMs, "30000", "Wait between two tokens at most"),
  LLM_TOTAL_TIMEOUT_MS: model(timeoutMs, "600000", "Wait for the whole answer at most"),
  LLM_FALLBACK_BASE_URL: model(apiUrl, undefined, "API to ask when the first one fails"),
  LLM_FALLBACK_API_KEY: model(secret(bearer), undefined, "Its key", "secret"),
  LLM_FALLBACK_MODEL: model(line(200), undefined, "Its model"),

  TENANT_NAME: prompt(line(200), undefined, "Name of the site or its owner; unset: its id"),
  PROMPT_FILE: prompt(path, "prompts/default.md", "System prompt, a Markdown file"),
  HISTORY_TOKENS_MAX: prompt(
    integer(1, 10_000_000),
    "16000",
    "Tokens of the newest message and earlier turns at most",
  ),
  // The body of a request is at most 64 KiB, so a higher limit could not be used.
  MESSAGE_CHARS_MAX: prompt(integer(1, 60_000), "8000", "Characters of one message at most"),

  ALLOWED_ORIGINS: embedding(origins, undefined, "Sites that embed the chat, or *; unset: this server"),
  VISITOR_TOKEN_TTL: embedding(duration, "90d", "How long a visitor is known, in s, m, h or d"),

  IDENTITY: embedding(
    oneOf("off", "optional", "required"),
    undefined,
    "off, optional or required: visitors the site vouches for; unset: optional with IDENTITY_SECRET, else off",
  ),
  IDENTITY_SECRET: embedding(
    secret(signingKey(32)),
    undefined,
    "What the site signs its users' identities with",
    "secret",
  ),
  API_KEYS: embedding(apiKeys, undefined, "Keys of the site's backend, or their sha256:…", "secret"),

  LIMIT_MESSAGES_PER_VISITOR: limits(orOff(rate), "20/1m", "Messages of one visitor, or off"),
  LIMIT_MESSAGES_PER_ADDRESS: limits(
    orOff(rate),
    "60/1m",
    "Messages from one address (IPv6: its /64), or off",
  ),
  LIMIT_MESSAGES_PER_TENANT: limits(orOff(rate), "600/1m", "Messages of all its visitors together, or off"),
  LIMIT_VISITORS_PER_ADDRESS: limits(orOff(rate), "60/1h", "New visitors from one address, or off"),
  LIMIT_READS_PER_VISITOR: limits(orOff(rate), "300/1m", "Other requests of one visitor, or off"),
  CONCURRENT_RUNS_MAX: limits(
    orOff(integer(1, 100_000)),
    undefined,
    "Answers written at once at most, or off; unset: off",
  ),
  QUEUE_WAIT_MS: limits(integer(0, 600_000), "10000", "Wait for room among them at most"),
  CONCURRENT_RUNS_PER_VISITOR_MAX: limits(
    integer(1, 1000),
    "3",
    "Unfinished answers of one visitor at once at most",
  ),
  CONNECTIONS_PER_VISITOR_MAX: limits(
    integer(1, 1_000_000),
    "50",
    "Open streams and sockets of one visitor, in one process, at most",
  ),
  CONNECTIONS_PER_ADDRESS_MAX: limits(integer(1, 1_000_000), "500", "The same from one address"),
  DAILY_TOKENS_MAX: limits(
    orOff(integer(1, 1_000_000_000_000)),
    undefined,
    "Tokens a day (UTC) at most, or off; unset: off",
  ),
  DAILY_TOKENS_PER_VISITOR_MAX: limits(
    orOff(integer(1, 1_000_000_000_000)),
    undefined,
    "The same for one visitor",
  ),

  RETENTION_DAYS: keeping(
    orOff(integer(1, 36_500)),
    undefined,
    "Days after which what was said is deleted, or off; unset: off",
  ),

  UI_TITLE: page(line(100), undefined, "Title of the chat; unset: TENANT_NAME, else Chat"),
  UI_LANGUAGE: page(language, undefined, "Language as in en or pt-BR; unset: the browser's"),
  UI_GREETING: page(text(2000), undefined, "Text above an empty conversation"),
  UI_SUGGESTIONS: page(list(12, 200), undefined, "Questions to begin with, a vertical bar between them"),
  UI_ACCENT: page(colour, "2456d6", "Colour of buttons and links, three or six hex digits"),
  UI_LOGO: page(path, undefined, "Image file beside the title: SVG, PNG, JPEG or WebP"),
  UI_COLOR_SCHEME: page(oneOf("auto", "light", "dark"), "auto", "light, dark or auto, as the browser has it"),
  UI_POSITION: page(oneOf("right", "left"), "right", "Side of the button that opens the chat, right or left"),
} as const satisfies Record<string, Setting>;

export type Name = keyof typeof settings;

type Value<S> = S extends Setting<infer T, infer D> ? (D extends string ? T : T | undefined) : never;

/** The value of every setting. */
export type Values = { [N in Name]: Value<(typeof settings)[N]> };

export const defaults = Object.fromEntries(
  Object.entries(settings).map(([name, { parse, default: text }]) => {
    const value = text === undefined ? undefined : parse(text);
    if (value instanceof Wrong) throw new Error(`the default of ${name} ${value.remedy}`);
    return [name, value];
  }),
) as Values;

function group(group: string, scope: Setting["scope"]) {
  return <T, const D extends string | undefined>(
    parse: Parse<T>,
    fallback: D,
    help: string,
    kind?: "secret",
  ): Setting<T, D> => ({ group, scope, parse, default: fallback, help, secret: kind === "secret" });
}
