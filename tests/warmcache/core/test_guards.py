from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warmcache.core.guards import (
    DAY_SECONDS,
    DEFECT_STRIKES,
    HOUR_SECONDS,
    LABEL_TERMS,
    MONEY_UNITS,
    SUBJECT_TERMS,
    Terms,
    Trust,
    money_units,
)

TERMS = Terms(free=2, first_pause_seconds=10, longest_pause_seconds=60)


def granted_at(terms: Terms, *, for_seconds: int, every_seconds: int) -> list[int]:
    """When somebody who asks again and again, and uses nothing, is given one."""
    trust, given_at = Trust(), []
    for second in range(0, for_seconds, every_seconds):
        if trust.refused_until(terms, second) is None:
            trust = trust.taken(terms, second)
            given_at.append(second)
    return given_at


def test_a_new_subject_has_three_and_then_one_after_1_2_4_and_8_hours() -> None:
    minutes = granted_at(SUBJECT_TERMS, for_seconds=3 * DAY_SECONDS, every_seconds=60)

    assert [second // 60 for second in minutes[:3]] == [0, 1, 2]
    hours = [round(second / HOUR_SECONDS) for second in minutes[3:]]
    assert hours == [1, 3, 7, 15, 31, 47, 63]


def test_the_first_day_of_a_subject_who_uses_nothing_has_seven() -> None:
    assert len(granted_at(SUBJECT_TERMS, for_seconds=DAY_SECONDS, every_seconds=60)) == 7


def test_a_pause_doubles_up_to_the_longest() -> None:
    assert [TERMS.pause_seconds(unused) for unused in range(2, 7)] == [10, 20, 40, 60, 60]
    assert TERMS.pause_seconds(5000) == 60


def test_whoever_pays_begins_anew_and_owes_one_less() -> None:
    trust = Trust()
    for second in range(3):
        trust = trust.taken(SUBJECT_TERMS, second)

    paid = trust.paid()

    assert (paid.unused, paid.next_at, paid.open_since) == (0, 0.0, (0, 1))


def test_what_never_happened_leaves_no_trace() -> None:
    before = Trust().taken(SUBJECT_TERMS, 1).taken(SUBJECT_TERMS, 2)

    assert before.taken(SUBJECT_TERMS, 3).undone(SUBJECT_TERMS) == before


def test_a_probe_goes_alone_and_the_next_waits_twice_as_long() -> None:
    trust = Trust().struck(TERMS, 0.0, 2)

    probed = trust.probed(TERMS, 10.0)

    assert trust.refused_until(TERMS, 9.0) == 10.0
    assert trust.refused_until(TERMS, 10.0) is None
    assert probed.refused_until(TERMS, 10.0) == 30.0


def test_below_the_free_ones_a_probe_changes_nothing() -> None:
    assert Trust(unused=1).probed(TERMS, 5.0) == Trust(unused=1)


def test_the_third_defect_in_a_row_stops_a_label() -> None:
    trust, refusals = Trust(), []
    for _ in range(3):
        trust = trust.struck(LABEL_TERMS, 0.0, DEFECT_STRIKES)
        refusals.append(trust.refused_until(LABEL_TERMS, 0.0))

    assert refusals[:2] == [None, None]
    assert refusals[2] is not None


@pytest.mark.parametrize(
    ("usd", "units"), [("0", 0), ("1", MONEY_UNITS), ("0.00000001", 1), ("0.000000001", 1), ("0.1234567891", 12345679)]
)
def test_money_is_never_counted_for_less_than_it_is(usd: str, units: int) -> None:
    assert money_units(Decimal(usd)) == units


@given(
    events=st.lists(st.tuples(st.sampled_from(["take", "pay", "undo"]), st.integers(0, 40_000)), max_size=60),
)
def test_the_open_ones_are_at_most_seven_and_in_order(events: list[tuple[str, int]]) -> None:
    trust, now = Trust(), 0
    for kind, seconds in events:
        now += seconds
        if kind == "pay":
            trust = trust.paid()
        elif kind == "undo":
            trust = trust.undone(SUBJECT_TERMS)
        elif trust.refused_until(SUBJECT_TERMS, now) is None:
            trust = trust.taken(SUBJECT_TERMS, now)
        assert len(trust.open_since) <= 7
        assert list(trust.open_since) == sorted(trust.open_since)
        assert trust.unused >= 0
