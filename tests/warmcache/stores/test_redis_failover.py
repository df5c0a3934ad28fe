"""After a failover nobody keeps on talking to the old primary, which answers every PING."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import pytest
import redis
from redis.exceptions import (
    BusyLoadingError,
    ClusterDownError,
    ConnectionError,
    MasterDownError,
    ReadOnlyError,
    ResponseError,
)

from tests.servers import PATIENCE_SECONDS
from tests.servers.redis_pair import RedisPair
from warmcache.core.errors import StoreUnavailable
from warmcache.stores import redis_link
from warmcache.stores.redis import RedisWarmthStore
from warmcache.stores.redis_failover import is_not_primary
from warmcache.testing import FakeClock


@pytest.fixture
def pair() -> Iterator[RedisPair]:
    with RedisPair() as servers:
        yield servers


@pytest.fixture
async def store(
    pair: RedisPair, clock: FakeClock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> AsyncIterator[RedisWarmthStore]:
    monkeypatch.setattr(redis_link, "REST_SECONDS", 0.05)
    opened = RedisWarmthStore(clock=clock, url=pair.url)
    yield opened
    await opened.aclose()


@pytest.mark.parametrize(
    ("error", "is_so"),
    [
        (ReadOnlyError("You can't write against a read only replica."), True),
        (MasterDownError("Link with MASTER is down"), True),
        (ClusterDownError("The cluster is down"), True),
        (BusyLoadingError("Redis is loading the dataset in memory"), True),
        (ResponseError("Error running script: @user_script: 3: -READONLY You can't write"), True),
        (ResponseError("WRONGTYPE Operation against a key"), False),
        (ConnectionError("gone"), False),
        (TimeoutError(), False),
    ],
)
def test_what_says_that_a_server_takes_no_writes(error: Exception, is_so: bool) -> None:
    assert is_not_primary(error) is is_so


WRITES: list[Callable[[RedisWarmthStore], Awaitable[object]]] = [
    lambda store: store.claim("new", owner="warm-up-2", ttl_seconds=60),
    lambda store: store.record_warm({"new": 2_000_000_000.0}),
    lambda store: store.record_uncacheable("new", ttl_seconds=60),
]


@pytest.mark.parametrize("write", WRITES, ids=["a command", "a script", "a value"])
async def test_the_store_follows_a_failover(
    store: RedisWarmthStore, pair: RedisPair, write: Callable[[RedisWarmthStore], Awaitable[object]]
) -> None:
    assert await store.claim("before", owner="warm-up-1", ttl_seconds=60)
    watching = asyncio.create_task(store.wait_until_released("before", timeout_seconds=PATIENCE_SECONDS))
    await until(lambda: pair.clients_of_old() >= 2)

    pair.fail_over()
    async with asyncio.timeout(PATIENCE_SECONDS):
        # A write may find a new connection at once, and the watch reads on an old one until a write finds that.
        while await asyncio.to_thread(pair.clients_of_old):
            with contextlib.suppress(StoreUnavailable):
                await asyncio.gather(write(store), write(store))
            await asyncio.sleep(0.02)
    await until_it_answers(write, store)

    with redis.Redis.from_url(pair.new.url) as client:
        assert [key for key in client.scan_iter() if key.endswith(b":new")]
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)


async def test_while_no_server_takes_writes_the_store_says_so_and_waits(
    store: RedisWarmthStore, pair: RedisPair
) -> None:
    assert await store.claim("a", owner="warm-up-1", ttl_seconds=60)
    pair.old.follow(pair.new)
    with pytest.raises(StoreUnavailable):
        await store.claim("b", owner="warm-up-1", ttl_seconds=60)

    await asyncio.sleep(0.3)  # several probes
    with pytest.raises(StoreUnavailable):
        await store.look_up(["a"])
    pair.old.follow(None)

    await until_it_answers(lambda opened: opened.claim("b", owner="warm-up-1", ttl_seconds=60), store)


async def until_it_answers(call: Callable[[RedisWarmthStore], Awaitable[object]], store: RedisWarmthStore) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            with contextlib.suppress(StoreUnavailable):
                await call(store)
                return
            await asyncio.sleep(0.02)


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            if await asyncio.to_thread(is_so):
                return
            await asyncio.sleep(0.02)
