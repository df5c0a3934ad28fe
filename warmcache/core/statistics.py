"""Percentiles, and how certain a figure is: 95 % intervals.

The replay resamples conversations, because requests of one conversation are not independent. The report on real
traffic compares visits that were assigned at random one by one, so the normal approximation holds there.
"""

import math
import random
from collections import Counter
from collections.abc import Callable, Sequence
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """Independent values, as sums: those of whole numbers lose nothing. `unit`: what a value of 1 stands for."""

    count: int
    total: float
    squares: float
    unit: float = 1.0

    @property
    def mean(self) -> float:
        return self.total / self.count * self.unit

    @property
    def variance(self) -> float:
        spread = self.count * self.squares - self.total**2
        return max(0.0, spread / (self.count * (self.count - 1))) * self.unit**2


def median_interval(ranked: Callable[[int], float], count: int) -> Interval | None:
    """The median between order statistics, which assumes nothing about the distribution; None for fewer than six
    values, where no two of them contain it with 95 % confidence. `ranked`: the value of a rank, 0 the smallest."""
    if count < 6:
        return None
    reach = _Z * math.sqrt(count) / 2
    low, high = max(0, math.floor(count / 2 - reach)), min(count - 1, math.ceil(count / 2 + reach) - 1)
    middle = (ranked((count - 1) // 2) + ranked(count // 2)) / 2
    return Interval(value=middle, low=ranked(low), high=ranked(high))


def difference_of_means(first: Sample, second: Sample) -> Interval | None:
    """Mean of `first` minus mean of `second`, for two independent samples (Welch); None if one has fewer than two."""
    if min(first.count, second.count) < 2:
        return None
    reach = _Z * math.sqrt(first.variance / first.count + second.variance / second.count)
    value = first.mean - second.mean
    return Interval(value=value, low=value - reach, high=value + reach)


def sum_interval(sample: Sample) -> Interval | None:
    """The sum of a sample, by how much its values differ; None for fewer than two."""
    if sample.count < 2:
        return None
    value, reach = sample.total * sample.unit, _Z * math.sqrt(sample.count * sample.variance)
    return Interval(value=value, low=value - reach, high=value + reach)


def sum_of(intervals: Sequence[Interval]) -> Interval | None:
    """Of independent intervals; None if there are none."""
    if not intervals:
        return None
    value = math.fsum(each.value for each in intervals)
    below = math.sqrt(math.fsum((each.value - each.low) ** 2 for each in intervals))
    above = math.sqrt(math.fsum((each.high - each.value) ** 2 for each in intervals))
    return Interval(value=value, low=value - below, high=value + above)


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
