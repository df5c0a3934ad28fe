"""Visits: from the first sign of a person's message to its send, or to the expiry of what was warmed.

A visit's key is the `prefix_hash` of what lies before the message: its draft belongs to the visit. Visits are kept in
memory, bounded, by the process that sees the signs. The outcome of each sign trains its forecast; whether a visit is
held out is drawn once.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from warmcache.core.intents import Intent, Sign
from warmcache.core.outcomes import Arm
from warmcache.core.prefix import Layer, Prefix
from warmcache.core.reasons import Reason

SIGN_LIFETIME_SECONDS = 300.0
"""A send later than this is no longer the one that a warm-up at the sign was meant for."""

MAX_VISITS = 20_000
"""About half a kilobyte each; the oldest is forgotten, and nothing is learned from it."""

MAX_EXPIRED_AT_ONCE = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Occasion:
    """Why a warm-up is considered, for whom and where; the words are the host's own."""

    intent: Intent
    label: str = ""
    subject: str = ""
    place: str = ""
    """The conversation, in the host's own words."""
    chars: int | None = None
    """How many characters are typed, if the host reports it."""


class Teaches(Protocol):
    """Learns from the outcome of a sign."""

    def __call__(self, label: str, sign: Sign, *, sent: bool, lead_seconds: float = 0.0) -> None: ...


@dataclass(slots=True, kw_only=True)
class Visit:
    """`signs`: when each was first seen, epoch seconds."""

    label: str
    signs: dict[Sign, float] = field(default_factory=dict)
    arm: Arm = Arm.NONE
    """`Arm.NONE` until the policy has said warm, or without a hold-out share."""
    intent: Intent | None = None
    """The intent at which the policy said warm, whether or not the visit was then held out."""
    decided_at: float = 0.0
    decided: Reason | None = None
    """Why it was to be warmed; before that, the last reason why not."""
    numbers: dict[str, Any] = field(default_factory=dict)
    """What was weighed for it, if it got that far."""

    def draw(self, share: float, random: Callable[[], float]) -> bool:
        """Whether this visit is held out. The first call draws; later calls give the same answer."""
        if not self.arm and share > 0:
            self.arm = Arm.HELD_OUT if random() < share else Arm.TREATED
        return self.arm is Arm.HELD_OUT

    def note_warm(self, intent: Intent, reason: Reason, numbers: dict[str, Any], now: float) -> None:
        """Records that the policy said warm. Only the first time counts: the person's wait is measured from there."""
        if not self.intent:
            self.intent, self.decided_at = intent, now
            self.decided, self.numbers = reason, numbers

    def note_skip(self, reason: Reason, numbers: dict[str, Any]) -> None:
        """Records why it was not warmed, until the policy says warm: that the prompt is warm then explains nothing."""
        if not self.intent:
            self.decided, self.numbers = reason, numbers


def visit_key(prefix: Prefix) -> str:
    """The visit that a sign with this prefix belongs to: an attachment does not begin another visit."""
    points = [point for point in prefix.breakpoints if point.layer is not Layer.DRAFT] or prefix.breakpoints
    return points[-1].prefix_hash if points else ""


def visit_keys_before(prefix: Prefix) -> tuple[str, ...]:
    """The keys of the visits that a request with this prefix ends, nearest first.

    A conversation may have grown since the sign. A layer shared with others is no visit's key: the same person may have
    a new chat open at the same time.
    """
    by_layer = {point.layer: point for point in prefix.breakpoints}
    conversation, shared = by_layer.get(Layer.CONVERSATION), by_layer.get(Layer.SHARED)
    if conversation is not None:
        shared_tokens = shared.prefix_tokens if shared is not None else 0
        return tuple(p.prefix_hash for p in conversation.look_back if p.prefix_tokens > shared_tokens)
    point = shared or by_layer.get(Layer.DRAFT)
    return (point.prefix_hash,) if point is not None else ()


class Visits:
    """The open visits of this process."""

    def __init__(self, *, teaches: Teaches) -> None:
        self._teaches = teaches
        self._by_key: OrderedDict[tuple[str, str], Visit] = OrderedDict()

    def note(self, subject: str, key: str, *, label: str, sign: Sign, now: float) -> Visit:
        """Records a sign; while it is alive, repeated ones count once."""
        visit = self._by_key.get((subject, key))
        if visit is None:
            visit = self._by_key[subject, key] = Visit(label=label)
            while len(self._by_key) > MAX_VISITS:
                self._by_key.popitem(last=False)
        seen_at = visit.signs.get(sign)
        if seen_at is None or now - seen_at >= SIGN_LIFETIME_SECONDS:
            if seen_at is not None:
                self._teaches(label, sign, sent=False)
            visit.signs[sign] = now
        return visit

    def meet(self, subject: str, keys: Sequence[str], now: float) -> Visit | None:
        """Ends the visits of this request: a send followed their signs. Returns the first one that was still open."""
        met = None
        for key in keys:
            visit = self._by_key.pop((subject, key), None)
            if visit is not None:
                self._end(visit, now, sent=True)
                met = met or (visit if visit.signs else None)
        return met

    def expire(self, now: float) -> None:
        """Trains the signs that no send followed, and forgets visits without a live sign. Oldest first, in part."""
        for key in list(self._by_key)[:MAX_EXPIRED_AT_ONCE]:
            visit = self._by_key[key]
            self._end(visit, now, sent=False)
            if not visit.signs:
                del self._by_key[key]
            else:
                self._by_key.move_to_end(key)

    def forget(self, subject: str) -> None:
        """Drops the visits of a subject; nothing is learned from them."""
        for key in [key for key in self._by_key if key[0] == subject]:
            del self._by_key[key]

    def _end(self, visit: Visit, now: float, *, sent: bool) -> None:
        """Trains the forecasts: with a send every live sign was right; expired signs were wrong and are dropped."""
        for sign, seen_at in list(visit.signs.items()):
            lead = now - seen_at
            if lead >= SIGN_LIFETIME_SECONDS:
                del visit.signs[sign]
                self._teaches(visit.label, sign, sent=False)
            elif sent:
                self._teaches(visit.label, sign, sent=True, lead_seconds=max(0.0, lead))
