"""Places over several processes: counted together, given back, and not held by the dead."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
import redis

from chatapp.quotas import common, common_places
from chatapp.quotas.common_places import Places
from tests.chatapp.sockets import eventually
from tests.servers.redis_server import RedisServer

MOST = 3


@pytest.fixture
async def on_redis(settings, redis_server: RedisServer) -> AsyncIterator[RedisServer]:
    settings.REDIS_URL = redis_server.url
    yield redis_server
    await common.close()


@pytest.fixture
async def process(on_redis: RedisServer) -> AsyncIterator[Callable[[str], Places]]:
    """Makes the places of a process; its housekeeping ends with the test."""
    made: list[Places] = []

    def make(name: str) -> Places:
        made.append(Places(process=name))
        return made[-1]

    yield make
    for places in made:
        await places.close()


async def taken(places: Places, count: int) -> list[bool]:
    return [await places.admits("ann", MOST) for _ in range(count)]


async def test_without_redis_each_process_counts_by_itself(settings) -> None:
    settings.REDIS_URL = ""
    places = Places()

    found = await taken(places, 4)
    places.leave("ann")

    assert (found, places.count("ann")) == ([True] * 3 + [False], 2)
    assert await taken(places, 2) == [True, False]


async def test_processes_count_together(process) -> None:
    a, b = process("a"), process("b")

    found = [await taken(a, 2), await taken(b, 3)]
    of_another = await b.admits("bob", MOST)

    assert found == [[True, True], [True, False, False]]
    assert (a.count("ann"), b.count("ann")) == (2, 1)
    assert of_another


async def test_those_who_come_at_once_get_what_there_is(process) -> None:
    a, b = process("a"), process("b")

    found = await asyncio.gather(*(places.admits("ann", MOST) for places in (a, b) * 10))

    assert sum(found) == a.count("ann") + b.count("ann") <= MOST
    assert await taken(a, MOST - sum(found)) == [True] * (MOST - sum(found))


async def test_a_place_that_is_given_back_is_free_for_another_process(process) -> None:
    a, b = process("a"), process("b")
    await taken(a, MOST)

    a.leave("ann")

    await eventually(lambda: b.admits("ann", MOST))
    assert not await b.admits("ann", MOST)


async def test_a_process_that_ends_or_dies_holds_nothing(process, on_redis: RedisServer) -> None:
    ends, dies, other = process("ends"), process("dies"), process("other")
    assert await taken(ends, 1) + await taken(dies, 2) == [True] * 3
    assert not await other.admits("ann", MOST)

    await ends.close()
    after_the_end = await taken(other, 2)
    await dies._tasks.close()  # nobody says any more that it lives
    with redis.Redis.from_url(on_redis.url) as client:
        assert 0 < client.pttl("chat:process:dies") <= common_places.LEASE_SECONDS * 1000
        client.delete("chat:process:dies")

    assert after_the_end == [True, False]
    assert await taken(other, 3) == [True, True, False]


async def test_a_process_whose_lease_was_lost_counts_again(process, on_redis: RedisServer, monkeypatch) -> None:
    monkeypatch.setattr(common_places, "BEAT_SECONDS", 0.02)
    a, b = process("a"), process("b")
    await taken(a, MOST)

    with redis.Redis.from_url(on_redis.url) as client:
        client.flushall()

    async def is_full() -> bool:
        is_free = await b.admits("bob", 0) or await b.admits("ann", MOST)
        if is_free:
            b.leave("ann")
        return not is_free

    await eventually(is_full)


async def test_while_redis_is_away_each_process_counts_by_itself(process, on_redis: RedisServer, monkeypatch) -> None:
    monkeypatch.setattr(common_places, "BEAT_SECONDS", 0.02)
    a, b = process("a"), process("b")
    await taken(a, 1)

    on_redis.kill()
    try:
        found = await taken(b, 4)
    finally:
        on_redis.start()

    async def is_full() -> bool:
        is_free = await a.admits("ann", MOST)
        if is_free:
            a.leave("ann")
        return not is_free

    assert found == [True] * 3 + [False]
    await eventually(is_full)
