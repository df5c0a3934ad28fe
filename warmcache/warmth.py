"""What is believed of a prefix, and what the provider's answers teach about it."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass

from warmcache.core.catalog import facts_for
from warmcache.core.errors import StoreUnavailable
from warmcache.core.policy import WarmthState, believed_warmth, is_expiring
from warmcache.core.ports import Sighting
from warmcache.core.prefix import Prefix
from warmcache.core.usage import Usage
from warmcache.runtime import Runtime

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Warmth:
    """What is believed of a prefix, to be shown. `expires_at` is estimated, in epoch seconds."""

    state: WarmthState
    reason: str | None = None
    prefix_tokens: int = 0
    expires_at: float | None = None


async def warmth_of(runtime: Runtime, prefix: Prefix) -> Warmth:
    """What is believed right now, without deciding anything."""
    try:
        sightings = await runtime.store.look_up(prefix.hashes)
    except StoreUnavailable:
        return Warmth(state=WarmthState.COLD, reason="store_unavailable", prefix_tokens=prefix.prefix_tokens)
    return _believed(prefix, sightings, runtime.clock.now())


def left_entries(runtime: Runtime, usage: Usage) -> bool:
    """Whether a request with this usage left anything in the provider's cache, as far as the provider says so."""
    return usage.cached_tokens > 0 or not runtime.provider.capabilities.reports_cache_writes


async def record_warm(runtime: Runtime, prefix: Prefix, started_at: float) -> None:
    """The provider has written or read these entries for a request that STARTED at `started_at`.

    Without the store they are only not remembered: no request may fail for that.
    """
    minimum = facts_for(prefix.model).min_prefix_tokens
    expires_at_by_hash = {
        point.prefix_hash: started_at + point.ttl_seconds
        for point in prefix.breakpoints
        if point.prefix_tokens >= minimum
    }
    try:
        await runtime.store.record_warm(expires_at_by_hash)
    except StoreUnavailable:
        logger.warning("The store is down: %d warm layers are not remembered", len(expires_at_by_hash))


def _believed(prefix: Prefix, sightings: Mapping[str, Sighting], now: float) -> Warmth:
    if not prefix.breakpoints:
        return Warmth(state=WarmthState.COLD)
    deepest = believed_warmth(prefix, sightings, now)[-1]
    tokens = prefix.prefix_tokens
    if sightings.get(deepest.breakpoint.prefix_hash, Sighting()).lease_owner is not None:
        return Warmth(state=WarmthState.WARMING, reason="in_flight", prefix_tokens=tokens)
    if deepest.expires_at is None or deepest.hot_tokens < tokens / 2:
        return Warmth(state=WarmthState.COLD, prefix_tokens=tokens)
    expiring = is_expiring(deepest.expires_at, deepest.breakpoint.ttl_seconds, now)
    state = WarmthState.EXPIRING if expiring else WarmthState.WARM
    return Warmth(state=state, prefix_tokens=tokens, expires_at=deepest.expires_at)
