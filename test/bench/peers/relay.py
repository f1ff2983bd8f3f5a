# The stack first thought of for this product: FastAPI streams what httpx reads, line by line.
import json
import os

import httpx
from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse

app = FastAPI()
limits = httpx.Limits(max_connections=None, max_keepalive_connections=256)
client = httpx.AsyncClient(base_url=f"http://127.0.0.1:{os.environ['MODEL_PORT']}", timeout=60, limits=limits)


@app.get("/")
async def ready():
    return "ready"


@app.post("/v1/chat/completions")
async def completions(request: Request):
    body = await request.json()

    async def answer():
        async with client.stream("POST", "/v1/chat/completions", json=body) as response:
            async for line in response.aiter_lines():
                data = line.strip().removeprefix("data: ")
                if not data.startswith("{"):
                    continue
                choices = json.loads(data)["choices"]
                delta = choices[0]["delta"].get("content") if choices else None
                if delta:
                    yield f"data: {json.dumps({'delta': delta})}\n\n"

    return StreamingResponse(answer(), media_type="text/event-stream")
