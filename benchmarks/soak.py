"""Two web processes under steady load for half an hour: does anything grow? `SOAK_SECONDS` and `SOAK_SOCKETS` make it
shorter or smaller. Now and then somebody's network breaks."""

import asyncio
import os
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.rolling import people, report_messages
from benchmarks.steady_load import RoundRobin, Tally, names_of_people
from tests.servers.chat_server import ChatServer
from tests.servers.postgres_server import PostgresServer
from tests.servers.processes import resident_bytes
from tests.servers.redis_server import RedisServer

SECONDS = 1800.0
SOCKETS = 200
WARM_UP_SHARE = 1 / 6
"""Caches and pools fill first: five minutes of thirty."""
SAMPLE_SECONDS = 5.0
CUT_SECONDS = 10.0
"""One socket is cut this often: about one turn in a hundred."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    at: float
    mib: float
    descriptors: int
    threads: int
    database: int
    redis: int


def run() -> None:
    seconds = float(os.environ.get("SOAK_SECONDS") or SECONDS)
    sockets = int(os.environ.get("SOAK_SOCKETS") or SOCKETS)
    with PostgresServer() as postgres, RedisServer() as redis:
        database_url = postgres.create_database()
        first = ChatServer(
            database_url=database_url, redis_url=redis.url, users=names_of_people(), profile="haiku", noise=0.25
        )
        with first, ChatServer(database_url=database_url, redis_url=redis.url, beside=first) as second:
            asyncio.run(_measure((first, second), redis, seconds=seconds, sockets=sockets))


async def _measure(servers: Sequence[ChatServer], redis: RedisServer, *, seconds: float, sockets: int) -> None:
    tally = Tally()
    samples: list[list[Sample]] = [[] for _ in servers]
    async with RoundRobin(servers) as proxy, people(proxy, servers[0], sockets, tally):
        cutting = asyncio.create_task(_cut(proxy))
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for server, taken in zip(servers, samples, strict=True):
                taken.append(await asyncio.to_thread(_sample, server, redis))
            await asyncio.sleep(SAMPLE_SECONDS)
        cutting.cancel()
    await report_messages(servers[0], tally)
    for number, taken in enumerate(samples, 1):
        _report(number, [sample for sample in taken if sample.at >= taken[0].at + seconds * WARM_UP_SHARE])


async def _cut(proxy: RoundRobin) -> None:
    while True:
        await asyncio.sleep(random.expovariate(1 / CUT_SECONDS))  # noqa: S311 - no secret
        proxy.cut_one()


def _sample(server: ChatServer, redis: RedisServer) -> Sample:
    import redis as client

    assert server.process is not None
    process = Path(f"/proc/{server.process.pid}")
    count = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    with client.Redis.from_url(redis.url) as connection:
        clients = int(connection.info("clients")["connected_clients"])
    return Sample(
        at=time.monotonic(),
        mib=resident_bytes(server.process.pid) / 2**20,
        descriptors=len(list((process / "fd").iterdir())),
        threads=len(list((process / "task").iterdir())),
        database=int(server.query(count)[0][0]),
        redis=clients,
    )


def _report(number: int, samples: Sequence[Sample]) -> None:
    slope = _slope([(sample.at, sample.mib) for sample in samples]) * 600
    first, last = samples[0], samples[-1]
    print(f"  process {number}: {first.mib:.1f} MiB, then {last.mib:.1f}; {slope:+.2f} MiB per 10 minutes")
    for name in ("descriptors", "threads", "database", "redis"):
        values = [getattr(sample, name) for sample in samples]
        of_all = " (of both processes)" if name in ("database", "redis") else ""
        print(f"    {name}{of_all}: {values[0]} at first, {values[-1]} at last, {min(values)} to {max(values)}")


def _slope(points: Sequence[tuple[float, float]]) -> float:
    """Of the line with the least squares."""
    mean_x, mean_y = (sum(values) / len(points) for values in zip(*points, strict=True))
    across = sum((x - mean_x) ** 2 for x, _ in points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / across if across else 0.0
