"""The ledger's rows between two moments, as tallies (`core/tallies.py`). Synchronous."""

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db.models import QuerySet, Sum

from warmcache.core.economics import Rates, RateSource
from warmcache.core.outcomes import RequestStatus
from warmcache.core.tallies import (
    Billed,
    LineRow,
    RequestRow,
    Tally,
    WarmUpRow,
    added_up,
    of_lost,
    of_request,
    of_skips,
    of_warm_up,
)
from warmcache.models import LostWrites, SkipCount, UsageRecord, WarmUp, WarmUpLine

CHUNK = 2000
_BILL = ("input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens", "cost_usd")


def tallied(since: datetime, until: datetime, *, rates: RateSource, label: str | None = None) -> list[Tally]:
    """All rows from `since` until before `until`, of one label or of all. Lost writes have no label."""
    rows = _Rows(since, until, label)
    return added_up([*rows.warm_ups(rates), *rows.requests(rates), *rows.skips(), *(rows.lost() if not label else ())])


class _Rows:
    def __init__(self, since: datetime, until: datetime, label: str | None) -> None:
        self._since = since
        self._until = until
        self._label = label

    def warm_ups(self, rates: RateSource) -> Iterator[Tally]:
        lines = self._lines()
        columns = ("id", "upstream", "label", "model", "intent", "outcome", "numbers", *_BILL)
        for pk, upstream, label, model, intent, outcome, numbers, *bill in self._read(WarmUp, columns):
            row = WarmUpRow(
                upstream=upstream,
                label=label,
                model=model,
                intent=intent,
                outcome=outcome,
                billed=(billed := _billed(bill)),
                send_chance=_number(numbers, "send_chance"),
                lines=tuple(lines.get(pk, ())),
            )
            yield of_warm_up(row, _rates(rates, model, billed))

    def requests(self, rates: RateSource) -> Iterator[Tally]:
        columns = ("upstream", "label", "model", "purpose", "warmth", "status", "ttft_ms", "arm", "intent", "numbers")
        for row in self._read(UsageRecord, (*columns, *_BILL)):
            upstream, label, model, purpose, warmth, status, ttft_ms, arm, intent, numbers, *bill = row
            request = RequestRow(
                upstream=upstream,
                label=label,
                model=model,
                purpose=purpose,
                warmth=warmth,
                failed=status == RequestStatus.FAILED,
                ttft_ms=ttft_ms,
                arm=arm,
                intent=intent,
                billed=(billed := _billed(bill)),
                saved_seconds=_number(numbers, "saved_seconds"),
            )
            yield of_request(request, _rates(rates, model, billed))

    def skips(self) -> Iterator[Tally]:
        rows = self._labelled(SkipCount.objects.filter(minute__gte=self._since, minute__lt=self._until), "label")
        sums = rows.order_by().values_list("label", "intent", "reason").annotate(Sum("count"))
        return (of_skips(label, intent, reason, count) for label, intent, reason, count in sums)

    def lost(self) -> Iterator[Tally]:
        rows = LostWrites.objects.filter(minute__gte=self._since, minute__lt=self._until)
        count = rows.aggregate(Sum("count"))["count__sum"]
        if count:
            yield of_lost(count)

    def _lines(self) -> dict[UUID, list[LineRow]]:
        columns = ("warm_up_id", "outcome", "cost_usd", "written_tokens", "credited_tokens")
        sent = {"warm_up__started_at__gte": self._since, "warm_up__started_at__lt": self._until}
        found = self._labelled(WarmUpLine.objects.filter(**sent), "warm_up__label")
        lines: dict[UUID, list[LineRow]] = defaultdict(list)
        for pk, outcome, cost_usd, written, credited in (
            found.order_by("warm_up", "position").values_list(*columns).iterator(chunk_size=CHUNK)
        ):
            lines[pk].append(
                LineRow(outcome=outcome, cost_usd=cost_usd, written_tokens=written, credited_tokens=credited)
            )
        return lines

    def _read(self, model: type[WarmUp] | type[UsageRecord], columns: tuple[str, ...]) -> Iterator[tuple[Any, ...]]:
        rows: QuerySet[Any] = model._default_manager.filter(started_at__gte=self._since, started_at__lt=self._until)
        return self._labelled(rows, "label").order_by().values_list(*columns).iterator(chunk_size=CHUNK)

    def _labelled(self, rows: QuerySet[Any], column: str) -> QuerySet[Any]:
        return rows if self._label is None else rows.filter(**{column: self._label})


def _billed(bill: list[Any]) -> Billed:
    input_tokens, read, written, output, cost_usd = bill
    return Billed(
        input_tokens=input_tokens,
        cache_read_tokens=read,
        cache_write_tokens=written,
        output_tokens=output,
        cost_usd=cost_usd if cost_usd is None else Decimal(cost_usd),
    )


def _rates(rates: RateSource, model: str, billed: Billed) -> Rates | None:
    return rates(model, billed.prompt_tokens)


def _number(numbers: Any, name: str) -> float | None:
    value = numbers.get(name) if isinstance(numbers, dict) else None
    return float(value) if isinstance(value, int | float) else None
