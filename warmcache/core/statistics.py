"""Percentiles, and how certain a figure is: 95 % intervals.

The replay resamples conversations, because requests of one conversation are not independent. The report on real
traffic compares visits that were assigned at random one by one, so the normal approximation holds there.
"""

import math
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from operator import mul

RESAMPLES = 200
_TAIL = 0.025
_Z = 1.96
"""Standard errors on either side of a normal estimate that cover 95 %."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A value between the bounds of its 95 % interval."""

    value: float
    low: float
    high: float


def percentile(values: Sequence[float], share: float) -> float:
    """Nearest rank; 0 if there are no values."""
    if not values:
        return 0.0
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


class Bootstrap:
    """The same resampled conversations for every figure, so that rows of one table are comparable."""

    def __init__(self, conversations: int, *, seed: int, resamples: int = RESAMPLES) -> None:
        draw = random.Random(f"{seed}:bootstrap")  # noqa: S311 - a repeatable draw, not a secret
        everyone = range(conversations)
        self._weights = []
        for _ in range(resamples):
            drawn = Counter(draw.choices(everyone, k=conversations))
            self._weights.append([drawn.get(n, 0) for n in everyone])

    def sums(self, values: Sequence[float]) -> list[float]:
        """The sum over conversations, in each resample."""
        return [sum(map(mul, weights, values)) for weights in self._weights]


def interval(value: float, resampled: Sequence[float]) -> Interval:
    """`value` with its 95 % interval from the resampled values."""
    ordered = sorted(resampled)
    cut = int(_TAIL * len(ordered))
    return Interval(value=value, low=ordered[cut], high=ordered[-1 - cut])


def median_interval(values: Sequence[float]) -> Interval | None:
    """The median between order statistics, which assumes nothing about the distribution; None for fewer than six
    values, where no two of them contain it with 95 % confidence."""
    ordered, count = sorted(values), len(values)
    if count < 6:
        return None
    reach = _Z * math.sqrt(count) / 2
    low, high = max(0, math.floor(count / 2 - reach)), min(count - 1, math.ceil(count / 2 + reach) - 1)
    middle = (ordered[(count - 1) // 2] + ordered[count // 2]) / 2
    return Interval(value=middle, low=ordered[low], high=ordered[high])


def difference_of_means(first: Sequence[float], second: Sequence[float]) -> Interval | None:
    """Mean of `first` minus mean of `second`, for two independent samples (Welch); None if one has fewer than two."""
    if min(len(first), len(second)) < 2:
        return None
    (mean, variance), (other_mean, other_variance) = _moments(first), _moments(second)
    reach = _Z * math.sqrt(variance / len(first) + other_variance / len(second))
    value = mean - other_mean
    return Interval(value=value, low=value - reach, high=value + reach)


def share_interval(successes: int, count: int) -> Interval | None:
    """A share with Wilson's interval, which stays between 0 and 1; None if `count` is 0."""
    if count == 0:
        return None
    share, spread = successes / count, _Z**2 / count
    middle = (share + spread / 2) / (1 + spread)
    reach = _Z * math.sqrt(share * (1 - share) / count + spread / (4 * count)) / (1 + spread)
    return Interval(value=share, low=max(0.0, middle - reach), high=min(1.0, middle + reach))


def ratio_of(above: Interval, below: Interval) -> Interval | None:
    """Computed from the extremes of both intervals, so rather too wide; None if `below` may be zero."""
    if below.low <= 0 <= below.high:
        return None
    corners = [bound / divisor for bound in (above.low, above.high) for divisor in (below.low, below.high)]
    return Interval(value=above.value / below.value, low=min(corners), high=max(corners))


def _moments(values: Sequence[float]) -> tuple[float, float]:
    mean = math.fsum(values) / len(values)
    return mean, math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1)
