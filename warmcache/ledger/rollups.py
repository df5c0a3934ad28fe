"""Roll-ups: the sums of each hour and each UTC day of the ledger. Made behind the rows, read before them. Synchronous.

An hour is rolled up when nothing of it can change any more: its warm-ups have lapsed, and requests that might have read
them have ended. `RollUpState.rolled_until` says up to where; the rows after it are read themselves. A day is the sum of
its hours, and hours that are older than `HOURS_KEPT` days are then dropped.

Before rows are pruned their day is rolled up once more, from the rows: what came late is in it for good.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from django.db.models import Min, Model, QuerySet, TextField
from django.db.models.functions import Cast

from warmcache.core.economics import RateSource
from warmcache.core.moments import at
from warmcache.core.tallies import COARSE, WORDS, Kind, Sheet, Tally
from warmcache.databases import in_transaction_of
from warmcache.ledger import rows as records
from warmcache.ledger.tallied import tallied
from warmcache.models import LostWrites, RollUp, RollUpState, SkipCount, UsageRecord, WarmUp

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
SETTLING = timedelta(hours=2)
"""How long after its end an hour may still change: for an hour entries live, and a request reads for minutes."""

HOURS_KEPT = 5
"""Days for which the hours are kept beside the days: a shorter period may begin at any hour."""

ROWS_AT_ONCE = 20_000
"""A round of `catch_up` ends at the hour that exceeds this many rows."""

HOURS_AT_ONCE = 240
PRUNED_AT_ONCE = 1000
PRUNED_A_ROUND = 10_000
"""A round of housekeeping ends after this many rows, so that a long past is deleted in the course of an hour or two."""

MIN_KEEP_DAYS = 8
"""What a forecast looks back on: the same hour of seven days (`core/shared_layers.py`)."""

_TIMED: tuple[tuple[type[Model], str], ...] = (
    (WarmUp, "started_at"),
    (UsageRecord, "started_at"),
    (SkipCount, "minute"),
    (LostWrites, "minute"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruned:
    """How many rows of the ledger were deleted, and from before which moment they were; None if none is rolled up."""

    rows: int
    until: datetime | None


def catch_up(now: float, rates: RateSource, *, rows_at_once: int | None = ROWS_AT_ONCE) -> bool:
    """Rolls up the hours that have settled, oldest first; returns whether none is left. Safe to call at any moment, by
    any number of processes: the hour that another one has rolled up meanwhile is left as it is."""
    records.sweep(now)
    end = hour_of(at(now) - SETTLING)
    hour, rows_read, hours_done = rolled_until() or first_hour(), 0, 0
    while hour is not None and hour < end:
        if rows_at_once is not None and (rows_read >= rows_at_once or hours_done >= HOURS_AT_ONCE):
            return False
        tallies = tallied(hour, hour + HOUR, rates=rates)
        following = min(first_hour(after=hour + HOUR) or end, end)
        if not _store_hour(hour, tallies, following):
            return True  # another process is at it
        rows_read += sum(tally.sums["rows"] for tally in tallies if tally.words.kind in (Kind.WARM_UP, Kind.REQUEST))
        hours_done += 1
        hour = following
    return True


def rolled_until() -> datetime | None:
    """From this moment on the rows themselves are read; None if nothing is rolled up yet."""
    return RollUpState.objects.values_list("rolled_until", flat=True).first()


Summed = tuple[tuple[str, ...], dict[str, int], dict[str, int]]
"""Words in the order of `WORDS`, sums, waits by the digits of their bucket."""


def read_sums(since: datetime, until: datetime, *, span: timedelta, label: str | None = None) -> Iterator[Summed]:
    """The roll-ups of hours or days that begin from `since` until before `until`."""
    rows = _roll_ups(since, until, span, label, is_coarse=False).values_list(*_AS_TEXT, *WORDS)
    for sums, waits, *words in rows.iterator(chunk_size=2000):
        yield tuple(words), _decode(sums), _decode(waits)


def read_over_time(
    since: datetime, until: datetime, *, span: timedelta, label: str | None = None
) -> Iterator[tuple[datetime, tuple[str, ...], dict[str, int]]]:
    """The same without waits, each with its beginning; over all labels by the coarse words alone."""
    rows = _roll_ups(since, until, span, label, is_coarse=label is None).values_list("start", _AS_TEXT[0], *WORDS)
    for start, sums, *words in rows.iterator(chunk_size=2000):
        yield start, tuple(words), _decode(sums)


# Decoded here: Django's own way takes ten times as long, and a page reads tens of thousands.
_AS_TEXT = (Cast("sums", TextField()), Cast("waits", TextField()))
_decode = msgspec.json.Decoder(dict[str, int]).decode


def _roll_ups(
    since: datetime, until: datetime, span: timedelta, label: str | None, *, is_coarse: bool
) -> QuerySet[RollUp]:
    seconds = int(span.total_seconds())
    rows = RollUp.objects.filter(is_coarse=is_coarse, seconds=seconds, start__gte=since, start__lt=until).order_by()
    return rows if label is None else rows.filter(label=label)


def prune(now: float, rates: RateSource, *, keep_days: int, rows_at_once: int | None = None) -> Pruned:
    """Deletes the rows of whole UTC days that are older than `keep_days`; their roll-ups stay. May be repeated, and run
    in any number of processes. With `rows_at_once` it is a round: it begins with the oldest day and ends with the one
    in which that many rows are gone."""
    catch_up(now, rates, rows_at_once=rows_at_once)
    rolled = rolled_until()
    if rolled is None:
        return Pruned(rows=0, until=None)
    end = min(day_of(at(now) - timedelta(days=max(keep_days, MIN_KEEP_DAYS))), day_of(rolled))
    sealed = RollUpState.objects.values_list("pruned_until", flat=True).first()
    # What came after its day was sealed is in no sum: it goes with the next round.
    deleted = 0 if sealed is None else _delete_before(min(sealed, end), most=rows_at_once)
    day = sealed or _first_moment()
    day = end if day is None else day_of(day)
    while day < end and (rows_at_once is None or deleted < rows_at_once):
        _seal(day, tallied(day, day + DAY, rates=rates))
        day += DAY
        deleted += _delete_before(day)
    return Pruned(rows=deleted, until=min(day, end))


def begins() -> datetime | None:
    """The moment of the oldest row; None if there is none. One look into an index for each table."""
    return _first_moment()


def day_of(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def hour_of(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def first_hour(*, after: datetime | None = None) -> datetime | None:
    """The hour of the first row, or of the first one `after` a moment; None if there is none."""
    first = _first_moment(after)
    return None if first is None else hour_of(first)


def _first_moment(after: datetime | None = None) -> datetime | None:
    firsts = []
    for model, column in _TIMED:
        rows = (
            model._default_manager.all()
            if after is None
            else model._default_manager.filter(**{f"{column}__gte": after})
        )
        firsts.append(rows.aggregate(first=Min(column))["first"])
    return min((first for first in firsts if first is not None), default=None)


@in_transaction_of(RollUp)
def _store_hour(hour: datetime, tallies: Sequence[Tally], following: datetime) -> bool:
    """`following`: the next hour that has rows. False: another process has rolled up this hour."""
    state, _ = RollUpState.objects.select_for_update().get_or_create(pk=1, defaults={"rolled_until": hour})
    if state.rolled_until != hour:
        return False
    _replace(hour, HOUR, tallies)
    state.rolled_until = following
    state.save(update_fields=("rolled_until",))
    if day_of(following) > day_of(hour):
        _roll_up_day(hour)
    return True


def _roll_up_day(hour: datetime) -> None:
    """At the end of a day: its sums, from its hours. Hours that nobody reads any more are dropped."""
    day = day_of(hour)
    sheet = Sheet()
    for words, sums, waits in read_sums(day, day + DAY, span=HOUR):
        sheet.add(words, sums, waits)
    _replace(day, DAY, sheet.tallies())
    RollUp.objects.filter(seconds=int(HOUR.total_seconds()), start__lt=day - HOURS_KEPT * DAY).delete()


@in_transaction_of(RollUp)
def _seal(day: datetime, tallies: Sequence[Tally]) -> None:
    """The last sums of a day: from now on its rows may be gone."""
    state = RollUpState.objects.select_for_update().get(pk=1)
    if state.pruned_until is not None and state.pruned_until > day:
        return
    _replace(day, DAY, tallies)
    state.pruned_until = day + DAY
    state.save(update_fields=("pruned_until",))


def _replace(start: datetime, span: timedelta, tallies: Sequence[Tally]) -> None:
    seconds = int(span.total_seconds())
    coarse = Sheet(*COARSE)
    for tally in tallies:
        coarse.add(tally.words.values, tally.sums, {})
    rows = [_row(start, seconds, tally) for tally in tallies]
    rows += [_row(start, seconds, tally, is_coarse=True) for tally in coarse.tallies()]
    RollUp.objects.filter(seconds=seconds, start=start).delete()
    RollUp.objects.bulk_create(rows, batch_size=200)


def _row(start: datetime, seconds: int, tally: Tally, *, is_coarse: bool = False) -> RollUp:
    sums: dict[str, Any] = {name: number for name, number in tally.sums.items() if number}
    waits = {str(bucket): count for bucket, count in tally.waits.items()}
    words = asdict(tally.words)
    return RollUp(start=start, seconds=seconds, is_coarse=is_coarse, sums={"rows": 0, **sums}, waits=waits, **words)


def _delete_before(until: datetime, *, most: int | None = None) -> int:
    """In parts, so that no statement is long and no writer waits; ends with the part that exceeds `most`."""
    deleted = 0
    for model, column in _TIMED:
        while part := _delete_some(model._default_manager.filter(**{f"{column}__lt": until}).order_by()):
            deleted += part
            if most is not None and deleted >= most:
                return deleted
    return deleted


@in_transaction_of(RollUp)
def _delete_some(rows: QuerySet[Any]) -> int:
    """The lines of a warm-up go with it. One process at a time: two would wait for each other's rows."""
    RollUpState.objects.select_for_update().get(pk=1)
    ids = list(rows.values_list("pk", flat=True)[:PRUNED_AT_ONCE])
    rows.model._default_manager.filter(pk__in=ids).delete()
    return len(ids)
