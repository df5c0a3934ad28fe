"""Buckets that several processes take from."""

from collections.abc import AsyncIterator

import pytest
import redis

from chatapp.quotas import common
from chatapp.quotas.common_buckets import Bucket, wait_seconds
from tests.servers.redis_server import RedisServer

SLOW = 1e-6
"""A second: so slow that nothing comes back during a test."""
PERSON = Bucket(name="person 1", capacity=3, per_second=SLOW)
ADDRESS = Bucket(name="address 198.51.100.7", capacity=4, per_second=SLOW)


@pytest.fixture
async def on_redis(settings, redis_server: RedisServer) -> AsyncIterator[RedisServer]:
    settings.REDIS_URL = redis_server.url
    yield redis_server
    await common.close()


async def taken(*buckets: Bucket, times: int) -> list[bool]:
    return [await wait_seconds(buckets) == 0 for _ in range(times)]


async def test_there_is_so_much_in_it_and_then_one_has_to_wait(on_redis: RedisServer) -> None:
    assert await taken(PERSON, times=4) == [True, True, True, False]
    assert 0.9 / SLOW <= await wait_seconds([PERSON]) <= 1 / SLOW


async def test_what_one_person_may_not_send_any_more_is_not_taken_from_the_address(on_redis: RedisServer) -> None:
    of_one = await taken(PERSON, ADDRESS, times=10)
    of_another = await taken(Bucket(name="person 2", capacity=3, per_second=SLOW), ADDRESS, times=2)

    assert (sum(of_one), of_another) == (3, [True, False])


async def test_it_fills_up_again_and_leaves_nothing_behind(on_redis: RedisServer) -> None:
    fast = Bucket(name="person 1", capacity=2, per_second=1e6)

    assert await taken(fast, times=50) == [True] * 50
    with redis.Redis.from_url(on_redis.url) as client:
        assert client.pttl("chat:bucket:person 1") <= 1


async def test_nobody_is_refused_because_redis_is_away(on_redis: RedisServer) -> None:
    await taken(PERSON, times=3)
    on_redis.kill()
    try:
        assert await taken(PERSON, times=3) == [True] * 3
    finally:
        on_redis.start()
