"""What the ledger knows of a period: roll-ups of whole days and hours, and the rows behind them. Synchronous.

The cost of reading is that of the period's days, not of the ledger's rows.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from warmcache.core.economics import RateSource
from warmcache.core.moments import at
from warmcache.core.tallies import Tally, Words, added_up
from warmcache.ledger.rollups import DAY, HOUR, catch_up, day_of, first_hour, hour_of, read_roll_ups, rolled_until
from warmcache.ledger.tallied import tallied

LONGEST_BY_THE_HOUR = timedelta(days=2)
"""A longer period begins with a whole UTC day, a shorter one with a whole hour."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What began at `start`: an hour of a short period, or a day of a long one."""

    start: datetime
    tally: Tally


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """All that happened in a period. `is_complete` is False while an old ledger is being rolled up: then what is newer
    than the roll-ups is missing. `before` is the period of the same length before this one."""

    since: datetime
    until: datetime
    label: str | None
    step: timedelta
    parts: tuple[Part, ...]
    before: tuple[Tally, ...] = ()
    is_complete: bool = True

    def tallies(self, key: Callable[[Words], Words] = lambda words: words) -> list[Tally]:
        """Of the whole period."""
        return added_up((part.tally for part in self.parts), key)


def read_evidence(
    *, now: float, period_seconds: float, rates: RateSource, label: str | None = None, is_patient: bool = True
) -> Evidence:
    """Everything in the ledger for the last `period_seconds`, for one label or for all. `now`: epoch seconds.

    Rolls up first what has settled: all of it, or if the caller is not patient a bounded part.
    """
    is_complete = catch_up(now, rates, **({} if is_patient is False else {"rows_at_once": None}))
    until, length = at(now), timedelta(seconds=period_seconds)
    by_the_hour = length <= LONGEST_BY_THE_HOUR
    rolled = rolled_until() or first_hour() or until
    reading = _Reading(rolled=rolled, label=label, rates=rates, step=HOUR if by_the_hour else DAY)
    since = reading.begin(until - length)
    return Evidence(
        since=since,
        until=until,
        label=label,
        step=reading.step,
        parts=tuple(reading.parts(since, until if is_complete else min(until, rolled))),
        before=tuple(added_up(part.tally for part in reading.parts(reading.begin(since - length), since))),
        is_complete=is_complete,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reading:
    rolled: datetime
    label: str | None
    rates: RateSource
    step: timedelta

    def begin(self, moment: datetime) -> datetime:
        """Where a period that would begin at `moment` does begin: roll-ups cannot be divided."""
        if moment >= self.rolled:
            return moment
        return hour_of(moment) if self.step == HOUR else day_of(moment)

    def parts(self, since: datetime, until: datetime) -> Iterator[Part]:
        days_end = min(day_of(self.rolled), until) if self.step == DAY else since
        yield from self._rolled_up(since, days_end, DAY)
        yield from self._rolled_up(max(since, days_end), min(self.rolled, until), HOUR)
        start = max(since, self.rolled)
        while start < until:
            end = min(until, self._floor(start) + self.step)
            for tally in tallied(start, end, rates=self.rates, label=self.label):
                yield Part(start=self._floor(start), tally=tally)
            start = end

    def _rolled_up(self, since: datetime, until: datetime, span: timedelta) -> Iterator[Part]:
        if since < until:
            for start, tally in read_roll_ups(since, until, seconds=int(span.total_seconds()), label=self.label):
                yield Part(start=self._floor(start), tally=tally)

    def _floor(self, moment: datetime) -> datetime:
        return hour_of(moment) if self.step == HOUR else day_of(moment)
