"""What a hostile user with an ordinary account can cost through sockets and forms, on the product's own limits.

Each part is bounded: what was accepted and refused, memory, processor time, and how long others wait meanwhile.
"""

import asyncio
import contextlib
import http.client
import json
import socket
import tempfile
import time
from collections import Counter
from contextlib import AsyncExitStack

import websockets

from benchmarks.sockets import cpu_seconds, memory_kib, open_socket, percentile, watch_latency
from tests.servers.chat_server import AS_SHIPPED, ChatServer
from tests.servers.raw_sockets import FLOODS, PONG, flood, frame, has_been_ended, is_ended, raw_socket
from tests.servers.tabs import LiveTab, open_tab

SENDING_SOCKETS, SENDS_EACH = 3, 100
SOCKETS = 1_500
RENAMES = 5
HALF_HEADS = 3_000
REPLY_CHARACTERS = 4_000_000
FORGING_SECONDS = 25.0
POSTS = 300


def run() -> None:
    with tempfile.TemporaryDirectory() as folder:
        with ChatServer(database_url=f"sqlite:///{folder}/db.sqlite3", environment=AS_SHIPPED) as server:
            for part in (sends, many_sockets, forged_pongs):
                asyncio.run(part(server))
            posts(server)
            floods(server)
            half_heads(server)


async def sends(server: ChatServer) -> None:
    """One person sends as fast as the sockets take it."""
    before, cpu, began = memory_kib(server), cpu_seconds(server), time.monotonic()
    async with AsyncExitStack() as stack:
        others = await stack.enter_async_context(watch_latency(server))
        tabs = [await stack.enter_async_context(open_tab(server)) for _ in range(SENDING_SOCKETS)]
        outcomes = Counter[str]()
        for found in await asyncio.gather(*(_send(tab) for tab in tabs)):
            outcomes += found
        seconds = time.monotonic() - began
    print(
        f"sends: {SENDING_SOCKETS} sockets x {SENDS_EACH} messages of one person in {seconds:.1f} s: {dict(outcomes)}; "
        f"{(memory_kib(server) - before) / 1024:.0f} MiB, {cpu_seconds(server) - cpu:.1f} s of CPU; "
        f"ping of others p99 {percentile(others, 99):.0f} ms",
        flush=True,
    )


async def _send(tab: LiveTab) -> Counter[str]:
    for number in range(SENDS_EACH):
        await tab.say(f"Message {number}")
    outcomes = Counter[str]()
    while outcomes.total() < SENDS_EACH:
        frame = await tab.read()
        if frame["type"] == "message.created":
            outcomes["accepted"] += 1
        elif frame["type"] == "error":
            outcomes[frame["quota"]["measure"] if frame["quota"] else frame["code"]] += 1
    return outcomes


