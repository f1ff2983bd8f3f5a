// The demo model through the real client: what a person sees who has just started cip.
import { expect, setDefaultTimeout, test } from "bun:test";
import { marked } from "marked";
import type { Model } from "../src/config/config.ts";
import { complete } from "../src/model/llm.ts";

setDefaultTimeout(20_000); // the demo takes 5 s for an answer, as a model would

const model: Model = {
  baseUrl: "https://model.invalid",
  apiKey: undefined,
  name: "demo",
  temperature: undefined,
  maxTokens: 1024,
  thinking: undefined,
  extraBody: {},
  connectTimeoutMs: 1_000,
  firstTimeoutMs: 1_000,
  idleTimeoutMs: 1_000,
  totalTimeoutMs: 30_000,
  fallback: undefined,
  demo: true,
};

async function ask(content: string, signal = new AbortController().signal) {
  let text = "";
  let flushes = 0;
  const sink = {
    append: (_: string, piece: string) => {
      text += piece;
    },
    flush: () => {
      flushes++;
    },
  };
  const startedAt = performance.now();
  const outcome = await complete({
    model,
    messages: [{ role: "user", content }],
    user: "u",
    sink,
    signal,
    headers: {},
    marks: {},
  });
  return { text, flushes, outcome, tokensPerSecond: flushes / ((performance.now() - startedAt) / 1000) };
}

test.concurrent("the demo streams a useful answer in English at the pace of a model", async () => {
  const { text, flushes, outcome, tokensPerSecond } = await ask("What are your opening hours?");
  expect(text).toContain("`What are your opening hours?`");
  expect(text).toContain("built-in demo");
  expect(text).toContain("LLM_API_KEY=");
  expect(text).toContain("LLM_BASE_URL=http://localhost:11434/v1");
  expect(text.length).toBeWithin(600, 1000);
  expect(outcome.finishReason).toBe("stop");
  expect(outcome.usage?.input_tokens).toBeWithin(5, 12);
  expect(outcome.usage?.output_tokens).toBeWithin(100, 400);
  expect(flushes).toBeGreaterThan(100);
  expect(tokensPerSecond).toBeWithin(20, 55);
});

test.concurrent("a visitor who writes Russian is answered in Russian", async () => {
  const { text } = await ask("Когда вы открыты? When?");
  expect(text).toContain("встроенная демонстрация cip");
  expect(text).toContain("LLM_API_KEY=");
  expect(text.length).toBeWithin(600, 1000);
});

test.concurrent("what the visitor wrote is quoted short, and nothing in it becomes Markdown or HTML", async () => {
  const { text } = await ask(
    `\`\`\`\n# x\n<img src=x onerror=alert(1)> [a](javascript:b) \u202e${"long ".repeat(100)}`,
  );
  const first = text.split("\n", 1)[0] ?? "";
  expect(first.length).toBeLessThan(120);
  expect(marked.parse(first) as string).toMatch(/^<p>You asked: <code>[^<]*…<\/code><\/p>\n$/);
});

test.concurrent("stopping the demo ends it at once", async () => {
  const cut = new AbortController();
  setTimeout(() => cut.abort("stopped"), 200);
  const startedAt = performance.now();
  expect(await ask("Hi", cut.signal).catch((reason) => reason)).toBe("stopped");
  expect(performance.now() - startedAt).toBeLessThan(500);
});
