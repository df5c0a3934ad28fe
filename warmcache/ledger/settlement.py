"""Settlement lines: one per layer that a warm-up wrote or renewed, billed, settled and swept. Synchronous.

`rows.py` writes the rows around them. The rules themselves are in `core/settlement.py`. Only the holder of a warm-up's
lock changes its lines, and a transaction takes all its locks at once in one order: many requests settle the shared
layer of many warm-ups at the same time. Lines seen before the lock only say which warm-ups to lock: under the lock a
separate statement reads the lines again, and so sees changes that the lock waited for.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Case, Field, Model, Q, QuerySet, Value, When
from django.db.models.functions import Cast

from warmcache.core.catalog import facts_for
from warmcache.core.economics import Rates
from warmcache.core.outcomes import Outcome
from warmcache.core.prefix import Breakpoint, Prefix
from warmcache.core.settlement import MET, Line, Span, credit_of, outcome_of, split_bill, summary
from warmcache.core.usage import Usage
from warmcache.databases import connection_of, in_transaction_of
from warmcache.ledger.settleable import (
    CORRECTABLE,
    MAX_LINKS_TRIED,
    OPEN,
    Place,
    Reading,
    find,
    is_bypassed,
    is_readable,
)
from warmcache.models import WarmUp, WarmUpLine
from warmcache.signals import settled

MAX_SWEPT_AT_ONCE = 1000

_OTHER_BYTES = {"model_changed", "system_changed", "tools_changed"}
"""With these reasons from the provider, the bytes differed in something that our hash does not cover."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """`met_id`: the warm-up that helped the request most. `has_missed`: a warm layer was not read."""

    met_id: UUID | None = None
    has_missed: bool = False


def warmed_layers(prefix: Prefix) -> list[Breakpoint]:
    """The layers that get a line. A layer below the model's minimum leaves no entry, so it belongs to the next one."""
    minimum = facts_for(prefix.model).min_prefix_tokens
    return [point for point in prefix.breakpoints[:-1] if point.prefix_tokens >= minimum] + [prefix.breakpoints[-1]]


def open_lines(warm_up_id: UUID, prefix: Prefix, started_at: datetime) -> None:
    """Before the call: inserts the lines that it will write, as estimated. Existing lines are left unchanged."""
    lines = [
        WarmUpLine(
            warm_up_id=warm_up_id,
            position=position,
            layer=point.layer,
            prefix_hash=point.prefix_hash,
            prefix_tokens=point.prefix_tokens,
            ttl_seconds=point.ttl_seconds,
            estimated_expires_at=started_at + timedelta(seconds=point.ttl_seconds),
        )
        for position, point in enumerate(warmed_layers(prefix))
    ]
    WarmUpLine.objects.bulk_create(lines, ignore_conflicts=True)


def bill_lines(warm_up_id: UUID, prefix: Prefix, usage: Usage, rates: Rates | None, now: datetime) -> None:
    """After the call: records each layer's bill. The lines' costs add up to the call's. The caller holds the lock."""
    spans = [Span(end_tokens=p.prefix_tokens, ttl_seconds=p.ttl_seconds) for p in warmed_layers(prefix)]
    bills = split_bill(spans, usage, rates)
    lines = list(_of_warm_ups([warm_up_id]).select_related("warm_up"))
    for line in lines:
        bill = bills[line.position]
        line.prefix_tokens = bill.end_tokens or spans[line.position].end_tokens
        line.written_tokens, line.read_tokens, line.cost_usd = bill.written_tokens, bill.read_tokens, bill.cost_usd
    _save(lines, "prefix_tokens", "written_tokens", "read_tokens", "cost_usd")
    _sum_up({line.warm_up_id: line.warm_up for line in lines[:1]}, lines, now)


def end_lines(warm_up_id: UUID, outcome: Outcome, now: datetime) -> None:
    """Ends the lines of a failed or cancelled call: nothing of it can be read. The caller holds the lock."""
    WarmUpLine.objects.filter(warm_up=warm_up_id).update(
        outcome=outcome, settled_at=now, estimated_expires_at=None, request=None, credited_tokens=0
    )


