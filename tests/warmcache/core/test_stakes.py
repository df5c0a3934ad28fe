"""What a refresh costs and what a lapse would, in dollars worked out by hand."""

from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from warmcache.core.economics import Rates
from warmcache.core.forecast.forecasts import Forecasts
from warmcache.core.stakes import RestingPrefix, stakes_of

MILLION = Decimal(1_000_000)
RATES = Rates(
    input=2 / MILLION,
    output=10 / MILLION,
    cache_read=Decimal("0.2") / MILLION,
    cache_write_5m=Decimal("2.5") / MILLION,
    cache_write_1h=4 / MILLION,
    version="test",
)
MODEL = "claude-sonnet-5-5"
NOTHING = Decimal(0)


def resting(**changes: object) -> RestingPrefix:
    return RestingPrefix(**{"model": MODEL, "live_tokens": 100_000, "missing_tokens": 1_000, **changes})


def test_a_refresh_reads_what_is_live_and_writes_the_reply() -> None:
    stakes = stakes_of(resting(), Forecasts(), RATES, value_of_second_usd=NOTHING)

    assert stakes.refresh == pytest.approx(100_000 * 0.2e-6 + 1_000 * 2.5e-6)
    assert stakes.upgrade is None


def test_a_lapse_costs_a_write_instead_of_a_read_as_far_as_people_still_use_the_prefix() -> None:
    forecasts = Forecasts()

    stakes = stakes_of(resting(), forecasts, RATES, value_of_second_usd=NOTHING)

    assert stakes.loss == pytest.approx(101_000 * (2.5e-6 - 0.2e-6) * forecasts.kept.mean)
    assert stakes.held_loss is None


def test_a_lapse_costs_a_person_the_wait_too_and_a_program_only_money() -> None:
    free = stakes_of(resting(), Forecasts(), RATES, value_of_second_usd=NOTHING)
    person = stakes_of(resting(), Forecasts(), RATES, value_of_second_usd=Decimal("0.05"))
    program = stakes_of(resting(asks_tool=True), Forecasts(), RATES, value_of_second_usd=Decimal("0.05"))

    assert person.loss > free.loss
    assert program.loss == free.loss


def test_what_others_hold_is_not_lost() -> None:
    stakes = stakes_of(resting(held_tokens=60_000), Forecasts(), RATES, value_of_second_usd=NOTHING)

    assert stakes.held_loss == pytest.approx(stakes.loss * 41_000 / 101_000)


@given(
    live=st.integers(1_000, 500_000),
    missing=st.integers(0, 20_000),
    held=st.integers(1, 500_000),
    value=st.decimals(0, 1, places=3),
)
@example(live=1000, missing=0, held=964, value=Decimal("0.636"))
def test_holding_a_part_never_makes_a_lapse_dearer(live: int, missing: int, held: int, value: Decimal) -> None:
    prefix = resting(live_tokens=live, missing_tokens=missing, held_tokens=min(held, live))

    stakes = stakes_of(prefix, Forecasts(), RATES, value_of_second_usd=value)

    assert stakes.held_loss is not None
    assert 0 <= stakes.held_loss <= stakes.loss + 1e-9
