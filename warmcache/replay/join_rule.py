"""The fixed join rule of the simple policies: join a warm-up in flight, or go at once? Times in seconds."""

BASE_SECONDS = 1.0
LINEAR_SECONDS_PER_TOKEN = 4.54e-5
QUADRATIC_SECONDS_PER_TOKEN = 4.56e-10
"""Fitted to published first-token times."""


def expected_warm_up_seconds(prefix_tokens: int) -> float:
    """The time of one cold prefill of this many tokens."""
    return BASE_SECONDS + LINEAR_SECONDS_PER_TOKEN * prefix_tokens + QUADRATIC_SECONDS_PER_TOKEN * prefix_tokens**2


def join_bound_seconds(
    *, elapsed_seconds: float, prefix_tokens: int, join_after_seconds: float, bound_factor: float
) -> float | None:
    """How long to wait at most for a warm-up that started `elapsed_seconds` ago; None means go at once.

    Joining takes the rest of the prefill and one warm round trip, going takes the whole prefill: so joining wins once
    more than a warm round trip has passed. The bound keeps a stalled warm-up from delaying a person.
    """
    bound = bound_factor * expected_warm_up_seconds(prefix_tokens) - elapsed_seconds
    if elapsed_seconds < join_after_seconds or bound <= 0:
        return None
    return bound
