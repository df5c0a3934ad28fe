"""The end of a server that many people use: a hundred sockets, twenty replies in the middle of their text."""

import asyncio
import json
import os
import signal
from contextlib import AsyncExitStack
from typing import Any
from uuid import uuid4

import websockets

from chatapp.protocol import CLOSE_RESTARTING
from tests.servers import PATIENCE_SECONDS
from tests.servers.chat_server import ChatServer

SOCKETS = 100
REPLIES = 20
TEXT = "What was begun is brought to its end. " * 40
HELD = {"kind": "stall", "where": "after_first_token", "match": "reply", "after_tokens": 64}
"""Until it is released."""


async def open_socket(server: ChatServer, stack: AsyncExitStack, user: str) -> websockets.ClientConnection:
    headers = {"Cookie": server.users[user].cookie}
    connecting = websockets.connect(
        server.socket_url,
        origin=server.url,
        additional_headers=headers,
        ping_interval=None,
        open_timeout=PATIENCE_SECONDS,
    )
    socket = await stack.enter_async_context(connecting)
    await next_of(socket, "ready")
    return socket


async def next_of(socket: websockets.ClientConnection, kind: str) -> dict[str, Any]:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            frame: dict[str, Any] = json.loads(await socket.recv())
            if frame["type"] == kind:
                return frame


async def rest_of(socket: websockets.ClientConnection) -> tuple[list[dict[str, Any]], int | None]:
    """All frames until the server closes the socket, and the code that it closes with."""
    frames: list[dict[str, Any]] = []
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                frames.append(json.loads(await socket.recv()))
    except websockets.ConnectionClosed:
        return frames, socket.close_code


async def test_every_reply_ends_whole_and_every_socket_hears_where_to_go(start_chat_server):
    server = start_chat_server()
    server.simulator.script(text=TEXT, times=REPLIES)
    server.simulator.fault(**HELD, times=REPLIES)
    async with AsyncExitStack() as stack:
        readers = [await open_socket(server, stack, "ann") for _ in range(REPLIES)]
        idlers = [await open_socket(server, stack, "bob") for _ in range(SOCKETS - REPLIES)]
        listening = [asyncio.create_task(rest_of(socket)) for socket in idlers]
        for reader in readers:
            frame = {"type": "message.send", "client_message_id": str(uuid4()), "text": "Begin."}
            await reader.send(json.dumps(frame))
        firsts = await asyncio.gather(*(next_of(reader, "reply.delta") for reader in readers))

        os.kill(server.process.pid, signal.SIGTERM)
        await asyncio.wait(listening, return_when=asyncio.FIRST_COMPLETED)
        server.simulator.release()
        ends = [*await asyncio.gather(*map(rest_of, readers)), *await asyncio.gather(*listening)]
    exit_code = await asyncio.to_thread(server.stop)

    rows = server.query("SELECT status, text FROM chatapp_message WHERE role = 'assistant'")
    assert exit_code == 0
    assert [code for _, code in ends] == [CLOSE_RESTARTING] * SOCKETS
    assert rows == [("complete", TEXT)] * REPLIES
    for first, (frames, _) in zip(firsts, ends, strict=False):
        deltas = [first, *(frame for frame in frames if frame["type"] == "reply.delta")]
        assert "".join(delta["text"] for delta in deltas) == TEXT
        assert [frame["status"] for frame in frames if frame["type"] == "reply.finished"] == ["complete"]
