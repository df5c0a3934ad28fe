"""People are drawn from a seed: the same ones for every policy, other ones for another seed."""

import statistics

import pytest

from tests.warmcache.replay.traffic import conversation, request
from warmcache.core.intents import Sign
from warmcache.replay.people import Habits, People
from warmcache.replay.traces import Trace


@pytest.fixture
def trace() -> Trace:
    talks = [
        conversation(
            *(request(600.0 * turn, 5_000 + 600 * turn, 4_500 + 600 * turn) for turn in range(6)), name=f"c{n}"
        )
        for n in range(120)
    ]
    return Trace(name="test", has_common_clock=False, conversations=tuple(talks))


def signs(trace: Trace, **habits):
    people = People(trace, Habits(**habits))
    return [people.intents(talk) for talk in trace.conversations]


def test_the_same_seed_draws_the_same_people_whatever_the_order(trace):
    people = People(trace, Habits())

    backwards = [people.intents(talk) for talk in reversed(trace.conversations)]

    assert signs(trace) == backwards[::-1]
    assert signs(trace, seed=2) != signs(trace)


def test_every_message_is_typed_before_it_is_sent_and_after_the_reply(trace):
    for talk, found in zip(trace.conversations, signs(trace, abandonment=0.0), strict=True):
        first_keys = [sign for sign in found if sign.kind is Sign.TYPING]

        assert [sign.gap for sign in first_keys] == [-1, 0, 1, 2, 3, 4]
        for sign in first_keys:
            assert sign.at <= talk.requests[sign.gap + 1].at
            if sign.gap >= 0:
                assert sign.at >= talk.requests[sign.gap].reply_end


def test_abandoned_starts_are_as_frequent_as_told(trace):
    """Fewer, as those that would fall into the reply or after the next real key are dropped."""
    typed = sum(sign.kind is Sign.TYPING for found in signs(trace, abandonment=0.33) for sign in found)

    phantoms = typed - 120 * 6
    assert 0.05 < phantoms / typed < 0.36


def test_twenty_characters_come_after_the_first_key(trace):
    for found in signs(trace):
        keys = [sign.at for sign in found if sign.kind is Sign.TYPING]
        assert all(any(key <= sign.at for key in keys) for sign in found if sign.kind is Sign.TYPING_20)


@pytest.mark.parametrize(("factor", "low", "high"), [(0.0, 1.0, 1.0), (1.0, 20.0, 45.0), (0.7, 14.0, 32.0)])
def test_typing_takes_as_long_as_measured_people_take(trace, factor, low, high):
    """30 tokens are 120 characters at 0.24 s each, and a second before them."""
    leads = [
        talk.requests[sign.gap + 1].at - sign.at
        for talk, found in zip(trace.conversations, signs(trace, abandonment=0.0, duration_factor=factor), strict=True)
        for sign in found
        if sign.kind is Sign.TYPING
    ]

    assert low <= statistics.median(leads) <= high
