"""All learned evidence that decisions need: per sign, per kind of silence, per model.

It is a few hundred numbers in all: `to_dict` gives JSON values, `load` and `merge` add evidence of other processes.
Priors are fixed and never stored, so merging counts nothing twice.
"""

from collections.abc import Mapping
from typing import Any

from warmcache.core.forecast.gaps import AFTER_REPLY, AFTER_TOOL_USE, ARRIVALS, GapForecast
from warmcache.core.forecast.prefill import PrefillForecast
from warmcache.core.forecast.shares import ShareForecast
from warmcache.core.forecast.signs import INTENT_PRIORS, UNKNOWN_INTENT, IntentForecast


class Forecasts:
    """All learned evidence about people who behave alike: those of one assistant, or of a whole site."""

    def __init__(self) -> None:
        self.intents: dict[str, IntentForecast] = {}
        self.after_reply = GapForecast(AFTER_REPLY)
        """Silence after a reply to a person."""
        self.after_tool_use = GapForecast(AFTER_TOOL_USE)
        """Silence after a reply that asked for a tool: a program comes back, not the person."""
        self.arrivals = GapForecast(ARRIVALS)
        """Silence of all people together: the time between one request and the next, whoever sends it."""
        self.kept = ShareForecast(0.95)
        """Share of the warm prefix that the person's next request still starts with: histories get cut."""
        self.tool_use = ShareForecast(0.1)
        """Share of replies that ask for a tool."""
        self.prefills: dict[str, PrefillForecast] = {}

    def silence(self, *, asks_tool: bool) -> GapForecast:
        """The gap forecast for who comes back: the person, or a program that was asked to run a tool."""
        return self.after_tool_use if asks_tool else self.after_reply

    def intent(self, name: str) -> IntentForecast:
        """The forecast of one intent, created on first use."""
        if name not in self.intents:
            self.intents[name] = IntentForecast(INTENT_PRIORS.get(name, UNKNOWN_INTENT))
        return self.intents[name]

    def prefill(self, model: str) -> PrefillForecast:
        """The forecast of one model, created on first use."""
        if model not in self.prefills:
            self.prefills[model] = PrefillForecast()
        return self.prefills[model]

    def merge(self, other: "Forecasts") -> None:
        """Adds the evidence of another process."""
        self.load(other.to_dict())

    def absorb(self, newer: "Forecasts") -> None:
        """Adds newer evidence, and fades the old as if the newer events had been observed one by one."""
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
        """Adds stored evidence to this object."""
        for name, evidence in stored.get("intents", {}).items():
            self.intent(name).load(evidence)
        self.after_reply.load(stored.get("after_reply", {}))
        self.after_tool_use.load(stored.get("after_tool_use", {}))
        self.arrivals.load(stored.get("arrivals", {}))
        self.kept.load(stored.get("kept", {}))
        self.tool_use.load(stored.get("tool_use", {}))
        for model, evidence in stored.get("prefills", {}).items():
            self.prefill(model).load(evidence)
