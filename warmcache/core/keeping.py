"""Keeping a live prefix warm: refresh it near expiry, write it for an hour instead, or let it lapse.

A refresh reads the prefix (`r`) and restarts its TTL; a lapse makes the next request write it again (`w`) and the
person wait for the prefill. Whether the person comes back is told by `survival(seconds)`: the chance of no return
within so many seconds of silence. Prices named `write`, `read` are in units of the prefix at the plain input price.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

SHORT_TTL_SECONDS = 300
LONG_TTL_SECONDS = 3600
REFRESH_AT_FRACTION = 0.9
MAX_REFRESHES = 24
"""A horizon for the plan: two hours of short refreshes, or a day of long ones."""

Survival = Callable[[float], float]


def refresh_break_even(*, write: float, read: float, latency_worth: float = 0.0) -> float:
    """The chance of a return in the next window from which on one refresh pays."""
    return read / (write - read + latency_worth)


def refresh_ceiling(*, write: float, read: float) -> int:
    """Refreshes after which even a sure return costs more than one new write. Stopping here is 2-competitive."""
    return math.floor((write - read) / read + 1e-9)


def refresh_at(started_at: float, ttl_seconds: float, margin_seconds: float) -> float:
    """When to refresh an entry that a request started at `started_at` wrote or read: its TTL runs from that start."""
    return started_at + min(REFRESH_AT_FRACTION * ttl_seconds, ttl_seconds - margin_seconds)


def is_too_late(now: float, started_at: float, ttl_seconds: float, margin_seconds: float) -> bool:
    """Whether a refresh fired now may arrive after expiry and be a write: past half of the margin."""
    margin = started_at + ttl_seconds - refresh_at(started_at, ttl_seconds, margin_seconds)
    return now > started_at + ttl_seconds - margin / 2


def herd_saving(*, requests: int, write: float, read: float) -> float:
    """What one leader saves `requests` that meet the same cold prefix at once; positive from two on."""
    return requests * write - (write + requests * read)


def long_ttl_pays(
    *, late_share: float, very_late_share: float, new_share: float, write: float, long_write: float, read: float
) -> bool:
    """One hour instead of five minutes WITHOUT refreshes.

    `late_share`, `very_late_share`: gaps over five minutes and over an hour; `new_share`: new tokens of a turn as a
    share of the prefix.
    """
    return (long_write - read) * very_late_share + (long_write - write) * new_share < (write - read) * late_share


@dataclass(frozen=True, slots=True, kw_only=True)
class KeepStakes:
    """In one unit of money, the caller's own."""

    refresh: float
    """Reading the prefix once."""
    loss: float
    """What a return to a lapsed prefix costs more than to a live one: dollars, and seconds at their price."""
    upgrade: float | None = None
    """Refreshing with an hour's TTL on what is not yet in the cache; None where nothing is left to write."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeepPlan:
    """The best first step near expiry. `value` is the expected gain over letting the prefix lapse, never negative."""

    ttl_seconds: int | None
    """TTL of the refresh to send; None: let it lapse."""
    reason: str
    value: float
    return_chance: float
    """Of a return in the window that this step adds."""

    @property
    def refreshes(self) -> bool:
        return self.ttl_seconds is not None


def plan_keeping(
    stakes: KeepStakes,
    survival: Survival,
    *,
    silent_seconds: float,
    left_seconds: float,
    ttl_seconds: int = SHORT_TTL_SECONDS,
) -> KeepPlan:
    """Optimal stopping: each refresh buys one more window, and the right to decide again at its end.

    `silent_seconds` have passed since the last real request; the prefix lapses in `left_seconds`. Choices: one more
    `ttl_seconds`, which it was written with, an hour (`upgrade`), or nothing.
    """
    lapse_after = silent_seconds + left_seconds
    chain = _chain_value(stakes, stakes.refresh, survival, silent_seconds, lapse_after, ttl_seconds)
    best = KeepPlan(
        ttl_seconds=ttl_seconds,
        reason="return_expected",
        value=chain,
        return_chance=_between(survival, silent_seconds, lapse_after, silent_seconds + ttl_seconds),
    )
    if stakes.upgrade is not None and ttl_seconds < LONG_TTL_SECONDS:
        value = _chain_value(stakes, stakes.upgrade, survival, silent_seconds, lapse_after, LONG_TTL_SECONDS)
        if value > best.value:
            chance = _between(survival, silent_seconds, lapse_after, silent_seconds + LONG_TTL_SECONDS)
            best = KeepPlan(
                ttl_seconds=LONG_TTL_SECONDS, reason="return_within_the_hour", value=value, return_chance=chance
            )
    if best.value > 0:
        return best
    return KeepPlan(ttl_seconds=None, reason="return_unlikely", value=0.0, return_chance=best.return_chance)


def _chain_value(
    stakes: KeepStakes, first_cost: float, survival: Survival, start: float, lapse_after: float, ttl_seconds: int
) -> float:
    """Expected gain of refreshing now and then going on as long as it pays."""
    step = REFRESH_AT_FRACTION * ttl_seconds
    alive = survival(start)
    if alive <= 0:
        return -first_cost
    moments = [start + n * step for n in range(MAX_REFRESHES)]
    going_on = 0.0
    for n in range(MAX_REFRESHES - 1, 0, -1):
        reach = survival(moments[n])
        lapse, end = moments[n - 1] + ttl_seconds, moments[n] + ttl_seconds
        gain = (survival(lapse) - survival(end)) * stakes.loss - reach * stakes.refresh + going_on
        going_on = max(0.0, gain)
    first = (survival(lapse_after) - survival(start + ttl_seconds)) * stakes.loss + going_on
    return first / alive - first_cost


def _between(survival: Survival, now: float, start: float, end: float) -> float:
    alive = survival(now)
    return (survival(start) - survival(end)) / alive if alive > 0 else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedOption:
    """One way to treat a layer that everybody shares. `cost_per_second` is in prices of the layer, over plain reads."""

    name: str
    ttl_seconds: int
    is_held: bool
    cost_per_second: float


def shared_options(
    *, requests_per_second: float, write: float, long_write: float, read: float, late_worth: float = 0.0
) -> tuple[SharedOption, ...]:
    """Cheapest first, for requests that arrive at random at a steady rate.

    `late_worth`: what a cold layer costs a person in seconds, in the same unit. A held layer is refreshed only when
    nobody has used it for nine tenths of its TTL, so busy assistants pay nothing for being held.
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
    """The cheapest; among equals the one that needs no holder."""
    return min(options, key=lambda option: (option.cost_per_second, option.is_held))
