"""Does it pay to hold a shared layer warm? Decided from the rate of past requests, in dollars per month."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from warmcache.core.catalog import facts_for
from warmcache.core.economics import Rates
from warmcache.core.forecast.prefill import PrefillForecast
from warmcache.core.reasons import Reason
from warmcache.core.ttl import LONG_TTL_SECONDS, REFRESH_AT_FRACTION, SHORT_TTL_SECONDS

RECENT_HOURS = 3
SAME_HOUR_DAYS = 7
SECONDS_PER_HOUR = 3600
SECONDS_PER_MONTH = 30 * 24 * SECONDS_PER_HOUR


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrivals:
    """Real requests that used a layer: recent ones, and those in the coming hour of the day on previous days.

    Only hours that the ledger covers count: a ledger that is a day old has one such hour, not seven.
    """

    recent: int = 0
    recent_hours: float = RECENT_HOURS
    same_hour: int = 0
    same_hours: float = SAME_HOUR_DAYS

    @property
    def per_hour(self) -> float:
        """Both kinds of hours have equal weight: previous nights predict the night, recent hours a quiet day."""
        hours = self.recent_hours + self.same_hours
        return (self.recent + self.same_hour) / hours if hours > 0 else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedOption:
    """One way to treat a shared layer. `cost_per_second` is in prices of the layer, on top of plain reads."""

    name: str
    ttl_seconds: int
    is_held: bool
    cost_per_second: float


def shared_options(
    *, requests_per_second: float, write: float, long_write: float, read: float, late_worth: float = 0.0
) -> tuple[SharedOption, ...]:
    """The options, cheapest first, for requests that arrive at random at a steady rate.

    `late_worth`: what a cold layer costs a person in seconds, in the same unit. A held layer is refreshed only if
    nobody used it for nine tenths of its TTL, so holding costs nothing for busy assistants.
    """
    rate = requests_per_second
    options = [
        SharedOption(
            name=f"lazy_{name}",
            ttl_seconds=ttl,
            is_held=False,
            cost_per_second=rate * (price - read + late_worth) * math.exp(-rate * ttl),
        )
        for name, ttl, price in (("5m", SHORT_TTL_SECONDS, write), ("1h", LONG_TTL_SECONDS, long_write))
    ]
    options += [
        SharedOption(name=f"hold_{name}", ttl_seconds=ttl, is_held=True, cost_per_second=_holding(rate, ttl, read))
        for name, ttl in (("5m", SHORT_TTL_SECONDS), ("1h", LONG_TTL_SECONDS))
    ]
    return tuple(sorted(options, key=lambda option: option.cost_per_second))


def _holding(rate: float, ttl_seconds: int, read: float) -> float:
    interval = REFRESH_AT_FRACTION * ttl_seconds
    if rate * interval > 700:
        return 0.0
    return rate * read / math.expm1(rate * interval) if rate > 0 else read / interval


def best_shared_option(options: Sequence[SharedOption]) -> SharedOption:
    """The cheapest; among equals, the one that needs no holder."""
    return min(options, key=lambda option: (option.cost_per_second, option.is_held))


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedForecast:
    """What each way to treat one shared layer costs on top of plain reads, including the wait of a late person."""

    requests_per_hour: float
    prefix_tokens: int
    ttl_seconds: int
    """The TTL with which its requests write it."""
    options: tuple[SharedOption, ...]
    """Cheapest first; empty if it cannot be cached or has no known price."""
    usd_per_unit: Decimal = Decimal(0)
    """The cost of the layer once as plain input: the unit of the options' costs."""
    reason: Reason | None = None
    """Why there are no options."""

    @property
    def cheapest(self) -> SharedOption | None:
        """The cheapest of all TTLs: what the operator could set."""
        return best_shared_option(self.options) if self.options else None

    @property
    def in_force(self) -> SharedOption | None:
        """The cheapest with the layer's own TTL. Holding cannot use another one: a read does not change it."""
        own = [option for option in self.options if option.ttl_seconds == self.ttl_seconds]
        return best_shared_option(own) if own else None

    @property
    def should_hold(self) -> bool:
        return self.in_force is not None and self.in_force.is_held

    @property
    def holding_usd_per_month(self) -> Decimal | None:
        """What holding it with its own TTL would cost, if requests continue at this rate."""
        held = [option for option in self.options if option.ttl_seconds == self.ttl_seconds and option.is_held]
        return self.usd_per_month(held[0]) if held else None

    def usd_per_month(self, option: SharedOption) -> Decimal:
        """The cost on top of what the same requests would cost if each found the layer warm."""
        return self.usd_per_unit * Decimal(option.cost_per_second) * SECONDS_PER_MONTH


def forecast_shared_layer(
    *,
    model: str,
    prefix_tokens: int,
    ttl_seconds: int,
    obstacle: Reason | None,
    arrivals: Arrivals,
    rates: Rates | None,
    prefill: PrefillForecast,
    value_of_second_usd: Decimal,
) -> SharedForecast:
    """Combines prices, the value of a wait and the rate of requests. Tokens are estimates.

    `obstacle`: why the API refuses to pre-warm this prompt at all.
    """
    reason = obstacle or _why_not(model, prefix_tokens, rates)
    known = SharedForecast(
        requests_per_hour=arrivals.per_hour,
        prefix_tokens=prefix_tokens,
        ttl_seconds=ttl_seconds,
        options=(),
        reason=reason,
    )
    if reason is not None or rates is None:
        return known
    unit = prefix_tokens * rates.input
    return SharedForecast(
        requests_per_hour=known.requests_per_hour,
        prefix_tokens=prefix_tokens,
        ttl_seconds=ttl_seconds,
        options=shared_options(
            requests_per_second=arrivals.per_hour / SECONDS_PER_HOUR,
            write=float(rates.cache_write_5m / rates.input),
            long_write=float(rates.cache_write_1h / rates.input),
            read=float(rates.cache_read / rates.input),
            late_worth=float(value_of_second_usd * Decimal(prefill.saved_seconds(prefix_tokens)) / unit),
        ),
        usd_per_unit=unit,
    )


def _why_not(model: str, prefix_tokens: int, rates: Rates | None) -> Reason | None:
    if prefix_tokens < facts_for(model).min_prefix_tokens:
        return Reason.BELOW_MINIMUM_TOKENS
    # A local model costs nothing, and a cost of zero cannot be weighed against a wait.
    return Reason.UNKNOWN_PRICE if rates is None or rates.input <= 0 else None
