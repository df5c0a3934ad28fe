"""What is believed of a prefix, and what the provider's answers teach about it."""

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
"""A layer's end is estimated: within one per cent of what was read it counts as read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Warmth:
    """What is believed of a prefix, to be shown. `expires_at` is estimated, in epoch seconds."""

    state: WarmthState
    reason: Reason | Failure | None = None
    prefix_tokens: int = 0
    expires_at: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Flight:
    """A call, of this process or another, that is at the provider right now and writes part of a prefix."""

    warm_up_id: UUID | None
    """None where a real request leads."""
    prefix_hash: str
    """Whose lease it holds until the entry can be read."""
    prefix_tokens: int
    cold_tokens: int
    """Of these, what is not yet in the cache."""
    started_at: float


async def warmth_of(
    prefix: Prefix, store: WarmthStore, *, clock: Clock, limits: Limits, capabilities: Capabilities
) -> Warmth:
    """What is believed right now, without deciding anything; `skipped` where it would never be warmed."""
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

    One that only renews an entry, or adds little to it, is not worth a wait: the entry can be read now.
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
    """Whether the entry is believed to be there, whoever wrote it."""
    return (sightings.get(prefix_hash, Sighting()).expires_at or now) > now


def _warm_up_id(owner: str) -> UUID | None:
    """A warm-up's lease bears its id and nothing else."""
    try:
        return UUID(owner)
    except ValueError:
        return None


def left_entries(usage: Usage, capabilities: Capabilities) -> bool:
    """Whether a request with this usage left anything in the provider's cache, as far as the provider says so."""
    return usage.cached_tokens > 0 or not capabilities.reports_cache_writes


async def record_warm(store: WarmthStore, prefix: Prefix, started_at: float, usage: Usage) -> None:
    """The provider has written or read these entries for a warm-up that STARTED at `started_at`.

    Without the store they are only not remembered: neither a warm-up nor a request may fail for that.
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
    """The same for a real request. What it has read is there and what it has written is there now; what it did not find
    is not. `sightings` are those from before its call."""
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
    """Per hash, epoch seconds. An entry that was only read lives on for what it was WRITTEN with, whatever this request
    asks. Only the hour is in doubt: an entry that had more than five minutes left was written for one."""
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
    """The same from what the store has said."""
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
