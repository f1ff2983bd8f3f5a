// A model that says exactly what a test scripts: a real HTTP server in the OpenAI chat completions dialect.
import { createServer, type IncomingHttpHeaders, type ServerResponse } from "node:http";
import { json } from "node:stream/consumers";
import { atTheEnd } from "./support.ts";

/** One thing the model does while it answers. What a script leaves out (finish, usage, done) is not sent. */
export type Step =
  | { text: string }
  | { reasoning: string }
  | { delta: Record<string, unknown> }
  | { finish: string }
  | { usage: { prompt_tokens: number; completion_tokens: number } }
  | { done: true }
  | { raw: string | Uint8Array }
  | { pauseMs: number }
  | { hold: Promise<unknown> }
  | { drop: true };

export type Refusal = { status: number; headers?: Record<string, string>; body?: string };

/** An answer that streams, or one that is refused with a status. */
export type Script = readonly Step[] | Refusal;

export type ChatRequest = {
  model: string;
  messages: { role: string; content: string }[];
  [field: string]: unknown;
};

export type Call = {
  headers: IncomingHttpHeaders;
  body: ChatRequest;
  /** How the exchange ended: the answer went out whole, or the connection broke before. */
  ended: Promise<"sent" | "broken">;
};

export type ScriptedModel = {
  /** What `LLM_BASE_URL` is set to. */
  baseUrl: string;
  /** Every request so far, in order of arrival. */
  calls: readonly Call[];
  /** Scripts the next call; several are used up in order. */
  next(script: Script): void;
  /** Scripts every call for which there is no `next`. */
  always(script: (request: ChatRequest) => Script): void;
  close(): void;
};

/** A whole answer in the given deltas, ended as a healthy provider ends it. */
export function answer(...deltas: string[]): Step[] {
  return [
    ...deltas.map((text) => ({ text })),
    { finish: "stop" },
    { usage: { prompt_tokens: 7, completion_tokens: deltas.length } },
    { done: true },
  ];
}

/** The script unless told otherwise: `echo: ` and the visitor's last message, word by word. */
export function echo(request: ChatRequest): Step[] {
  return answer("echo: ", ...(request.messages.at(-1)?.content ?? "").split(/(?<= )/));
}

export async function scriptedModel(): Promise<ScriptedModel> {
  const calls: Call[] = [];
  const scripts: Script[] = [];
  let otherwise: (request: ChatRequest) => Script = echo;

  const server = createServer(async (request, response) => {
    if (request.method !== "POST" || request.url !== "/v1/chat/completions") {
      response.writeHead(404).end();
      return;
    }
    const closed = Promise.withResolvers<"sent" | "broken">();
    response.once("close", () => closed.resolve(response.writableFinished ? "sent" : "broken"));
    const body = (await json(request)) as ChatRequest;
    calls.push({ headers: request.headers, body, ended: closed.promise });

    const script = scripts.shift() ?? otherwise(body);
    if ("status" in script) {
      response.writeHead(script.status, { "content-type": "application/json", ...script.headers });
      response.end(script.body ?? JSON.stringify({ error: { message: "as scripted" } }));
      return;
    }
    response.writeHead(200, { "content-type": "text/event-stream" });
    response.flushHeaders();
    for (const step of script) {
      await Promise.race([perform(step, body.model, response), closed.promise]);
      if (response.destroyed) return;
    }
    response.end();
  });
  await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no TCP port was given");

  const close = () => {
    server.close();
    server.closeAllConnections();
  };
  atTheEnd(close);
  return {
    baseUrl: `http://127.0.0.1:${address.port}/v1`,
    calls,
    next: (script) => void scripts.push(script),
    always: (script) => {
      otherwise = script;
    },
    close,
  };
}

async function perform(step: Step, model: string, response: ServerResponse): Promise<void> {
  const chunk = (fields: Record<string, unknown>) => {
    const head = { id: "chatcmpl-1", object: "chat.completion.chunk", created: 1_700_000_000, model };
    response.write(`data: ${JSON.stringify({ ...head, ...fields })}\n\n`);
  };
  const choice = (delta: Record<string, unknown>, finish_reason: string | null = null) =>
    chunk({ choices: [{ index: 0, delta, finish_reason }] });

  if ("text" in step) choice({ content: step.text });
  else if ("reasoning" in step) choice({ reasoning_content: step.reasoning });
  else if ("delta" in step) choice(step.delta);
  else if ("finish" in step) choice({}, step.finish);
  else if ("usage" in step) chunk({ choices: [], usage: step.usage });
  else if ("done" in step) response.write("data: [DONE]\n\n");
  else if ("raw" in step) response.write(step.raw);
  else if ("pauseMs" in step) await Bun.sleep(step.pauseMs);
  else if ("hold" in step) await step.hold;
  else response.destroy();
}
