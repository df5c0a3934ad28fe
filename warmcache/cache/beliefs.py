"""What we believe about a prefix, and how the provider's answers update that belief."""

import contextlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from warmcache.core.beliefs import believed_warmth, is_expiring, situation_of
from warmcache.core.catalog import facts_for
from warmcache.core.decide import Limits, standing_refusal
from warmcache.core.errors import StoreUnavailable
from warmcache.core.failures import Failure
from warmcache.core.outcomes import WarmthState
from warmcache.core.ports import Capabilities, Clock, Sighting, WarmthStore
from warmcache.core.prefix import Breakpoint, Prefix
from warmcache.core.reasons import Reason
from warmcache.core.ttl import SHORT_TTL_SECONDS
from warmcache.core.usage import Usage

logger = logging.getLogger(__name__)

ROUNDING = 1.01
"""A layer's end is estimated: it counts as read if it is at most one per cent beyond what was read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Warmth:
    """The believed warmth of a prefix, for display. `expires_at` is estimated, in epoch seconds."""

    state: WarmthState
    reason: Reason | Failure | None = None
    prefix_tokens: int = 0
    expires_at: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Flight:
    """A call of this or another process that is at the provider now and writes part of a prefix."""

    warm_up_id: UUID | None
    """None if a real request leads."""
    prefix_hash: str
    """The hash whose lease the call holds until the entry can be read."""
    prefix_tokens: int
    cold_tokens: int
    """The part of `prefix_tokens` that is not yet in the cache."""
    started_at: float


async def warmth_of(
    prefix: Prefix, store: WarmthStore, *, clock: Clock, limits: Limits, capabilities: Capabilities
) -> Warmth:
    """The believed warmth now, without a decision; `skipped` if this prefix would never be warmed."""
    refusal = standing_refusal(situation_of(prefix, {}, clock.now()), limits, capabilities)
    if refusal is not None:
        return Warmth(state=WarmthState.SKIPPED, reason=refusal, prefix_tokens=prefix.prefix_tokens)
    try:
        sightings = await store.look_up(prefix.hashes)
    except StoreUnavailable:
        return Warmth(state=WarmthState.COLD, reason=Reason.STORE_UNAVAILABLE, prefix_tokens=prefix.prefix_tokens)
    return believed(prefix, sightings, clock.now())


def flight_for(prefix: Prefix, sightings: Mapping[str, Sighting], now: float) -> Flight | None:
    """The call in flight that writes the most of what a request with this prefix will read.

    A call that only renews an entry, or adds little to it, is not worth a wait: the entry can be read now.
    """
    minimum = facts_for(prefix.model).min_prefix_tokens
    for layer in reversed(believed_warmth(prefix, sightings, now)):
        point = layer.breakpoint
        seen = sightings.get(point.prefix_hash, Sighting())
        if seen.called_at is None or seen.lease_owner is None or point.prefix_tokens - layer.hot_tokens < minimum:
            continue
        return Flight(
            warm_up_id=_warm_up_id(seen.lease_owner),
            prefix_hash=point.prefix_hash,
            prefix_tokens=point.prefix_tokens,
            cold_tokens=point.prefix_tokens - layer.hot_tokens,
            started_at=seen.called_at,
        )
    return None


def is_warm(prefix_hash: str, sightings: Mapping[str, Sighting], now: float) -> bool:
    """Whether we believe that the entry exists, whoever wrote it."""
    return (sightings.get(prefix_hash, Sighting()).expires_at or now) > now


def _warm_up_id(owner: str) -> UUID | None:
    """The warm-up that owns a lease, or None: a warm-up's lease holds only its id."""
    try:
        return UUID(owner)
    except ValueError:
        return None


def left_entries(usage: Usage, capabilities: Capabilities) -> bool:
    """Whether a request with this usage left anything in the provider's cache, as far as the provider reports it."""
    return usage.cached_tokens > 0 or not capabilities.reports_cache_writes


async def record_warm(store: WarmthStore, prefix: Prefix, started_at: float, usage: Usage) -> None:
    """Records the entries that the provider wrote or read for a warm-up that STARTED at `started_at`.

    If the store is down, they are not remembered: neither a warm-up nor a request may fail because of that.
    """
    points = _cacheable(prefix)
    with _store_may_be_down():
        known = await store.look_up([point.prefix_hash for point in _doubtful(points, usage)])
        await store.record_warm(_expiries(points, started_at, usage, known))


async def record_answer(
    store: WarmthStore,
    prefix: Prefix,
    started_at: float,
    usage: Usage,
    *,
    sightings: Mapping[str, Sighting],
    left_something: bool,
) -> None:
    """The same for a real request. What it read or wrote exists now; what it did not find does not. `sightings` are
    those from before its call."""
    expires_at = _expiries(_cacheable(prefix), started_at, usage, sightings) if left_something else {}
    with _store_may_be_down():
        await store.record_warm(expires_at, gone=prefix.hashes if usage.cache_read_tokens == 0 else ())


@contextlib.contextmanager
def _store_may_be_down() -> Iterator[None]:
    try:
        yield
    except StoreUnavailable:
        logger.warning("The store is down: warm layers are not remembered")


def _cacheable(prefix: Prefix) -> list[Breakpoint]:
    minimum = facts_for(prefix.model).min_prefix_tokens
    return [point for point in prefix.breakpoints if point.prefix_tokens >= minimum]


def _expiries(
    points: Sequence[Breakpoint], started_at: float, usage: Usage, known: Mapping[str, Sighting]
) -> dict[str, float]:
    """Expiry per hash, in epoch seconds. An entry that was only read keeps the TTL that it was WRITTEN with, whatever
    this request asks. Only an hour is in doubt: an entry with more than five minutes left was written for an hour."""
    expires_at = {point.prefix_hash: started_at + point.ttl_seconds for point in points}
    for point in _doubtful(points, usage):
        known_until = known.get(point.prefix_hash, Sighting()).expires_at or 0.0
        if known_until - started_at <= SHORT_TTL_SECONDS:
            expires_at[point.prefix_hash] = started_at + SHORT_TTL_SECONDS
    return expires_at


def _doubtful(points: Sequence[Breakpoint], usage: Usage) -> list[Breakpoint]:
    estimated = points[-1].prefix_tokens if points else 0
    read_tokens = estimated * usage.cache_read_tokens / usage.cached_tokens if usage.cached_tokens else 0.0
    return [p for p in points if p.ttl_seconds > SHORT_TTL_SECONDS and p.prefix_tokens <= read_tokens * ROUNDING]


def believed(prefix: Prefix, sightings: Mapping[str, Sighting], now: float) -> Warmth:
    """The believed warmth of a prefix, from what the store has said."""
    if not prefix.breakpoints:
        return Warmth(state=WarmthState.COLD)
    deepest = believed_warmth(prefix, sightings, now)[-1]
    tokens = prefix.prefix_tokens
    if sightings.get(deepest.breakpoint.prefix_hash, Sighting()).lease_owner is not None:
        return Warmth(state=WarmthState.WARMING, reason=Reason.IN_FLIGHT, prefix_tokens=tokens)
    if deepest.expires_at is None or deepest.hot_tokens < tokens / 2:
        return Warmth(state=WarmthState.COLD, prefix_tokens=tokens)
    expiring = is_expiring(deepest.expires_at, deepest.breakpoint.ttl_seconds, now)
    state = WarmthState.EXPIRING if expiring else WarmthState.WARM
    return Warmth(state=state, prefix_tokens=tokens, expires_at=deepest.expires_at)
