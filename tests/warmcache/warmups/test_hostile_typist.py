"""Typing for ever costs the typist nothing, and must cost little. `python -m benchmarks hostile` prints the sum."""

import logging
from decimal import Decimal

import pytest

from benchmarks.hostile import FRAMES_PER_SECOND, SOCKETS, honest_days, hostile_day
from warmcache.core.guards import DAY_SECONDS


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    """Without a database each reply logs that it has no row."""
    caplog.set_level(logging.CRITICAL, "warmcache")


@pytest.mark.parametrize("sends", [0, 20])
async def test_a_day_of_typing_costs_no_more_than_the_sends_and_seven(sends: int) -> None:
    day = await hostile_day(sends=sends)

    print(f"\n{sends} sends: {len(day.warm_up_times)} warm-ups for ${day.cost_usd:.4f} in {day.frames:,} frames")  # noqa: T201
    assert day.frames > 100 * SOCKETS * FRAMES_PER_SECOND / 10
    assert len(day.send_times) == sends
    assert len(day.warm_up_times) <= sends + 7
    assert day.excess(DAY_SECONDS) <= 7
    assert day.cost_usd <= (sends + 7) * day.dearest_usd


@pytest.mark.parametrize(("visits_a_day", "abandoned"), [(10, 0.33), (40, 0.13)])
async def test_whoever_mostly_sends_finds_it_warm(visits_a_day: int, abandoned: float) -> None:
    honest = await honest_days(days=3, visits_a_day=visits_a_day, abandoned=abandoned)

    print(f"\n{honest.warm_sends} of {honest.sends} sends were warm, for {honest.warm_ups} warm-ups")  # noqa: T201
    assert honest.sends > Decimal("0.5") * honest.visits
    assert honest.warm_sends >= 0.9 * honest.sends
