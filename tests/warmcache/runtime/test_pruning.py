"""Housekeeping deletes what is older than the operator wants, a round at a time."""

from datetime import timedelta

import pytest

from warmcache.core.moments import at
from warmcache.ledger import rollups
from warmcache.models import UsageRecord, WarmPolicy
from warmcache.runtime import state
from warmcache.testing import FakeClock, FakeRuntime, fake_runtime

pytestmark = pytest.mark.django_db(transaction=True)


async def requests_of(clock: FakeClock, *, days_ago: int, count: int) -> None:
    moment = at(clock.now()) - timedelta(days=days_ago)
    common = {"model": "m", "upstream": "simulator", "status": "complete", "started_at": moment}
    await UsageRecord.objects.abulk_create([UsageRecord(**common) for _ in range(count)])


async def later(fake: FakeRuntime, seconds: float) -> int:
    """How many rows are left after the chore that is due then."""
    fake.clock.advance(seconds)
    await fake.runtime.policy.refresh()
    await fake.runtime.ledger.drain()
    await fake.runtime._roll_up()
    return await UsageRecord.objects.acount()


async def test_rows_stay_until_the_operator_says_for_how_long(clock: FakeClock) -> None:
    await requests_of(clock, days_ago=30, count=2)
    await requests_of(clock, days_ago=5, count=1)
    async with fake_runtime(clock=clock) as fake:
        assert await later(fake, state.ROLL_UP_SECONDS) == 3

        await WarmPolicy.objects.acreate(keep_days=10)

        assert await later(fake, state.ROLL_UP_SECONDS) == 1


async def test_a_long_past_goes_minute_by_minute_and_what_follows_once_an_hour(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rollups, "PRUNED_A_ROUND", 2)
    for days_ago in (30, 20):
        await requests_of(clock, days_ago=days_ago, count=2)
    async with fake_runtime(clock=clock, keep_days=10) as fake:
        assert await later(fake, state.ROLL_UP_SECONDS) == 2
        assert await later(fake, state.ROLL_UP_SECONDS) == 0
        await later(fake, state.ROLL_UP_SECONDS)
        await requests_of(clock, days_ago=15, count=1)
        assert await later(fake, state.ROLL_UP_SECONDS) == 1

        assert await later(fake, state.PRUNE_SECONDS) == 0
