"""Forecast of a model's time to first token, learned from (uncached, cached, seconds) of real calls.

    ttft = base + a*seed(U) + b*U^2 + c*C          U uncached, C cached tokens, in hundred thousands

`seed` is the curve that fits the first-token times published in 2024, and the prior says a = 1, b = 0: one
measurement of a faster model scales the whole curve down. Evidence is kept as sums, which merge by adding.
"""

from collections.abc import Mapping
from typing import Any

_UNIT = 1e5
_SEED_LINEAR, _SEED_QUADRATIC = 4.54, 4.56
PRIOR_COEFFICIENTS = (1.0, 1.0, 0.0, 0.3)
"""Seconds: a base, the seed curve (4.54e-5 per token, 4.56e-10 per token squared), and cached tokens at a fifteenth."""

_PRIOR_WEIGHTS = (1.0, 0.02, 0.2, 0.02)
"""How strongly the prior holds each coefficient: the base as one measurement, the slopes loosely, the bend more."""

MEMORY_CALLS = 2000.0
_SIZE = len(PRIOR_COEFFICIENTS)
_CACHED = _SIZE - 1
"""The coefficient of cached tokens is the last one."""
_REFIT_SHARE = 50
"""A new fit once a fiftieth of the evidence is new: at each of the first calls, rarely later."""


class PrefillForecast:
    """Expected first-token seconds of one model."""

    __slots__ = ("_products", "_targets", "_coefficients", "_memory", "_unfitted", "observed_calls")

    def __init__(self, *, memory_calls: float = MEMORY_CALLS) -> None:
        self._products = [[0.0] * _SIZE for _ in range(_SIZE)]
        self._targets = [0.0] * _SIZE
        self._coefficients: tuple[float, ...] | None = PRIOR_COEFFICIENTS
        self._memory = memory_calls
        self._unfitted = 0
        self.observed_calls = 0.0

    def observe(self, *, uncached_tokens: int, cached_tokens: int, ttft_seconds: float) -> None:
        """One real call, from its start to its first token."""
        keep = 1.0 - 1.0 / self._memory
        row = _features(uncached_tokens, cached_tokens)
        for n, left in enumerate(row):
            products = self._products[n]
            for m, right in enumerate(row):
                products[m] = keep * products[m] + left * right
            self._targets[n] = keep * self._targets[n] + left * ttft_seconds
        self.observed_calls = keep * self.observed_calls + 1.0
        self._unfitted += 1
        if self._unfitted * _REFIT_SHARE >= self.observed_calls:
            self._coefficients, self._unfitted = None, 0

    def ttft_seconds(self, *, uncached_tokens: int, cached_tokens: int = 0) -> float:
        """Expected seconds to the first token; never negative, even if a fit on little evidence says so."""
        row = _features(uncached_tokens, cached_tokens)
        return max(0.0, sum(weight * value for weight, value in zip(self._fitted(), row, strict=True)))

    def saved_seconds(self, tokens: int, *, cached_tokens: int = 0) -> float:
        """S(P): seconds saved by reading `tokens` instead of computing them, if `cached_tokens` are read anyway."""
        cold = self.ttft_seconds(uncached_tokens=tokens, cached_tokens=cached_tokens)
        return max(0.0, cold - self.ttft_seconds(uncached_tokens=0, cached_tokens=tokens + cached_tokens))

    @property
    def round_trip_seconds(self) -> float:
        """The shortest possible call."""
        return max(0.0, self._fitted()[0])

    def fade(self, newer: "PrefillForecast") -> None:
        """Fades the old evidence as much as the calls in `newer` would have faded it."""
        keep = (1.0 - 1.0 / self._memory) ** newer.observed_calls
        self._products = [[keep * value for value in row] for row in self._products]
        self._targets = [keep * value for value in self._targets]
        self.observed_calls *= keep

    def merge(self, other: "PrefillForecast") -> None:
        """Adds what another process measured."""
        for n in range(_SIZE):
            self._products[n] = [a + b for a, b in zip(self._products[n], other._products[n], strict=True)]
        self._targets = [a + b for a, b in zip(self._targets, other._targets, strict=True)]
        self.observed_calls += other.observed_calls
        self._coefficients = None

    def to_dict(self) -> dict[str, Any]:
        """Evidence as JSON values."""
        return {"products": self._products, "targets": self._targets, "calls": self.observed_calls}

    def load(self, stored: Mapping[str, Any]) -> None:
        """Adds stored evidence; skips data of another shape."""
        products, targets = stored.get("products", ()), stored.get("targets", ())
        if len(targets) == _SIZE and len(products) == _SIZE and all(len(row) == _SIZE for row in products):
            other = PrefillForecast()
            other._products = [[float(value) for value in row] for row in products]
            other._targets = [float(value) for value in targets]
            other.observed_calls = float(stored.get("calls", 0.0))
            self.merge(other)

    def _fitted(self) -> tuple[float, ...]:
        if self._coefficients is None:
            matrix = [[*row, target] for row, target in zip(self._products, self._targets, strict=True)]
            for n, (weight, prior) in enumerate(zip(_PRIOR_WEIGHTS, PRIOR_COEFFICIENTS, strict=True)):
                matrix[n][n] += weight
                matrix[n][_SIZE] += weight * prior
            fitted = _solved(matrix)
            # Calls of one cached size tell its cost and the base apart only by chance: below zero, both are wrong.
            self._coefficients = fitted if fitted[_CACHED] >= 0 else (*_solved(_without_cached(matrix)), 0.0)
        return self._coefficients


def _features(uncached_tokens: int, cached_tokens: int) -> tuple[float, float, float, float]:
    uncached = uncached_tokens / _UNIT
    seed = (_SEED_LINEAR + _SEED_QUADRATIC * uncached) * uncached
    return 1.0, seed, uncached * uncached, cached_tokens / _UNIT


def _solved(equations: list[list[float]]) -> tuple[float, ...]:
    """Gaussian elimination without pivoting: the prior makes the matrix positive definite."""
    matrix, size = [*equations], len(equations)
    for n in range(size):
        pivot = matrix[n][n]
        matrix[n] = [value / pivot for value in matrix[n]]
        for m in range(size):
            if m != n:
                factor = matrix[m][n]
                matrix[m] = [value - factor * base for value, base in zip(matrix[m], matrix[n], strict=True)]
    return tuple(row[size] for row in matrix)


def _without_cached(equations: list[list[float]]) -> list[list[float]]:
    """The equations of the other coefficients, for a cached token that costs nothing."""
    return [[*row[:_CACHED], row[_SIZE]] for row in equations[:_CACHED]]
