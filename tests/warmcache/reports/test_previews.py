"""What another lifetime would have cost and saved: the closed forms, against those of the holder and by hand."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warmcache.core.economics import Rates
from warmcache.core.forecast.forecasts import Forecasts
from warmcache.core.forecast.prefill import PrefillForecast
from warmcache.core.shared_layers import shared_options
from warmcache.reports.previews import Preview, SharedLayer, preview_of_conversations, preview_of_shared

WEEK = 7 * 86_400.0
RATES = Rates(
    input=Decimal("0.000002"),
    output=Decimal("0.00001"),
    cache_read=Decimal("0.0000002"),
    cache_write_5m=Decimal("0.0000025"),
    cache_write_1h=Decimal("0.000004"),
    version="by hand",
)
TOKENS = 20_000
UNIT = TOKENS * RATES.input
LAYER = SharedLayer(label="helpdesk", model="claude-sonnet-5-5", prefix_tokens=TOKENS, ttl_seconds=300)
SAVED = PrefillForecast().saved_seconds(TOKENS)


def shared(requests: int, *, forecasts: Forecasts | None = None, holds: bool = False) -> Preview:
    return preview_of_shared(
        LAYER,
        requests=requests,
        period_seconds=WEEK,
        forecasts=forecasts or Forecasts(),
        rates=RATES,
        prefill=PrefillForecast(),
        holds=holds,
        price_of_second_usd=Decimal("0.05"),
    )


@given(requests=st.integers(10, 100_000))
def test_at_a_steady_rate_it_says_what_the_holder_believes(requests: int) -> None:
    believed = {
        (option.ttl_seconds, option.is_held): option.cost_per_second
        for option in shared_options(requests_per_second=requests / WEEK, write=1.25, long_write=2.0, read=0.1)
    }

    for way in shared(requests).ways:
        expected = float(UNIT) * believed[way.ttl_seconds, way.is_held] * WEEK
        # A refresh after the period's end is not in it.
        assert float(way.usd) == pytest.approx(expected, rel=1e-3, abs=1e-5)


def test_an_hour_for_one_request_each_half_hour_is_cheaper_and_faster() -> None:
    found = shared(336)
    short, long = found.ways[:2]

    # e^(-1/6) of the requests come after five minutes, e^-2 after an hour.
    assert float(short.usd) == pytest.approx(336 * 0.846482 * 1.15 * float(UNIT), rel=1e-4)
    assert float(long.usd) == pytest.approx(336 * 0.135335 * 1.9 * float(UNIT), rel=1e-4)
    assert short.late_seconds - long.late_seconds == pytest.approx(336 * (0.846482 - 0.135335) * SAVED, rel=1e-4)
    assert (found.present, found.is_learned) == (short, False)
    assert found.best(Decimal("0.05")) in found.ways[1:]


def test_silences_that_were_learned_are_believed() -> None:
    forecasts = Forecasts()
    for _ in range(500):
        forecasts.arrivals.observe(20.0, returned=True)

    found = shared(336, forecasts=forecasts)

    assert found.is_learned
    assert float(found.ways[0].usd) < float(shared(336).ways[0].usd) / 5


def test_a_layer_that_may_be_held_is_held_only_where_that_is_cheaper() -> None:
    assert shared(336, holds=True).present.is_held
    assert not shared(336, holds=False).present.is_held


@pytest.mark.parametrize(("reply_tokens", "late"), [(100, 0.9), (100, 0.05), (8000, 0.9), (8000, 0.3)])
def test_conversations_gain_by_an_hour_where_the_rule_says_so(reply_tokens: int, late: float) -> None:
    """(2 - r) b + 0.75 d < (1.25 - r) a, in prices of the prompt."""
    forecasts = Forecasts()
    for number in range(400):
        forecasts.after_reply.observe(900.0 if number < 400 * late else 30.0, returned=True)
        forecasts.reply_tokens.observe(reply_tokens)

    found = preview_of_conversations(
        LAYER,
        requests=100,
        prompt_tokens=100 * (TOKENS + 10_000),
        forecasts=forecasts,
        rates=RATES,
        prefill=PrefillForecast(),
    )

    assert found is not None
    short, long = found.ways
    a, b = forecasts.after_reply.survival(300), forecasts.after_reply.survival(3600)
    d = forecasts.reply_tokens.mean / 10_000
    assert (long.usd < short.usd) == (1.9 * b + 0.75 * d < 1.15 * a)
    assert long.late_seconds < short.late_seconds


def test_there_is_nothing_to_tell_where_nothing_stands_behind_the_shared_layer() -> None:
    assert (
        preview_of_conversations(
            LAYER,
            requests=3,
            prompt_tokens=3 * TOKENS,
            forecasts=Forecasts(),
            rates=RATES,
            prefill=PrefillForecast(),
        )
        is None
    )
