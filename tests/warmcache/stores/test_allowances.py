"""Both `Allowances` keep the contract, agree step by step, and hold what the guards promise."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from tests.servers.redis_server import RedisServer
from tests.warmcache.contracts.allowances import AllowancesContract, charge, expectation
from warmcache.core.errors import StoreUnavailable
from warmcache.core.guards import (
    DAY_SECONDS,
    KEY_TERMS,
    LABEL_TERMS,
    SUBJECT_TERMS,
    Adjust,
    Change,
    Charge,
    Claim,
    Draw,
    Pay,
    Strike,
    Undo,
)
from warmcache.stores.memory_allowances import MemoryAllowances
from warmcache.stores.redis import RedisWarmthStore
from warmcache.stores.redis_allowances import RedisAllowances
from warmcache.stores.redis_link import RedisLink
from warmcache.testing import FakeClock


class TestMemoryAllowances(AllowancesContract):
    @pytest.fixture
    def allowances(self, clock: FakeClock) -> MemoryAllowances:
        return MemoryAllowances(clock=clock)


class TestRedisAllowances(AllowancesContract):
    @pytest.fixture
    async def allowances(self, redis_server: RedisServer, clock: FakeClock) -> AsyncIterator[RedisAllowances]:
        link = RedisLink(redis_server.url, namespace="warmcache")
        yield RedisAllowances(clock=clock, link=link)
        await link.aclose()

    @pytest.fixture
    def pass_time(self, clock: FakeClock, redis_server: RedisServer) -> Callable[[float], Awaitable[None]]:
        async def advance(seconds: float) -> None:
            clock.advance(seconds)
            async with Redis.from_url(redis_server.url) as redis:
                async for key in redis.scan_iter():
                    lives_ms = await redis.pttl(key)
                    if lives_ms >= 0:
                        await redis.pexpire(key, max(0, lives_ms - round(seconds * 1000)))

        return advance


async def test_the_oldest_accounts_are_forgotten_first(clock: FakeClock) -> None:
    allowances = MemoryAllowances(clock=clock, max_accounts=2)
    for account in ("used", "idle", "used", "new"):
        await allowances.reserve([charge(5, account)])
        await allowances.expect([expectation(account, clock.now())])

    assert await allowances.reserve([charge(1, "used")]) is not None
    assert await allowances.reserve([charge(6, "idle")]) is None
    assert len(await allowances.take_met(["used", "idle", "new"], started_at=clock.now())) == 2


async def test_nothing_in_redis_lives_for_ever_but_the_list_of_what_is_due(
    redis_server: RedisServer, clock: FakeClock
) -> None:
    store = RedisWarmthStore(clock=clock, url=redis_server.url)
    allowances = store.make_allowances()
    await allowances.reserve([charge(1), Draw(account="d", terms=SUBJECT_TERMS, reason="no_credit")])
    await allowances.expect([expectation("h", clock.now())])
    await store.aclose()

    async with Redis.from_url(redis_server.url, decode_responses=True) as redis:
        lives = {key: await redis.pttl(key) async for key in redis.scan_iter()}

    assert {key for key, lives_ms in lives.items() if lives_ms < 0} == {"warmcache:missed:by_time"}
    assert set(lives) == {
        "warmcache:sum:a",
        "warmcache:trust:d",
        "warmcache:expected:h",
        "warmcache:missed:by_time",
    }


async def test_without_redis_nothing_is_reserved_and_the_store_rests_with_it(
    redis_server: RedisServer, clock: FakeClock
) -> None:
    store = RedisWarmthStore(clock=clock, url=redis_server.url)
    allowances = store.make_allowances()
    calls: list[Callable[[], Awaitable[object]]] = [
        lambda: allowances.reserve([charge(1)]),
        lambda: allowances.settle([Adjust(account="a", amount=1)]),
        lambda: allowances.expect([expectation("h", clock.now())]),
        lambda: allowances.take_met(["h"], started_at=0),
        lambda: allowances.take_missed(),
        lambda: store.look_up(["h"]),
    ]
    redis_server.kill()
    try:
        for call in calls:
            with pytest.raises(StoreUnavailable):
                await call()
    finally:
        redis_server.start()
        await store.aclose()


ACCOUNTS = st.sampled_from(["a", "b"])
TERMS = st.sampled_from([SUBJECT_TERMS, KEY_TERMS, LABEL_TERMS])
CLAIMS = st.one_of(
    st.builds(
        Charge,
        account=ACCOUNTS,
        amount=st.integers(0, 8),
        limit=st.integers(0, 12),
        reason=st.just("budget"),
        lives_seconds=st.just(1e9),  # Redis forgets by its own clock
    ),
    st.builds(Draw, account=ACCOUNTS, terms=TERMS, reason=st.just("no_credit"), is_counted=st.booleans()),
)
CHANGES = st.one_of(
    st.builds(Adjust, account=ACCOUNTS, amount=st.integers(-8, 8)),
    st.builds(Pay, account=ACCOUNTS),
    st.builds(Undo, account=ACCOUNTS, terms=TERMS),
    st.builds(Strike, account=ACCOUNTS, terms=TERMS, count=st.integers(1, 9)),
)
STEPS = st.one_of(
    st.lists(CLAIMS, min_size=1, max_size=4),
    st.lists(CHANGES, min_size=1, max_size=4),
    st.sampled_from([0.25, 700.0, 3600.0, 40_000.0]),
)
Step = list[Claim] | list[Change] | float


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(steps=st.lists(STEPS, max_size=25))
def test_memory_and_redis_give_the_same_answers(redis_server: RedisServer, steps: list[Step]) -> None:
    async def both() -> None:
        clock = FakeClock()
        link = RedisLink(redis_server.url, namespace="both")
        await link.redis.flushall()
        memory, redis = MemoryAllowances(clock=clock), RedisAllowances(clock=clock, link=link)
        for step in steps:
            if isinstance(step, float):
                clock.advance(step)
            elif isinstance(step[0], Charge | Draw):
                answers = [await each.reserve(step) for each in (memory, redis)]  # type: ignore[arg-type]
                assert (answers[0] is None) == (answers[1] is None)
                if answers[0] is not None and answers[1] is not None:
                    assert answers[0].claim == answers[1].claim
                    assert answers[0].until == pytest.approx(answers[1].until, abs=0.01)
            else:
                for each in (memory, redis):
                    await each.settle(step)  # type: ignore[arg-type]
        await link.aclose()

    asyncio.run(both())


@settings(max_examples=60, deadline=None)
@given(
    events=st.lists(
        st.tuples(st.sampled_from(["type", "type", "type", "send"]), st.sampled_from([1.0, 600.0, 3700.0, 20_000.0])),
        max_size=120,
    )
)
def test_in_any_24_hours_there_are_no_more_warm_ups_than_requests_plus_seven(
    events: list[tuple[str, float]],
) -> None:
    async def history() -> tuple[list[float], list[float]]:
        clock = FakeClock()
        allowances = MemoryAllowances(clock=clock)
        warm_ups: list[float] = []
        sends: list[float] = []
        for kind, seconds in events:
            clock.advance(seconds)
            if kind == "send":
                await allowances.settle([Pay(account="s")])
                sends.append(clock.now())
            elif await allowances.reserve([Draw(account="s", terms=SUBJECT_TERMS, reason="no_credit")]) is None:
                warm_ups.append(clock.now())
        return warm_ups, sends

    warm_ups, sends = asyncio.run(history())

    for began_at in warm_ups:
        day = [moment for moment in warm_ups if began_at <= moment < began_at + DAY_SECONDS]
        paid = [moment for moment in sends if began_at <= moment < began_at + DAY_SECONDS]
        assert len(day) <= len(paid) + 7
