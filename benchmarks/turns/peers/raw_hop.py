"""The least that a server can do: aiohttp in, aiohttp out. `python raw_hop.py PORT`."""

import json
import os
import sys

import aiohttp
from aiohttp import web

HEADERS = {"x-api-key": os.environ["ANTHROPIC_API_KEY"], "anthropic-version": "2023-06-01"}
URL = os.environ["ANTHROPIC_BASE_URL"] + "/v1/messages"


async def chat(request):
    socket = web.WebSocketResponse(compress=False)
    await socket.prepare(request)
    async for message in socket:
        text = json.loads(message.data)["text"]
        body = {
            "model": "claude-sonnet-5-5",
            "max_tokens": 4096,
            "stream": True,
            "messages": [{"role": "user", "content": text}],
        }
        async with request.app["client"].post(URL, json=body, headers=HEADERS) as response:
            async for line in response.content:
                if line.startswith(b"data:"):
                    event = json.loads(line[5:])
                    if event["type"] == "content_block_delta":
                        await socket.send_str(json.dumps({"type": "token", "text": event["delta"]["text"]}))
        await socket.send_str('{"type": "done"}')
    return socket


async def client(app):
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        app["client"] = session
        yield


app = web.Application()
app.router.add_get("/ws/", chat)
app.cleanup_ctx.append(client)
web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), print=None, access_log=None)
