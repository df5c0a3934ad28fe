"""What only a real server can show: codes, sizes and order as they arrive at a real client, on both ASGI servers."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import aiohttp
import pytest
import websockets

from chatapp.protocol.limits import LIMITS
from tests.servers import PATIENCE_SECONDS
from tests.servers.chat_server import ChatServer

AN_ID = "0b7e4b1c-95b3-4a6a-9d2e-0d4f7f4f9e11"
LONGER_THAN_A_WINDOW = "Nothing is lost on the way. " * (LIMITS["window_bytes"] // 24)


@pytest.fixture(scope="module", params=["daphne", "uvicorn"])
def server(request: pytest.FixtureRequest, new_database: Callable[[], str]) -> Iterator[ChatServer]:
    with ChatServer(database_url=new_database(), runs_on=request.param) as running:
        running.query("UPDATE chatapp_assistant SET max_output_tokens = 128000 RETURNING id")
        yield running


@asynccontextmanager
async def open_socket(server: ChatServer, user: str = "ann") -> AsyncIterator[websockets.ClientConnection]:
    """Past `ready`."""
    headers = {"Cookie": server.users[user].cookie}
    async with websockets.connect(
        server.socket_url, origin=server.url, additional_headers=headers, max_size=None, open_timeout=PATIENCE_SECONDS
    ) as socket:
        await until(socket, "ready")
        yield socket


async def tell(socket: websockets.ClientConnection, kind: str, **fields: Any) -> None:
    await socket.send(json.dumps({"type": kind, **fields}))


async def say(socket: websockets.ClientConnection, text: str) -> None:
    await tell(socket, "message.send", client_message_id=str(uuid4()), text=text)


async def until(socket: websockets.ClientConnection, kind: str) -> list[dict[str, Any]]:
    """All frames up to the first of this type."""
    frames: list[dict[str, Any]] = []
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not frames or frames[-1]["type"] != kind:
            frames.append(json.loads(await socket.recv()))
    return frames


async def close_code(socket: websockets.ClientConnection) -> int | None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        with pytest.raises(websockets.ConnectionClosed):
            while True:
                await socket.recv()
    return socket.close_code


def text_of(frames: list[dict[str, Any]]) -> str:
    return "".join(frame["text"] for frame in frames if frame["type"] == "reply.delta")


@pytest.mark.parametrize("origin", [None, "null", "http://evil.example"])
async def test_a_foreign_origin_meets_http_403(server: ChatServer, origin):
    with pytest.raises(websockets.InvalidStatus) as refused:
        await websockets.connect(server.socket_url, origin=origin, open_timeout=PATIENCE_SECONDS)

    assert refused.value.response.status_code == 403


async def test_a_stranger_hears_4401(server: ChatServer):
    async with websockets.connect(server.socket_url, origin=server.url, open_timeout=PATIENCE_SECONDS) as socket:
        assert await close_code(socket) == 4401


async def test_signing_out_closes_the_socket(server: ChatServer, new_session):
    cookie = new_session(server)
    headers = {"Cookie": cookie}
    async with websockets.connect(
        server.socket_url, origin=server.url, additional_headers=headers, open_timeout=PATIENCE_SECONDS
    ) as socket:
        await socket.recv()
        async with aiohttp.ClientSession(headers=headers) as browser:
            page = await (await browser.get(f"{server.url}/")).text()
            token = page.split('"csrf_token": "')[1].split('"')[0]
            jar = {"Cookie": f"{cookie}; csrftoken={token}"}
            form = {"csrfmiddlewaretoken": token}
            answer = await browser.post(f"{server.url}/accounts/logout/", data=form, headers=jar, allow_redirects=False)
            assert answer.status == 302

        assert await close_code(socket) == 4401


@pytest.fixture
def new_session() -> Callable[[ChatServer], str]:
    """Root's, which no other test of this module uses."""
    return lambda server: server.users["root"].cookie


async def test_a_frame_too_large_is_answered_and_the_socket_lives(server: ChatServer):
    message = {"type": "message.send", "client_message_id": AN_ID, "text": "x" * 2**20}
    async with open_socket(server, "bob") as socket:
        await socket.send(json.dumps(message))
        error = (await until(socket, "error"))[-1]
        await tell(socket, "ping")
        pong = json.loads(await socket.recv())

    assert (error["code"], error["ref"]) == ("message_too_large", AN_ID)
    assert pong == {"type": "pong"}


async def test_a_message_is_acked_and_answered_in_order(server: ChatServer):
    async with open_socket(server) as socket:
        await say(socket, "What is a prompt cache?")
        frames = await until(socket, "reply.finished")

    kinds = [frame["type"] for frame in frames]
    seqs = [frame["seq"] for frame in frames if "seq" in frame]
    assert kinds.index("message.created") < kinds.index("reply.started") < kinds.index("reply.delta")
    assert seqs == list(range(1, len(seqs) + 1))
    assert frames[-1]["status"] == "complete"


async def test_a_client_that_never_acknowledges_but_reads_gets_a_reply_longer_than_the_window_whole(server: ChatServer):
    text = LONGER_THAN_A_WINDOW
    server.simulator.script(text=text)

    async with open_socket(server) as socket:
        await say(socket, "Tell me all.")
        frames = await until(socket, "reply.finished")

    assert text_of(frames) == text


async def test_a_client_that_acknowledges_what_it_reads_gets_it_whole_too(server: ChatServer):
    text = LONGER_THAN_A_WINDOW
    server.simulator.script(text=text)

    frames: list[dict[str, Any]] = []
    async with open_socket(server) as socket:
        await say(socket, "Tell me all.")
        while not frames or frames[-1]["type"] != "reply.finished":
            frames.append(json.loads(await asyncio.wait_for(socket.recv(), PATIENCE_SECONDS)))
            if "seq" in frames[-1]:
                await tell(socket, "reply.seen", reply_id=frames[-1]["reply_id"], seq=frames[-1]["seq"])

    assert text_of(frames) == text


async def test_a_flood_of_any_frames_is_closed_as_abuse(server: ChatServer):
    async with open_socket(server, "bob") as socket, open_socket(server) as other:
        closing = asyncio.create_task(close_code(socket))
        with pytest.raises(websockets.ConnectionClosed):
            while True:
                await tell(socket, "ping")
                await asyncio.sleep(0)
        code = await closing
        await tell(other, "ping")
        await until(other, "pong")

    assert code == 4409
