// The one table of all settings: its rows are what may be set, where, how it is read and what holds otherwise.
import {
  apiUrl,
  bearer,
  decimal,
  duration,
  host,
  integer,
  jsonObject,
  language,
  line,
  oneOf,
  origins,
  type Parse,
  postgresUrl,
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
const page = group("Page", "tenant");

const path = line(4096);
const timeoutMs = integer(1, 3_600_000);

export const settings = {
  PORT: instance(integer(0, 65_535), "3000", "Port to listen on; 0 takes any free one"),
  HOST: instance(host, "0.0.0.0", "Address to listen on"),
  DATABASE_URL: instance(postgresUrl, undefined, "PostgreSQL; unset: embedded, in DATA_DIR", "secret"),
  DATABASE_POOL_SIZE: instance(integer(1, 1000), "10", "Connections to PostgreSQL at most"),
  DATA_DIR: instance(path, "data", "Folder of the embedded database"),
  TENANTS_DIR: instance(path, "tenants", "Folder of the tenants' files, <tenant_id>.env"),
  SECRET_KEY: instance(signingKey(32), undefined, "Signs tokens; unset: one kept in the database", "secret"),
  LOG_LEVEL: instance(
    oneOf("fatal", "error", "warn", "info", "debug", "trace", "silent"),
    "info",
    "fatal, error, warn, info, debug, trace or silent",
  ),
  LEASE_MS: instance(integer(1_000, 3_600_000), "45000", "Time after which a silent process counts as dead"),
  LEASE_RENEW_MS: instance(
    integer(100, 3_600_000),
    "10000",
    "Time between two signs of life of a running answer",
  ),
  DRAIN_MS: instance(integer(0, 3_600_000), "25000", "Time that running answers get at shutdown"),

  LLM_BASE_URL: model(apiUrl, "https://api.deepseek.com", "Any OpenAI-compatible API, many end in /v1"),
  LLM_API_KEY: model(bearer, undefined, "Its key; unset, and LLM_BASE_URL too: the demo model", "secret"),
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
  LLM_FALLBACK_API_KEY: model(bearer, undefined, "Its key", "secret"),
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

  CONCURRENT_RUNS_MAX: limits(
    integer(1, 100_000),
    undefined,
    "Answers written at once at most; unset: no bound",
  ),
  QUEUE_WAIT_MS: limits(integer(0, 600_000), "10000", "Wait for room among them at most"),

  UI_TITLE: page(line(100), undefined, "Title of the chat; unset: TENANT_NAME, else Chat"),
  UI_LANGUAGE: page(language, undefined, "Language as in en or pt-BR; unset: the browser's"),
  UI_GREETING: page(text(2000), undefined, "Text above an empty conversation"),
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
