"""The Redis store against a real Redis: the contract, two processes' worth of stores, and Redis going away."""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from redis.asyncio import Redis

from tests.servers import PATIENCE_SECONDS
from tests.servers.redis_server import RedisServer
from tests.warmcache.contracts.warmth_store import WarmthStoreContract
from warmcache.core.errors import StoreUnavailable
from warmcache.stores import redis_link
from warmcache.stores.redis import RedisWarmthStore
from warmcache.testing import FakeClock


@pytest.fixture
async def store(redis_server: RedisServer, clock: FakeClock) -> AsyncIterator[RedisWarmthStore]:
    store = RedisWarmthStore(clock=clock, url=redis_server.url)
    yield store
    await store.aclose()


@pytest.fixture
async def other_store(redis_server: RedisServer, clock: FakeClock) -> AsyncIterator[RedisWarmthStore]:
    """Another process's."""
    store = RedisWarmthStore(clock=clock, url=redis_server.url)
    yield store
    await store.aclose()


class TestRedisWarmthStore(WarmthStoreContract):
    @pytest.fixture
    def pass_time(self, clock: FakeClock, redis_server: RedisServer) -> Callable[[float], Awaitable[None]]:
        async def advance(seconds: float) -> None:
            clock.advance(seconds)
            async with Redis.from_url(redis_server.url) as redis:
                async for key in redis.scan_iter():
                    await redis.pexpire(key, max(0, await redis.pttl(key) - round(seconds * 1000)))

        return advance


async def test_a_lease_taken_in_one_process_is_held_in_all(
    store: RedisWarmthStore, other_store: RedisWarmthStore
) -> None:
    stores = (store, other_store)

    claims = await asyncio.gather(*(s.claim("a", owner=f"{n}", ttl_seconds=60) for n in range(25) for s in stores))

    assert claims.count(True) == 1


async def test_a_release_in_one_process_wakes_those_who_wait_in_another(
    store: RedisWarmthStore, other_store: RedisWarmthStore
) -> None:
    await store.claim("a", owner="x", ttl_seconds=60)
    waiting = [
        asyncio.create_task(other_store.wait_until_released("a", timeout_seconds=PATIENCE_SECONDS)) for _ in range(5)
    ]
    await asyncio.sleep(0.1)

    await store.release("a", owner="x")

    assert await asyncio.gather(*waiting) == [True] * 5


async def test_a_look_up_is_one_command_however_many_hashes(store: RedisWarmthStore, redis_server: RedisServer) -> None:
    await store.record_warm({"a": 10**12})
    async with Redis.from_url(redis_server.url) as redis:
        before = (await redis.info("stats"))["total_commands_processed"]

        await store.look_up([str(n) for n in range(80)])

        assert (await redis.info("stats"))["total_commands_processed"] - before == 2  # itself and this INFO


async def test_nothing_but_times_ids_and_marks_is_stored(
    store: RedisWarmthStore, redis_server: RedisServer, clock: FakeClock
) -> None:
    await store.record_warm({"a": clock.now() + 60})
    await store.claim("a", owner="warm-up-1", ttl_seconds=60)
    await store.claim("b", owner="warm-up-2", ttl_seconds=60)
    await store.begin(["b"], owner="warm-up-2")
    await store.record_uncacheable("a", ttl_seconds=60)

    async with Redis.from_url(redis_server.url, decode_responses=True) as redis:
        stored = {key: await redis.get(key) async for key in redis.scan_iter()}
        lifetimes = [await redis.pttl(key) for key in stored]

    assert stored == {
        "warmcache:warm:a": str(clock.now() + 60),
        "warmcache:lease:a": "warm-up-1 0",
        "warmcache:lease:b": f"warm-up-2 {clock.now()}",
        "warmcache:nothing:a": "1",
    }
    assert all(lifetime > 0 for lifetime in lifetimes)


async def test_without_redis_every_call_says_so_quickly_and_it_recovers_by_itself(
    redis_server: RedisServer, clock: FakeClock, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_link, "REST_SECONDS", 0.05)
    caplog.set_level(logging.CRITICAL, "warmcache.stores.redis")
    store = RedisWarmthStore(clock=clock, url=redis_server.url)
    await store.look_up(["a"])
    calls: list[Callable[[], Awaitable[object]]] = [
        lambda: store.look_up(["a"]),
        lambda: store.claim("a", owner="x", ttl_seconds=60),
        lambda: store.begin(["a"], owner="x"),
        lambda: store.renew({"a": "x"}, ttl_seconds=60),
        lambda: store.release("a", owner="x"),
        lambda: store.wait_until_released("a", timeout_seconds=5),
        lambda: store.record_warm({"a": clock.now() + 60}),
        lambda: store.record_uncacheable("a", ttl_seconds=60),
        lambda: store.record_warm({}, gone=["a"]),
    ]
    redis_server.kill()
    try:
        for call in calls:
            with pytest.raises(StoreUnavailable):
                await call()
    finally:
        redis_server.start()
    await until_it_answers(store)

    assert await store.claim("a", owner="x", ttl_seconds=60)
    await store.aclose()


