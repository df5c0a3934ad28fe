"""An emptied store, or a new process, begins no new day of spending: the ledger knows what the day has cost."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import pytest
from redis.asyncio import Redis

from tests.servers.redis_server import RedisServer
from warmcache import services
from warmcache.background.database import in_database_thread
from warmcache.core.guards import DAY_SECONDS
from warmcache.core.outcomes import Outcome
from warmcache.ledger import rows
from warmcache.models import WarmUp
from warmcache.testing import FakeClock, FakeRuntime, fake_runtime, make_prompt

pytestmark = pytest.mark.django_db(transaction=True)
ANN, BOB = "user 1", "user 2"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(now=20_000 * DAY_SECONDS + 1000.0)


@asynccontextmanager
async def process(clock: FakeClock, **limits: Any) -> AsyncIterator[FakeRuntime]:
    async with fake_runtime(clock=clock, **limits) as fake:
        yield fake
        await services.flush()


async def warm(number: int, subject: str = ANN) -> str | None:
    prompt = make_prompt(system_tokens=0, name=f"chat {number}", turns=4)
    attempt = await services.prewarm_prefix(prompt, intent="typing", label="helpdesk", subject=subject)
    return (await attempt.finished()).reason if attempt.finished else attempt.warmth.reason


async def test_a_new_process_goes_on_with_the_day_s_count_of_a_person_and_of_all(clock: FakeClock) -> None:
    async with process(clock, user_daily_warm_ups=2, daily_warm_ups=3):
        before = [await warm(number) for number in (0, 1, 2)]

    async with process(clock, user_daily_warm_ups=2, daily_warm_ups=3):
        after = [await warm(3), await warm(4, BOB), await warm(5, BOB)]
    clock.advance(DAY_SECONDS)
    async with process(clock, user_daily_warm_ups=2, daily_warm_ups=3):
        on_the_next_day = await warm(6)

    assert before == [None, None, "user_budget"]
    assert after == ["user_budget", None, "budget"]
    assert on_the_next_day is None


async def test_a_new_process_goes_on_with_the_day_s_money(clock: FakeClock) -> None:
    async with process(clock):
        await warm(0)
    cost = (await in_database_thread(WarmUp.objects.get)).cost_usd
    assert cost

    async with process(clock, user_daily_usd=cost + cost / 2):
        assert await warm(1) == "user_budget"
    async with process(clock, user_daily_usd=cost * 3):
        assert await warm(2) is None


async def test_an_emptied_redis_goes_on_with_the_day(clock: FakeClock, redis_server: RedisServer) -> None:
    limits = {"user_daily_warm_ups": 1, "redis_url": redis_server.url}
    async with process(clock, **limits):
        before = await warm(0)
        await services.flush()
        async with Redis.from_url(redis_server.url) as redis:
            await redis.flushall()
        after = await warm(1)

    assert (before, after) == (None, "user_budget")


async def test_without_the_ledger_nothing_is_spent(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: Any, **kwargs: Any) -> None:
        raise ConnectionError("no database")

    async with process(clock) as fake:
        with monkeypatch.context() as patch:
            patch.setattr(rows, "spent_since", fail)
            reason = await warm(0)
        assert (reason, fake.provider.warm_up_count) == ("store_unavailable", 0)
        assert await warm(1) is None


def test_what_is_not_billed_yet_counts_as_the_most_that_it_may_cost(clock: FakeClock) -> None:
    moments = {"started_at": rows.at(clock.now()), "model": "m", "upstream": "simulator", "intent": "typing"}
    WarmUp.objects.create(subject=ANN, cost_usd=Decimal("0.01"), **moments)
    WarmUp.objects.create(subject=ANN, **moments)
    WarmUp.objects.create(subject=BOB, outcome=Outcome.FAILED, **moments)

    spent = rows.spent_since(ANN, clock.now() - 1, upstream="simulator", unknown_usd=Decimal("0.25"))

    assert (spent.own_count, spent.own_usd) == (2, Decimal("0.26"))
    assert (spent.count, spent.usd) == (3, Decimal("0.26"))
