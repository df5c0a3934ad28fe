import pytest

from warmcache.replay.join_rule import expected_warm_up_seconds, join_bound_seconds


def bound(elapsed_seconds: float, prefix_tokens: int = 50_000) -> float | None:
    return join_bound_seconds(
        elapsed_seconds=elapsed_seconds, prefix_tokens=prefix_tokens, join_after_seconds=0.5, bound_factor=3.0
    )


def test_a_warm_up_that_has_just_begun_is_not_waited_for() -> None:
    assert bound(0.49) is None


def test_a_warm_up_under_way_is_waited_for_until_three_times_its_expected_end() -> None:
    assert bound(0.5) == pytest.approx(3 * expected_warm_up_seconds(50_000) - 0.5)


def test_a_warm_up_that_is_long_overdue_is_not_waited_for() -> None:
    assert bound(60) is None


def test_a_larger_prefix_takes_longer() -> None:
    assert 1 < expected_warm_up_seconds(10_000) < expected_warm_up_seconds(100_000) < 30
