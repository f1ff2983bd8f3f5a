// The model that a tenant asks: its endpoint, and the one to fall back on. No key goes to a server it was not given for.
import { Secret } from "./secret.ts";
import { defaults, type Name } from "./settings.ts";
import type { Layers } from "./sources.ts";

/** `apiKey` is undefined when the endpoint needs none. */
export type Endpoint = Readonly<{ baseUrl: string; apiKey: Secret | undefined; name: string }>;

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

export function toModel(layers: Layers): Model {
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
): Secret | undefined {
  const origin = (address: string | undefined) => address && new URL(address).origin;
  const elsewhere = origin(values[url]) !== origin(base.values[url]);
  return elsewhere && !own.given.has(key) ? undefined : values[key];
}

/** Settings that mean nothing without another one, or beside it. */
export function checkModel({ values, base, giver }: Layers): void {
  const need = (name: Name, remedy: string) => base.report(giver(name) ?? ".env", name, remedy);
  if (values.LLM_BASE_URL !== defaults.LLM_BASE_URL && !giver("LLM_MODEL"))
    need("LLM_BASE_URL", "needs LLM_MODEL, a model of that server; set it as well");
  if (giver("LLM_MODEL") && !giver("LLM_API_KEY") && !giver("LLM_BASE_URL"))
    need("LLM_MODEL", "is not used by the demo model; set LLM_API_KEY or LLM_BASE_URL as well");
  if (giver("LLM_FALLBACK_BASE_URL") && !giver("LLM_FALLBACK_MODEL"))
    need("LLM_FALLBACK_BASE_URL", "needs LLM_FALLBACK_MODEL; set both or none");
  if (giver("LLM_FALLBACK_MODEL") && !giver("LLM_FALLBACK_BASE_URL"))
    need("LLM_FALLBACK_MODEL", "needs LLM_FALLBACK_BASE_URL; set both or none");
  for (const name of ["DAILY_TOKENS_MAX", "DAILY_TOKENS_PER_VISITOR_MAX"] as const)
    if ((values[name] ?? Number.POSITIVE_INFINITY) <= values.LLM_MAX_TOKENS)
      need(name, "must be above LLM_MAX_TOKENS, which every answer may use, or no message fits into a day");
}

/** Everything of a model, its keys too: two that differ only in these must not be taken for one. */
export function wordsOf(model: Model): string {
  return JSON.stringify(model, function (this: Record<string, unknown>, name, shown) {
    const value = this[name];
    return value instanceof Secret ? value.reveal() : shown;
  });
}
