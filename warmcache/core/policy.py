"""Should we warm now? Pure: what is believed goes in, a `Decision` that says why comes out."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from warmcache.core.catalog import facts_for
from warmcache.core.economics import RateSource, warm_up_cost_usd
from warmcache.core.ports import Capabilities, Sighting
from warmcache.core.prefix import Breakpoint, Prefix

REFRESH_BELOW_FRACTION = 0.2
"""An entry with less than this part of its TTL left may expire while the person still types; a read renews it."""


class Action(StrEnum):
    WARM = "warm"
    SKIP = "skip"


class WarmthState(StrEnum):
    """What a person is shown. `warming`, `skipped` and `failed` speak of a warm-up, the others of the entry."""

    COLD = "cold"
    WARMING = "warming"
    WARM = "warm"
    EXPIRING = "expiring"
    SKIPPED = "skipped"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerWarmth:
    """One breakpoint as believed: the tokens of its prefix that are in the cache, and until when."""

    breakpoint: Breakpoint
    hot_tokens: int
    expires_at: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What to do and why, with every number used. Tokens are estimates."""

    action: Action
    reason: str
    prefix_tokens: int = 0
    hot_tokens: int = 0
    expires_at: float | None = None
    cost_usd: Decimal | None = None
    cap_usd: Decimal | None = None

    @property
    def cold_tokens(self) -> int:
        return self.prefix_tokens - self.hot_tokens

    def state(self) -> WarmthState:
        """The warmth to show with this decision."""
        if self.action is Action.WARM or self.reason == "in_flight":
            return WarmthState.WARMING
        return WarmthState.WARM if self.reason == "already_warm" else WarmthState.SKIPPED


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The operator's bounds."""

    is_enabled: bool
    max_cost_usd: Decimal


def decide(
    prefix: Prefix,
    *,
    sightings: Mapping[str, Sighting],
    now: float,
    limits: Limits,
    capabilities: Capabilities,
    rates: RateSource,
) -> Decision:
    """Whether to warm `prefix` at `now` (epoch seconds). The first gate that says no gives the reason."""
    refusal = standing_refusal(prefix, limits, capabilities)
    if refusal is not None:
        return Decision(action=Action.SKIP, reason=refusal, prefix_tokens=prefix.prefix_tokens)
    return _weigh(prefix, sightings, now, limits, rates)


def believed_warmth(prefix: Prefix, sightings: Mapping[str, Sighting], now: float) -> list[LayerWarmth]:
    """Per breakpoint, what the provider's look-back would find: the nearest earlier position with a live entry."""
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


def is_expiring(expires_at: float, ttl_seconds: int, now: float) -> bool:
    return expires_at - now < REFRESH_BELOW_FRACTION * ttl_seconds


def standing_refusal(prefix: Prefix, limits: Limits, capabilities: Capabilities) -> str | None:
    """The reason why this prefix is not warmed whatever is in the cache, or None."""
    if not limits.is_enabled:
        return "warming_off"
    if not capabilities.accepts_zero_max_tokens:
        return "endpoint_without_prewarm"
    if prefix.obstacle is not None:
        return prefix.obstacle
    if prefix.prefix_tokens < facts_for(prefix.model).min_prefix_tokens:
        return "below_minimum_tokens"
    return None


def _weigh(
    prefix: Prefix, sightings: Mapping[str, Sighting], now: float, limits: Limits, rates: RateSource
) -> Decision:
    layers = believed_warmth(prefix, sightings, now)
    deepest = layers[-1]
    seen = sightings.get(deepest.breakpoint.prefix_hash, Sighting())
    cost = _cost_usd(prefix, layers, rates)

    def decision(action: Action, reason: str) -> Decision:
        return Decision(
            action=action,
            reason=reason,
            prefix_tokens=prefix.prefix_tokens,
            hot_tokens=deepest.hot_tokens,
            expires_at=deepest.expires_at,
            cost_usd=cost,
            cap_usd=limits.max_cost_usd,
        )

    if seen.is_uncacheable:
        return decision(Action.SKIP, "not_cacheable")
    if seen.lease_owner is not None:
        return decision(Action.SKIP, "in_flight")
    if _is_covered(prefix, deepest, now):
        return decision(Action.SKIP, "already_warm")
    if cost is None:
        return decision(Action.SKIP, "unknown_price")
    if cost > limits.max_cost_usd:
        return decision(Action.SKIP, "over_cost_cap")
    return decision(Action.WARM, _reason_to_warm(prefix, deepest))


def _is_covered(prefix: Prefix, deepest: LayerWarmth, now: float) -> bool:
    """Live for long enough, and what is not yet in the cache is too short to be worth a call of its own.

    After a reply only that reply is uncached: the next request writes it in passing.
    """
    if deepest.expires_at is None or is_expiring(deepest.expires_at, deepest.breakpoint.ttl_seconds, now):
        return False
    return prefix.prefix_tokens - deepest.hot_tokens < facts_for(prefix.model).min_prefix_tokens


def _reason_to_warm(prefix: Prefix, deepest: LayerWarmth) -> str:
    if deepest.hot_tokens == 0:
        return "cold"
    return "partly_cold" if deepest.hot_tokens < prefix.prefix_tokens else "expiring"


def _cost_usd(prefix: Prefix, layers: list[LayerWarmth], rates: RateSource) -> Decimal | None:
    prices = rates(prefix.model, prefix.prefix_tokens)
    if prices is None:
        return None
    hot_tokens = layers[-1].hot_tokens
    cold_tokens_by_ttl: dict[int, int] = {}
    reached = hot_tokens
    for layer in layers:
        end = layer.breakpoint.prefix_tokens
        if end > reached:
            ttl = layer.breakpoint.ttl_seconds
            cold_tokens_by_ttl[ttl] = cold_tokens_by_ttl.get(ttl, 0) + end - reached
            reached = end
    return warm_up_cost_usd(hot_tokens=hot_tokens, cold_tokens_by_ttl=cold_tokens_by_ttl, rates=prices)
