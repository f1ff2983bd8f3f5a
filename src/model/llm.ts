// Asks the model: messages in, a growing answer out. Whatever is tried again, with the same endpoint or with the
// fallback, is tried before the first piece of the answer, so that no reader ever sees two beginnings.
import { setTimeout as sleep } from "node:timers/promises";
import { type Endpoint, egressIsSet, type Model } from "../config/config.ts";
import { log } from "../log.ts";
import * as metrics from "../metrics/metrics.ts";
import { Deadline } from "./deadline.ts";
import { demoFetch } from "./demo.ts";
import { Fault, toCipError } from "./fault.ts";
import { type Pieces, Splitter } from "./reasoning.ts";
import { bodyOf, type Message, post } from "./request.ts";
import { type Outcome, type Reading, read } from "./upstream.ts";
import { wireFetch } from "./wire.ts";

export type { Message } from "./request.ts";
export type { Outcome, Usage } from "./upstream.ts";

/** Receives the answer while it grows; `flush` is called once per upstream read, after that read's `append`s. */
export type Sink = Pieces & { flush(nowMs: number): void };

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
  const splitter = new Splitter(sink);
  try {
    // fetch does not tell when it is connected, and llama.cpp and Ollama send headers only with the first token.
    // So until there are headers both times are granted, and with them the first token's time begins.
    const firstDueAt = performance.now() + model.connectTimeoutMs + model.firstTimeoutMs;
    deadline.moveTo(firstDueAt);
    const response = await post(endpoint, bodyOf(model, endpoint, call.messages, call.user), {
      fetch: isDemo ? demoFetch : egressIsSet() ? fetch : wireFetch,
      headers: call.headers,
      signal: deadline.signal,
    });
    deadline.moveTo(Math.min(firstDueAt, performance.now() + model.firstTimeoutMs));
    return await read(response, new Progress(splitter, sink, deadline, model));
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

/** A response's way into the answer. */
class Progress implements Reading {
  readonly #sink: Sink;
  readonly #deadline: Deadline;
  readonly #idleTimeoutMs: number;
  readonly splitter: Splitter;
  readonly charsMax: number;
  readonly signal: AbortSignal;

  constructor(splitter: Splitter, sink: Sink, deadline: Deadline, { idleTimeoutMs, maxTokens }: Model) {
    this.#sink = sink;
    this.#deadline = deadline;
    this.#idleTimeoutMs = idleTimeoutMs;
    this.splitter = splitter;
    this.charsMax = maxTokens * tokenCharsMax;
    this.signal = deadline.signal;
  }

  progress(finished: boolean, nowMs: number): void {
    this.#sink.flush(nowMs);
    // All that may follow the finish reason is the usage. It is not worth a long wait.
    this.#deadline.moveTo(
      nowMs + (finished ? Math.min(tailTimeoutMs, this.#idleTimeoutMs) : this.#idleTimeoutMs),
    );
  }
}

/** What is no failure of the model (an abort by the caller, a fault of ours) is thrown on as it is. */
function faultOf(error: unknown): Fault {
  if (error instanceof Fault) return error;
  throw error;
}
