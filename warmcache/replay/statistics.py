"""Percentiles, and bootstrap intervals over conversations: requests of one conversation are not independent."""

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from operator import mul

RESAMPLES = 200
_TAIL = 0.025


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A value with the middle 95 % of its resamples."""

    value: float
    low: float
    high: float


def percentile(values: Sequence[float], share: float) -> float:
    """Nearest rank; 0 of nothing."""
    if not values:
        return 0.0
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


class Bootstrap:
    """The same resampled conversations for every figure, so that rows of one table can be compared."""

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
    """`value` between the outer resamples."""
    ordered = sorted(resampled)
    cut = int(_TAIL * len(ordered))
    return Interval(value=value, low=ordered[cut], high=ordered[-1 - cut])
