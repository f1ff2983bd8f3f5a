// The floor: a bare server that passes the model's bytes through and looks at none of them.
const upstream = `http://127.0.0.1:${process.env.MODEL_PORT}/v1/chat/completions`;

Bun.serve({
  port: Number(process.env.PORT),
  hostname: "127.0.0.1",
  idleTimeout: 60,
  async fetch(request) {
    if (request.method !== "POST") return new Response("ready");
    const headers = { "content-type": "application/json" };
    const response = await fetch(upstream, { method: "POST", headers, body: await request.text() });
    return new Response(response.body, { headers: { "content-type": "text/event-stream" } });
  },
});
