"""How long a real request waits at most for the call that writes its prefix now. The rule: `core/worth.py`."""

from decimal import Decimal

from warmcache.cache.beliefs import Flight
from warmcache.core.forecast.prefill import PrefillForecast
from warmcache.core.prefix import Prefix
from warmcache.core.worth import JoinChoice, weigh_joining
from warmcache.runtime.state import Runtime


def wait_bound_seconds(runtime: Runtime, prefix: Prefix, flight: Flight, *, label: str) -> float | None:
    """None means: going at once is better."""
    choice = _choice(runtime, prefix, flight, runtime.learning.forecasts(label).prefill(prefix.model))
    return choice.bound_seconds if choice.joins else None


def _choice(runtime: Runtime, prefix: Prefix, flight: Flight, prefill: PrefillForecast) -> JoinChoice:
    hot_tokens = flight.prefix_tokens - flight.cold_tokens
    after_tokens = prefix.prefix_tokens - flight.prefix_tokens
    rates = runtime.rates(prefix.model, prefix.prefix_tokens)
    return weigh_joining(
        elapsed_seconds=runtime.clock.now() - flight.started_at,
        warm_up_seconds=prefill.ttft_seconds(uncached_tokens=flight.cold_tokens, cached_tokens=hot_tokens),
        warm_seconds=prefill.ttft_seconds(uncached_tokens=after_tokens, cached_tokens=flight.prefix_tokens),
        go_seconds=prefill.ttft_seconds(uncached_tokens=flight.cold_tokens + after_tokens, cached_tokens=hot_tokens),
        cold_tokens=flight.cold_tokens,
        write_usd_per_token=rates.cache_write_5m if rates else Decimal(0),
        read_usd_per_token=rates.cache_read if rates else Decimal(0),
        value_of_second_usd=runtime.policy.current.value_of_second_usd,
        bound_factor=runtime.config.join_bound_factor,
    )
