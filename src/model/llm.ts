// Asks the model: messages in, a growing answer out. Whatever is tried again, with the same endpoint or with the
// fallback, is tried before the first piece of the answer, so that no reader ever sees two beginnings.
import { setTimeout as sleep } from "node:timers/promises";
import OpenAI, { APIError, type ClientOptions, OpenAIError } from "openai";
import { type Endpoint, egressIsSet, type Model } from "../config/config.ts";
import { log } from "../log.ts";
import * as metrics from "../metrics/metrics.ts";
import { Deadline } from "./deadline.ts";
import { demoFetch } from "./demo.ts";
import { Fault, refusal, toCipError } from "./fault.ts";
import { Splitter } from "./reasoning.ts";
import { type Outcome, read } from "./upstream.ts";
import { wireFetch } from "./wire.ts";

export type { Outcome, Usage } from "./upstream.ts";

export type Message = { role: "system" | "user" | "assistant"; content: string };

/** Receives the answer while it grows; `flush` is called once per upstream read, after that read's `append`s. */
export type Sink = { append(kind: "reasoning" | "text", text: string): void; flush(nowMs: number): void };

export type Call = {
  model: Model;
  messages: Message[];
  /** Goes to the provider as it is, so it must say nothing about the person. */
  user: string;
  sink: Sink;
  signal: AbortSignal;
  /** Go to the provider as well. */
  headers: Record<string, string>;
  /** What the log says of the call; `model` is kept to the one that was asked last. */
  marks: { model?: string };
};

const retriesMax = 2;
const backoffMs = 250;
/** A token is four characters or so; and LLM_EXTRA_BODY may allow the model some more tokens than LLM_MAX_TOKENS. */
const tokenCharsMax = 64;
const tailTimeoutMs = 5_000;
/** Our deadlines end a call, so neither the SDK (after 10 min) nor Bun (after 5 min of silence) may do so before. */
const sdkTimeoutMs = 2 ** 31 - 1;
const fetchOptions = { timeout: false } as NonNullable<ClientOptions["fetchOptions"]>;

/** Resolves when the answer is complete. Throws CipError `model_*`, and on abort the signal's reason. */
export async function complete(call: Call): Promise<Outcome> {
  const { model, signal } = call;
  const endsAt = performance.now() + model.totalTimeoutMs;
  const apiKeys = [model.apiKey, model.fallback?.apiKey];
  const result = await persist(call, model, endsAt);
  if (!(result instanceof Failure)) return result;
  const error = toCipError(result.fault, apiKeys);
  if (!model.fallback || result.begun || performance.now() >= endsAt) throw error;

  log.warn(
    { err: error, ...call.marks, fallback: model.fallback.name },
    "the model failed, asking the fallback",
  );
  signal.throwIfAborted();
  const second = await persist(call, model.fallback, endsAt);
  if (second instanceof Failure) throw toCipError(second.fault, apiKeys);
  return second;
}

/** `begun`: a part of the answer has been appended. */
class Failure {
  constructor(
    readonly fault: Fault,
    readonly begun: boolean,
  ) {}
}

async function persist(call: Call, endpoint: Endpoint, endsAt: number): Promise<Outcome | Failure> {
  for (let retries = 0; ; retries++) {
    const which = endpoint === call.model ? "primary" : "fallback";
    metrics.modelAttempts.inc({ endpoint: which });
    if (retries > 0) metrics.modelRetries.inc({ endpoint: which });
    const result = await attempt(call, endpoint, endsAt);
    if (!(result instanceof Failure)) return result;
    const { code, status } = result.fault;
    metrics.modelErrors.inc({
      endpoint: which,
      code,
      status: status ? `${Math.floor(status / 100)}xx` : "none",
    });
    const { retryAfterMs } = result.fault;
    if (retryAfterMs === undefined || retries === retriesMax) return result;
    // Never before the time the provider named, and not all callers at once.
    const waitMs = retryAfterMs + backoffMs * 2 ** retries * (0.5 + Math.random());
    if (performance.now() + waitMs >= endsAt) return result;
    await sleep(waitMs, undefined, { signal: call.signal }).catch(() => {});
    call.signal.throwIfAborted();
  }
}

