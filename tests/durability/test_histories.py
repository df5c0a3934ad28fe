"""Nothing that was acked is lost, doubled or reordered, and no reply has a gap, whatever fails meanwhile."""

import asyncio
import os
import random
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.durability.checker import violations
from tests.durability.client import Client
from tests.durability.nemesis import Nemesis
from tests.servers.chat_server import ChatServer
from tests.servers.fault_proxy import FaultProxy
from tests.servers.postgres_server import PostgresServer
from tests.servers.redis_server import RedisServer

CLIENTS = 8
NAMES = tuple(f"client{number}" for number in range(CLIENTS))
QUIET_SECONDS = 120.0
LEASE_SECONDS = "2"
"""Of a reply's owner; shorter than in production, so that histories are short."""

REPLY = {"tokens": 120, "tokens_per_second": 120, "ttft_seconds": 0.05}


@pytest.fixture(scope="module")
def servers(postgres_server: PostgresServer, _redis: RedisServer) -> Iterator[tuple[ChatServer, ChatServer]]:
    options = {"redis_url": _redis.url, "environment": {"REPLY_LEASE_SECONDS": LEASE_SECONDS}}
    with ChatServer(database_url=postgres_server.create_database(), users=NAMES, **options) as first:
        with ChatServer(database_url=first.database_url, beside=first, **options) as second:
            yield first, second


async def history(
    servers: tuple[ChatServer, ChatServer],
    redis: RedisServer,
    postgres: PostgresServer,
    *,
    seed: int,
    messages: int,
    faults: int,
) -> Counter[str]:
    """One run of all clients under faults; raises with every violation found, and gives the faults done."""
    rng = random.Random(seed)
    servers[0].simulator.call("POST", "script", {**REPLY, "times": 10 * CLIENTS * messages})
    with ExitStack() as stack:
        wires = [stack.enter_context(FaultProxy(server.port)) for server in servers]
        nemesis = Nemesis(servers=servers, wires=wires, redis=redis, postgres=postgres, rng=rng)
        clients = [
            Client(
                name=name,
                user=servers[0].users[name],
                wires=wires,
                assistant_id=servers[0].assistants["warmcache-guide"],
                rng=random.Random(rng.random()),
            )
            for name in NAMES
        ]
        working = [asyncio.create_task(client.run(messages)) for client in clients]
        try:
            await nemesis.rage(faults)
            nemesis.make_peace()
            await asyncio.wait(working, timeout=QUIET_SECONDS)
            waiting = [str(client) for client, task in zip(clients, working, strict=True) if not task.done()]
            assert not waiting, f"seed {seed}: no end after {dict(nemesis.done)} for\n" + "\n".join(waiting)
        finally:
            for task in working:
                task.cancel()
            await asyncio.gather(*working, return_exceptions=True)
        found = violations(clients, servers[0])
    assert not found, f"seed {seed}, {dict(nemesis.done)}:\n" + "\n".join(found)
    return nemesis.done


async def test_a_history_under_faults_keeps_every_promise(
    servers, _redis: RedisServer, postgres_server: PostgresServer
) -> None:
    done = await history(servers, _redis, postgres_server, seed=3, messages=2, faults=6)

    assert done.total() == 6


@pytest.mark.soak
async def test_two_hundred_histories_under_a_thousand_faults_keep_every_promise(
    servers, _redis: RedisServer, postgres_server: PostgresServer
) -> None:
    histories, first = int(os.environ.get("HISTORIES", "200")), int(os.environ.get("FIRST_SEED", "1000"))
    done: Counter[str] = Counter()
    for seed in range(first, first + histories):
        done += await history(servers, _redis, postgres_server, seed=seed, messages=2, faults=5)
        print(f"history {seed - first + 1}: {done.total()} faults so far, {dict(done)}", flush=True)  # noqa: T201
    assert done.total() >= 5 * histories
