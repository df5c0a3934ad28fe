"""What the ledger knows of a period: roll-ups of whole days and hours, and the rows behind them. Synchronous.

The cost of reading is that of the period's days, not of the ledger's rows.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from warmcache.core.economics import RateSource
from warmcache.core.moments import at
from warmcache.core.tallies import COARSE, Sheet, Tally
from warmcache.ledger.rollups import (
    DAY,
    HOUR,
    ROWS_AT_ONCE,
    Summed,
    catch_up,
    day_of,
    first_hour,
    hour_of,
    read_over_time,
    read_sums,
    rolled_until,
)
from warmcache.ledger.tallied import tallied

LONGEST_BY_THE_HOUR = timedelta(days=2)
"""A longer period begins with a whole UTC day, a shorter one with a whole hour."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What began at `start`: an hour of a short period, or a day of a long one. By coarse words, without waits."""

    start: datetime
    tally: Tally


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """All that happened in a period. `is_complete` is False while an old ledger is being rolled up: then what is newer
    than the roll-ups is missing. `before` is the period of the same length before this one, by coarse words."""

    since: datetime
    until: datetime
    label: str | None
    step: timedelta
    tallies: tuple[Tally, ...]
    parts: tuple[Part, ...]
    before: tuple[Tally, ...] = ()
    is_complete: bool = True


def read_evidence(
    *, now: float, period_seconds: float, rates: RateSource, label: str | None = None, is_patient: bool = True
) -> Evidence:
    """Everything in the ledger for the last `period_seconds`, for one label or for all. `now`: epoch seconds.

    Rolls up first what has settled: all of it, or if the caller is not patient a bounded part.
    """
    is_complete = catch_up(now, rates, rows_at_once=None if is_patient else ROWS_AT_ONCE)
    until, length = at(now), timedelta(seconds=period_seconds)
    rolled = rolled_until() or first_hour() or until
    step = HOUR if length <= LONGEST_BY_THE_HOUR else DAY
    reading = _Reading(rolled=rolled, label=label, rates=rates, step=step)
    since = reading.begin(until - length)
    end = until if is_complete else min(until, rolled)
    whole, parts, before = Sheet(), defaultdict[datetime, Sheet](_coarse), _coarse()
    for words, sums, waits in reading.sums(since, end):
        whole.add(words, sums, waits)
    for start, words, sums in reading.over_time(since, end):
        parts[start].add(words, sums, {})
    for start, tally in reading.newest(since, end):
        whole.add(tally.words.values, tally.sums, tally.waits)
        parts[start].add(tally.words.values, tally.sums, {})
    begin = reading.begin(since - length)
    for _, words, sums in reading.over_time(begin, since):
        before.add(words, sums, {})
    for _, tally in reading.newest(begin, since):
        before.add(tally.words.values, tally.sums, {})
    return Evidence(
        since=since,
        until=until,
        label=label,
        step=step,
        tallies=tuple(whole.tallies()),
        parts=tuple(Part(start=start, tally=tally) for start in sorted(parts) for tally in parts[start].tallies()),
        before=tuple(before.tallies()),
        is_complete=is_complete,
    )


def _coarse() -> Sheet:
    return Sheet(*COARSE)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reading:
    rolled: datetime
    label: str | None
    rates: RateSource
    step: timedelta

    def begin(self, moment: datetime) -> datetime:
        """Where a period that would begin at `moment` does begin: roll-ups cannot be divided."""
        return self._floor(moment) if moment < self.rolled else moment

    def sums(self, since: datetime, until: datetime) -> Iterator[Summed]:
        for begin, end, span in self._spans(since, until):
            yield from read_sums(begin, end, span=span, label=self.label)

    def over_time(self, since: datetime, until: datetime) -> Iterator[tuple[datetime, tuple[str, ...], dict[str, int]]]:
        for begin, end, span in self._spans(since, until):
            for start, words, sums in read_over_time(begin, end, span=span, label=self.label):
                yield self._floor(start), words, sums

    def newest(self, since: datetime, until: datetime) -> Iterator[tuple[datetime, Tally]]:
        """What the rows themselves say, by the step that they belong to."""
        start = max(since, self.rolled)
        while start < until:
            end = min(until, self._floor(start) + self.step)
            for tally in tallied(start, end, rates=self.rates, label=self.label):
                yield self._floor(start), tally
            start = end

    def _spans(self, since: datetime, until: datetime) -> Iterator[tuple[datetime, datetime, timedelta]]:
        """Roll-ups of days, then of the hours of a day that has not ended."""
        days_end = min(day_of(self.rolled), until) if self.step == DAY else since
        for begin, end, span in ((since, days_end, DAY), (max(since, days_end), min(self.rolled, until), HOUR)):
            if begin < end:
                yield begin, end, span

    def _floor(self, moment: datetime) -> datetime:
        return hour_of(moment) if self.step == HOUR else day_of(moment)
