"""How long the simulated model takes: prefill per uncached and per cached token, then a steady decode rate.

The numbers follow published measurements: `2024` matches the tables of that year's prompt caching posts, the
others are estimates for the 2026 families, whose prefill is about five times faster.
"""

import math
import random
from dataclasses import dataclass

SLOW_CALL_SHARE = 0.015
SLOW_CALL_SECONDS = (2.0, 4.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyProfile:
    """One model family's speed."""

    name: str
    base_seconds: float
    uncached_token_seconds: float
    cached_token_seconds: float
    tokens_per_second: float

    def prefill_seconds(self, uncached_tokens: int, cached_tokens: int) -> float:
        """Time until the response begins, without noise."""
        return (
            self.base_seconds
            + uncached_tokens * self.uncached_token_seconds
            + cached_tokens * self.cached_token_seconds
        )


def _profile(name: str, base: float, uncached_us: float, cached_us: float, rate: float) -> tuple[str, LatencyProfile]:
    return name, LatencyProfile(
        name=name,
        base_seconds=base,
        uncached_token_seconds=uncached_us / 1e6,
        cached_token_seconds=cached_us / 1e6,
        tokens_per_second=rate,
    )


PROFILES: dict[str, LatencyProfile] = dict(
    (
        _profile("haiku", 0.40, 10, 0.5, 140),
        _profile("sonnet", 0.70, 18, 1, 80),
        _profile("opus", 1.00, 25, 1.5, 70),
        _profile("fable", 1.30, 40, 2, 60),
        _profile("2024", 1.00, 100, 7, 60),
        _profile("instant", 0, 0, 0, math.inf),
    )
)
"""By name. `instant` is for tests: no waiting at all."""

AUTO = "auto"
_FAMILIES = {"haiku": "haiku", "sonnet": "sonnet", "opus": "opus", "fable": "fable", "mythos": "fable"}


def profile_for(name: str, model: str) -> LatencyProfile:
    """The profile called `name`; `auto` chooses by the model's family."""
    if name != AUTO:
        return PROFILES[name]
    for family, profile in _FAMILIES.items():
        if family in model:
            return PROFILES[profile]
    return PROFILES["sonnet"]


class LatencyModel:
    """Draws each call's prefill time. `noise` is the sigma of a lognormal factor; 0 makes it exact."""

    def __init__(self, profile: str = AUTO, *, noise: float = 0.25, seed: int = 1) -> None:
        self._profile = profile
        self._noise = noise
        self._seed = seed
        self.reset()

    def reset(self) -> None:
        """Draws the same noise again, from the first call on."""
        self._random = random.Random(self._seed)  # noqa: S311 - a repeatable draw, not a secret

    def profile(self, model: str) -> LatencyProfile:
        """The profile in force for `model`."""
        return profile_for(self._profile, model)

    def prefill_seconds(self, model: str, *, uncached_tokens: int, cached_tokens: int) -> float:
        """Time until the response of one call begins; the next call draws again."""
        exact = self.profile(model).prefill_seconds(uncached_tokens, cached_tokens)
        if self._noise == 0 or exact == 0:
            return exact
        seconds = exact * math.exp(self._random.gauss(0, self._noise))
        if self._random.random() < SLOW_CALL_SHARE:
            seconds += self._random.uniform(*SLOW_CALL_SECONDS)
        return seconds
