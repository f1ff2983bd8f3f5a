// Asks each model that the tenants name, and each fallback, one short question: does it stream an answer, and how soon.
import type { Endpoint, Model, Tenant } from "../config/config.ts";
import { complete } from "../model/llm.ts";
import { about, type Result, wordsOf } from "./result.ts";

const totalTimeoutMs = 30_000;
const answerTokensMax = 16;
const question = "Answer with the one word: ready";

/** One result each; endpoints that tenants share are asked once. */
export async function* models(tenants: Iterable<Tenant>): AsyncGenerator<Result> {
  const asked = new Set<string>();
  for (const { model } of tenants) {
    if (model.demo && !asked.has("demo"))
      yield about("model").unseen("the built-in demo model: no AI is connected");
    if (model.demo) asked.add("demo");
    const endpoints: [string, Endpoint | undefined][] = [
      ["model", model.demo ? undefined : model],
      ["fallback", model.fallback],
    ];
    for (const [what, endpoint] of endpoints) {
      const words = JSON.stringify([endpoint?.baseUrl, endpoint?.name, endpoint?.apiKey?.reveal()]);
      if (!endpoint || asked.has(words)) continue;
      asked.add(words);
      yield await ask(what, model, endpoint);
    }
  }
}

async function ask(what: string, model: Model, endpoint: Endpoint): Promise<Result> {
  const where = `${endpoint.name} at ${endpoint.baseUrl}`;
  const prefix = what === "model" ? "LLM_" : "LLM_FALLBACK_";
  const began = performance.now();
  let firstMs: number | undefined;
  const sink = {
    append: () => {
      firstMs ??= performance.now() - began;
    },
    flush() {},
  };
  const short = { maxTokens: answerTokensMax, fallback: undefined, demo: false, totalTimeoutMs };
  const { baseUrl, apiKey, name } = endpoint;
  try {
    await complete({
      model: { ...model, ...short, baseUrl, apiKey, name },
      messages: [{ role: "user", content: question }],
      user: "cip-check",
      sink,
      signal: AbortSignal.timeout(totalTimeoutMs),
      headers: {},
      marks: {},
    });
    const ms = Math.round(performance.now() - began);
    return firstMs === undefined
      ? about(what).warn(
          `${where}: an answer without a word, in ${ms} ms`,
          "see whether the model answers at all",
        )
      : about(what).ok(`${where}: first token after ${Math.round(firstMs)} ms, all after ${ms} ms`);
  } catch (error) {
    return about(what).fail(
      `${where}: ${wordsOf(error)}`,
      `check ${prefix}BASE_URL, ${prefix}API_KEY and ${prefix}MODEL`,
    );
  }
}
