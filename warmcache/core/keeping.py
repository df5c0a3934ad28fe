"""Keeping a live prefix warm: refresh it near expiry, or let it lapse.

A refresh reads the prefix (`r`) and restarts its TTL; after a lapse the next request writes it again (`w`) and the
person waits for the prefill. `survival(seconds)` forecasts the person: the chance of no return within so many seconds
of silence. Prices named `write` and `read` are in units of the prefix at the plain input price.
"""

from collections.abc import Callable
from dataclasses import dataclass

from warmcache.core.reasons import Reason
from warmcache.core.ttl import LONG_TTL_SECONDS, REFRESH_AT_FRACTION, SHORT_TTL_SECONDS

MAX_REFRESHES = 14
"""The planning horizon: an hour of short refreshes, or half a day of long ones."""

Survival = Callable[[float], float]


def refresh_at(started_at: float, ttl_seconds: float, margin_seconds: float) -> float:
    """When to refresh an entry that a request started at `started_at` wrote or read: its TTL runs from that start."""
    return started_at + min(REFRESH_AT_FRACTION * ttl_seconds, ttl_seconds - margin_seconds)


def is_too_late(now: float, started_at: float, ttl_seconds: float, margin_seconds: float) -> bool:
    """Whether a refresh sent now may arrive after expiry and cause a write: more than half of the margin has passed."""
    margin = started_at + ttl_seconds - refresh_at(started_at, ttl_seconds, margin_seconds)
    return now > started_at + ttl_seconds - margin / 2


@dataclass(frozen=True, slots=True, kw_only=True)
class KeepStakes:
    """The costs at stake, all in one unit of money that the caller chooses."""

    refresh: float
    """Cost of reading the prefix once."""
    loss: float
    """The extra cost of a return to a lapsed prefix: dollars, and seconds at their price."""
    upgrade: float | None = None
    """Cost of a refresh that writes the uncached part with an hour's TTL; None if nothing is left to write, or if the
    prompt's TTL is fixed."""
    upgrade_holds: float = 1.0
    """The chance that the next request still begins with what such a refresh wrote; else only the old TTL counts."""
    held_loss: float | None = None
    """The loss while an earlier part, written for an hour, is still live; None if there is no such part."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeepPlan:
    """The best first step near expiry. `value` is the expected gain over letting the prefix lapse, never negative."""

    ttl_seconds: int | None
    """TTL of the refresh to send; None means: let it lapse."""
    reason: Reason
    value: float

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

    `silent_seconds` have passed since the last real request; the prefix lapses in `left_seconds`, and the part that
    was written for an hour lapses in `held_left_seconds`. The choices: one more `ttl_seconds` (the TTL of the last
    write), an hour (`upgrade`), or nothing.
    """
    now, alive = silent_seconds, survival(silent_seconds)
    stopping = lapse_cost(stakes, survival, now + left_seconds, now + held_left_seconds)
    costs = {ttl_seconds: alive * stakes.refresh + cost_after_touch(stakes, survival, now, ttl_seconds)}
    if stakes.upgrade is not None and ttl_seconds < LONG_TTL_SECONDS:
        holds = cost_after_touch(stakes, survival, now, LONG_TTL_SECONDS)
        fails = lapse_cost(stakes, survival, now + ttl_seconds, now + held_left_seconds)
        after = stakes.upgrade_holds * holds + (1 - stakes.upgrade_holds) * fails
        costs[LONG_TTL_SECONDS] = alive * stakes.upgrade + after
    ttl = min(costs, key=costs.__getitem__)
    if alive <= 0 or costs[ttl] >= stopping:
        return KeepPlan(ttl_seconds=None, reason=Reason.RETURN_UNLIKELY, value=0.0)
    return KeepPlan(
        ttl_seconds=ttl,
        reason=Reason.RETURN_EXPECTED if ttl == ttl_seconds else Reason.RETURN_WITHIN_THE_HOUR,
        value=(stopping - costs[ttl]) / alive,
    )


def cost_after_touch(stakes: KeepStakes, survival: Survival, start: float, ttl_seconds: int) -> float:
    """Expected cost from a touch on, with further refreshes as long as they pay off; not yet divided by survival."""
    step = REFRESH_AT_FRACTION * ttl_seconds
    cost = float("inf")
    for n in range(MAX_REFRESHES - 1, -1, -1):
        touched = start + n * step
        stopping = lapse_cost(stakes, survival, touched + ttl_seconds, touched + LONG_TTL_SECONDS)
        cost = min(stopping, survival(touched + step) * stakes.refresh + cost)
    return cost


def lapse_cost(stakes: KeepStakes, survival: Survival, lapses_at: float, held_until: float) -> float:
    """Expected cost of a lapse at `lapses_at`, and of the earlier part at `held_until`; not yet divided by survival."""
    if stakes.held_loss is None or held_until <= lapses_at:
        return survival(lapses_at) * stakes.loss
    held = survival(held_until)
    return (survival(lapses_at) - held) * stakes.held_loss + held * stakes.loss
