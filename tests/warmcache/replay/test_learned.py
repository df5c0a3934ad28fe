"""Our policy on recorded traffic decides as the app would: the same gates, the same cap."""

from dataclasses import replace
from decimal import Decimal

import pytest

from tests.warmcache.replay.traffic import RATES
from warmcache.core.decide import Limits
from warmcache.core.intents import Sign
from warmcache.replay.learned import Ours
from warmcache.replay.policies import View

MODEL = "claude-sonnet-5-5"
COLD = {
    "now": 1000.0,
    "conversation": 0,
    "after": 3,
    "intent": 0,
    "history_tokens": 60_000,
    "shared_tokens": 0,
    "hot_tokens": 0,
    "hot_until": -1e18,
    "shared_until": -1e18,
    "touched_at": -1e18,
    "silent_seconds": 700.0,
    "touches": 0,
    "asks_tool": False,
    "gap_is_known": True,
    "reply_tokens": 300,
    "ttl_seconds": 300,
    "hour_tokens": 0,
}
WARM = {**COLD, "hot_tokens": 59_700, "hot_until": 1200.0, "touched_at": 900.0, "silent_seconds": 100.0}
NEAR_ITS_END = {**WARM, "hot_until": 1030.0, "touched_at": 730.0, "silent_seconds": 270.0}


@pytest.fixture
def ours() -> Ours:
    return Ours(
        model=MODEL, rates=lambda model, tokens: RATES, value_of_second_usd=Decimal("0.05"), has_common_clock=False
    )


def test_a_cold_history_is_warmed_when_somebody_types(ours: Ours) -> None:
    assert ours.on_intent(View(**COLD), Sign.TYPING_20) == 300


def test_nothing_is_warmed_above_the_cap(ours: Ours) -> None:
    cap_tokens = int(Limits().max_cost_usd / RATES.cache_write_5m)

    taken = [
        ours.on_intent(View(**{**COLD, "history_tokens": n}), Sign.TYPING_20) for n in (cap_tokens, cap_tokens + 1)
    ]

    assert taken == [300, None]


def test_what_only_lacks_the_last_reply_is_left_alone(ours: Ours) -> None:
    assert ours.on_intent(View(**WARM), Sign.TYPING_20) is None


def test_an_intent_that_is_off_at_first_is_off_here(ours: Ours) -> None:
    dear = replace(ours._limits, value_of_second_usd=Decimal(100))
    ours._limits = dear

    assert ours.on_intent(View(**COLD), Sign.OPEN) is None
    assert ours.on_intent(View(**COLD), Sign.TYPING) == 300


def test_a_refresh_passes_the_same_gates(ours: Ours) -> None:
    for _ in range(100):
        ours.saw_return(asked_tool=False, seconds=400.0)
    refreshed = ours.on_wake(View(**NEAR_ITS_END))
    ours._limits = replace(ours._limits, max_cost_usd=Decimal(0))

    assert refreshed is not None
    assert ours.on_wake(View(**NEAR_ITS_END)) is None
