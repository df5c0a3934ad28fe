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
MAX_REFRESHES = 14
"""A horizon for the plan: an hour of short refreshes, or half a day of long ones."""

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
    upgrade_holds: float = 1.0
    """The chance that the next request still begins with what such a refresh wrote; if not, only the old TTL counts."""
    held_loss: float | None = None
    """The loss while an earlier part still lives, written for an hour; None where there is no such part."""


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
    held_left_seconds: float = 0.0,
) -> KeepPlan:
    """Optimal stopping: each refresh buys one more window, and the right to decide again at its end.

    `silent_seconds` have passed since the last real request; the prefix lapses in `left_seconds`, the part that was
    written for an hour in `held_left_seconds`. Choices: one more `ttl_seconds`, which it was written with, an hour
    (`upgrade`), or nothing.
    """
    now, alive = silent_seconds, survival(silent_seconds)
    stopping = _lapse_cost(stakes, survival, now + left_seconds, now + held_left_seconds)
    costs = {ttl_seconds: alive * stakes.refresh + _cost_after_touch(stakes, survival, now, ttl_seconds)}
    if stakes.upgrade is not None and ttl_seconds < LONG_TTL_SECONDS:
        holds = _cost_after_touch(stakes, survival, now, LONG_TTL_SECONDS)
        fails = _lapse_cost(stakes, survival, now + ttl_seconds, now + held_left_seconds)
        after = stakes.upgrade_holds * holds + (1 - stakes.upgrade_holds) * fails
        costs[LONG_TTL_SECONDS] = alive * stakes.upgrade + after
    ttl = min(costs, key=costs.__getitem__)
    chance = (survival(now + left_seconds) - survival(now + ttl)) / alive if alive > 0 else 0.0
    if alive <= 0 or costs[ttl] >= stopping:
        return KeepPlan(ttl_seconds=None, reason="return_unlikely", value=0.0, return_chance=chance)
    return KeepPlan(
        ttl_seconds=ttl,
        reason="return_expected" if ttl == ttl_seconds else "return_within_the_hour",
        value=(stopping - costs[ttl]) / alive,
        return_chance=chance,
    )


def long_ttl_gain(stakes: KeepStakes, survival: Survival) -> float:
    """What an hour's lifetime on a request that starts now gains over five minutes, refreshes on either side included.

    Without the price of the longer write: the caller compares.
    """
    soon = REFRESH_AT_FRACTION * SHORT_TTL_SECONDS
    plan = plan_keeping(
        stakes,
        survival,
        silent_seconds=soon,
        left_seconds=SHORT_TTL_SECONDS - soon,
        held_left_seconds=LONG_TTL_SECONDS - soon if stakes.held_loss is not None else 0.0,
    )
    short = _lapse_cost(stakes, survival, SHORT_TTL_SECONDS, LONG_TTL_SECONDS) - survival(soon) * plan.value
    return short - _cost_after_touch(stakes, survival, 0.0, LONG_TTL_SECONDS)


def _cost_after_touch(stakes: KeepStakes, survival: Survival, start: float, ttl_seconds: int) -> float:
    """Expected cost from a touch on, going on with refreshes as long as they pay; not yet divided by survival."""
    step = REFRESH_AT_FRACTION * ttl_seconds
    cost = float("inf")
    for n in range(MAX_REFRESHES - 1, -1, -1):
        touched = start + n * step
        stopping = _lapse_cost(stakes, survival, touched + ttl_seconds, touched + LONG_TTL_SECONDS)
        cost = min(stopping, survival(touched + step) * stakes.refresh + cost)
    return cost


def _lapse_cost(stakes: KeepStakes, survival: Survival, lapses_at: float, held_until: float) -> float:
    if stakes.held_loss is None or held_until <= lapses_at:
        return survival(lapses_at) * stakes.loss
    held = survival(held_until)
    return (survival(lapses_at) - held) * stakes.held_loss + held * stakes.loss


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
