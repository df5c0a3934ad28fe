"""What we believe about a prefix at one moment, from what the store has seen of it."""

from collections.abc import Mapping
from dataclasses import dataclass

from warmcache.core.catalog import facts_for
from warmcache.core.ports import Sighting
from warmcache.core.prefix import Breakpoint, Prefix
from warmcache.core.reasons import Reason
from warmcache.core.ttl import SHORT_TTL_SECONDS

REFRESH_BELOW_FRACTION = 0.2
"""An entry with less than this share of its TTL left may expire while the person still types; a read renews it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerWarmth:
    """One breakpoint as believed: how many tokens of its prefix are in the cache, and until when."""

    breakpoint: Breakpoint
    hot_tokens: int
    expires_at: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """Everything about a prefix that a decision considers. Tokens are estimates, times are epoch seconds.

    It holds no hashes, so that a replay of recorded traffic can ask the same question.
    """

    model: str
    layers: tuple[tuple[int, int], ...]
    """Per layer: where it ends, in tokens from the start of the prompt, and its TTL in seconds."""
    now: float
    hot_tokens: int = 0
    expires_at: float | None = None
    """When the hot part expires, without the held part."""
    held_tokens: int = 0
    """The leading part of what is hot that lives longer than the rest: a layer that others use too."""
    held_until: float | None = None
    """When the held part expires."""
    obstacle: Reason | None = None
    """Why the API refuses to pre-warm this prompt."""
    is_uncacheable: bool = False
    """An earlier warm-up of this prefix left nothing in the cache."""
    is_in_flight: bool = False
    """Another call is writing it now."""
    kept_share: float = 1.0
    """The chance that the next request still begins with this prefix: histories get cut."""

    @property
    def prefix_tokens(self) -> int:
        return self.layers[-1][0] if self.layers else 0

    @property
    def cold_tokens(self) -> int:
        return self.prefix_tokens - self.hot_tokens

    @property
    def left_seconds(self) -> float:
        return self.expires_at - self.now if self.expires_at is not None else 0.0

    @property
    def held_left_seconds(self) -> float:
        return self.held_until - self.now if self.held_until is not None else 0.0

    @property
    def is_too_short(self) -> bool:
        """Whether it is too short for any cache entry."""
        return self.prefix_tokens < facts_for(self.model).min_prefix_tokens

    @property
    def is_covered(self) -> bool:
        """Whether it is live and its uncached rest is short: after a reply only that reply is uncached, and the next
        request writes it anyway. A person's sign may be worth a call even so, where a second is dear."""
        return self.expires_at is not None and self.cold_tokens < facts_for(self.model).min_prefix_tokens

    @property
    def has_little_left(self) -> bool:
        """Whether the live part may expire before it is read."""
        return self.expires_at is not None and is_expiring(self.expires_at, self.layers[-1][1], self.now)


def situation_of(prefix: Prefix, sightings: Mapping[str, Sighting], now: float) -> Situation:
    """The situation of `prefix` at `now` (epoch seconds)."""
    layers = tuple((point.prefix_tokens, point.ttl_seconds) for point in prefix.breakpoints)
    if not prefix.breakpoints:
        return Situation(model=prefix.model, layers=layers, now=now, obstacle=prefix.obstacle)
    *earlier, deepest = believed_warmth(prefix, sightings, now)
    held = next((layer for layer in reversed(earlier) if outlives(layer, deepest)), None)
    seen = sightings.get(deepest.breakpoint.prefix_hash, Sighting())
    return Situation(
        model=prefix.model,
        layers=layers,
        now=now,
        hot_tokens=deepest.hot_tokens,
        expires_at=deepest.expires_at,
        held_tokens=held.hot_tokens if held else 0,
        held_until=held.expires_at if held else None,
        obstacle=prefix.obstacle,
        is_uncacheable=seen.is_uncacheable,
        is_in_flight=seen.lease_owner is not None,
    )


def believed_warmth(prefix: Prefix, sightings: Mapping[str, Sighting], now: float) -> list[LayerWarmth]:
    """For each breakpoint, what the provider's look-back would find: the nearest earlier position with a live entry."""
    layers: list[LayerWarmth] = []
    hot_tokens, expires_at = 0, None
    for point in prefix.breakpoints:
        for position in point.look_back:
            seen = sightings.get(position.prefix_hash)
            if seen is not None and seen.expires_at is not None and seen.expires_at > now:
                hot_tokens, expires_at = position.prefix_tokens, seen.expires_at
                break
        layers.append(LayerWarmth(breakpoint=point, hot_tokens=hot_tokens, expires_at=expires_at))
    return layers


def outlives(layer: LayerWarmth, deepest: LayerWarmth) -> bool:
    """Whether what is hot of an earlier layer expires later than what is hot of the whole."""
    if layer.expires_at is None or deepest.expires_at is None or layer.hot_tokens >= deepest.hot_tokens:
        return False
    return layer.expires_at > deepest.expires_at


def held_for_an_hour(prefix: Prefix, sightings: Mapping[str, Sighting], now: float) -> int:
    """How much of the prefix lives longer than anything that was written for five minutes, in tokens."""
    for point in reversed(prefix.breakpoints):
        for position in point.look_back:
            seen = sightings.get(position.prefix_hash)
            if seen is not None and seen.expires_at is not None and seen.expires_at - now > SHORT_TTL_SECONDS:
                return position.prefix_tokens
    return 0


def is_expiring(expires_at: float, ttl_seconds: int, now: float) -> bool:
    """Whether the entry may expire while the person still types."""
    return expires_at - now < REFRESH_BELOW_FRACTION * ttl_seconds
