"""How many tokens does a text take? Learned from what was billed, per model and per kind of text.

A bill gives one number for a text of several kinds. So what is learned is a regression: the billed tokens are the
tokens that the priors estimate, times one factor for all text, plus a deviation of each kind from it. The factor lets
the first bill for prose teach something of JSON too. Errors count relative to the bill. Only sums are stored, so two
forecasts merge by adding; each use adds the prior: that of a label is what all labels together have shown.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from warmcache.core.estimates import TEXT_KINDS, Kind, Size, tokens_of

MEMORY_BILLS = 300.0
"""Older bills fade: after this many new ones an old one counts a third (1/e)."""

NOISE = 0.03
"""The standard error of one bill around its estimate, as a share: texts of one kind differ."""

LEAST_TOKENS = 100
"""A shorter text says nothing: its scaffolding is as large."""

PLAUSIBLE = (0.1, 10.0)
"""Bills beyond these multiples of the prior's estimate are of something else."""

_TEXTS = len(TEXT_KINDS)
_OTHERS = (Kind.IMAGES, Kind.PDF_PAGES)
_FEATURES = 1 + _TEXTS + len(_OTHERS)
_PRIOR_MEANS = (1.0, *(0.0 for _ in TEXT_KINDS), *(1.0 for _ in _OTHERS))
_PRIOR_ERRORS = (0.5, *(0.35 for _ in TEXT_KINDS), *(0.5 for _ in _OTHERS))
_LABEL_SHARE = 0.5
"""How far a label may be from all labels, as a share of how far a model may be from the prior."""

_FRESH_SHARE = 0.05
"""With so much new evidence the factors are computed again."""

_LEAST_FACTOR = 0.05


class SizeForecast:
    """The evidence about one model."""

    __slots__ = ("_products", "_targets", "_bills", "_fitted", "_fitted_at", "_fitted_around")

    def __init__(self) -> None:
        self._products = [0.0] * (_FEATURES * (_FEATURES + 1) // 2)
        """The lower triangle of the sum of the features' products."""
        self._targets = [0.0] * _FEATURES
        self._bills = 0.0
        self._fitted: tuple[float, ...] | None = None
        self._fitted_at = 0.0
        self._fitted_around: Sequence[float] = ()

    @property
    def bills(self) -> float:
        """How many bills it has seen; old ones count less."""
        return self._bills

    def observe(self, size: Size, priors: Sequence[float], billed_tokens: int) -> None:
        """Records that a text of this size was billed with so many tokens; ignores what cannot teach."""
        if tokens_of(size, priors) < LEAST_TOKENS or not is_plausible(size, priors, billed_tokens):
            return
        self._fade(1)
        known = size[Kind.TOKENS] * priors[Kind.TOKENS]
        features = [value / billed_tokens for value in _features(size, priors)]
        target = (billed_tokens - known) / billed_tokens
        place = 0
        for row, left in enumerate(features):
            self._targets[row] += left * target
            for right in features[: row + 1]:
                self._products[place] += left * right
                place += 1
        self._bills += 1
        if self._bills >= self._fitted_at * (1 + _FRESH_SHARE) + 0.5:
            self._fitted = None

    def coefficients(self, around: Sequence[float] = _PRIOR_MEANS, *, is_label: bool = False) -> tuple[float, ...]:
        """The factor for all text, each kind's deviation from it, and the factors of the other kinds."""
        fitted = self._fitted  # another thread may begin anew meanwhile
        if fitted is None or self._fitted_around is not around:
            fitted = self._fitted = self._fit(around, _LABEL_SHARE if is_label else 1.0)
            self._fitted_at, self._fitted_around = self._bills, around
        return fitted

    def _fit(self, around: Sequence[float], share: float) -> tuple[float, ...]:
        if not self._bills:
            return tuple(around)
        rows = [[0.0] * (_FEATURES + 1) for _ in range(_FEATURES)]
        place = 0
        for row in range(_FEATURES):
            for column in range(row + 1):
                rows[row][column] = rows[column][row] = self._products[place] / NOISE**2
                place += 1
        for n, (mean, error) in enumerate(zip(around, _PRIOR_ERRORS, strict=True)):
            trust = 1 / (share * error) ** 2
            rows[n][n] += trust
            rows[n][-1] = self._targets[n] / NOISE**2 + trust * mean
        return _solved(rows)

    def _fade(self, bills: float) -> None:
        keep = (1.0 - 1.0 / MEMORY_BILLS) ** bills
        self._products = [keep * value for value in self._products]
        self._targets = [keep * value for value in self._targets]
        self._bills *= keep

    def fade(self, newer: "SizeForecast") -> None:
        """Fades the old evidence as much as the bills in `newer` would have faded it."""
        self._fade(newer.bills)

    def to_dict(self) -> dict[str, Any]:
        """Evidence as JSON values."""
        return {
            "products": [round(value, 6) for value in self._products],
            "targets": [round(value, 6) for value in self._targets],
            "bills": round(self._bills, 3),
        }

    def load(self, stored: Mapping[str, Any]) -> None:
        """Adds stored evidence; skips data of another shape (from an older version)."""
        products, targets = stored.get("products", ()), stored.get("targets", ())
        if len(products) == len(self._products) and len(targets) == len(self._targets):
            self._products = [a + float(b) for a, b in zip(self._products, products, strict=True)]
            self._targets = [a + float(b) for a, b in zip(self._targets, targets, strict=True)]
            self._bills += float(stored.get("bills", 0.0))
            self._fitted = None


def is_plausible(size: Size, priors: Sequence[float], billed_tokens: int) -> bool:
    """Whether so many tokens can be what a text of this size was billed."""
    estimated = tokens_of(size, priors)
    return PLAUSIBLE[0] * estimated <= billed_tokens <= PLAUSIBLE[1] * estimated


def tokens_per_unit(priors: Sequence[float], coefficients: Sequence[float]) -> tuple[float, ...]:
    """What a unit of each kind takes: the prior's tokens, corrected by what was learned. Never below nothing."""
    text, *more = coefficients
    factors = [*(text + deviation for deviation in more[:_TEXTS]), *more[_TEXTS:], 1.0]
    return tuple(prior * max(_LEAST_FACTOR, factor) for prior, factor in zip(priors, factors, strict=True))


def _features(size: Size, priors: Sequence[float]) -> list[float]:
    texts = [size[kind] * priors[kind] for kind in TEXT_KINDS]
    return [sum(texts), *texts, *(size[kind] * priors[kind] for kind in _OTHERS)]


def _solved(rows: list[list[float]]) -> tuple[float, ...]:
    """The solution of a symmetric, positive system of equations; the last column is its right side."""
    count = len(rows)
    for n in range(count):
        pivot = rows[n]
        for row in rows[n + 1 :]:
            share = row[n] / pivot[n]
            if share:
                for column in range(n, count + 1):
                    row[column] -= share * pivot[column]
    found = [0.0] * count
    for n in range(count - 1, -1, -1):
        rest = rows[n][-1] - sum(rows[n][column] * found[column] for column in range(n + 1, count))
        found[n] = rest / rows[n][n]
    return tuple(found)
