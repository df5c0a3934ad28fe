"""Many sockets and badly behaved ones, on a real server over loopback. Each part is bounded and ends by itself.

idle: what an idle socket costs. storm: all sockets reconnect at once. stalled: readers that stop reading while a long
reply is written. flood: 5,000 frames a second from one socket. stall: one person's database call is blocked for three
seconds.
"""

import asyncio
import contextlib
import sqlite3
import statistics
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import websockets

from tests.servers.chat_server import ChatServer
from tests.servers.tabs import LiveTab, open_tab

IDLE_SOCKETS = 1_000
CONNECTS_AT_ONCE = 1_000
STALLED_SOCKETS = 10
REPLY_CHARACTERS = 300_000
# It takes some seconds, so that readers who open it late still read it live.
REPLY_TOKENS_PER_SECOND = 30_000
# By then the server must have given up on the stalled readers.
STALL_SECONDS = 17.0
FLOOD_PER_SECOND = 5_000
FLOOD_SECONDS = 10.0
DATABASE_STALL_SECONDS = 3.0
PATIENCE_SECONDS = 60.0
LAST_FRAMES_SECONDS = 10.0


def run() -> None:
    with tempfile.TemporaryDirectory() as folder:
        with ChatServer(database_url=f"sqlite:///{folder}/db.sqlite3") as server:
            server.query("UPDATE chatapp_assistant SET max_output_tokens = 128000 RETURNING id")
            for part in (idle, storm, stalled, flood, stall):
                asyncio.run(part(server))


