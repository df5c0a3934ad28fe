"""What a hostile user with an ordinary account can cost through sockets and forms, on the product's own limits.

Each part is bounded: what was accepted and refused, memory, disk, processor time, and how long others wait meanwhile.
"""

import asyncio
import contextlib
import json
import resource
import socket
import tempfile
import time
from collections import Counter
from contextlib import AsyncExitStack
from functools import partial

import websockets

from benchmarks.hostile_figures import figures, told
from benchmarks.hostile_files import deletion, emoji, pdfs, post
from benchmarks.sockets import cpu_seconds, open_socket
from tests.servers.chat_server import AS_SHIPPED, ChatServer
from tests.servers.raw_sockets import FLOODS, PONG, flood, frame, has_been_ended, is_ended, raw_socket
from tests.servers.tabs import LiveTab, open_tab

SENDING_SOCKETS, SENDS_EACH = 3, 100
SOCKETS = 1_500
RENAMES = 5
HALF_HEADS = 3_000
HALF_HEAD_SECONDS = 40.0
REPLY_CHARACTERS = 4_000_000
FORGING_SECONDS = 25.0
POSTS = 300


def run() -> None:
    with tempfile.TemporaryDirectory() as folder:
        with ChatServer(database_url=f"sqlite:///{folder}/db.sqlite3", environment=AS_SHIPPED) as server:
            for part in (sends, many_sockets, emoji, pdfs, forged_pongs, floods, posts, half_heads, deletion):
                asyncio.run(part(server))
                server.simulator.reset()
                # Each part finds the limits of a day untouched.
                server.query("DELETE FROM chatapp_usageaccount RETURNING name")


async def sends(server: ChatServer) -> None:
    """One person sends as fast as the sockets take it."""
    async with AsyncExitStack() as stack:
        tabs = [await stack.enter_async_context(open_tab(server)) for _ in range(SENDING_SOCKETS)]
        outcomes = Counter[str]()
        async with figures(server) as found:
            for each in await asyncio.gather(*(_send(tab) for tab in tabs)):
                outcomes += each
    told("sends", f"{SENDING_SOCKETS} sockets x {SENDS_EACH} messages of one person", outcomes, found)


async def _send(tab: LiveTab) -> Counter[str]:
    for number in range(SENDS_EACH):
        await tab.say(f"Message {number}")
    outcomes = Counter[str]()
    while outcomes.total() < SENDS_EACH:
        frame = await tab.read()
        if frame["type"] == "message.created":
            outcomes["accepted"] += 1
        elif frame["type"] == "error":
            outcomes[f"refused: {frame['quota']['measure'] if frame['quota'] else frame['code']}"] += 1
    return outcomes


async def many_sockets(server: ChatServer) -> None:
    """One session opens socket after socket; then a conversation is renamed, which all of them hear."""
    outcomes = Counter[str]()
    async with AsyncExitStack() as stack:
        found = await stack.enter_async_context(figures(server))
        for _ in range(SOCKETS // 50):
            outcomes.update(await asyncio.gather(*(_open(stack, server) for _ in range(50))))
        cpu = cpu_seconds(server)
        [(conversation_id, *_)] = server.query("SELECT id FROM chatapp_conversation LIMIT 1")
        for number in range(RENAMES):
            await asyncio.to_thread(post, server, f"/c/{conversation_id}/rename/", f"title=Name+{number}".encode())
        await asyncio.sleep(1)
        cpu = cpu_seconds(server) - cpu
    told("sockets", f"{SOCKETS:,} of one session, then {RENAMES} renames ({cpu:.2f} s of CPU)", outcomes, found)


async def _open(stack: AsyncExitStack, server: ChatServer) -> str:
    try:
        await stack.enter_async_context(open_socket(server))
    except websockets.ConnectionClosed as closed:
        return f"closed with {closed.rcvd.code if closed.rcvd else 1006}"
    except (websockets.InvalidHandshake, OSError) as error:
        return type(error).__name__
    return "open"


async def posts(server: ChatServer) -> None:
    path = "/attachments/00000000-0000-4000-8000-000000000000/delete/"
    async with figures(server) as found:
        outcomes = Counter[str]()
        for _ in range(POSTS):
            status, _ = await asyncio.to_thread(post, server, path)
            outcomes[f"answered {status}"] += 1
    told("posts", f"{POSTS} forms of one person", outcomes, found)


async def forged_pongs(server: ChatServer) -> None:
    """A socket that reads nothing says that it has read all."""
    server.query("UPDATE chatapp_assistant SET max_output_tokens = 128000 RETURNING id")
    server.query("DELETE FROM chatapp_usageaccount RETURNING name")
    server.simulator.script(text="x" * REPLY_CHARACTERS, tokens_per_second=200_000)
    async with open_tab(server) as teller:
        created = await teller.say_and_hear("Tell me all.")
        async with figures(server) as found:
            has_ended = await asyncio.to_thread(_forge, server, str(created["conversation_id"]))
    outcomes = {"closed" if has_ended else "still open": 1}
    told("forged pongs", f"a reader of nothing, of a reply of {REPLY_CHARACTERS / 1e6:.0f} MB", outcomes, found)


def _forge(server: ChatServer, conversation_id: str) -> bool:
    with raw_socket(server) as connection:
        opening = json.dumps({"type": "conversation.open", "conversation_id": conversation_id}).encode()
        connection.sendall(frame(1, opening))
        began, number, is_open = time.monotonic(), 0, True
        while is_open and time.monotonic() - began < FORGING_SECONDS:
            number += 1
            is_open = flood(connection, frame(PONG, b"read?%d" % number))
            time.sleep(0.02)
        return not is_open or is_ended(connection)


async def floods(server: ChatServer) -> None:
    for name, data in FLOODS.items():
        async with figures(server) as found:
            has_ended = await asyncio.to_thread(_flood, server, data)
        outcomes = {"closed" if has_ended else "still open": 1}
        told(f"flood of {name}", f"{len(data):,} bytes on one socket", outcomes, found)


def _flood(server: ChatServer, data: bytes) -> bool:
    with raw_socket(server) as connection:
        flood(connection, data)
        return is_ended(connection)


async def half_heads(server: ChatServer) -> None:
    """Connections with half a request on them."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 2 * HALF_HEADS), most))
    async with figures(server) as found:
        outcomes = await asyncio.to_thread(partial(_half_heads, server))
    told("half heads", f"{HALF_HEADS:,} connections of one address", outcomes, found)


def _half_heads(server: ChatServer) -> Counter[str]:
    outcomes = Counter[str]()
    with contextlib.ExitStack() as stack:
        connections = []
        for _ in range(HALF_HEADS):
            try:
                connection = stack.enter_context(socket.create_connection(("127.0.0.1", server.port)))
                connection.setblocking(False)
                flood(connection, b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n")
            except OSError:
                outcomes["refused"] += 1
                continue
            connections.append(connection)
        began = time.monotonic()
        time.sleep(1)  # what is refused is reset by then
        ended = sum(map(has_been_ended, connections))
        outcomes["refused"] += ended
        outcomes["held at first"] = len(connections) - ended
        while (left := len(connections) - sum(map(has_been_ended, connections))) and (
            time.monotonic() - began < HALF_HEAD_SECONDS
        ):
            time.sleep(0.2)
        outcomes[f"held after {time.monotonic() - began:.0f} s"] = left
    return outcomes
