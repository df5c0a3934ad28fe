"""Forecasts start at their priors, end at the truth, forget, and survive storage."""

import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warmcache.core.forecast.forecasts import Forecasts
from warmcache.core.forecast.gaps import AFTER_REPLY, AFTER_TOOL_USE, GapForecast
from warmcache.core.forecast.prefill import PrefillForecast
from warmcache.core.forecast.shares import ShareForecast
from warmcache.core.forecast.signs import INTENT_PRIORS, IntentForecast

TYPING = INTENT_PRIORS["typing"]


def test_a_cached_token_never_takes_less_than_no_time():
    """On a fast upstream, with calls of one cached size: the base is learned, and not the cached tokens instead."""
    draw = random.Random(3)
    forecast = PrefillForecast()

    for _ in range(100):
        uncached = draw.randrange(100, 3000)
        seconds = 0.2 + uncached / 9000 + draw.gauss(0, 0.02)
        forecast.observe(uncached_tokens=uncached, cached_tokens=18_000, ttft_seconds=seconds)

    warm = [forecast.ttft_seconds(uncached_tokens=100, cached_tokens=tokens) for tokens in (0, 18_000, 100_000)]
    assert warm == sorted(warm)
    assert forecast.round_trip_seconds == pytest.approx(0.2, rel=0.3)


def test_an_intent_starts_at_its_prior():
    forecast = IntentForecast(TYPING)

    assert forecast.send_chance == pytest.approx(0.85)
    assert forecast.lead_exceeds(8.0) == pytest.approx(0.5, abs=0.05)


def test_an_intent_converges_to_what_happens():
    draw = random.Random(1)
    forecast = IntentForecast(TYPING)

    for _ in range(600):
        forecast.observe(sent=draw.random() < 0.4, lead_seconds=draw.uniform(18, 22))

    assert forecast.send_chance == pytest.approx(0.4, abs=0.06)
    assert forecast.lead_exceeds(12.0) > 0.95
    assert forecast.lead_exceeds(40.0) < 0.05


def test_an_intent_forgets_what_people_no_longer_do():
    forecast = IntentForecast(TYPING, memory=50)
    for _ in range(500):
        forecast.observe(sent=True, lead_seconds=5)

    for _ in range(200):
        forecast.observe(sent=False)

    assert forecast.send_chance < 0.25


def test_the_lead_bounds_what_a_warm_up_saves():
    forecast = IntentForecast(TYPING)
    for _ in range(5000):
        forecast.observe(sent=True, lead_seconds=3.0)

    assert forecast.saved_seconds(0.5, round_trip_seconds=0.7) == pytest.approx(0.5, abs=0.02)
    assert forecast.saved_seconds(20.0, round_trip_seconds=0.7) == pytest.approx(2.3, abs=0.6)
    assert forecast.saved_seconds(0.0, round_trip_seconds=0.7) == 0.0


@given(prefill=st.floats(0, 30), more=st.floats(0, 30), trip=st.floats(0, 3))
def test_a_longer_prefill_never_saves_less_and_never_more_than_itself(prefill, more, trip):
    forecast = IntentForecast(TYPING)

    saved = forecast.saved_seconds(prefill, round_trip_seconds=trip)

    assert 0 <= saved <= prefill + 0.001
    assert forecast.saved_seconds(prefill + more, round_trip_seconds=trip) >= saved - 0.001


@pytest.mark.parametrize("prior", [AFTER_REPLY, AFTER_TOOL_USE])
def test_gaps_start_at_their_prior(prior):
    forecast = GapForecast(prior)

    assert not forecast.is_representative
    for seconds, expected in prior:
        assert forecast.survival(seconds) == pytest.approx(expected, abs=0.03)


def test_a_few_gaps_do_not_replace_the_prior():
    forecast = GapForecast()
    before = forecast.survival(300)

    for _ in range(10):
        forecast.observe(2.0, returned=True)

    assert not forecast.is_representative
    assert forecast.survival(300) == before


def test_gaps_converge_to_what_happens_with_silences_that_never_end():
    draw = random.Random(1)
    forecast = GapForecast()

    for _ in range(3000):
        if draw.random() < 0.6:
            forecast.observe(draw.expovariate(1 / 200), returned=True)
        else:
            forecast.observe(7200, returned=False)

    assert forecast.is_representative
    assert forecast.survival(200) == pytest.approx(0.4 + 0.6 * 0.368, abs=0.04)
    assert forecast.survival(3000) == pytest.approx(0.4, abs=0.04)
    assert forecast.survival(6000) > 0.95 * forecast.survival(3000)


