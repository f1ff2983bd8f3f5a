// The way the documentation of both shows it: Elysia streams a generator, the generator reads the SDK's stream.
import { Elysia, sse } from "elysia";
import OpenAI from "openai";

const model = new OpenAI({ baseURL: `http://127.0.0.1:${process.env.MODEL_PORT}/v1`, apiKey: "none" });

new Elysia()
  .get("/", () => "ready")
  .post("/v1/chat/completions", async function* ({ body }) {
    const stream = await model.chat.completions.create(body as OpenAI.ChatCompletionCreateParamsStreaming);
    for await (const chunk of stream) {
      const delta = chunk.choices[0]?.delta.content;
      if (delta) yield sse({ data: { delta } });
    }
  })
  .listen({ port: Number(process.env.PORT), hostname: "127.0.0.1", idleTimeout: 60 });
