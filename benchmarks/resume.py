"""Resuming a reply: a tab reconnects at every frame of a 300-frame reply, to the writing process and to another one.

Two servers share one Redis and one database; the reply is held in the middle, so that it is read while it runs. The
time runs from the `conversation.open` with a cursor to the last missed frame. The frames are compared byte for byte
with those that the first tab got. Then a stop and a kill: how long until the other process's tab hears of the end.
"""

import asyncio
import statistics
import tempfile
import time
from typing import Any

from tests.servers.chat_server import ChatServer
from tests.servers.redis_server import RedisServer
from tests.servers.tabs import LiveTab, open_tab

FRAMES = 300
TOKENS_PER_SECOND = 100
OPENS_PER_TAB = 75
"""Smaller than the burst of commands that a socket may send."""


def run() -> None:
    """Prints the figures; fails if a byte differs."""
    with tempfile.TemporaryDirectory() as folder, RedisServer() as redis:
        url = f"sqlite:///{folder}/db.sqlite3"
        with ChatServer(database_url=url, redis_url=redis.url) as here:
            with ChatServer(database_url=url, redis_url=redis.url, beside=here) as there:
                asyncio.run(_measure(here, there))
                here.kill()


async def _measure(here: ChatServer, there: ChatServer) -> None:
    async with open_tab(here) as writer:
        started, whole = await _hold_reply(writer)
        for name, server in (("on the same process", here), ("on another process", there)):
            waits_ms = await _resume_at_every_frame(server, started, whole)
            p99 = statistics.quantiles(waits_ms, n=100)[98]
            print(f"{name}: {len(waits_ms)} resumes of a {len(whole)}-frame reply, all bytes equal")
            print(f"  replay: p50 {statistics.median(waits_ms):.0f} ms, p99 {p99:.0f} ms", flush=True)
        await _measure_stop(writer, there, started)
    await _measure_kill(here, there)


async def _hold_reply(tab: LiveTab) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    tab.server.simulator.script(tokens=10_000, tokens_per_second=TOKENS_PER_SECOND)
    held_after = round(FRAMES * 0.04 * TOKENS_PER_SECOND * 1.2)
    tab.server.simulator.fault(kind="stall", where="after_first_token", match="reply", after_tokens=held_after)
    started = await tab.begin_reply()
    while len(whole := tab.of_reply(started["reply_id"])) < FRAMES:
        await tab.read()
    # The remaining frames before the silence.
    await asyncio.sleep(3)
    await tab.send("ping")
    await tab.until("pong")
    return started, tab.of_reply(started["reply_id"]) or whole


async def _resume_at_every_frame(
    server: ChatServer, started: dict[str, Any], whole: list[dict[str, Any]]
) -> list[float]:
    waits_ms = []
    for first in range(0, FRAMES, OPENS_PER_TAB):
        async with open_tab(server) as tab:
            for seq in range(first, min(first + OPENS_PER_TAB, FRAMES)):
                waits_ms.append(await _resume(tab, started, whole, seq))
    return waits_ms


async def _resume(tab: LiveTab, started: dict[str, Any], whole: list[dict[str, Any]], seq: int) -> float:
    tab.frames.clear()
    began = time.perf_counter()
    cursor = {"reply_id": started["reply_id"], "epoch": started["epoch"], "after_seq": seq}
    state = await tab.open(started["conversation_id"], cursor)
    while len(rest := tab.of_reply(started["reply_id"])) < len(whole) - seq:
        await tab.read()
    wait_ms = (time.perf_counter() - began) * 1000
    if not state["recovered"] or rest != whole[seq:]:
        raise SystemExit(f"A resume after frame {seq} did not give the rest as it was.")
    return wait_ms


async def _measure_stop(writer: LiveTab, there: ChatServer, started: dict[str, Any]) -> None:
    async with open_tab(there) as tab:
        await tab.open(started["conversation_id"])
        began = time.perf_counter()
        await tab.send("reply.stop", reply_id=started["reply_id"])
        await asyncio.to_thread(_wait_until_hung_up, there)
        hung_up_ms = (time.perf_counter() - began) * 1000
        await tab.until("reply.finished", reply_id=started["reply_id"])
        told_ms = (time.perf_counter() - began) * 1000
    print(f"stop from another process: upstream closed after {hung_up_ms:.0f} ms, told after {told_ms:.0f} ms")


def _wait_until_hung_up(server: ChatServer) -> None:
    while not server.simulator.requests()[-1]["hung_up"]:
        time.sleep(0.005)


async def _measure_kill(here: ChatServer, there: ChatServer) -> None:
    here.simulator.script(tokens=10_000, tokens_per_second=TOKENS_PER_SECOND)
    async with open_tab(here) as writer, open_tab(there) as tab:
        started = await writer.begin_reply()
        await tab.open(started["conversation_id"])
        await asyncio.to_thread(here.kill)
        began = time.perf_counter()
        await tab.until("reply.finished", reply_id=started["reply_id"])
        print(f"kill -9 of the writing process: told elsewhere after {time.perf_counter() - began:.1f} s")