def test_a_silence_told_in_pieces_counts_as_one():
    whole, pieces = GapForecast(), GapForecast()

    whole.observe(1000, returned=True)
    pieces.observe(300, returned=False)
    pieces.observe(900, returned=False, since=300)
    pieces.observe(1000, returned=True, since=900)

    told = pieces.to_dict()
    assert told["returns"] == whole.to_dict()["returns"]
    assert told["silence"] == pytest.approx(whole.to_dict()["silence"], rel=0.001)


def test_gaps_forget():
    forecast = GapForecast(memory_gaps=50)
    for _ in range(300):
        forecast.observe(20, returned=True)

    for _ in range(300):
        forecast.observe(2000, returned=True)

    assert forecast.survival(300) > 0.8


@given(st.lists(st.tuples(st.floats(0, 1e6), st.booleans()), max_size=60))
def test_survival_never_rises(gaps):
    forecast = GapForecast()
    for seconds, returned in gaps:
        forecast.observe(seconds, returned=returned)

    chances = [forecast.survival(seconds) for seconds in (0, 5, 60, 300, 900, 3600, 86_400, 1e6)]

    assert chances[0] == 1.0
    assert chances == sorted(chances, reverse=True)
    assert all(0 <= chance <= 1 for chance in chances)


@pytest.mark.parametrize(("tokens", "seconds"), [(5_000, 0.24), (20_000, 1.1), (50_000, 3.4), (151_629, 17.4)])
def test_before_any_call_the_published_times_hold(tokens, seconds):
    """Less what reading the same tokens takes."""
    assert PrefillForecast().saved_seconds(tokens) == pytest.approx(seconds - 0.3 * tokens / 1e5, rel=0.05, abs=0.03)


def test_first_token_times_converge_to_a_faster_model():
    draw = random.Random(1)
    forecast = PrefillForecast()

    for _ in range(300):
        uncached, cached = draw.randrange(100, 120_000), draw.randrange(0, 120_000)
        seconds = 0.7 + 18e-6 * uncached + 1e-6 * cached
        forecast.observe(uncached_tokens=uncached, cached_tokens=cached, ttft_seconds=seconds)

    assert forecast.round_trip_seconds == pytest.approx(0.7, abs=0.08)
    assert forecast.saved_seconds(100_000) == pytest.approx(1.7, abs=0.1)


def test_a_few_short_calls_already_bring_the_long_ones_down():
    forecast = PrefillForecast()

    for uncached in (1_000, 5_000, 12_000, 20_000):
        forecast.observe(uncached_tokens=uncached, cached_tokens=0, ttft_seconds=0.7 + 18e-6 * uncached)

    assert forecast.saved_seconds(150_000) < 0.4 * PrefillForecast().saved_seconds(150_000)


def taught(seed: int) -> Forecasts:
    draw = random.Random(seed)
    forecasts = Forecasts()
    for _ in range(60):
        forecasts.intent("typing").observe(sent=draw.random() < 0.7, lead_seconds=draw.uniform(1, 30))
        forecasts.after_reply.observe(draw.uniform(1, 4000), returned=draw.random() < 0.8)
        forecasts.after_tool_use.observe(draw.uniform(1, 90), returned=True)
        forecasts.kept.observe(draw.random())
        uncached = draw.randrange(1000, 90_000)
        forecasts.prefill("m").observe(uncached_tokens=uncached, cached_tokens=0, ttft_seconds=uncached / 2e4)
    return forecasts


def answers(forecasts: Forecasts) -> list[float]:
    return [
        forecasts.intent("typing").send_chance,
        forecasts.intent("typing").lead_exceeds(10),
        forecasts.after_reply.survival(600),
        forecasts.after_tool_use.survival(60),
        forecasts.kept.mean,
        forecasts.prefill("m").saved_seconds(40_000),
    ]


def test_forecasts_survive_a_round_trip_through_json():
    forecasts, restored = taught(1), Forecasts()

    restored.load(json.loads(json.dumps(forecasts.to_dict())))

    assert answers(restored) == pytest.approx(answers(forecasts), rel=1e-3)


def test_forecasts_of_two_processes_merge_the_same_in_either_order():
    one, other = taught(1), taught(2)
    one.merge(taught(2))
    other.merge(taught(1))

    assert answers(one) == pytest.approx(answers(other), rel=1e-3)
    assert one.intent("typing").sent + one.intent("typing").unsent > 100


def test_stored_evidence_of_another_shape_is_left_out():
    forecasts = Forecasts()
    before = answers(forecasts)

    forecasts.load({"after_reply": {"returns": [1], "silence": [2]}, "prefills": {"m": {"targets": [1]}}})

    assert answers(forecasts) == before


def test_a_share_moves_from_its_prior_to_what_is_seen():
    share = ShareForecast(0.95)
    assert share.mean == 0.95

    for _ in range(200):
        share.observe(0.5)

    assert share.mean == pytest.approx(0.52, abs=0.02)
