"""Keeping a prefix warm: the thresholds of the decision theory, and what must hold for any gaps."""

import math

from hypothesis import given
from hypothesis import strategies as st

from warmcache.core.keeping import KeepStakes, is_too_late, plan_keeping, refresh_at


def test_a_refresh_is_due_at_nine_tenths_and_never_within_the_margin():
    assert refresh_at(1000, 300, 10) == 1270
    assert refresh_at(1000, 300, 60) == 1240
    assert refresh_at(1000, 3600, 10) == 4240


def test_a_refresh_that_comes_after_half_its_margin_would_be_a_write():
    assert not is_too_late(1284, 1000, 300, 10)
    assert is_too_late(1286, 1000, 300, 10)


def exponential(mean: float):
    return lambda seconds: math.exp(-seconds / mean)


def leaving(share: float, mean: float):
    """That share never returns; the others do after `mean` seconds."""
    return lambda seconds: share + (1 - share) * math.exp(-seconds / mean)


def plan(survival, **stakes: float):
    known = {"refresh": 0.05, "loss": 1.2} | stakes
    return plan_keeping(KeepStakes(**known), survival, silent_seconds=270, left_seconds=30)


def test_a_likely_return_is_waited_for():
    found = plan(exponential(600))

    assert found.refreshes
    assert found.reason == "return_expected"


def test_somebody_who_has_left_is_not_waited_for():
    found = plan(leaving(0.995, 600))

    assert not found.refreshes
    assert (found.reason, found.value) == ("return_unlikely", 0.0)


def test_one_write_for_an_hour_is_chosen_over_a_dozen_refreshes_where_little_is_left_to_write():
    returns_late = leaving(0.3, 1800)

    assert plan(returns_late, upgrade=0.07).ttl_seconds == 3600
    assert plan(returns_late, upgrade=2.0).ttl_seconds == 300


def test_a_write_for_an_hour_that_the_next_request_will_not_begin_with_is_not_chosen():
    def returns_late(seconds: float) -> float:
        return 1.0 if seconds < 2400 else 0.1

    assert plan(returns_late, upgrade=0.07, upgrade_holds=1.0).ttl_seconds == 3600
    assert plan(returns_late, upgrade=0.07, upgrade_holds=0.1).ttl_seconds == 300


def test_a_single_window_reduces_to_the_break_even():
    """Nobody returns later than the window that one refresh adds."""
    threshold = 0.05 / 1.2

    def returning(chance: float):
        return lambda seconds: 1.0 if seconds <= 300 else 1 - chance

    assert plan(returning(threshold * 1.01)).refreshes
    assert not plan(returning(threshold * 0.99)).refreshes


def test_a_part_that_lives_for_an_hour_makes_refreshes_worth_less():
    survival = leaving(0.6, 900)
    stakes = {"refresh": 0.05, "loss": 1.2}

    bare = plan_keeping(KeepStakes(**stakes), survival, silent_seconds=270, left_seconds=30)
    held = plan_keeping(
        KeepStakes(**stakes, held_loss=0.02), survival, silent_seconds=270, left_seconds=30, held_left_seconds=3330
    )

    assert bare.refreshes
    assert not held.refreshes


@given(
    gone=st.floats(0.0, 0.99),
    mean=st.floats(30, 20_000),
    loss=st.floats(0.0, 5.0),
    more=st.floats(0.0, 5.0),
    upgrade=st.none() | st.floats(0.05, 3.0),
)
def test_more_to_lose_never_turns_a_refresh_into_a_lapse(gone, mean, loss, more, upgrade):
    survival = leaving(gone, mean)

    smaller = plan(survival, loss=loss, upgrade=upgrade)
    larger = plan(survival, loss=loss + more, upgrade=upgrade)

    assert smaller.value >= 0
    assert larger.value >= smaller.value - 1e-9
    assert larger.refreshes or not smaller.refreshes