async def idle(server: ChatServer) -> None:
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(20):
            await stack.enter_async_context(open_socket(server))
        # The modules that the first reply needs are loaded after the start and are not part of a socket's cost.
        async with open_socket(server) as first:
            await first.say_and_hear("Are you there?")
            await first.until("reply.finished")
        before = memory_kib(server)
        for _ in range(IDLE_SOCKETS // 50):
            await asyncio.gather(*(stack.enter_async_context(open_socket(server)) for _ in range(50)))
        await asyncio.sleep(1)
        each = (memory_kib(server) - before) / IDLE_SOCKETS
        processor_seconds = cpu_seconds(server)
        await asyncio.sleep(5)
        share = (cpu_seconds(server) - processor_seconds) / 5
        print(f"idle: {IDLE_SOCKETS} sockets, {each:.0f} KiB each, {share:.1%} of a core", flush=True)


async def storm(server: ChatServer) -> None:
    waits: list[float] = []

    async def one() -> None:
        began = time.monotonic()
        async with open_socket(server):
            waits.append(time.monotonic() - began)

    outcomes = await asyncio.gather(*(one() for _ in range(CONNECTS_AT_ONCE)), return_exceptions=True)
    failures = [outcome for outcome in outcomes if outcome is not None]
    words = f"storm: {CONNECTS_AT_ONCE} connects at once, {len(failures)} failures, to `ready` "
    print(f"{words}p50 {percentile(waits, 50):.0f} ms, p99 {percentile(waits, 99):.0f} ms", flush=True)
    if failures:
        print(f"  the first: {failures[0]!r}")


async def stalled(server: ChatServer) -> None:
    """One long reply with one reader that reads and ten that do not."""
    await ask_for_long_reply(server, readers=0)
    start = memory_kib(server)
    _, alone = await ask_for_long_reply(server, readers=0)
    needed_anyway = alone - start
    async with watch_latency(server) as calm:
        await asyncio.sleep(2)
    before = memory_kib(server)
    async with watch_latency(server) as busy:
        found, most = await ask_for_long_reply(server, readers=STALLED_SOCKETS)
    growth = (most - before - needed_anyway) / STALLED_SOCKETS / 1024
    codes = sorted({str(code) for code in found})
    print(
        f"stalled: {STALLED_SOCKETS} readers of {REPLY_CHARACTERS / 2**10:.0f} KiB, {growth:.2f} MiB growth each, "
        f"closed with {', '.join(codes)} after {STALL_SECONDS:.0f} s; "
        f"ping of others p99 {percentile(calm, 99):.0f} ms before, {percentile(busy, 99):.0f} ms meanwhile",
        flush=True,
    )


async def ask_for_long_reply(server: ChatServer, *, readers: int) -> tuple[list[int | None], int]:
    """The close code that each stalled reader gets when it reads again, and the server's peak memory."""
    server.simulator.script(text="long " * (REPLY_CHARACTERS // 5), tokens_per_second=REPLY_TOKENS_PER_SECOND)
    most = 0
    async with contextlib.AsyncExitStack() as stack:
        teller = await stack.enter_async_context(open_socket(server))
        created = await teller.say_and_hear("Tell me all.")
        sleepers = [await stack.enter_async_context(open_socket(server, max_queue=1)) for _ in range(readers)]
        for sleeper in sleepers:
            await sleeper.send("conversation.open", conversation_id=created["conversation_id"])
        began = time.monotonic()
        finished = asyncio.create_task(teller.until("reply.finished"))
        while time.monotonic() - began < (STALL_SECONDS if readers else PATIENCE_SECONDS):
            most = max(most, memory_kib(server))
            if finished.done() and not readers:
                break
            await asyncio.sleep(0.1)
        await finished
        return [await close_code(sleeper) for sleeper in sleepers], most


async def flood(server: ChatServer) -> None:
    before = memory_kib(server)
    most, sent, began = before, 0, time.monotonic()
    async with open_socket(server) as socket, watch_latency(server) as others:
        reading = asyncio.create_task(close_code(socket))
        with contextlib.suppress(websockets.ConnectionClosed):
            while time.monotonic() - began < FLOOD_SECONDS:
                for _ in range(FLOOD_PER_SECOND // 100):
                    await socket.send_raw('{"type":"ping"}')
                    sent += 1
                most = max(most, memory_kib(server))
                await asyncio.sleep(max(0.0, began + sent / FLOOD_PER_SECOND - time.monotonic()))
        seconds = time.monotonic() - began
        code = await reading
    print(
        f"flood: {FLOOD_PER_SECOND} frames a second, closed with {code} after {seconds:.1f} s and {sent} frames, "
        f"{(most - before) / 1024:.1f} MiB growth; ping of others p99 {percentile(others, 99):.0f} ms",
        flush=True,
    )


async def stall(server: ChatServer) -> None:
    """Another connection holds the database's write lock while one person sends a message."""
    path = server.database_url.removeprefix("sqlite:///")
    async with open_socket(server) as sender, watch_latency(server) as others:
        holder = sqlite3.connect(path, isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        asking = asyncio.create_task(sender.say_and_hear("Is anybody there?"))
        await asyncio.sleep(DATABASE_STALL_SECONDS)
        holder.execute("ROLLBACK")
        holder.close()
        await asking
    print(
        f"stall: {DATABASE_STALL_SECONDS:.0f} s in one database call, ping of others "
        f"p99 {percentile(others, 99):.0f} ms, most {max(others) * 1000:.0f} ms",
        flush=True,
    )


def open_socket(server: ChatServer, user: str = "ann", **options: Any) -> AbstractAsyncContextManager[LiveTab]:
    """A socket that has received `ready`, at the site's default assistant."""
    return open_tab(server, user, assistant=None, close_timeout=1, compression=None, **options)


@contextlib.asynccontextmanager
async def watch_latency(server: ChatServer) -> AsyncIterator[list[float]]:
    """Seconds from `ping` to `pong` on a socket of its own, every 20 ms."""
    waits: list[float] = []

    async def watch(socket: LiveTab) -> None:
        while True:
            began = time.monotonic()
            await socket.send("ping")
            await socket.until("pong")
            waits.append(time.monotonic() - began)
            await asyncio.sleep(0.06)

    async with open_socket(server, "bob") as socket:
        watching = asyncio.create_task(watch(socket))
        yield waits
        watching.cancel()
        await asyncio.wait({watching})


async def close_code(tab: LiveTab) -> int | None:
    """The code that the server closes with; None if the socket stays open."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(LAST_FRAMES_SECONDS):
            _, code = await tab.rest()
            return code
    return None


def memory_kib(server: ChatServer) -> int:
    """Resident memory of the server's process."""
    assert server.process is not None
    for line in Path(f"/proc/{server.process.pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise LookupError("the system tells no VmRSS")


def cpu_seconds(server: ChatServer) -> float:
    assert server.process is not None
    fields = Path(f"/proc/{server.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def percentile(seconds: list[float], percent: int) -> float:
    """The percentile in milliseconds."""
    if len(seconds) < 2:
        return seconds[0] * 1000 if seconds else float("nan")
    return statistics.quantiles(seconds, n=100, method="inclusive")[percent - 1] * 1000
