"""The guards over a real Redis: what a keystroke costs there, what is stored, and what happens without it."""

import asyncio
import logging
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from tests.servers import PATIENCE_SECONDS
from tests.servers.redis_server import RedisServer
from warmcache import services
from warmcache.core.prefix import Prompt
from warmcache.stores import redis_link
from warmcache.stores.redis import RedisWarmthStore
from warmcache.testing import FakeClock, FakeRuntime, fake_runtime, make_prompt, make_turn

SUBJECT = "ann@example.org"


@pytest.fixture
async def fake(clock: FakeClock, redis_server: RedisServer) -> AsyncIterator[FakeRuntime]:
    store = RedisWarmthStore(clock=clock, url=redis_server.url)
    async with fake_runtime(clock=clock, store=store, has_database=False) as fakes:
        yield fakes


def chat(number: int) -> Prompt:
    return make_prompt(system_tokens=0, name=f"chat {number}", turns=4)


async def warm(prompt: Prompt) -> services.Warmth:
    attempt = await services.prewarm_prefix(prompt, intent="typing", label="helpdesk", subject=SUBJECT)
    return await attempt.finished() if attempt.finished else attempt.warmth


async def send(prompt: Prompt) -> str:
    async with services.stream_response(
        prompt, make_turn(), max_tokens=9, label="helpdesk", subject=SUBJECT
    ) as response:
        async for _ in response:
            pass
    return response.result.status


async def commands(redis: Redis) -> int:
    """Processed so far, this INFO included."""
    return int((await redis.info("stats"))["total_commands_processed"])


async def test_a_keystroke_that_a_guard_refuses_is_one_command(fake: FakeRuntime, redis_server: RedisServer) -> None:
    for number in range(4):
        await warm(chat(number))
    prefix = services.outline(chat(5))

    async with Redis.from_url(redis_server.url) as redis:
        before = await commands(redis)
        skipped = await services.consider_prefix(prefix, intent="typing", label="helpdesk", subject=SUBJECT)
        spent = await commands(redis) - before - 1

    assert skipped is not None
    assert skipped.decision.reason == "no_credit"
    assert spent == 1


async def test_a_request_brings_the_credit_back(fake: FakeRuntime) -> None:
    before = [(await warm(chat(number))).reason for number in range(4)]

    await send(chat(9))

    assert before == [None, None, None, "no_credit"]
    assert (await warm(chat(4))).reason is None


async def test_a_read_and_a_write_in_its_place_are_told_apart(fake: FakeRuntime, clock: FakeClock) -> None:
    for number, is_evicted in ((0, False), (1, True)):
        await warm(chat(number))
        if is_evicted:
            fake.provider.evict()
        await send(chat(number))
    await fake.runtime.store.record_warm(
        {}, gone=[*services.outline(chat(0)).hashes, *services.outline(chat(1)).hashes]
    )

    assert [(await warm(chat(number))).reason for number in (0, 1)] == [None, "breaker_open"]


async def test_redis_holds_nobodys_name_and_no_word_of_a_label(fake: FakeRuntime, redis_server: RedisServer) -> None:
    for number in range(4):
        await warm(chat(number))
    await send(chat(0))

    async with Redis.from_url(redis_server.url, decode_responses=True) as redis:
        stored = []
        async for key in redis.scan_iter():
            is_list = await redis.type(key) == "zset"
            stored += [key, str(await redis.zrange(key, 0, -1) if is_list else await redis.get(key))]

    text = "\n".join(stored)
    assert "warmcache:trust:subject:" in text
    assert "ann" not in text
    assert "helpdesk" not in text


async def test_without_redis_nothing_is_warmed_the_reply_comes_and_then_all_is_as_before(
    fake: FakeRuntime,
    redis_server: RedisServer,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(redis_link, "REST_SECONDS", 0.05)
    caplog.set_level(logging.CRITICAL, "warmcache")
    await warm(chat(0))
    redis_server.kill()
    try:
        during = (await warm(chat(1))).reason
        status = await send(chat(1))
    finally:
        redis_server.start()

    assert (during, status) == ("store_unavailable", "complete")
    async with asyncio.timeout(PATIENCE_SECONDS):
        while (await warm(chat(2))).reason == "store_unavailable":  # noqa: ASYNC110
            await asyncio.sleep(0.1)
    assert (await warm(chat(2))).state == "warm"
