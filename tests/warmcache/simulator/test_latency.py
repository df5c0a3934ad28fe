import math
import statistics

import pytest

from warmcache.simulator.latency import PROFILES, LatencyModel, profile_for


@pytest.mark.parametrize(
    ("model", "family"),
    [
        ("claude-haiku-5-5", "haiku"),
        ("claude-sonnet-5-5", "sonnet"),
        ("claude-opus-5-5", "opus"),
        ("claude-fable-5-2", "fable"),
        ("claude-mythos-5-2", "fable"),
    ],
)
def test_auto_takes_the_profile_of_the_models_family(model: str, family: str):
    assert profile_for("auto", model).name == family


def test_a_named_profile_holds_for_every_model():
    assert profile_for("2024", "claude-haiku-5-5").name == "2024"


def test_the_2024_profile_matches_the_published_book_measurement():
    profile = PROFILES["2024"]

    assert profile.prefill_seconds(100_000, 0) == pytest.approx(11.5, rel=0.1)
    assert profile.prefill_seconds(0, 100_000) == pytest.approx(2.4, rel=0.35)


def test_without_noise_the_time_is_exact():
    model = LatencyModel("opus", noise=0)

    seconds = model.prefill_seconds("any", uncached_tokens=10_000, cached_tokens=20_000)

    assert seconds == 1.0 + 10_000 * 25e-6 + 20_000 * 1.5e-6


def test_the_seed_repeats_the_noise_and_reset_starts_it_again():
    def draws(model: LatencyModel) -> list[float]:
        return [model.prefill_seconds("m", uncached_tokens=1000, cached_tokens=0) for _ in range(5)]

    model = LatencyModel("opus", noise=0.25, seed=7)
    first = draws(model)
    model.reset()

    assert draws(model) == first == draws(LatencyModel("opus", noise=0.25, seed=7))
    assert first != draws(LatencyModel("opus", noise=0.25, seed=8))


def test_noise_is_lognormal_around_the_exact_time_with_a_few_slow_calls():
    model = LatencyModel("opus", noise=0.25, seed=1)
    exact = PROFILES["opus"].prefill_seconds(10_000, 0)

    drawn = [model.prefill_seconds("m", uncached_tokens=10_000, cached_tokens=0) for _ in range(4000)]

    logs = [math.log(seconds / exact) for seconds in drawn]
    assert statistics.median(logs) == pytest.approx(0, abs=0.03)
    slow = sum(1 for seconds in drawn if seconds > exact * math.exp(4 * 0.25))
    assert 20 < slow < 100


def test_instant_takes_no_time_at_all_with_or_without_noise():
    model = LatencyModel("instant", noise=0.25)

    assert model.prefill_seconds("m", uncached_tokens=10**6, cached_tokens=10**6) == 0
