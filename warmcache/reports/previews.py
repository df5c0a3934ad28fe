"""What another lifetime would have cost and saved in a period, by closed forms. Pure.

A read renews an entry, so a request finds it cold if the silence before it was longer than the entry lives. How long
silences are was learned; with too little evidence requests are taken to come at random at the period's rate, as in
`core/shared_layers.py`. Dollars are those on top of plain reads.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from warmcache.core.economics import Rates
from warmcache.core.forecast.forecasts import Forecasts
from warmcache.core.forecast.prefill import PrefillForecast
from warmcache.core.ttl import LONG_TTL_SECONDS, REFRESH_AT_FRACTION, SHORT_TTL_SECONDS

Survival = Callable[[float], float]
"""Seconds -> the chance that a silence lasts longer."""

_NEGLIGIBLE = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedLayer:
    """The newest shared layer that was warmed for one label and model."""

    label: str
    model: str
    prefix_tokens: int
    ttl_seconds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """One way to treat a layer, over the whole period. `late_seconds`: what people waited because it was cold."""

    ttl_seconds: int
    is_held: bool
    usd: Decimal
    late_seconds: float

    def worth_usd(self, price_of_second_usd: Decimal) -> Decimal:
        return self.usd + price_of_second_usd * Decimal(self.late_seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """Of one label and model. `is_learned`: from silences that were observed, not assumed."""

    label: str
    model: str
    tokens: int
    requests: int
    is_learned: bool
    present: Way
    ways: tuple[Way, ...]

    def best(self, price_of_second_usd: Decimal) -> Way:
        """The cheapest, waits included; among equals the one that needs no holder."""
        return min(self.ways, key=lambda way: (way.worth_usd(price_of_second_usd), way.is_held, way.ttl_seconds))


def preview_of_shared(
    layer: SharedLayer,
    *,
    requests: int,
    period_seconds: float,
    forecasts: Forecasts,
    rates: Rates,
    prefill: PrefillForecast,
    holds: bool,
    price_of_second_usd: Decimal,
) -> Preview:
    """For `requests` of that label and model in the period. `holds`: the operator lets shared layers be held."""
    is_learned = forecasts.arrivals.is_representative
    silence = forecasts.arrivals.survival if is_learned else at_random(requests / period_seconds)
    saved = prefill.saved_seconds(layer.prefix_tokens)

    def way(ttl_seconds: int, *, is_held: bool) -> Way:
        cold = 0.0 if is_held else silence(ttl_seconds)
        per_request = cold * float(rates.cache_write(ttl_seconds) - rates.cache_read)
        if is_held:
            per_request = float(rates.cache_read) * _refreshes(silence, ttl_seconds, period_seconds)
        usd = Decimal(requests * layer.prefix_tokens * per_request)
        return Way(ttl_seconds=ttl_seconds, is_held=is_held, usd=usd, late_seconds=requests * cold * saved)

    ways = tuple(way(ttl, is_held=held) for held in (False, True) for ttl in (SHORT_TTL_SECONDS, LONG_TTL_SECONDS))
    own = [each for each in ways if each.ttl_seconds == layer.ttl_seconds and (holds or not each.is_held)]
    return Preview(
        label=layer.label,
        model=layer.model,
        tokens=layer.prefix_tokens,
        requests=requests,
        is_learned=is_learned,
        present=min(own or ways[:1], key=lambda each: each.worth_usd(price_of_second_usd)),
        ways=ways,
    )


def preview_of_conversations(
    layer: SharedLayer,
    *,
    requests: int,
    prompt_tokens: int,
    forecasts: Forecasts,
    rates: Rates,
    prefill: PrefillForecast,
) -> Preview | None:
    """What stands behind the shared layer, on five minutes (the first of the ways) and on an hour. `prompt_tokens`: of
    all those requests. None if there is nothing behind it."""
    tokens = round(prompt_tokens / requests) - layer.prefix_tokens
    if tokens <= 0:
        return None
    silence, added = forecasts.after_reply, forecasts.reply_tokens.mean
    saved = prefill.saved_seconds(tokens, cached_tokens=layer.prefix_tokens)
    ways = []
    for ttl in (SHORT_TTL_SECONDS, LONG_TTL_SECONDS):
        cold, write = silence.survival(ttl), float(rates.cache_write(ttl))
        # What each turn adds is written with either lifetime.
        usd = requests * (tokens * cold * (write - float(rates.cache_read)) + added * write)
        ways.append(
            Way(ttl_seconds=ttl, is_held=False, usd=Decimal(usd), late_seconds=requests * cold * saved),
        )
    return Preview(
        label=layer.label,
        model=layer.model,
        tokens=tokens,
        requests=requests,
        is_learned=silence.is_representative,
        present=ways[0],
        ways=tuple(ways),
    )


def at_random(requests_per_second: float) -> Survival:
    return lambda seconds: math.exp(-requests_per_second * seconds)


def _refreshes(silence: Survival, ttl_seconds: int, period_seconds: float) -> float:
    """How often a held layer is read only to keep it, for each request: at every nine tenths of its life that a silence
    outlasts."""
    interval, total, passed = REFRESH_AT_FRACTION * ttl_seconds, 0.0, 0.0
    while (passed := passed + interval) <= period_seconds:
        chance = silence(passed)
        if chance < _NEGLIGIBLE:
            break
        total += chance
    return total
