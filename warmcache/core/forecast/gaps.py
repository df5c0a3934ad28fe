"""When does the person come back? A hazard per bin of silence, learned from finished and unfinished gaps.

The bins grow with the silence, as people's pauses do. Each bin counts returns and the seconds of silence spent in it,
so an unfinished silence counts for its length so far: ignoring it would promise returns that never come. Until enough
returns are observed, only a fixed prior is used; afterwards the prior fades.
"""

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Any

EDGES = (0.0, *(10.0 * 1.5**n for n in range(25)))
"""Seconds at which a bin begins; the last one (168,000 s, about two days) is open."""

ENOUGH_RETURNS = 20.0
PRIOR_GAPS = 20.0
MEMORY_GAPS = 4000.0
"""Older gaps fade: after this many new ones an old one counts a third (1/e)."""

AFTER_REPLY: tuple[tuple[float, float], ...] = (
    (20.0, 0.95),
    (86.0, 0.75),
    (300.0, 0.60),
    (1260.0, 0.55),
    (3600.0, 0.518),
    (50_400.0, 0.505),
)
"""Points (silence, chance that it lasts longer) after a reply to a person: half of the people write again, and their
pauses follow those published for coding agents (half within 86 s, 80 % within 5 min, 90 % within 21 min)."""

AFTER_TOOL_USE: tuple[tuple[float, float], ...] = ((15.0, 0.5), (60.0, 0.12), (300.0, 0.0074), (3600.0, 0.002))
"""While an agent runs its tools: published figures say that 0.74 % of the gaps exceed five minutes."""

ARRIVALS: tuple[tuple[float, float], ...] = ((60.0, 0.6), (300.0, 0.3), (3600.0, 0.05))
"""Silence of a whole assistant: usually someone else comes within the hour. Assumed."""


class GapForecast:
    """Survival of silence. Only evidence is stored; each use adds the prior, so two forecasts merge by adding."""

    __slots__ = ("_returns", "_silence", "_prior", "_memory", "_hazards", "_logs", "version")

    def __init__(self, prior: Sequence[tuple[float, float]] = AFTER_REPLY, *, memory_gaps: float = MEMORY_GAPS) -> None:
        self._returns = [0.0] * len(EDGES)
        self._silence = [0.0] * len(EDGES)
        self._prior = _prior_evidence(prior)
        self._memory = memory_gaps
        self._hazards: list[float] | None = None
        self._logs: list[float] = []
        self.version = 0
        """Grows with each change, for callers that cache derived values."""

    @property
    def observed_returns(self) -> float:
        return sum(self._returns)

    @property
    def is_representative(self) -> bool:
        """Whether enough ended gaps were observed, and most of them lie before the last bin."""
        seen = self.observed_returns
        return seen >= ENOUGH_RETURNS and self._returns[-1] < seen / 2

    def observe(self, seconds: float, *, returned: bool, since: float = 0.0, count: int = 1) -> None:
        """Records a silence from `since` to `seconds` that ended with a return, or `count` that were going on then."""
        if returned:
            self._fade()
        end = max(seconds, since)
        index = bisect_right(EDGES, since) - 1
        while index < len(EDGES) and EDGES[index] < end:
            upper = EDGES[index + 1] if index + 1 < len(EDGES) else math.inf
            self._silence[index] += count * (min(end, upper) - max(since, EDGES[index]))
            index += 1
        if returned:
            self._returns[bisect_right(EDGES, end) - 1] += 1.0
        self._hazards = None
        self.version += 1

    def survival(self, seconds: float) -> float:
        """The chance that a silence lasts longer than `seconds`."""
        if self._hazards is None:
            self._refit()
        assert self._hazards is not None  # noqa: S101 - told to the type checker
        index = bisect_right(EDGES, seconds) - 1
        return math.exp(-(self._logs[index] + self._hazards[index] * (seconds - EDGES[index])))

    def _fade(self) -> None:
        keep = 1.0 - 1.0 / self._memory
        self._returns = [keep * count for count in self._returns]
        self._silence = [keep * seconds for seconds in self._silence]

    def _refit(self) -> None:
        trusted = 1.0 if self.is_representative else 0.0
        prior_returns, prior_silence = self._prior
        hazards = [
            (trusted * self._returns[n] + prior_returns[n]) / (trusted * self._silence[n] + prior_silence[n])
            for n in range(len(EDGES))
        ]
        total, logs = 0.0, []
        for n, hazard in enumerate(hazards):
            logs.append(total)
            if n + 1 < len(EDGES):
                total += hazard * (EDGES[n + 1] - EDGES[n])
        self._hazards, self._logs = hazards, logs

    def fade(self, newer: "GapForecast") -> None:
        """Fades the old evidence as much as the returns in `newer` would have faded it."""
        keep = (1.0 - 1.0 / self._memory) ** newer.observed_returns
        self._returns = [keep * count for count in self._returns]
        self._silence = [keep * seconds for seconds in self._silence]

    def merge(self, other: "GapForecast") -> None:
        """Adds what another process observed."""
        self._returns = [a + b for a, b in zip(self._returns, other._returns, strict=True)]
        self._silence = [a + b for a, b in zip(self._silence, other._silence, strict=True)]
        self._hazards = None
        self.version += 1

    def to_dict(self) -> dict[str, Any]:
        """Evidence as JSON values."""
        return {
            "returns": [round(value, 4) for value in self._returns],
            "silence": [round(value, 3) for value in self._silence],
        }

    def load(self, stored: Mapping[str, Any]) -> None:
        """Adds stored evidence; skips data of another shape (from an older version)."""
        returns, silence = stored.get("returns", ()), stored.get("silence", ())
        if len(returns) == len(silence) == len(EDGES):
            other = GapForecast()
            other._returns, other._silence = [float(n) for n in returns], [float(n) for n in silence]
            self.merge(other)


def _prior_evidence(points: Sequence[tuple[float, float]]) -> tuple[list[float], list[float]]:
    """Pseudo-returns and pseudo-silence of `PRIOR_GAPS` gaps with this survival, linear in its logarithm."""
    survivals = [_interpolated(points, edge) for edge in EDGES] + [_interpolated(points, 4 * EDGES[-1])]
    starts = (*EDGES, 4 * EDGES[-1])
    returns, silence = [], []
    for n in range(len(EDGES)):
        width = starts[n + 1] - starts[n]
        hazard = math.log(survivals[n] / survivals[n + 1]) / width
        exposure = PRIOR_GAPS * survivals[n] * width
        silence.append(exposure)
        returns.append(hazard * exposure)
    return returns, silence


def _interpolated(points: Sequence[tuple[float, float]], seconds: float) -> float:
    low = (0.0, 1.0)
    for high in points:
        if seconds <= high[0]:
            share = (seconds - low[0]) / (high[0] - low[0])
            return math.exp((1 - share) * math.log(low[1]) + share * math.log(high[1]))
        low = high
    return low[1]
