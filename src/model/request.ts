// A chat completion asked for: the request as the API has it, and what an answer other than 200 means. The API's own SDK
// took 0.3 ms to make one, half of what cip's part of a turn takes, and told providers what system it runs on.
import type OpenAI from "openai";
import pkg from "../../package.json" with { type: "json" };
import type { Endpoint, Model } from "../config/config.ts";
import { Fault, refusal } from "./fault.ts";

export type Message = { role: "system" | "user" | "assistant"; content: string };

type Body = OpenAI.ChatCompletionCreateParamsStreaming;
export type Fetch = (url: string, init: RequestInit) => Promise<Response>;

/** `headers` go along. Throws a Fault where there is no answer, or none with a completion in it. */
export async function post(
  { baseUrl, apiKey }: Endpoint,
  body: object,
  { fetch, headers, signal }: { fetch: Fetch; headers: Record<string, string>; signal: AbortSignal },
): Promise<Response> {
  const response = await fetch(`${baseUrl.replace(/\/$/, "")}/chat/completions`, {
    method: "POST",
    headers: {
      "user-agent": `cip/${pkg.version}`,
      accept: "text/event-stream, application/json",
      "content-type": "application/json",
      ...(apiKey && { authorization: `Bearer ${apiKey.reveal()}` }),
      ...headers,
    },
    body: JSON.stringify(body),
    signal,
    timeout: false, // our deadlines end a call, so Bun's own, after five minutes of silence, may not
  } as RequestInit).catch((error: unknown) => {
    throw signal.aborted ? error : new Fault("model_failed", `the model could not be asked: ${error}`, 0);
  });
  if (response.ok) return response;
  throw refusal(response.status, response.headers, `${response.status} ${await reasonOf(response)}`);
}

/** `user` goes to the provider as it is. */
export function bodyOf(model: Model, endpoint: Endpoint, messages: Message[], user: string): object {
  const body: Body & { thinking?: { type: string } } = {
    model: endpoint.name,
    messages,
    stream: true,
    stream_options: { include_usage: true },
    max_tokens: model.maxTokens,
    user,
    ...(model.temperature !== undefined && { temperature: model.temperature }),
    ...(model.thinking && { thinking: { type: model.thinking === "on" ? "enabled" : "disabled" } }),
  };
  return merge(body, model.extraBody) as object;
}

const reasonBytesMax = 64 * 1024;
const reasonMs = 1_000;

/** What the server says of its refusal, for the log. That it refuses is known already: no long wait is worth the words. */
async function reasonOf({ body }: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  const reader = body?.getReader();
  const cancel = () => void reader?.cancel().catch(() => {});
  const timer = setTimeout(cancel, reasonMs);
  try {
    for (let length = 0; reader && length <= reasonBytesMax; length += chunks.at(-1)?.length ?? 0) {
      const { done, value } = await reader.read();
      if (done) break;
      chunks.push(value);
    }
  } catch {
    // What came of it has to do.
  } finally {
    clearTimeout(timer);
    cancel();
  }
  const text = Buffer.concat(chunks).toString("utf8", 0, reasonBytesMax);
  try {
    const { error } = JSON.parse(text);
    return typeof error?.message === "string" ? error.message : text;
  } catch {
    return text;
  }
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
