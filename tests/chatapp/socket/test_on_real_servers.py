"""What only a real server can show: codes, sizes and order as they arrive at a real client, on both ASGI servers."""

import asyncio
import json
from collections.abc import Callable, Iterator
from typing import Any

import aiohttp
import pytest
import websockets

from chatapp.protocol.limits import LIMITS
from tests.servers import PATIENCE_SECONDS
from tests.servers.chat_server import ChatServer
from tests.servers.long_chat import long_chat
from tests.servers.raw_sockets import TEXT, close_code_of, frame, raw_socket
from tests.servers.tabs import connect, open_tab

pytestmark = pytest.mark.any_database

AN_ID = "0b7e4b1c-95b3-4a6a-9d2e-0d4f7f4f9e11"
LONGER_THAN_A_WINDOW = "Nothing is lost on the way. " * (LIMITS["window_bytes"] // 24)


@pytest.fixture(scope="module", params=["daphne", "uvicorn"])
def server(request: pytest.FixtureRequest, new_database: Callable[[], str]) -> Iterator[ChatServer]:
    with ChatServer(database_url=new_database(), runs_on=request.param) as running:
        running.query("UPDATE chatapp_assistant SET max_output_tokens = 128000 RETURNING id")
        yield running


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
        await connect(server.url, server.socket_url, origin=origin)

    assert refused.value.response.status_code == 403


async def test_a_stranger_hears_4401(server: ChatServer):
    async with connect(server.url, server.socket_url) as socket:
        assert await close_code(socket) == 4401


async def test_signing_out_closes_the_socket(server: ChatServer, new_session):
    cookie = new_session(server)
    headers = {"Cookie": cookie}
    async with connect(server.url, server.socket_url, cookie=cookie) as socket:
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
    async with open_tab(server, "bob") as tab:
        await tab.send_raw(json.dumps(message))
        error = await tab.until("error")
        await tab.send("ping")
        pong = await tab.read()

    assert (error["code"], error["ref"]) == ("message_too_large", AN_ID)
    assert pong == {"type": "pong"}


async def test_a_message_is_acked_and_answered_in_order(server: ChatServer):
    async with open_tab(server) as tab:
        await tab.say("What is a prompt cache?")
        frames = await tab.all_until("reply.finished")

    kinds = [frame["type"] for frame in frames]
    seqs = [frame["seq"] for frame in frames if "seq" in frame]
    assert kinds.index("message.created") < kinds.index("reply.started") < kinds.index("reply.delta")
    assert seqs == list(range(1, len(seqs) + 1))
    assert frames[-1]["status"] == "complete"


async def test_a_client_that_never_acknowledges_but_reads_gets_a_reply_longer_than_the_window_whole(server: ChatServer):
    text = LONGER_THAN_A_WINDOW
    server.simulator.script(text=text)

    async with open_tab(server) as tab:
        await tab.say("Tell me all.")
        frames = await tab.all_until("reply.finished")

    assert text_of(frames) == text


async def test_a_client_that_acknowledges_what_it_reads_gets_it_whole_too(server: ChatServer):
    text = LONGER_THAN_A_WINDOW
    server.simulator.script(text=text)

    frames: list[dict[str, Any]] = []
    unacknowledged = 0
    async with open_tab(server) as tab:
        await tab.say("Tell me all.")
        while not frames or frames[-1]["type"] != "reply.finished":
            frames.append(await tab.read())
            unacknowledged += len(frames[-1].get("text", ""))
            if "seq" in frames[-1] and unacknowledged > LIMITS["ack_bytes"] // 2:
                unacknowledged = 0
                await tab.send("reply.seen", reply_id=frames[-1]["reply_id"], seq=frames[-1]["seq"])

    assert text_of(frames) == text


async def test_a_flood_of_any_frames_is_closed_as_abuse(server: ChatServer):
    # At once, and no more than that: who still writes after the server has closed loses its last words to the reset.
    flood = frame(TEXT, b'{"type":"ping"}') * 3 * LIMITS["frame_burst"]
    async with open_tab(server) as other:
        with raw_socket(server) as connection:
            await asyncio.to_thread(connection.sendall, flood)
            code = await asyncio.to_thread(close_code_of, connection)
        await other.send("ping")
        await other.until("pong")

    assert code == 4409


@pytest.mark.parametrize(("messages", "characters"), [(23, 99_900), (2_000, 500)])
async def test_a_conversation_past_the_limit_for_incoming_messages_opens(server, messages, characters):
    conversation_id = long_chat(server, "ann", messages=messages, characters=characters)

    async with open_tab(server) as tab:
        state = await tab.open(conversation_id)

    assert state["messages"][-1]["text"].startswith(f"Message {messages - 1} ")
    assert state["earlier"] + len(state["messages"]) == messages