def settle(reading: Reading, place: Place | None) -> Findings:
    """Settles separately each open line that this request could read, whichever warm-up it belongs to, and those that
    were warmed in its own `place` with other bytes. One statement if there are none, five if there are some."""
    seen = find(reading, place)
    to_settle = [line for line in seen if line.outcome not in MET]
    if not to_settle:
        return Findings(met_id=_met_before(seen, reading))
    warm_ups, lines = _locked({line.warm_up_id for line in to_settle})
    readable = [line for line in lines if is_readable(line, reading)]
    met_before = [line for line in readable if line.outcome in MET]
    found = [line for line in readable if _settle_read(line, reading)]
    passed_by = [line for line in lines if is_bypassed(line, reading, place)]
    for line in passed_by:
        line.outcome = Outcome.DIVERGED
    for line in (*found, *passed_by):
        line.request_id, line.settled_at = reading.request_id, reading.ended_at
    _save([*found, *passed_by], "outcome", "credited_tokens", "request_id", "settled_at")
    waited_for = {line.warm_up_id for line in found} & {reading.joined_id, reading.raced_id}
    _sum_up(warm_ups, lines, reading.ended_at, waited_ms=dict.fromkeys(waited_for, reading.waited_ms))
    met = [line for line in found if line.outcome in MET]
    return Findings(
        met_id=_owed_most(met, reading) if met else _met_before([*seen, *met_before], reading),
        has_missed=any(line.outcome in (Outcome.EVICTED, Outcome.DIVERGED) for line in (*found, *passed_by)),
    )


def _settle_read(line: WarmUpLine, reading: Reading) -> bool:
    """Whether the request reveals something about this line."""
    outcome = _outcome(line, reading) if line.outcome in CORRECTABLE else None
    if outcome is None or (line.outcome not in OPEN and outcome not in MET):
        return False
    is_read = outcome in (Outcome.HIT, Outcome.JOINED)
    line.credited_tokens = credit_of(_line(line), read_tokens=reading.read_tokens or 0) if is_read else 0
    line.outcome = outcome
    return True


def sweep(now: datetime) -> int:
    """Ends as `unused` the lines that no request read in time; returns how many lines and warm-ups were settled."""
    ended = Q(estimated_expires_at__lt=now) | Q(estimated_expires_at=None)
    swept = 0
    waiting = WarmUpLine.objects.filter(ended, outcome=Outcome.PENDING).order_by("pk")
    while warm_up_ids := set(waiting.values_list("warm_up_id", flat=True)[:MAX_SWEPT_AT_ONCE]):
        swept += _sweep(warm_up_ids, now)
    without_lines = WarmUp.objects.filter(ended, outcome=Outcome.PENDING, lines=None)
    return swept + WarmUp.objects.filter(pk__in=without_lines.values("pk")).update(
        outcome=Outcome.UNUSED, settled_at=now
    )


@in_transaction_of(WarmUp)
def _sweep(warm_up_ids: set[UUID], now: datetime) -> int:
    """Sweeps under the lock: another process, or a request, may have settled the lines meanwhile."""
    warm_ups, lines = _locked(warm_up_ids)
    swept = [
        line
        for line in lines
        if line.outcome == Outcome.PENDING and (line.estimated_expires_at is None or line.estimated_expires_at < now)
    ]
    for line in swept:
        line.outcome, line.settled_at = Outcome.UNUSED, now
    _save(swept, "outcome", "settled_at")
    _sum_up(warm_ups, lines, now)
    return len(swept)


def _outcome(line: WarmUpLine, reading: Reading) -> Outcome | None:
    """The line's outcome; None leaves it open."""
    if line.warm_up_id == reading.raced_id:
        return Outcome.RACED
    if reading.read_tokens is None:
        return None
    has_joined = line.warm_up_id == reading.joined_id
    if not has_joined and _had_not_ended(line.warm_up, reading.started_at):
        return Outcome.RACED
    if not _line(line).is_billed and line.warm_up.duration_ms == 0:
        return None
    outcome = outcome_of(_line(line), read_tokens=reading.read_tokens)
    if outcome is Outcome.EVICTED:
        return Outcome.DIVERGED if reading.miss_reason in _OTHER_BYTES else Outcome.EVICTED
    return (Outcome.JOINED if has_joined else Outcome.HIT) if outcome else None


def _had_not_ended(warm_up: WarmUp, moment: datetime) -> bool:
    """Whether the call was still at the provider: a call of another process, which this one could not see in flight."""
    surely_running = timedelta(milliseconds=warm_up.duration_ms - 1)  # because the duration was rounded
    return warm_up.duration_ms > 0 and warm_up.started_at + surely_running > moment


def _line(line: WarmUpLine) -> Line:
    return Line(
        end_tokens=line.prefix_tokens,
        written_tokens=line.written_tokens,
        read_tokens=line.read_tokens,
        is_deepest=line.prefix_hash == line.warm_up.prefix_hash,
    )


