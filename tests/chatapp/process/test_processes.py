"""`serve --processes 2` on a real PostgreSQL and a real Redis."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from chatapp.protocol import CLOSE_RESTARTING
from tests.servers import PATIENCE_SECONDS
from tests.servers.chat_server import ROOT, ChatServer, clean_environment
from tests.servers.postgres_server import PostgresServer
from tests.servers.processes import children_of, is_running, wait_until_gone
from tests.servers.redis_server import RedisServer
from tests.servers.tabs import LiveTab, open_tab, open_tabs

PROCESSES = 2
TOKEN = "a-long-word"
MESSAGES = 3
TABS = 8


@pytest.fixture(scope="module")
def _server(postgres_server: PostgresServer, _redis: RedisServer) -> Iterator[ChatServer]:
    with ChatServer(
        database_url=postgres_server.create_database(),
        redis_url=_redis.url,
        flags=("--processes", str(PROCESSES)),
        environment={"METRICS_TOKEN": TOKEN},
    ) as server:
        yield server


@pytest.fixture
def server(_server: ChatServer, redis_server: RedisServer) -> ChatServer:
    _server.simulator.reset()
    if _server.process is None:
        _server.start()
    return _server


def members_of(server: ChatServer) -> list[int]:
    """The server processes, not their parent."""
    pids = [pid for pid in children_of(server.process.pid) if is_running(pid)]
    return [pid for pid in pids if b"--member" in Path(f"/proc/{pid}/cmdline").read_bytes()]


async def metrics_of(server: ChatServer) -> dict[str, float]:
    """Each metric summed over its labels."""
    async with aiohttp.ClientSession() as client:
        answer = await client.get(f"{server.url}/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
        text = await answer.text()
    assert answer.status == 200
    sums: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            sums[sample.name] = sums.get(sample.name, 0.0) + sample.value
    return sums


async def until_metrics(server: ChatServer, **values: float) -> dict[str, float]:
    """All of them at once; a process that is busy for a moment counts with what it said last."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        told = await metrics_of(server)
        if all(told.get(name) == value for name, value in values.items()):
            return told
        assert time.monotonic() < deadline, f"not {values} but {told}; the server says: {server.log}"
        await asyncio.sleep(0.05)


async def answer_to(tab: LiveTab) -> dict[str, Any]:
    await tab.say("Hello")
    return await tab.until("reply.finished")


async def close_codes_of(tabs: Sequence[LiveTab]) -> list[int | None]:
    return [code for _, code in await asyncio.gather(*(tab.rest() for tab in tabs))]


async def test_metrics_are_the_sum_over_all_and_keep_growing_when_one_is_replaced(server: ChatServer) -> None:
    before = await until_metrics(server, warmcache_processes=PROCESSES)
    replies = before.get("warmcache_replies_total", 0)
    async with open_tabs([server], "ann", each=TABS) as (tabs,):
        ends = [await answer_to(tab) for tab in tabs[:MESSAGES]]
        now = {"warmcache_open_sockets": TABS, "warmcache_replies_total": replies + MESSAGES}
        told = await until_metrics(server, **now)
        first, _ = members_of(server)

        os.kill(first, signal.SIGKILL)
        restarts = before["warmcache_process_restarts_total"] + 1
        replaced = await until_metrics(server, warmcache_process_restarts_total=restarts)
        await until_metrics(server, warmcache_processes=PROCESSES)
        async with open_tabs([server], "ann", each=TABS) as (newcomers,):
            ends += [await answer_to(tab) for tab in newcomers[:MESSAGES]]
        after = await until_metrics(server, warmcache_replies_total=replies + 2 * MESSAGES)

    assert [end["status"] for end in ends] == ["complete"] * 2 * MESSAGES
    assert told["warmcache_processes"] == PROCESSES
    assert replaced["warmcache_replies_total"] == replies + MESSAGES
    assert after["process_cpu_seconds_total"] >= told["process_cpu_seconds_total"]


async def test_a_signal_to_one_of_them_replaces_it_gracefully(server: ChatServer) -> None:
    first, second = members_of(server)

    os.kill(first, signal.SIGTERM)
    gone = await asyncio.to_thread(wait_until_gone, first)
    async with open_tab(server) as tab:
        end = await answer_to(tab)
    await until_metrics(server, warmcache_processes=PROCESSES)

    assert gone
    assert end["status"] == "complete"
    assert is_running(second)
    assert len(members_of(server)) == PROCESSES


async def test_one_signal_drains_all_of_them_together(server: ChatServer) -> None:
    pids = members_of(server)
    async with open_tabs([server], "ann", each=TABS) as (tabs,):
        exit_code = await asyncio.to_thread(server.stop)
        codes = await close_codes_of(tabs)

    assert (exit_code, codes) == (0, [CLOSE_RESTARTING] * TABS)
    assert not any(is_running(pid) for pid in pids)


async def test_if_the_parent_is_killed_the_others_end_gracefully(server: ChatServer) -> None:
    pids = members_of(server)
    async with open_tabs([server], "ann", each=TABS) as (tabs,):
        os.kill(server.process.pid, signal.SIGKILL)
        codes = await close_codes_of(tabs)
        gone = [await asyncio.to_thread(wait_until_gone, pid) for pid in pids]
    server.stop()

    assert codes == [CLOSE_RESTARTING] * TABS
    assert gone == [True] * PROCESSES


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--processes", "3"], "3 processes need PostgreSQL (set DATABASE_URL) and Redis (set REDIS_URL); one process"),
        (["--processes", "0"], "'0' is neither a number from 1 to 256 nor `auto`"),
    ],
)
def test_what_it_cannot_do_it_says_in_a_sentence(tmp_path: Path, flags: list[str], sentence: str) -> None:
    environment = clean_environment(DATABASE_URL=f"sqlite:///{tmp_path / 'db.sqlite3'}")
    told = subprocess.run(
        [sys.executable, "manage.py", "serve", "--port", "0", *flags],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
    )

    assert told.returncode != 0
    assert sentence in told.stderr
    assert "Traceback" not in told.stderr
