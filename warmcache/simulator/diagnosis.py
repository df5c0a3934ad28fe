"""Cache diagnostics: where a request diverges from the one named by `diagnostics.previous_message_id`."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from warmcache.simulator.engine import Plan
from warmcache.simulator.prompt import Level, Prompt

KEEP_SECONDS = 3600.0
MAX_FINGERPRINTS = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fingerprint:
    scope: str
    prompt: Prompt
    stored_at: float

    def digests(self, level: Level) -> list[bytes]:
        return [block.digest for block in self.prompt.blocks if block.level is level]


class Diagnosis:
    """Fingerprints of the requests that asked for diagnostics, kept for a while."""

    def __init__(self, *, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.reset()

    def reset(self) -> None:
        """Forgets every request."""
        self._kept: OrderedDict[str, _Fingerprint] = OrderedDict()

    def compare(
        self, asked: dict[str, Any] | None, message_id: str, prompt: Prompt, plan: Plan
    ) -> dict[str, Any] | None:
        """The response's `diagnostics`: None if not requested, or if nothing of the earlier prompt has changed."""
        if asked is None:
            return None
        mine = _Fingerprint(scope=plan.scope, prompt=prompt, stored_at=self._clock())
        previous_id = asked.get("previous_message_id")
        previous = self._find(previous_id, plan.scope)
        self._keep(message_id, mine)
        if previous_id is None:
            return None
        if previous is None:
            return {"cache_miss_reason": {"type": "previous_message_not_found"}}
        reason = _divergence(previous, mine)
        if reason is None:
            return None
        if reason == "unavailable":
            return {"cache_miss_reason": {"type": reason}}
        missed = max(0, _cached_tokens(previous.prompt) - plan.usage.cache_read_tokens)
        return {"cache_miss_reason": {"type": reason, "cache_missed_input_tokens": missed}}

    def _find(self, message_id: str | None, scope: str) -> _Fingerprint | None:
        kept = self._kept.get(message_id) if message_id else None
        if kept is None or kept.scope != scope or self._clock() - kept.stored_at > KEEP_SECONDS:
            return None
        return kept

    def _keep(self, message_id: str, fingerprint: _Fingerprint) -> None:
        self._kept[message_id] = fingerprint
        while len(self._kept) > MAX_FINGERPRINTS:
            self._kept.popitem(last=False)


def _divergence(previous: _Fingerprint, mine: _Fingerprint) -> str | None:
    """The earliest difference, in the order in which the prompt is rendered."""
    before, now = previous.prompt, mine.prompt
    if (before.facts.model, before.speed) != (now.facts.model, now.speed):
        return "model_changed"
    if previous.digests(Level.TOOLS) != mine.digests(Level.TOOLS):
        return "tools_changed"
    if previous.digests(Level.SYSTEM) != mine.digests(Level.SYSTEM):
        return "system_changed"
    if before.config != now.config:
        return "unavailable"
    earlier = previous.digests(Level.MESSAGES)
    if mine.digests(Level.MESSAGES)[: len(earlier)] != earlier:
        return "messages_changed"
    return None


def _cached_tokens(prompt: Prompt) -> int:
    return prompt.prefix_tokens[prompt.breakpoints[-1]] if prompt.breakpoints else 0