def _owed_most(met: Iterable[WarmUpLine], reading: Reading) -> UUID:
    """The warm-up that it joined or raced, otherwise the one of the deepest layer; the newest wins a tie."""
    own = (reading.joined_id, reading.raced_id)
    best = max(met, key=lambda line: (line.warm_up_id in own, line.prefix_tokens, line.warm_up.started_at))
    return best.warm_up_id


def _met_before(lines: Iterable[WarmUpLine], reading: Reading) -> UUID | None:
    """The warm-up of a line that an earlier request settled and that this request has read as well."""
    if not reading.read_tokens:
        return None
    met = [line for line in lines if line.outcome in MET]
    met.sort(key=lambda line: (line.prefix_tokens, line.warm_up.started_at), reverse=True)
    return next((line.warm_up_id for line in met[:MAX_LINKS_TRIED] if _outcome(line, reading) in MET), None)


def _locked(warm_up_ids: Iterable[UUID]) -> tuple[dict[UUID, WarmUp], list[WarmUpLine]]:
    """The warm-ups, locked until the end of the transaction and in one order for all, and then all their lines."""
    rows = WarmUp.objects.select_for_update().filter(pk__in=list(warm_up_ids)).order_by("pk")
    warm_ups = {warm_up.pk: warm_up for warm_up in rows}
    lines = list(_of_warm_ups(warm_ups))
    for line in lines:
        line.warm_up = warm_ups[line.warm_up_id]
    return warm_ups, lines


def _of_warm_ups(warm_up_ids: Iterable[UUID]) -> QuerySet[WarmUpLine]:
    return WarmUpLine.objects.filter(warm_up__in=list(warm_up_ids)).order_by("warm_up", "position")


def _sum_up(
    warm_ups: Mapping[UUID, WarmUp],
    lines: Iterable[WarmUpLine],
    now: datetime,
    *,
    waited_ms: Mapping[UUID, int] | None = None,
) -> None:
    """Updates the warm-ups' own outcomes from their lines. A call that failed stays failed."""
    known: dict[UUID, list[tuple[Outcome, int]]] = defaultdict(list)
    for line in lines:
        known[line.warm_up_id].append((Outcome(line.outcome), line.written_tokens))
    changed = set()
    for warm_up_id, found in known.items():
        warm_up, outcome = warm_ups[warm_up_id], summary(found)
        if outcome != warm_up.outcome and warm_up.outcome not in _ENDED:
            warm_up.outcome, warm_up.settled_at = outcome, now if outcome else None
            changed.add(warm_up_id)
            tell_outcome(warm_up_id, outcome, label=warm_up.label, intent=warm_up.intent)
    for warm_up_id, milliseconds in (waited_ms or {}).items():
        if milliseconds:
            warm_ups[warm_up_id].waited_ms = milliseconds
            changed.add(warm_up_id)
    _save([warm_ups[warm_up_id] for warm_up_id in changed], "outcome", "settled_at", "waited_ms")


def tell_outcome(warm_up_id: UUID, outcome: Outcome, *, label: str, intent: str) -> None:
    """Tells the host, once the outcome is committed. An outcome that is open again is no news."""
    if outcome and settled.has_listeners(WarmUp):
        transaction.on_commit(
            lambda: settled.send_robust(WarmUp, warm_up_id=warm_up_id, outcome=outcome, label=label, intent=intent),
            using=connection_of(WarmUp).alias,
            robust=True,
        )


def _save(rows: Sequence[Model], *columns: str) -> None:
    """Writes these columns of all rows in one statement, grouped by their values: most rows have the same values."""
    if not rows:
        return
    by_values: dict[tuple[Any, ...], list[Any]] = defaultdict(list)
    for row in rows:
        by_values[tuple(getattr(row, column) for column in columns)].append(row.pk)
    model = type(rows[0])
    changes = {column: _by_row(_field(model, column), number, by_values) for number, column in enumerate(columns)}
    model._default_manager.filter(pk__in=[row.pk for row in rows]).update(**changes)


def _field(model: type[Model], column: str) -> "Field[Any, Any]":
    return next(field for field in model._meta.concrete_fields if column in (field.name, field.attname))


def _by_row(field: "Field[Any, Any]", number: int, by_values: Mapping[tuple[Any, ...], list[Any]]) -> Any:
    """The value of a column: one for all rows, or one per row."""
    if len({values[number] for values in by_values}) == 1:
        return next(iter(by_values))[number]
    whens = (When(pk__in=pks, then=Value(values[number], output_field=field)) for values, pks in by_values.items())
    return Cast(Case(*whens, output_field=field), output_field=field)  # PostgreSQL would take the values for text


_ENDED = (Outcome.FAILED, Outcome.CANCELLED)
