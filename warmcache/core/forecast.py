"""Forecasts that the decisions need, learned from what happened: per intent, per kind of silence, per model.

All of it is a few hundred numbers: `to_dict` gives JSON values, `load` and `merge` add evidence of other processes.
Priors are fixed and never stored, so merging counts nothing twice.
"""

import math
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from warmcache.core.gaps import AFTER_REPLY, AFTER_TOOL_USE, ARRIVALS, GapForecast
from warmcache.core.intents import Sign
from warmcache.core.prefill import PrefillForecast

LEAD_EDGES = (0.0, *(0.25 * 1.4**n for n in range(22)))
"""Seconds at which a bin of lead times begins; the last (293 s) is open."""

MEMORY_OBSERVATIONS = 1000.0


@dataclass(frozen=True, slots=True, kw_only=True)
class IntentPrior:
    """What is assumed of an intent before anything was seen, and how many observations that is worth."""

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

_UNKNOWN_INTENT = IntentPrior(send_chance=0.5, lead_seconds=8.0)


class IntentForecast:
    """The chance of a send within the TTL, and how long after the intent it starts."""

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
        """What came of one such intent; `lead_seconds` from it to the send."""
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
        """Expected wait saved by a warm-up at this intent that takes a round trip and then saves the prefill.

        `clamp(lead - round_trip, 0, prefill)`, over the leads seen.
        """
        prefill, trip = round(prefill_seconds, 3), round(round_trip_seconds, 2)
        if prefill <= 0:
            return 0.0
        return self._mean_below(trip + prefill) - self._mean_below(trip)

    def _mean_below(self, seconds: float) -> float:
        """The mean of the lead cut off at `seconds`: the area under the chance that it is longer."""
        later, areas = self._lead_areas()
        if seconds >= _LAST:
            return areas[-1]
        n = bisect_right(LEAD_EDGES, seconds) - 1
        part = (seconds - LEAD_EDGES[n]) / (_upper(n) - LEAD_EDGES[n])
        mean = later[n] + (later[n + 1] - later[n]) * part / 2
        return areas[n] + mean * (seconds - LEAD_EDGES[n])

    def _lead_areas(self) -> tuple[list[float], list[float]]:
        """At each edge, the chance of a longer lead and the area under that chance up to there."""
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
        """Observations behind it, the faded ones in part."""
        return self.sent + self.unsent

    def fade(self, newer: "IntentForecast") -> None:
        """Forgets as much as the intents that `newer` has seen would have made it forget."""
        forgets = 1.0 - 1.0 / self._memory
        keep = forgets**newer.sample_size
        self.sent *= keep
        self.unsent *= keep
        self._leads = [forgets**newer.sent * count for count in self._leads]

    def merge(self, other: "IntentForecast") -> None:
        """Adds what another process saw."""
        self.sent += other.sent
        self.unsent += other.unsent
        self._leads = [a + b for a, b in zip(self._leads, other._leads, strict=True)]
        self._weights = None

    def to_dict(self) -> dict[str, Any]:
        """Evidence as JSON values."""
        return {"sent": self.sent, "unsent": self.unsent, "leads": [round(count, 4) for count in self._leads]}

    def load(self, stored: Mapping[str, Any]) -> None:
        """Adds stored evidence; leads of another shape are left out."""
        other = IntentForecast(self._prior)
        other.sent, other.unsent = float(stored.get("sent", 0.0)), float(stored.get("unsent", 0.0))
        leads = stored.get("leads", ())
        if len(leads) == len(LEAD_EDGES):
            other._leads = [float(count) for count in leads]
        self.merge(other)

    def _lead_weights(self) -> list[float]:
        """Observed leads on top of the prior's."""
        if self._weights is None:
            self._weights = [seen + assumed for seen, assumed in zip(self._leads, self._spread, strict=True)]
            self._areas = None
        return self._weights


class ShareForecast:
    """The mean of a share in 0..1: of requests that read all that was warm, of replies that ask for a tool."""

    __slots__ = ("_prior", "_weight", "_memory", "total", "count")

    def __init__(self, prior: float, *, weight: float = 10.0, memory: float = MEMORY_OBSERVATIONS) -> None:
        self._prior = prior
        self._weight = weight
        self._memory = memory
        self.total = 0.0
        self.count = 0.0

    def observe(self, share: float) -> None:
        """One request's share."""
        keep = 1.0 - 1.0 / self._memory
        self.total = keep * self.total + share
        self.count = keep * self.count + 1.0

    def fade(self, newer: "ShareForecast") -> None:
        """Forgets as much as the shares that `newer` has seen would have made it forget."""
        keep = (1.0 - 1.0 / self._memory) ** newer.count
        self.total *= keep
        self.count *= keep

    @property
    def mean(self) -> float:
        return (self.total + self._weight * self._prior) / (self.count + self._weight)

    def to_dict(self) -> dict[str, Any]:
        """Evidence as JSON values."""
        return {"total": self.total, "count": self.count}

    def load(self, stored: Mapping[str, Any]) -> None:
        """Adds stored evidence."""
        self.total += float(stored.get("total", 0.0))
        self.count += float(stored.get("count", 0.0))


