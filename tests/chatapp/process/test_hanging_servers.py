"""The end of a real server while something that it depends on hangs: every socket still hears where to go."""

import asyncio
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest

from chatapp.protocol import CLOSE_RESTARTING
from tests.servers import PATIENCE_SECONDS
from tests.servers.chat_server import ChatServer
from tests.servers.fault_proxy import FaultProxy
from tests.servers.postgres_server import PostgresServer
from tests.servers.redis_server import RedisServer
from tests.servers.tabs import open_tab, open_tabs

SHUTDOWN_SECONDS = 6
"""A fifth of the usual: no test waits longer for what hangs."""

HELD = {"kind": "stall", "where": "after_first_token", "match": "reply"}
IDLE_TABS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """A server, and the wires to what it depends on."""

    server: ChatServer
    postgres: FaultProxy
    redis: FaultProxy


@pytest.fixture(scope="module")
def _world(postgres_server: PostgresServer, _redis: RedisServer) -> Iterator[World]:
    address = urlsplit(postgres_server.create_database())
    folder = Path(parse_qs(address.query)["host"][0])
    with FaultProxy(folder / ".s.PGSQL.5432") as postgres, FaultProxy(_redis.port) as redis:
        with ChatServer(
            database_url=f"postgresql://postgres@127.0.0.1:{postgres.port}{address.path}",
            redis_url=f"redis://127.0.0.1:{redis.port}/0",
            environment={"SHUTDOWN_SECONDS": str(SHUTDOWN_SECONDS)},
        ) as server:
            yield World(server=server, postgres=postgres, redis=redis)


@pytest.fixture
def world(_world: World, redis_server: RedisServer) -> Iterator[World]:
    """With a server that runs, and nothing that hangs."""
    _world.server.simulator.reset()
    if _world.server.process is None:
        _world.server.start()
    yield _world
    _world.postgres.mend()
    _world.redis.mend()


@contextmanager
def locked_replies(server: ChatServer) -> Iterator[None]:
    """Whoever wants to write the end of a reply waits."""
    with psycopg.connect(server.database_url) as connection:
        connection.execute("SELECT 1 FROM chatapp_message WHERE role = 'assistant' FOR UPDATE")
        yield


@pytest.mark.parametrize("hanging", ["postgres", "redis", "the end of a reply"])
async def test_everybody_is_told_and_the_process_ends_though_it_hangs(world: World, hanging: str) -> None:
    server = world.server
    server.log = ""
    server.simulator.fault(**HELD)
    async with open_tab(server) as reader, open_tabs([server], "ann", each=IDLE_TABS) as (idle,):
        await reader.begin_reply()
        lock = locked_replies(server) if hanging == "the end of a reply" else nullcontext()

        with lock:
            if hanging == "postgres":
                world.postgres.freeze()
            elif hanging == "redis":
                world.redis.freeze()
            signalled_at = time.monotonic()
            server.send_signal(signal.SIGTERM)
            ends = await asyncio.gather(*(tab.rest() for tab in [*idle, reader]))
            await asyncio.to_thread(server.process.wait)
        took_seconds = time.monotonic() - signalled_at

    server.stop()
    assert [code for _, code in ends] == [CLOSE_RESTARTING] * (IDLE_TABS + 1)
    assert took_seconds < PATIENCE_SECONDS / 2
    assert "'running replies finish'" not in server.log
    if hanging != "redis":
        assert "'replies are interrupted' was cut off" in server.log
