"""What a long history costs per turn, and when a summary of it has paid for itself."""

from dataclasses import replace
from decimal import Decimal

import pytest

from chatapp.conversations.history_cost import HistoryCost
from warmcache.core.economics import Rates

PER_MILLION = Decimal("1e-6")
RATES = Rates(
    input=3 * PER_MILLION,
    output=15 * PER_MILLION,
    cache_read=Decimal("0.3") * PER_MILLION,
    cache_write_5m=Decimal("3.75") * PER_MILLION,
    cache_write_1h=6 * PER_MILLION,
    version="test",
)
CHEAP = replace(RATES, input=1 * PER_MILLION, output=5 * PER_MILLION)
LONG = HistoryCost(history_tokens=60_000, rates=RATES, tail_tokens=5_000)


def test_each_turn_pays_for_the_history_again():
    assert LONG.warm_turn_usd == Decimal("0.018")
    assert LONG.cold_turn_usd == Decimal("0.225")


def test_a_summary_costs_its_reading_its_writing_and_the_new_prefix():
    reading, writing = Decimal("0.018"), Decimal("0.015")
    rewriting = 6_000 * (RATES.cache_write_5m - RATES.cache_read)

    assert LONG.summary_usd == reading + writing + rewriting


def test_it_pays_within_a_few_turns():
    assert LONG.breakeven_turns == pytest.approx(3.03, abs=0.01)
    assert LONG.pays_after(4)
    assert not LONG.pays_after(3)


def test_a_cheap_model_without_the_cache_costs_more_for_a_long_history_and_less_for_a_short_one():
    short = replace(LONG, history_tokens=8_000)

    assert replace(LONG, writer=CHEAP).summary_usd > LONG.summary_usd
    assert replace(short, writer=CHEAP).summary_usd < short.summary_usd


def test_what_is_no_longer_than_its_summary_never_pays():
    assert replace(LONG, history_tokens=1_000).breakeven_turns is None
    assert not replace(LONG, history_tokens=900).pays_after(1_000_000)