async def many_sockets(server: ChatServer) -> None:
    """One session opens socket after socket; then a conversation is renamed, which all of them hear."""
    before = memory_kib(server)
    outcomes = Counter[str]()
    async with AsyncExitStack() as stack:
        others = await stack.enter_async_context(watch_latency(server))
        for _ in range(SOCKETS // 50):
            for opened in await asyncio.gather(*(_open(stack, server) for _ in range(50))):
                outcomes[opened] += 1
        grown = (memory_kib(server) - before) / 1024
        cpu = cpu_seconds(server)
        [(conversation_id, *_)] = server.query("SELECT id FROM chatapp_conversation LIMIT 1")
        for number in range(RENAMES):
            await asyncio.to_thread(_post, server, f"/c/{conversation_id}/rename/", f"title=Name+{number}")
        await asyncio.sleep(1)
        cpu = cpu_seconds(server) - cpu
    print(
        f"sockets: {SOCKETS} of one session: {dict(outcomes)}; {grown:.0f} MiB; {RENAMES} renames {cpu:.2f} s of CPU; "
        f"ping of others p99 {percentile(others, 99):.0f} ms",
        flush=True,
    )


async def _open(stack: AsyncExitStack, server: ChatServer) -> str:
    try:
        await stack.enter_async_context(open_socket(server))
    except websockets.ConnectionClosed as closed:
        return f"closed with {closed.rcvd.code if closed.rcvd else 1006}"
    except (websockets.InvalidHandshake, OSError) as error:
        return type(error).__name__
    return "open"


async def forged_pongs(server: ChatServer) -> None:
    """A socket that reads nothing says that it has read all."""
    server.query("UPDATE chatapp_assistant SET max_output_tokens = 128000 RETURNING id")
    server.query("DELETE FROM chatapp_usageaccount RETURNING name")
    server.simulator.script(text="x" * REPLY_CHARACTERS, tokens_per_second=200_000)
    before = memory_kib(server)
    async with open_tab(server) as teller:
        created = await teller.say_and_hear("Tell me all.")
        most, has_ended = await asyncio.to_thread(_forge, server, str(created["conversation_id"]), before)
    print(
        f"forged pongs: a reader of nothing for {FORGING_SECONDS:.0f} s: {(most - before) / 1024:.0f} MiB "
        f"with the reply itself, {'closed' if has_ended else 'still open'}",
        flush=True,
    )


def _forge(server: ChatServer, conversation_id: str, most: int) -> tuple[int, bool]:
    with raw_socket(server) as connection:
        opening = json.dumps({"type": "conversation.open", "conversation_id": conversation_id}).encode()
        connection.sendall(frame(1, opening))
        began, number, is_open = time.monotonic(), 0, True
        while is_open and time.monotonic() - began < FORGING_SECONDS:
            number += 1
            is_open = flood(connection, frame(PONG, b"read?%d" % number))
            most = max(most, memory_kib(server))
            time.sleep(0.02)
        return most, not is_open or is_ended(connection)


def posts(server: ChatServer) -> None:
    began = time.monotonic()
    outcomes = Counter(_post(server, "/attachments/00000000-0000-4000-8000-000000000000/delete/") for _ in range(POSTS))
    print(f"posts: {POSTS} of one person in {time.monotonic() - began:.1f} s: {dict(outcomes)}", flush=True)


def _post(server: ChatServer, path: str, form: str = "") -> int:
    """With the page's own CSRF token, as anybody can read it there."""
    client = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    token = "a" * 32
    headers = {
        "Cookie": f"{server.users['ann'].cookie}; csrftoken={token}",
        "X-CSRFToken": token,
        "Content-Type": "application/x-www-form-urlencoded",
    }
    client.request("POST", path, body=form, headers=headers)
    status = client.getresponse().status
    client.close()
    return status


def floods(server: ChatServer) -> None:
    for name, data in FLOODS.items():
        before, cpu, began = memory_kib(server), cpu_seconds(server), time.monotonic()
        with raw_socket(server) as connection:
            flood(connection, data)
            has_ended = is_ended(connection)
        seconds = time.monotonic() - began
        print(
            f"flood of {name}: {len(data):,} bytes, {'closed' if has_ended else 'still open'} after "
            f"{seconds * 1000:.0f} ms, {(memory_kib(server) - before) / 1024:.1f} MiB, "
            f"{cpu_seconds(server) - cpu:.2f} s of CPU",
            flush=True,
        )


def half_heads(server: ChatServer) -> None:
    """Connections with half a request on them."""
    before, began = memory_kib(server), time.monotonic()
    with contextlib.ExitStack() as stack:
        connections = []
        for _ in range(HALF_HEADS):
            try:
                connection = stack.enter_context(socket.create_connection(("127.0.0.1", server.port)))
            except OSError:
                continue  # ended already
            connection.setblocking(False)
            flood(connection, b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n")
            connections.append(connection)
        at_once = (memory_kib(server) - before) / 1024
        open_at_first = len(connections) - sum(map(has_been_ended, connections))
        while (left := len(connections) - sum(map(has_been_ended, connections))) and time.monotonic() - began < 60:
            time.sleep(0.2)
    print(
        f"half heads: {HALF_HEADS} connections of one address, {open_at_first} held, {at_once:.0f} MiB; "
        f"{left} left after {time.monotonic() - began:.0f} s",
        flush=True,
    )
