"""How long what a request writes shall live, where its prompt leaves it open: decided once it is known what is warm."""

from collections.abc import Mapping

from warmcache.core.beliefs import believed_warmth, held_for_an_hour
from warmcache.core.lifetimes import Growth, ttl_of_request
from warmcache.core.ports import Sighting
from warmcache.core.prefix import Layer, Prefix, Ttl
from warmcache.runtime.state import Runtime


def chosen_ttl(runtime: Runtime, prefix: Prefix, sightings: Mapping[str, Sighting], *, label: str) -> Ttl:
    """The TTL for the new part of this request. No waiting."""
    if not prefix.breakpoints:
        return "5m"
    now, policy = runtime.clock.now(), runtime.policy.current
    hot_tokens = believed_warmth(prefix, sightings, now)[-1].hot_tokens
    growth = Growth(
        model=prefix.model,
        tokens=prefix.prefix_tokens,
        new_tokens=prefix.prefix_tokens - hot_tokens,
        shared_tokens=shared_by_others(runtime, prefix, label=label),
        held_tokens=held_for_an_hour(prefix, sightings, now),
    )
    return ttl_of_request(
        growth,
        runtime.learning.forecasts(label),
        runtime.rates,
        value_of_second_usd=policy.value_of_second_usd,
        intents=policy.intents,
    )


def shared_by_others(runtime: Runtime, prefix: Prefix, *, label: str) -> int:
    """The tokens of the shared layer, times the chance that somebody else's request renews it in time."""
    first = prefix.breakpoints[0]
    if first.layer is not Layer.SHARED:
        return 0
    return round(first.prefix_tokens * (1 - runtime.learning.forecasts(label).arrivals.survival(first.ttl_seconds)))
