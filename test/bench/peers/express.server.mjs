// Express and the SDK, as their documentation shows them; copied beside the packages before it is run.
import express from "express";
import OpenAI from "openai";

const model = new OpenAI({ baseURL: `http://127.0.0.1:${process.env.MODEL_PORT}/v1`, apiKey: "none" });
const app = express();

app.get("/", (_request, response) => response.send("ready"));
app.post("/v1/chat/completions", express.json(), async (request, response) => {
  const stream = await model.chat.completions.create(request.body);
  response.writeHead(200, { "content-type": "text/event-stream" });
  for await (const chunk of stream) {
    const delta = chunk.choices[0]?.delta.content;
    if (delta) response.write(`data: ${JSON.stringify({ delta })}\n\n`);
  }
  response.end();
});
app.listen(Number(process.env.PORT), "127.0.0.1");
