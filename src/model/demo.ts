// The model of a cip that has none yet: a fetch that answers in the OpenAI dialect, at the pace of a real model and
// without a network, so that every line of the real path runs.

type Ask = { model: string; messages: { role: string; content: string }[] };

const tokenMs = 25;
const quoteCharsMax = 80;

/** In place of `fetch`: takes a chat completion request, streams its answer. */
export async function demoFetch(_url: unknown, init?: RequestInit): Promise<Response> {
  const { model, messages } = JSON.parse(String(init?.body)) as Ask;
  const question = messages.findLast(({ role }) => role === "user")?.content ?? "";
  const answer = /\p{Script=Cyrillic}/u.test(question) ? russian(quote(question)) : english(quote(question));
  const prompt = messages.map(({ content }) => content).join(" ");
  const body = stream(model, tokens(answer), tokens(prompt).length, init?.signal ?? undefined);
  return new Response(body, { headers: { "content-type": "text/event-stream" } });
}

function stream(model: string, said: string[], promptTokens: number, signal?: AbortSignal): ReadableStream {
  const head = {
    id: "chatcmpl-demo",
    object: "chat.completion.chunk",
    created: Math.floor(Date.now() / 1000),
    model,
  };
  const usage = {
    prompt_tokens: promptTokens,
    completion_tokens: said.length,
    total_tokens: promptTokens + said.length,
  };
  const choice = (delta: object, finish_reason: string | null) => ({
    choices: [{ index: 0, delta, finish_reason }],
  });
  const chunks = [
    ...said.map((content) => choice({ content }, null)),
    choice({}, "stop"),
    { choices: [], usage },
  ];
  const frames = [...chunks.map((chunk) => JSON.stringify({ ...head, ...chunk })), "[DONE]"];
  return new ReadableStream({
    async pull(controller) {
      await Bun.sleep(tokenMs);
      if (signal?.aborted) return controller.error(signal.reason);
      controller.enqueue(new TextEncoder().encode(`data: ${frames.shift()}\n\n`));
      if (frames.length === 0) controller.close();
    },
  });
}

/** About as long as a model's: a word of up to six letters with what stands before it, or a piece of a longer one. */
function tokens(text: string): string[] {
  return text.match(/\s*(?:[\p{L}\p{N}]{1,6}|[^\p{L}\p{N}\s]+)|\s+/gu) ?? [];
}

/** What was asked, short, as a code span: nothing in it is Markdown, and without backticks nothing ends it. */
function quote(question: string): string {
  const line = question
    .replaceAll("`", "'")
    .replace(/[\p{C}\s]+/gu, " ")
    .trim();
  const characters = [...line];
  const short =
    characters.length > quoteCharsMax ? `${characters.slice(0, quoteCharsMax).join("").trimEnd()}…` : line;
  return short === "" ? "`?`" : `\`${short}\``;
}

function english(question: string): string {
  return `You asked: ${question}

I am **cip's built-in demo**, not a real model, so I cannot answer that yet. Everything around me is real, though: \
this text was streamed, and it is stored. Reload the page and it is still here.

To connect a model, put a key into \`.env\` and restart cip:

\`\`\`sh
LLM_API_KEY=sk-...
\`\`\`

Or use one on your own machine, such as Ollama:

\`\`\`sh
LLM_BASE_URL=http://localhost:11434/v1
LLM_MODEL=qwen3:4b
\`\`\`

What cip does for your site:

- **streams** answers token by token, from any OpenAI-compatible model
- **keeps** every conversation, even if the visitor leaves in mid-answer
- **serves many sites** from one server, each with its own prompt and data
`;
}

function russian(question: string): string {
  return `Вы спросили: ${question}

Я **встроенная демонстрация cip**, а не настоящая модель, поэтому ответить на это пока не могу. Всё остальное \
настоящее: этот текст передан потоком и сохранён. Обновите страницу, и он останется на месте.

Чтобы подключить модель, впишите ключ в \`.env\` и перезапустите cip:

\`\`\`sh
LLM_API_KEY=sk-...
\`\`\`

Или возьмите модель на своём компьютере, например через Ollama:

\`\`\`sh
LLM_BASE_URL=http://localhost:11434/v1
LLM_MODEL=qwen3:4b
\`\`\`

Что cip делает для вашего сайта:

- **передаёт ответ по мере появления** от любой модели с API в стиле OpenAI
- **хранит каждый разговор**, даже если посетитель ушёл на полуслове
- **обслуживает много сайтов** одним сервером, у каждого свои данные и настройки
`;
}
