"""Visits: one person at one place, from the first sign of a message to its send, or to the end of what was warmed.

A place is the `prefix_hash` of what lies before the message: its draft belongs to the visit. Kept in memory, bounded,
by the process that sees the signs. What comes of each sign teaches its forecast; the lot that holds a visit out is
drawn once.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from warmcache.core.prefix import Layer, Prefix

SIGN_LIFETIME_SECONDS = 300.0
"""A send after this is no longer what a warm-up at the sign was for."""

MAX_VISITS = 20_000
"""About half a kilobyte each; the oldest is forgotten, and nothing is learned from it."""

MAX_EXPIRED_AT_ONCE = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Occasion:
    """Why a warm-up is considered, for whom and where; the words are the host's own."""

    intent: str
    label: str = ""
    subject: str = ""
    place: str = ""
    """Which conversation, in the host's own words; not the place of a visit, which is a hash."""
    chars: int | None = None
    """How many characters are typed, where the host says so."""


class Teaches(Protocol):
    """Takes what came of a sign."""

    def __call__(self, label: str, name: str, *, sent: bool, lead_seconds: float = 0.0) -> None: ...


@dataclass(slots=True, kw_only=True)
class Visit:
    """`signs`: forecast name -> when it was first seen, epoch seconds."""

    label: str
    signs: dict[str, float] = field(default_factory=dict)
    arm: str = ""
    """`treated` or `held_out` once drawn; empty while the policy has not said warm, or without a hold-out share."""
    intent: str = ""
    """At which the policy said warm, whether or not the lot then held it out."""
    decided_at: float = 0.0
    numbers: dict[str, Any] = field(default_factory=dict)

    def draw(self, share: float, random: Callable[[], float]) -> bool:
        """Whether this visit is held out. The first call draws; later ones give the same answer."""
        if not self.arm and share > 0:
            self.arm = "held_out" if random() < share else "treated"
        return self.arm == "held_out"

    def note_warm(self, intent: str, numbers: dict[str, Any], now: float) -> None:
        """The policy said warm; the first time counts, as the person's wait is counted from there."""
        if not self.intent:
            self.intent, self.numbers, self.decided_at = intent, numbers, now


def place_of(prefix: Prefix) -> str:
    """Where a sign with this prefix is seen: an attachment does not begin another visit."""
    points = [point for point in prefix.breakpoints if point.layer is not Layer.DRAFT] or prefix.breakpoints
    return points[-1].prefix_hash if points else ""


def places_before(prefix: Prefix) -> tuple[str, ...]:
    """The places that a request with this prefix goes on from, the nearest first.

    A conversation may have grown since the sign. What it shares with others is no place of its own: the same person
    may have a new chat open beside it.
    """
    by_layer = {point.layer: point for point in prefix.breakpoints}
    conversation, shared = by_layer.get(Layer.CONVERSATION), by_layer.get(Layer.SHARED)
    if conversation is not None:
        shared_tokens = shared.prefix_tokens if shared is not None else 0
        return tuple(p.prefix_hash for p in conversation.look_back if p.prefix_tokens > shared_tokens)
    point = shared or by_layer.get(Layer.DRAFT)
    return (point.prefix_hash,) if point is not None else ()


class Visits:
    """The visits that are under way in this process."""

    def __init__(self, *, teaches: Teaches) -> None:
        self._teaches = teaches
        self._by_place: OrderedDict[tuple[str, str], Visit] = OrderedDict()

    def note(self, subject: str, place: str, *, label: str, name: str, now: float) -> Visit:
        """A sign was seen; repeated ones count once while they live."""
        visit = self._by_place.get((subject, place))
        if visit is None:
            visit = self._by_place[subject, place] = Visit(label=label)
            while len(self._by_place) > MAX_VISITS:
                self._by_place.popitem(last=False)
        seen_at = visit.signs.get(name)
        if seen_at is None or now - seen_at >= SIGN_LIFETIME_SECONDS:
            if seen_at is not None:
                self._teaches(label, name, sent=False)
            visit.signs[name] = now
        return visit

    def meet(self, subject: str, places: Sequence[str], now: float) -> Visit | None:
        """The visits that this request ends: their signs were followed by a send. Gives the one of the first place
        that was still under way."""
        met = None
        for place in places:
            visit = self._by_place.pop((subject, place), None)
            if visit is not None:
                self._end(visit, now, sent=True)
                met = met or (visit if visit.signs else None)
        return met

    def expire(self, now: float) -> None:
        """Teaches the signs that nothing followed, and forgets visits without a living one. Oldest first, a part."""
        for key in list(self._by_place)[:MAX_EXPIRED_AT_ONCE]:
            visit = self._by_place[key]
            self._end(visit, now, sent=False)
            if not visit.signs:
                del self._by_place[key]
            else:
                self._by_place.move_to_end(key)

    def _end(self, visit: Visit, now: float, *, sent: bool) -> None:
        """With a send every living sign was right; the others were not, and are dropped."""
        for name, seen_at in list(visit.signs.items()):
            lead = now - seen_at
            if lead >= SIGN_LIFETIME_SECONDS:
                del visit.signs[name]
                self._teaches(visit.label, name, sent=False)
            elif sent:
                self._teaches(visit.label, name, sent=True, lead_seconds=max(0.0, lead))
