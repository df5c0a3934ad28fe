"""A reader that stops reading, or stops acknowledging, on the real server: it is let go and can come back."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import pytest
import websockets

from chatapp.protocol import CLOSE_TOO_SLOW
from chatapp.server.paced_socket import WINDOW_BYTES
from tests.servers import PATIENCE_SECONDS
from tests.servers.chat_server import ChatServer

pytestmark = pytest.mark.soak
TEXT = "Somebody reads this, and somebody does not. " * (WINDOW_BYTES // 40)
"""Longer than the window, and less than the simulated model's longest reply."""
GONE_AFTER_SECONDS = 17.0


@asynccontextmanager
async def open_socket(server: ChatServer, **options: Any) -> AsyncIterator[websockets.ClientConnection]:
    headers = {"Cookie": server.users["ann"].cookie}
    async with websockets.connect(
        server.socket_url,
        origin=server.url,
        additional_headers=headers,
        max_size=None,
        ping_interval=None,
        open_timeout=PATIENCE_SECONDS,
        **options,
    ) as socket:
        await until(socket, "ready")
        yield socket


async def tell(socket: websockets.ClientConnection, kind: str, **fields: Any) -> None:
    await socket.send(json.dumps({"type": kind, **fields}))


async def until(socket: websockets.ClientConnection, kind: str) -> list[dict[str, Any]]:
    frames: list[dict[str, Any]] = []
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not frames or frames[-1]["type"] != kind:
            frames.append(json.loads(await socket.recv()))
    return frames


async def begin_long_reply(server: ChatServer, teller: websockets.ClientConnection) -> str:
    """Gives the conversation's id; the text takes some seconds."""
    server.query("UPDATE chatapp_assistant SET max_output_tokens = 128000 RETURNING id")
    server.simulator.script(text=TEXT, tokens_per_second=30_000)
    await tell(teller, "message.send", client_message_id=str(uuid4()), text="Tell me all.")
    created = (await until(teller, "message.created"))[-1]
    return str(created["conversation_id"])


async def rest_of(socket: websockets.ClientConnection) -> tuple[list[dict[str, Any]], int | None]:
    frames: list[dict[str, Any]] = []
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                frames.append(json.loads(await socket.recv()))
    except websockets.ConnectionClosed:
        return frames, socket.close_code


async def test_who_reads_nothing_is_let_go_and_others_read_on(start_chat_server):
    server = start_chat_server()
    async with open_socket(server) as teller, open_socket(server, max_queue=1) as sleeper:
        conversation_id = await begin_long_reply(server, teller)
        await tell(sleeper, "conversation.open", conversation_id=conversation_id)
        frames = await until(teller, "reply.finished")
        await asyncio.sleep(GONE_AFTER_SECONDS)
        _, code = await rest_of(sleeper)
        await tell(teller, "ping")
        await until(teller, "pong")

    assert code == CLOSE_TOO_SLOW
    assert "".join(frame["text"] for frame in frames if frame["type"] == "reply.delta") == TEXT


async def test_who_stops_acknowledging_is_held_let_go_and_resumes_where_it_was(start_chat_server):
    server = start_chat_server()
    async with open_socket(server) as reader:
        await begin_long_reply(server, reader)
        first = (await until(reader, "reply.delta"))[-1]
        await tell(reader, "reply.seen", reply_id=first["reply_id"], seq=first["seq"])
        frames, code = await rest_of(reader)
    read = [first, *(frame for frame in frames if frame["type"] in ("reply.delta", "reply.finished"))]
    conversation_id = server.query("SELECT id FROM chatapp_conversation")[0][0]
    cursor = {"reply_id": first["reply_id"], "epoch": first["epoch"], "after_seq": read[-1]["seq"]}
    async with open_socket(server) as again:
        await tell(again, "conversation.open", conversation_id=str(conversation_id), cursor=cursor)
        state, *rest = await until(again, "reply.finished")

    held_back = [frame for frame in read if frame["type"] == "reply.finished"]
    texts = [frame["text"] for frame in [*read, *rest] if frame["type"] == "reply.delta"]
    assert (code, held_back, state["recovered"]) == (CLOSE_TOO_SLOW, [], True)
    assert "".join(texts) == TEXT
