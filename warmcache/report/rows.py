"""The ledger's rows of a period, as plain values. Settles expired lines first. Synchronous."""

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db.models import QuerySet, Sum

from warmcache.core.moments import at
from warmcache.core.outcomes import Purpose
from warmcache.ledger import rows as records
from warmcache.models import LostWrites, SkipCount, UsageRecord, WarmUp, WarmUpLine
from warmcache.report.figures import Evidence, LineRow, RequestRow, SkipRow, WarmUpRow
from warmcache.upstream.prices import rates_for

CHUNK = 2000


def read_evidence(*, now: float, period_seconds: float, label: str | None = None) -> Evidence:
    """Everything in the ledger for the last `period_seconds`, for one label or for all. `now`: epoch seconds."""
    records.sweep(now)
    until = at(now)
    since = until - timedelta(seconds=period_seconds)
    return Evidence(
        since=since,
        until=until,
        label=label,
        warm_ups=list(_warm_ups(since, label)),
        requests=list(_requests(since, label)),
        skips=list(_skips(since, label)),
        lost_writes=LostWrites.objects.filter(minute__gte=since).aggregate(count=Sum("count"))["count"] or 0,
    )


def _warm_ups(since: datetime, label: str | None) -> Iterator[WarmUpRow]:
    columns = ("id", "upstream", "label", "model", "intent", "outcome", "started_at", "cost_usd", "numbers")
    lines = _lines(since, label)
    found = _labelled(WarmUp.objects.filter(started_at__gte=since), label, "label").order_by()
    for row in found.values(*columns).iterator(chunk_size=CHUNK):
        numbers = row.pop("numbers")
        yield WarmUpRow(lines=tuple(lines.get(row.pop("id"), ())), send_chance=_number(numbers, "send_chance"), **row)


def _lines(since: datetime, label: str | None) -> dict[UUID, list[LineRow]]:
    columns = ("warm_up_id", "outcome", "cost_usd", "written_tokens", "credited_tokens")
    found = _labelled(WarmUpLine.objects.filter(warm_up__started_at__gte=since), label, "warm_up__label")
    lines: dict[UUID, list[LineRow]] = defaultdict(list)
    for row in found.order_by("warm_up", "position").values(*columns).iterator(chunk_size=CHUNK):
        lines[row.pop("warm_up_id")].append(LineRow(**row))
    return lines


def _requests(since: datetime, label: str | None) -> Iterator[RequestRow]:
    """Replies only: a person does not wait for a title or a tool round."""
    columns = ("upstream", "label", "model", "warmth", "ttft_ms", "arm", "intent", "started_at", "numbers")
    billed = ("cost_usd", "input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens")
    replies = UsageRecord.objects.filter(started_at__gte=since, purpose=Purpose.REPLY)
    found = _labelled(replies, label, "label").order_by()
    for row in found.values(*columns, *billed).iterator(chunk_size=CHUNK):
        bill = {name: row.pop(name) for name in billed}
        saved_seconds = _number(row.pop("numbers"), "saved_seconds")
        yield RequestRow(saved_seconds=saved_seconds, input_usd=_input_usd(row["model"], bill), **row)


def _input_usd(model: str, bill: dict[str, Any]) -> Decimal | None:
    """The bill without its output, by the price of output as known now; None if there is none."""
    rates = rates_for(model, sum(bill[name] for name in ("input_tokens", "cache_read_tokens", "cache_write_tokens")))
    if bill["cost_usd"] is None or rates is None:
        return None
    cost: Decimal = bill["cost_usd"] - bill["output_tokens"] * rates.output
    return cost


def _skips(since: datetime, label: str | None) -> Iterator[SkipRow]:
    found = _labelled(SkipCount.objects.filter(minute__gte=since), label, "label").order_by()
    for row in found.values("label", "intent", "reason").annotate(total=Sum("count")):
        yield SkipRow(count=row.pop("total"), **row)


def _labelled(rows: QuerySet[Any], label: str | None, column: str) -> QuerySet[Any]:
    return rows if label is None else rows.filter(**{column: label})


def _number(numbers: Any, name: str) -> float | None:
    value = numbers.get(name) if isinstance(numbers, dict) else None
    return float(value) if isinstance(value, int | float) else None
