"""Treated against held out. Pure.

Only the hold-out shows what warming gains: of the visits for which the policy said warm, a random part was left cold.
All visits that were to be warmed count as treated, whether or not the warm-up came in time (intention to treat), and
the difference of the means is the value of the decision to warm. A held-out visit may still read a shared layer that
others have warmed: we measure one visit's warming on top of everyone else's.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from warmcache.core.outcomes import Arm
from warmcache.core.statistics import Interval, difference_of_means, ratio_of
from warmcache.core.tallies import Tally, Words, dollars
from warmcache.reports.grouping import grouped, sample_of, sums_of

ENOUGH = 30
"""The minimum number in each arm for a comparison."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """Treated against held out, for visits of one upstream where the policy first said warm at `intent`."""

    upstream: str
    intent: str
    treated: int
    held_out: int
    is_enough: bool
    saved_seconds: Interval | None
    """Per reply; positive if warming made it faster."""
    extra_usd: Interval | None
    """Per reply; includes the warm-ups of visits that ended without one."""
    usd_per_saved_second: Interval | None
    predicted_saved_seconds: float | None
    """The mean of what the policy believed."""


def experiments_of(warm_ups: Sequence[Tally], requests: Sequence[Tally]) -> list[Experiment]:
    drawn = [row for row in requests if row.words.arm and row.sums.get("waits")]
    spent = _by_intent(warm_ups, "cost")
    weighed = _by_intent([row for row in requests if row.words.arm != Arm.HELD_OUT], "waits")
    found = []
    for words, rows in grouped(drawn, "upstream", "intent"):
        key = (words.upstream, words.intent)
        replies = weighed.get(key, 0)
        warming = spent.get(key, 0) / replies if replies else 0.0
        found.append(_experiment(words, rows, float(dollars(1)) * warming))
    return found


def _by_intent(tallies: Sequence[Tally], name: str) -> dict[tuple[str, str], int]:
    groups = grouped(tallies, "upstream", "intent")
    return {(words.upstream, words.intent): sums_of(rows)[name] for words, rows in groups}


def _experiment(words: Words, rows: Sequence[Tally], warming_usd: float) -> Experiment:
    """`warming_usd`: what warm-ups cost for each reply that was not held out."""
    treated = sums_of(row for row in rows if row.words.arm == Arm.TREATED)
    held_out = sums_of(row for row in rows if row.words.arm == Arm.HELD_OUT)
    saved = difference_of_means(*(sample_of(arm, "waits", "wait_ms", unit=0.001) for arm in (held_out, treated)))
    unit = float(dollars(1))
    bills = difference_of_means(*(sample_of(arm, "bills", "bill", unit=unit) for arm in (treated, held_out)))
    extra = bills and Interval(
        value=bills.value + warming_usd, low=bills.low + warming_usd, high=bills.high + warming_usd
    )
    believed = sums_of(rows)
    return Experiment(
        upstream=words.upstream,
        intent=words.intent,
        treated=treated["waits"],
        held_out=held_out["waits"],
        is_enough=min(treated["waits"], held_out["waits"]) >= ENOUGH,
        saved_seconds=saved,
        extra_usd=extra,
        usd_per_saved_second=ratio_of(extra, saved) if extra and saved else None,
        predicted_saved_seconds=believed["believed_ms"] / believed["beliefs"] / 1000 if believed["beliefs"] else None,
    )