async def test_trouble_of_any_kind_while_redis_is_away_does_not_end_the_waiting_for_it(
    store: RedisWarmthStore,
    redis_server: RedisServer,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(redis_link, "REST_SECONDS", 0.05)
    caplog.set_level(logging.CRITICAL, "warmcache.stores.redis_link")
    troubles = [EOFError("half an answer"), ValueError("no answer of Redis")]
    set_ = store._redis.set

    async def failing_at_first(*args: Any, **options: Any) -> object:
        if troubles:
            raise troubles.pop()
        return await set_(*args, **options)

    monkeypatch.setattr(store._redis, "set", failing_at_first)
    redis_server.kill()
    try:
        with pytest.raises(StoreUnavailable):
            await store.look_up(["a"])
    finally:
        redis_server.start()

    await until_it_answers(store)
    assert troubles == []


async def until_it_answers(store: RedisWarmthStore) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            with contextlib.suppress(StoreUnavailable):
                await store.look_up(["a"])
                return
            await asyncio.sleep(0.05)


async def test_a_redis_that_hangs_costs_one_wait_and_then_nothing(
    redis_server: RedisServer, clock: FakeClock, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_link, "REST_SECONDS", 0.05)
    caplog.set_level(logging.CRITICAL, "warmcache.stores.redis_link")
    store = RedisWarmthStore(clock=clock, url=redis_server.url)
    await store.look_up(["a"])
    redis_server.freeze()
    try:
        monkeypatch.setattr(redis_link, "COMMAND_TIMEOUT_SECONDS", 0.3)
        first = await asyncio.gather(*(store.look_up(["a"]) for _ in range(100)), return_exceptions=True)
        monkeypatch.setattr(redis_link, "COMMAND_TIMEOUT_SECONDS", 10 * PATIENCE_SECONDS)  # nobody waits for it now
        async with asyncio.timeout(PATIENCE_SECONDS):
            later = await asyncio.gather(*(store.look_up(["a"]) for _ in range(100)), return_exceptions=True)
    finally:
        redis_server.thaw()
    await until_it_answers(store)

    assert {type(error) for error in (*first, *later)} == {StoreUnavailable}
    await store.aclose()


async def test_time_in_which_the_loop_was_held_up_does_not_count_against_redis(
    store: RedisWarmthStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_link, "COMMAND_TIMEOUT_SECONDS", 0.2)
    answered = asyncio.Event()

    async def answer_late(keys: list[str]) -> list[None]:
        asyncio.get_running_loop().call_later(0.1, answered.set)
        await answered.wait()
        return [None] * len(keys)

    monkeypatch.setattr(store._redis, "mget", answer_late)
    looking = asyncio.create_task(store.look_up(["a"]))
    await asyncio.sleep(0)

    time.sleep(0.3)  # noqa: ASYNC251 - as a process that is short of time

    assert await looking == {}


async def test_a_hundred_commands_at_once_wait_for_their_turn_and_not_for_a_time_out(store: RedisWarmthStore) -> None:
    seen = await asyncio.gather(*(store.look_up(["a"]) for _ in range(300)))

    assert seen == [{}] * 300


async def test_who_waits_while_redis_restarts_is_told(
    redis_server: RedisServer, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL, "warmcache.stores.redis")
    store = RedisWarmthStore(clock=clock, url=redis_server.url)
    await store.claim("a", owner="x", ttl_seconds=60)
    waiting = asyncio.create_task(store.wait_until_released("a", timeout_seconds=PATIENCE_SECONDS))
    await asyncio.sleep(0.1)
    redis_server.kill()
    try:
        with pytest.raises(StoreUnavailable):
            await waiting
    finally:
        redis_server.start()
    await store.aclose()


async def test_cancelled_commands_leave_no_answer_for_the_next(store: RedisWarmthStore, clock: FakeClock) -> None:
    await store.record_warm({f"{n}": clock.now() + 100 + n for n in range(20)})

    for n in range(200):
        task = asyncio.create_task(store.look_up([f"{n % 20}"]))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        name = f"{(n + 7) % 20}"
        found = await store.look_up([name])
        assert list(found) == [name]
        assert found[name].expires_at == pytest.approx(clock.now() + 100 + (n + 7) % 20)
