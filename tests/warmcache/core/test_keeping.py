"""Keeping a prefix warm: the thresholds of the decision theory, and what must hold for any gaps."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warmcache.core.keeping import (
    KeepStakes,
    best_shared_option,
    herd_saving,
    is_too_late,
    long_ttl_gain,
    long_ttl_pays,
    plan_keeping,
    refresh_at,
    refresh_break_even,
    refresh_ceiling,
    shared_options,
)

READS = (0.1, 0.05, 0.025)


@pytest.mark.parametrize(("read", "short", "long"), [(0.1, 8.7, 5.3), (0.05, 4.2, 2.6), (0.025, 2.0, 1.3)])
def test_one_refresh_pays_from_a_small_chance_of_a_return_on(read, short, long):
    assert 100 * refresh_break_even(write=1.25, read=read) == pytest.approx(short, abs=0.06)
    assert 100 * refresh_break_even(write=2.0, read=read) == pytest.approx(long, abs=0.06)


@pytest.mark.parametrize(("read", "short", "long"), [(0.1, 11, 19), (0.05, 24, 39), (0.025, 49, 79)])
def test_after_so_many_refreshes_a_new_write_would_have_been_cheaper(read, short, long):
    assert refresh_ceiling(write=1.25, read=read) == short
    assert refresh_ceiling(write=2.0, read=read) == long


def test_a_refresh_is_due_at_nine_tenths_and_never_within_the_margin():
    assert refresh_at(1000, 300, 10) == 1270
    assert refresh_at(1000, 300, 60) == 1240
    assert refresh_at(1000, 3600, 10) == 4240


def test_a_refresh_that_comes_after_half_its_margin_would_be_a_write():
    assert not is_too_late(1284, 1000, 300, 10)
    assert is_too_late(1286, 1000, 300, 10)


@pytest.mark.parametrize(("requests", "saving"), [(1, -0.1), (2, 1.05), (5, 4.5)])
def test_one_leader_saves_a_herd_from_the_second_request_on(requests, saving):
    assert herd_saving(requests=requests, write=1.25, read=0.1) == pytest.approx(saving)


def test_an_hour_pays_while_fewer_than_six_in_ten_late_gaps_pass_it():
    known = {"late_share": 0.25, "new_share": 0.0, "write": 1.25, "long_write": 2.0, "read": 0.05}

    assert long_ttl_pays(**known, very_late_share=0.25 * 0.61)
    assert not long_ttl_pays(**known, very_late_share=0.25 * 0.62)


def test_new_tokens_of_each_turn_weigh_against_an_hour():
    known = {"late_share": 0.04, "very_late_share": 0.0, "write": 1.25, "long_write": 2.0, "read": 0.05}

    assert long_ttl_pays(**known, new_share=0.06)
    assert not long_ttl_pays(**known, new_share=0.07)


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
    threshold = refresh_break_even(write=1.25, read=0.05)

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


def test_an_hour_gains_nothing_where_everybody_answers_at_once():
    assert long_ttl_gain(KeepStakes(refresh=0.05, loss=1.2), exponential(5)) == pytest.approx(0, abs=1e-9)


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
