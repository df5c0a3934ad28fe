"""When a layer that everybody shares is worth holding: thresholds of the decision theory, in dollars a month."""

from decimal import Decimal

import pytest

from warmcache.core.economics import Rates
from warmcache.core.forecast.prefill import PrefillForecast
from warmcache.core.shared_layers import (
    Arrivals,
    SharedForecast,
    best_shared_option,
    forecast_shared_layer,
    shared_options,
)

MILLION = Decimal(1_000_000)


def rates(read: str) -> Rates:
    """A model at $2 per million tokens whose reads cost `read` of that."""
    return Rates(
        input=2 / MILLION,
        output=10 / MILLION,
        cache_read=2 * Decimal(read) / MILLION,
        cache_write_5m=Decimal("2.5") / MILLION,
        cache_write_1h=4 / MILLION,
        version="test",
    )


def forecast(
    *, per_hour: float, read: str = "0.05", ttl_seconds: int = 3600, value: str = "0", **changes
) -> SharedForecast:
    known = {
        "model": "claude-sonnet-5-5",
        "prefix_tokens": 15_500,
        "ttl_seconds": ttl_seconds,
        "obstacle": None,
        "arrivals": Arrivals(recent=round(per_hour * 1000), recent_hours=1000.0, same_hours=0.0),
        "rates": rates(read),
        "prefill": PrefillForecast(),
        "value_of_second_usd": Decimal(value),
    }
    return forecast_shared_layer(**{**known, **changes})


@pytest.mark.parametrize(("read", "dollars"), [("0.1", "2.48"), ("0.05", "1.24"), ("0.025", "0.62")])
def test_a_quiet_month_of_holding_costs_what_was_worked_out_by_hand(read: str, dollars: str) -> None:
    found = forecast(per_hour=0.0, read=read)

    # 30 days hold 800 times nine tenths of an hour, and each costs one read of the layer.
    assert found.holding_usd_per_month == pytest.approx(Decimal(dollars), abs=Decimal("0.001"))


def test_it_is_held_from_one_request_in_about_twenty_hours_on() -> None:
    assert forecast(per_hour=1 / 15).should_hold
    assert not forecast(per_hour=1 / 60).should_hold


def test_seconds_at_their_price_make_holding_worth_it_earlier() -> None:
    assert not forecast(per_hour=1 / 60, value="0").should_hold
    assert forecast(per_hour=1 / 60, value="0.20").should_hold


def test_a_layer_is_held_with_its_own_lifetime_and_the_better_one_is_told() -> None:
    found = forecast(per_hour=0.5, ttl_seconds=300)

    assert found.in_force is not None and found.cheapest is not None
    assert (found.in_force.name, found.cheapest.name) == ("lazy_5m", "hold_1h")
    assert not found.should_hold


def test_what_is_too_short_or_cannot_be_warmed_or_priced_is_not_held_and_says_why() -> None:
    found = [
        forecast(per_hour=9, prefix_tokens=100),
        forecast(per_hour=9, obstacle="structured_output"),
        forecast(per_hour=9, rates=None),
    ]

    assert [each.reason for each in found] == ["below_minimum_tokens", "structured_output", "unknown_price"]
    assert not any(each.should_hold or each.holding_usd_per_month or each.cheapest for each in found)


def test_the_rate_comes_from_the_last_hours_and_from_the_same_hour_of_the_days_before() -> None:
    morning = Arrivals(recent=0, recent_hours=3, same_hour=50, same_hours=7)
    night = Arrivals(recent=0, recent_hours=3, same_hour=0, same_hours=7)

    assert morning.per_hour == 5
    assert night.per_hour == 0
    assert Arrivals(recent_hours=0, same_hours=0).per_hour == 0


@pytest.mark.parametrize(("read", "hours", "minutes"), [(0.1, 10.3, 49), (0.05, 21.6, 105), (0.025, 44.1, 218)])
def test_a_shared_layer_is_held_from_a_request_in_so_many_hours_on(read, hours, minutes):
    def costs(seconds_between: float) -> dict[str, float]:
        options = shared_options(requests_per_second=1 / seconds_between, write=1.25, long_write=2.0, read=read)
        return {option.name: option.cost_per_second for option in options}

    busier, calmer = costs(hours * 3600 * 0.94), costs(hours * 3600 * 1.06)
    assert busier["hold_1h"] < busier["lazy_5m"]
    assert calmer["hold_1h"] > calmer["lazy_5m"]
    busier, calmer = costs(minutes * 60 * 0.96), costs(minutes * 60 * 1.04)
    assert busier["hold_5m"] < busier["lazy_5m"]
    assert calmer["hold_5m"] > calmer["lazy_5m"]


def test_nobody_holds_a_layer_that_is_never_asked_for():
    options = shared_options(requests_per_second=0.0, write=1.25, long_write=2.0, read=0.05)

    assert not best_shared_option(options).is_held