async function attempt(call: Call, endpoint: Endpoint, endsAt: number): Promise<Outcome | Failure> {
  const { model, sink, signal, marks } = call;
  const isDemo = model.demo && endpoint === model;
  marks.model = isDemo ? "demo" : endpoint.name;
  const deadline = new Deadline(signal, endsAt);
  const splitter = new Splitter((kind, text) => sink.append(kind, text));
  const progress = (finished: boolean) => {
    const nowMs = performance.now();
    sink.flush(nowMs);
    // All that may follow the finish reason is the usage. It is not worth a long wait.
    deadline.moveTo(nowMs + (finished ? Math.min(tailTimeoutMs, model.idleTimeoutMs) : model.idleTimeoutMs));
  };
  try {
    // fetch does not tell when it is connected, and llama.cpp and Ollama send headers only with the first token.
    // So until there are headers both times are granted, and with them the first token's time begins.
    const firstDueAt = performance.now() + model.connectTimeoutMs + model.firstTimeoutMs;
    deadline.moveTo(firstDueAt);
    const response = await clientOf(endpoint, isDemo)
      .chat.completions.create(requestOf(call, endpoint), { signal: deadline.signal, headers: call.headers })
      .asResponse();
    deadline.moveTo(Math.min(firstDueAt, performance.now() + model.firstTimeoutMs));
    const charsMax = model.maxTokens * tokenCharsMax;
    return await read(response, { splitter, progress, charsMax, signal: deadline.signal });
  } catch (error) {
    const { aborted, reason } = deadline.signal;
    const fault = faultOf(aborted ? reason : error);
    if (splitter.appended) {
      splitter.end();
      sink.flush(performance.now());
    }
    return new Failure(fault, splitter.appended);
  } finally {
    deadline.clear();
  }
}

/** What is no failure of the model (an abort by the caller, a fault of ours) is thrown on as it is. */
function faultOf(error: unknown): Fault {
  if (error instanceof Fault) return error;
  if (!(error instanceof OpenAIError)) throw error;
  if (error instanceof APIError && error.status) return refusal(error.status, error.headers, error.message);
  return new Fault("model_failed", `${error.message} ${error.cause ?? ""}`, 0);
}

function requestOf({ model, messages, user }: Call, endpoint: Endpoint) {
  const body = {
    model: endpoint.name,
    messages,
    stream: true,
    stream_options: { include_usage: true },
    max_tokens: model.maxTokens,
    user,
    ...(model.temperature !== undefined && { temperature: model.temperature }),
    ...(model.thinking && { thinking: { type: model.thinking === "on" ? "enabled" : "disabled" } }),
  };
  return merge(body, model.extraBody) as OpenAI.ChatCompletionCreateParamsStreaming;
}

/** JSON merge patch (RFC 7396): null removes, objects are merged, everything else replaces. */
function merge(target: unknown, patch: unknown): unknown {
  if (!isObject(patch)) return patch;
  const merged: Record<string, unknown> = isObject(target) ? { ...target } : {};
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) delete merged[name];
    else merged[name] = merge(merged[name], value);
  }
  return merged;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** A client lives as long as the configuration its endpoint is part of. */
const clients = new WeakMap<Endpoint, OpenAI>();

function clientOf(endpoint: Endpoint, demo: boolean): OpenAI {
  let client = clients.get(endpoint);
  if (!client) {
    client = new OpenAI({
      baseURL: endpoint.baseUrl,
      apiKey: endpoint.apiKey?.reveal() ?? "none", // the SDK insists on one
      defaultHeaders: endpoint.apiKey ? {} : { authorization: null },
      // What is null here the SDK would take from the environment.
      adminAPIKey: null,
      organization: null,
      project: null,
      webhookSecret: null,
      logLevel: "off",
      maxRetries: 0,
      timeout: sdkTimeoutMs,
      fetchOptions,
      fetch: demo ? demoFetch : egressIsSet() ? fetch : wireFetch,
    });
    clients.set(endpoint, client);
  }
  return client;
}