class Forecasts:
    """Everything learned, for one place where people behave alike (an assistant, or a whole site)."""

    def __init__(self) -> None:
        self.intents: dict[str, IntentForecast] = {}
        self.after_reply = GapForecast(AFTER_REPLY)
        """Silence after a reply to a person."""
        self.after_tool_use = GapForecast(AFTER_TOOL_USE)
        """Silence after a reply that asked for a tool: the program comes back, not the person."""
        self.arrivals = GapForecast(ARRIVALS)
        """Silence of everybody together: between a request and the next of anyone."""
        self.kept = ShareForecast(0.95)
        """Of what is warm, the part that the person's next request still starts with: histories get cut."""
        self.tool_use = ShareForecast(0.1)
        """Replies that ask for a tool."""
        self.prefills: dict[str, PrefillForecast] = {}

    def silence(self, *, asks_tool: bool) -> GapForecast:
        """Of what comes back: the person, or a program that was asked for a tool."""
        return self.after_tool_use if asks_tool else self.after_reply

    def intent(self, name: str) -> IntentForecast:
        """The forecast of one intent, made on first use."""
        if name not in self.intents:
            self.intents[name] = IntentForecast(INTENT_PRIORS.get(name, _UNKNOWN_INTENT))
        return self.intents[name]

    def prefill(self, model: str) -> PrefillForecast:
        """The forecast of one model, made on first use."""
        if model not in self.prefills:
            self.prefills[model] = PrefillForecast()
        return self.prefills[model]

    def merge(self, other: "Forecasts") -> None:
        """Adds the evidence of another process."""
        self.load(other.to_dict())

    def absorb(self, newer: "Forecasts") -> None:
        """Adds evidence that came later, and forgets as much of the old as if it had been seen one by one."""
        for name, forecast in newer.intents.items():
            self.intent(name).fade(forecast)
        for model, prefill in newer.prefills.items():
            self.prefill(model).fade(prefill)
        self.after_reply.fade(newer.after_reply)
        self.after_tool_use.fade(newer.after_tool_use)
        self.arrivals.fade(newer.arrivals)
        self.kept.fade(newer.kept)
        self.tool_use.fade(newer.tool_use)
        self.merge(newer)

    def to_dict(self) -> dict[str, Any]:
        """Evidence as JSON values, a few kilobytes."""
        return {
            "intents": {name: forecast.to_dict() for name, forecast in self.intents.items()},
            "after_reply": self.after_reply.to_dict(),
            "after_tool_use": self.after_tool_use.to_dict(),
            "arrivals": self.arrivals.to_dict(),
            "kept": self.kept.to_dict(),
            "tool_use": self.tool_use.to_dict(),
            "prefills": {model: forecast.to_dict() for model, forecast in self.prefills.items()},
        }

    def load(self, stored: Mapping[str, Any]) -> None:
        """Adds stored evidence to this one's."""
        for name, evidence in stored.get("intents", {}).items():
            self.intent(name).load(evidence)
        self.after_reply.load(stored.get("after_reply", {}))
        self.after_tool_use.load(stored.get("after_tool_use", {}))
        self.arrivals.load(stored.get("arrivals", {}))
        self.kept.load(stored.get("kept", {}))
        self.tool_use.load(stored.get("tool_use", {}))
        for model, evidence in stored.get("prefills", {}).items():
            self.prefill(model).load(evidence)


def _upper(bin_number: int) -> float:
    return LEAD_EDGES[bin_number + 1] if bin_number + 1 < len(LEAD_EDGES) else 2 * LEAD_EDGES[-1]


_LAST = _upper(len(LEAD_EDGES) - 1)


def _prior_spread(prior: IntentPrior) -> list[float]:
    """Log-normal around the prior's lead, a factor of two either way."""
    shares = [_log_normal_share(n, prior.lead_seconds) for n in range(len(LEAD_EDGES))]
    return [prior.weight * share / sum(shares) for share in shares]


def _log_normal_share(bin_number: int, median_seconds: float) -> float:
    low, high = LEAD_EDGES[bin_number], LEAD_EDGES[bin_number + 1] if bin_number + 1 < len(LEAD_EDGES) else math.inf

    def below(seconds: float) -> float:
        if seconds <= 0:
            return 0.0
        return 0.5 * (1 + math.erf(math.log(seconds / median_seconds) / (math.log(2) * math.sqrt(2))))

    return (1.0 if high == math.inf else below(high)) - below(low)
