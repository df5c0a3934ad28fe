"""All learned evidence that decisions need: per sign, per kind of silence, per model.

It is a few hundred numbers in all: `to_dict` gives JSON values, `load` and `merge` add evidence of other processes.
Priors are fixed and never stored, so merging counts nothing twice.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from warmcache.core.forecast.gaps import AFTER_REPLY, AFTER_TOOL_USE, ARRIVALS, GapForecast
from warmcache.core.forecast.prefill import PrefillForecast
from warmcache.core.forecast.shares import ShareForecast
from warmcache.core.forecast.signs import INTENT_PRIORS, UNKNOWN_INTENT, IntentForecast
from warmcache.core.forecast.sizes import SizeForecast


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
        self.keeps_prompt = {False: ShareForecast(0.95), True: ShareForecast(0.95)}
        """Whether the next prompt begins with the whole last one, by whether the reply asked for a tool."""
        self.keeps_reply = {False: ShareForecast(0.95), True: ShareForecast(0.95)}
        """Whether it also contains the reply."""
        self.reply_tokens = ShareForecast(300.0, memory=200.0)
        """The mean length of a reply."""
        self.long_gains: dict[tuple[float, ...], float] = {}
        """What `core/lifetimes.py` has computed from these beliefs, and may use again for a while. Never stored."""
        self.prefills: dict[str, PrefillForecast] = {}
        self.sizes: dict[str, SizeForecast] = {}

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

    def size(self, model: str) -> SizeForecast:
        """What texts take with one model, created on first use."""
        if model not in self.sizes:
            self.sizes[model] = SizeForecast()
        return self.sizes[model]

    def merge(self, other: "Forecasts") -> None:
        """Adds the evidence of another process."""
        self.load(other.to_dict())

    def absorb(self, newer: "Forecasts") -> None:
        """Adds newer evidence, and fades the old as if the newer events had been observed one by one."""
        for name, forecast in newer.intents.items():
            self.intent(name).fade(forecast)
        for model, prefill in newer.prefills.items():
            self.prefill(model).fade(prefill)
        for model, size in newer.sizes.items():
            self.size(model).fade(size)
        self.after_reply.fade(newer.after_reply)
        self.after_tool_use.fade(newer.after_tool_use)
        self.arrivals.fade(newer.arrivals)
        self.kept.fade(newer.kept)
        self.tool_use.fade(newer.tool_use)
        for _, own, theirs in _histories(self, newer):
            own.fade(theirs)
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
            "histories": {name: own.to_dict() for name, own, _ in _histories(self, self)},
            "prefills": {model: forecast.to_dict() for model, forecast in self.prefills.items()},
            "sizes": {model: forecast.to_dict() for model, forecast in self.sizes.items()},
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
        for name, own, _ in _histories(self, self):
            own.load(stored.get("histories", {}).get(name, {}))
        for model, evidence in stored.get("prefills", {}).items():
            self.prefill(model).load(evidence)
        for model, evidence in stored.get("sizes", {}).items():
            self.size(model).load(evidence)


def _histories(forecasts: Forecasts, other: Forecasts) -> Iterator[tuple[str, ShareForecast, ShareForecast]]:
    """The forecasts of what becomes of a prompt, by the name that they are stored under, with those of `other`."""
    for asked, word in ((False, "reply"), (True, "tool_use")):
        yield f"keeps_prompt_after_{word}", forecasts.keeps_prompt[asked], other.keeps_prompt[asked]
        yield f"keeps_reply_after_{word}", forecasts.keeps_reply[asked], other.keeps_reply[asked]
    yield "reply_tokens", forecasts.reply_tokens, other.reply_tokens
