"""How often and how soon a send follows a sign: learned from observed events, on top of a fixed prior."""

import math
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from warmcache.core.intents import Sign

LEAD_EDGES = (0.0, *(0.25 * 1.4**n for n in range(22)))
"""Seconds at which a bin of lead times begins; the last (293 s) is open."""

MEMORY_OBSERVATIONS = 1000.0


@dataclass(frozen=True, slots=True, kw_only=True)
class IntentPrior:
    """What we assume about an intent before any observation, and how many observations the assumption is worth."""

    send_chance: float
    lead_seconds: float
    weight: float = 12.0


INTENT_PRIORS: Mapping[str, IntentPrior] = {
    Sign.OPEN: IntentPrior(send_chance=0.35, lead_seconds=25.0),
    Sign.TYPING: IntentPrior(send_chance=0.85, lead_seconds=8.0),
    Sign.TYPING_20: IntentPrior(send_chance=0.93, lead_seconds=5.0),
    Sign.ATTACH: IntentPrior(send_chance=0.85, lead_seconds=20.0),
}
"""Published: 13 % of typed comments are never sent. The rest is assumed."""

UNKNOWN_INTENT = IntentPrior(send_chance=0.5, lead_seconds=8.0)


class IntentForecast:
    """The chance of a send within the TTL, and the lead time from the intent to that send."""

    __slots__ = ("_prior", "_memory", "sent", "unsent", "_leads", "_spread", "_weights", "_areas")

    def __init__(self, prior: IntentPrior, *, memory: float = MEMORY_OBSERVATIONS) -> None:
        self._prior = prior
        self._memory = memory
        self.sent = 0.0
        self.unsent = 0.0
        self._leads = [0.0] * len(LEAD_EDGES)
        self._spread = _prior_spread(prior)
        self._weights: list[float] | None = None
        self._areas: tuple[list[float], list[float]] | None = None

    def observe(self, *, sent: bool, lead_seconds: float = 0.0) -> None:
        """Records the result of one such intent; `lead_seconds` runs from the intent to the send."""
        keep = 1.0 - 1.0 / self._memory
        self.sent = keep * self.sent + sent
        self.unsent = keep * self.unsent + (not sent)
        if sent:
            self._leads = [keep * count for count in self._leads]
            self._leads[bisect_right(LEAD_EDGES, lead_seconds) - 1] += 1.0
            self._weights = None

    @property
    def send_chance(self) -> float:
        """The mean of a Beta distribution."""
        prior = self._prior
        return (self.sent + prior.weight * prior.send_chance) / (self.sent + self.unsent + prior.weight)

    def lead_exceeds(self, seconds: float) -> float:
        """The chance that a send comes later than `seconds` after the intent, given that it comes."""
        later, _ = self._lead_areas()
        if seconds >= _LAST:
            return 0.0
        n = max(0, bisect_right(LEAD_EDGES, seconds) - 1)
        part = max(0.0, (seconds - LEAD_EDGES[n]) / (_upper(n) - LEAD_EDGES[n]))
        return later[n] + (later[n + 1] - later[n]) * part

    def saved_seconds(self, prefill_seconds: float, *, round_trip_seconds: float) -> float:
        """Expected wait saved by a warm-up at this intent, which takes a round trip and then saves the prefill.

        `clamp(lead - round_trip, 0, prefill)`, averaged over the observed leads.
        """
        prefill, trip = round(prefill_seconds, 3), round(round_trip_seconds, 2)
        if prefill <= 0:
            return 0.0
        return self._mean_below(trip + prefill) - self._mean_below(trip)

    def _mean_below(self, seconds: float) -> float:
        """The mean of the lead, capped at `seconds`: the area under the chance that it is longer."""
        later, areas = self._lead_areas()
        if seconds >= _LAST:
            return areas[-1]
        n = bisect_right(LEAD_EDGES, seconds) - 1
        part = (seconds - LEAD_EDGES[n]) / (_upper(n) - LEAD_EDGES[n])
        mean = later[n] + (later[n + 1] - later[n]) * part / 2
        return areas[n] + mean * (seconds - LEAD_EDGES[n])

    def _lead_areas(self) -> tuple[list[float], list[float]]:
        """At each edge, the chance of a longer lead, and the area under that chance up to the edge."""
        weights = self._lead_weights()
        if self._areas is None:
            total, left = sum(weights), sum(weights)
            later, areas = [1.0], [0.0]
            for n, weight in enumerate(weights):
                left -= weight
                later.append(left / total)
                areas.append(areas[-1] + (later[n] + later[n + 1]) / 2 * (_upper(n) - LEAD_EDGES[n]))
            self._areas = later, areas
        return self._areas

    @property
    def sample_size(self) -> float:
        """The number of observations behind the forecast; faded ones count in part."""
        return self.sent + self.unsent

    def fade(self, newer: "IntentForecast") -> None:
        """Fades the old evidence as much as the intents in `newer` would have faded it."""
        forgets = 1.0 - 1.0 / self._memory
        keep = forgets**newer.sample_size
        self.sent *= keep
        self.unsent *= keep
        self._leads = [forgets**newer.sent * count for count in self._leads]

    def merge(self, other: "IntentForecast") -> None:
        """Adds what another process observed."""
        self.sent += other.sent
        self.unsent += other.unsent
        self._leads = [a + b for a, b in zip(self._leads, other._leads, strict=True)]
        self._weights = None

    def to_dict(self) -> dict[str, Any]:
        """Evidence as JSON values."""
        return {"sent": self.sent, "unsent": self.unsent, "leads": [round(count, 4) for count in self._leads]}

    def load(self, stored: Mapping[str, Any]) -> None:
        """Adds stored evidence; skips lead times of another shape."""
        other = IntentForecast(self._prior)
        other.sent, other.unsent = float(stored.get("sent", 0.0)), float(stored.get("unsent", 0.0))
        leads = stored.get("leads", ())
        if len(leads) == len(LEAD_EDGES):
            other._leads = [float(count) for count in leads]
        self.merge(other)

    def _lead_weights(self) -> list[float]:
        """Observed lead times plus those of the prior."""
        if self._weights is None:
            self._weights = [seen + assumed for seen, assumed in zip(self._leads, self._spread, strict=True)]
            self._areas = None
        return self._weights


def _upper(bin_number: int) -> float:
    return LEAD_EDGES[bin_number + 1] if bin_number + 1 < len(LEAD_EDGES) else 2 * LEAD_EDGES[-1]


_LAST = _upper(len(LEAD_EDGES) - 1)


def _prior_spread(prior: IntentPrior) -> list[float]:
    """Log-normal around the prior's lead time, with a factor of two in either direction."""
    shares = [_log_normal_share(n, prior.lead_seconds) for n in range(len(LEAD_EDGES))]
    return [prior.weight * share / sum(shares) for share in shares]


def _log_normal_share(bin_number: int, median_seconds: float) -> float:
    low, high = LEAD_EDGES[bin_number], LEAD_EDGES[bin_number + 1] if bin_number + 1 < len(LEAD_EDGES) else math.inf

    def below(seconds: float) -> float:
        if seconds <= 0:
            return 0.0
        return 0.5 * (1 + math.erf(math.log(seconds / median_seconds) / (math.log(2) * math.sqrt(2))))

    return (1.0 if high == math.inf else below(high)) - below(low)
