"""Settlement lines: one per layer that a warm-up wrote or renewed, billed, settled and swept. Synchronous.

`rows.py` writes the rows around them. The rules themselves are in `core/settlement.py`. Lines are changed only by
whoever holds the lock of their warm-up, and a transaction takes all its locks at once in one order: many requests
settle the shared layer of many warm-ups at the same time.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import Q, QuerySet

from warmcache.core.catalog import facts_for
from warmcache.core.economics import Rates
from warmcache.core.prefix import Breakpoint, Prefix
from warmcache.core.settlement import MET, Line, Span, credit_of, outcome_of, split_bill, summary
from warmcache.core.usage import Usage
from warmcache.models import Outcome, WarmUp, WarmUpLine

MAX_SETTLED_AT_ONCE = 500
"""Open lines that one request may settle, the deepest and newest first: on a busy assistant every warm-up renews the
shared layer. What is left the next request settles."""

MAX_LINKS_TRIED = 5

MAX_SWEPT_AT_ONCE = 1000

_OPEN = (Outcome.PENDING, Outcome.UNUSED)
"""A request is recorded when it ends: one that started in time may come after the sweep, and knows better."""

_CORRECTABLE = (*_OPEN, Outcome.DIVERGED)
"""One request had other bytes; another that reads the layer after all knows better too."""

_OTHER_BYTES = {"model_changed", "system_changed", "tools_changed"}
"""Where the provider says so, the bytes differed in something that our hash does not see."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What a real request found, as far as lines are concerned."""

    request_id: UUID
    hashes: tuple[str, ...]
    started_at: datetime
    ended_at: datetime
    read_tokens: int | None
    """None where the provider did not begin to answer: then nothing is known."""
    miss_reason: str
    joined_id: UUID | None
    raced_id: UUID | None
    waited_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """`met_id`: the warm-up that the request owes most to. `has_missed`: a layer that was warm was not read."""

    met_id: UUID | None = None
    has_missed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a reply was asked for: what was warmed there was warmed for it. `name` is the host's own word."""

    upstream: str
    label: str
    subject: str
    name: str


def warmed_layers(prefix: Prefix) -> list[Breakpoint]:
    """The layers that get a line. Below the model's minimum no entry is left, so such a layer belongs to the next."""
    minimum = facts_for(prefix.model).min_prefix_tokens
    return [point for point in prefix.breakpoints[:-1] if point.prefix_tokens >= minimum] + [prefix.breakpoints[-1]]


def open_lines(warm_up_id: UUID, prefix: Prefix, started_at: datetime) -> None:
    """Before the call: what it is about to write, as estimated."""
    WarmUpLine.objects.bulk_create(
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
    )


def bill_lines(warm_up_id: UUID, prefix: Prefix, usage: Usage, rates: Rates | None, now: datetime) -> None:
    """After the call: what each layer was billed. The lines' costs add up to the call's."""
    _lock([warm_up_id])
    spans = [Span(end_tokens=p.prefix_tokens, ttl_seconds=p.ttl_seconds) for p in warmed_layers(prefix)]
    for position, (span, bill) in enumerate(zip(spans, split_bill(spans, usage, rates), strict=True)):
        WarmUpLine.objects.filter(warm_up=warm_up_id, position=position).update(
            prefix_tokens=bill.end_tokens or span.end_tokens,
            written_tokens=bill.written_tokens,
            read_tokens=bill.read_tokens,
            cost_usd=bill.cost_usd,
        )
    _sum_up([warm_up_id], now)


def end_lines(warm_up_id: UUID, outcome: Outcome, now: datetime) -> None:
    """Of a call that failed or was cancelled: nothing of it can be read."""
    _lock([warm_up_id])
    WarmUpLine.objects.filter(warm_up=warm_up_id).update(
        outcome=outcome, settled_at=now, estimated_expires_at=None, request=None, credited_tokens=0
    )


def settle(reading: Reading, place: Place | None) -> Findings:
    """Settles the open lines that this request could read, each by itself, whoever's warm-up they belong to; and those
    that were warmed in its own `place` under other bytes."""
    warm_up_ids = set(_readable(reading, _CORRECTABLE).values_list("warm_up_id", flat=True)[:MAX_SETTLED_AT_ONCE])
    if place is not None and reading.read_tokens is not None:
        warm_up_ids.update(_bypassed(reading, place).values_list("warm_up_id", flat=True))
    _lock(warm_up_ids)
    findings = _settle_read(reading, warm_up_ids)
    has_diverged = place is not None and _settle_bypassed(reading, place, warm_up_ids)
    _sum_up(warm_up_ids, reading.ended_at)
    return replace(findings, has_missed=findings.has_missed or has_diverged)


def _settle_read(reading: Reading, warm_up_ids: set[UUID]) -> Findings:
    found: dict[tuple[Outcome, int], list[WarmUpLine]] = defaultdict(list)
    for line in _readable(reading, _CORRECTABLE).filter(warm_up__in=warm_up_ids):
        outcome = _outcome(line, reading)
        if outcome is not None and (line.outcome in _OPEN or outcome in MET):
            credit = credit_of(_line(line), read_tokens=reading.read_tokens or 0) if outcome in _READ else 0
            found[outcome, credit].append(line)
    for (outcome, credit), lines in found.items():
        WarmUpLine.objects.filter(pk__in=[line.pk for line in lines]).update(
            outcome=outcome, credited_tokens=credit, request=reading.request_id, settled_at=reading.ended_at
        )
    waited_for = {line.warm_up_id for lines in found.values() for line in lines} & {reading.joined_id, reading.raced_id}
    if reading.waited_ms and waited_for:
        WarmUp.objects.filter(pk__in=waited_for).update(waited_ms=reading.waited_ms)
    met = [line for (outcome, _), lines in found.items() if outcome in MET for line in lines]
    return Findings(
        met_id=_owed_most(met, reading) if met else _met_before(reading),
        has_missed=any(outcome in (Outcome.EVICTED, Outcome.DIVERGED) for outcome, _ in found),
    )


def _settle_bypassed(reading: Reading, place: Place, warm_up_ids: set[UUID]) -> bool:
    """Whether anything was warmed there that this request has passed by."""
    bypassed = _bypassed(reading, place).filter(warm_up__in=warm_up_ids).values_list("pk", flat=True)
    passed_by = list(bypassed) if reading.read_tokens is not None else []
    WarmUpLine.objects.filter(pk__in=passed_by).update(
        outcome=Outcome.DIVERGED, request=reading.request_id, settled_at=reading.ended_at
    )
    return bool(passed_by)


def sweep(now: datetime) -> int:
    """Ends as `unused` what no request came for in time; returns how many lines and warm-ups that settled."""
    ended = Q(estimated_expires_at__lt=now) | Q(estimated_expires_at=None)
    swept = 0
    while waiting := list(_waiting(ended).values_list("pk", flat=True)[:MAX_SWEPT_AT_ONCE]):
        swept += _sweep(_waiting(ended).filter(pk__in=waiting), now)
    without_lines = WarmUp.objects.filter(ended, outcome=Outcome.PENDING, lines=None)
    return swept + WarmUp.objects.filter(pk__in=without_lines.values("pk")).update(
        outcome=Outcome.UNUSED, settled_at=now
    )


def _waiting(ended: Q) -> QuerySet[WarmUpLine]:
    return WarmUpLine.objects.filter(ended, outcome=Outcome.PENDING).order_by("pk")


@transaction.atomic
def _sweep(waiting: QuerySet[WarmUpLine], now: datetime) -> int:
    """Whoever comes later finds them settled, by a request perhaps."""
    warm_up_ids = set(waiting.values_list("warm_up_id", flat=True))
    _lock(warm_up_ids)
    swept = WarmUpLine.objects.filter(pk__in=list(waiting.values_list("pk", flat=True))).update(
        outcome=Outcome.UNUSED, settled_at=now
    )
    _sum_up(warm_up_ids, now)
    return swept


_READ = (Outcome.HIT, Outcome.JOINED)


def _readable(reading: Reading, outcomes: Iterable[str]) -> QuerySet[WarmUpLine]:
    """Lines of entries that were alive when the request started, the deepest and newest first."""
    return (
        WarmUpLine.objects.filter(
            prefix_hash__in=reading.hashes,
            outcome__in=outcomes,
            estimated_expires_at__gte=reading.started_at,
            warm_up__started_at__lte=reading.started_at,
        )
        .select_related("warm_up")
        .order_by("-prefix_tokens", "-warm_up__started_at")
    )


def _bypassed(reading: Reading, place: Place) -> QuerySet[WarmUpLine]:
    """Open lines of the same place that this request cannot read, as its bytes are others."""
    return WarmUpLine.objects.filter(
        outcome__in=_OPEN,
        warm_up__place=place.name,
        warm_up__subject=place.subject,
        warm_up__label=place.label,
        warm_up__upstream=place.upstream,
        warm_up__started_at__lte=reading.started_at,
        estimated_expires_at__gte=reading.started_at,
    ).exclude(prefix_hash__in=reading.hashes)


def _outcome(line: WarmUpLine, reading: Reading) -> Outcome | None:
    """None leaves it open."""
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
    if outcome == "evicted":
        return Outcome.DIVERGED if reading.miss_reason in _OTHER_BYTES else Outcome.EVICTED
    return (Outcome.JOINED if has_joined else Outcome.HIT) if outcome else None


def _had_not_ended(warm_up: WarmUp, moment: datetime) -> bool:
    """Whether the call was still at the provider: another process's, which this one could not see in flight."""
    surely_running = timedelta(milliseconds=warm_up.duration_ms - 1)  # as the duration was rounded
    return warm_up.duration_ms > 0 and warm_up.started_at + surely_running > moment


def _line(line: WarmUpLine) -> Line:
    return Line(
        end_tokens=line.prefix_tokens,
        written_tokens=line.written_tokens,
        read_tokens=line.read_tokens,
        is_deepest=line.prefix_hash == line.warm_up.prefix_hash,
    )


def _owed_most(met: Iterable[WarmUpLine], reading: Reading) -> UUID:
    """The warm-up that it joined or raced, or else the one of the deepest layer; of equals the newest."""
    own = (reading.joined_id, reading.raced_id)
    best = max(met, key=lambda line: (line.warm_up_id in own, line.prefix_tokens, line.warm_up.started_at))
    return best.warm_up_id


def _met_before(reading: Reading) -> UUID | None:
    """An earlier request settled it, and this one has read it no less."""
    if not reading.read_tokens:
        return None
    for line in _readable(reading, MET)[:MAX_LINKS_TRIED]:
        if _outcome(line, reading) in MET:
            return line.warm_up_id
    return None


def _lock(warm_up_ids: Iterable[UUID]) -> None:
    """Until the end of the transaction, in one order for all."""
    rows = WarmUp.objects.select_for_update().filter(pk__in=list(warm_up_ids)).order_by("pk")
    list(rows.values_list("pk"))


def _sum_up(warm_up_ids: Iterable[UUID], now: datetime) -> None:
    """Brings the warm-ups' own outcomes up to their lines'. A call that failed stays failed."""
    lines: dict[UUID, list[tuple[str, int]]] = defaultdict(list)
    rows = WarmUpLine.objects.filter(warm_up__in=list(warm_up_ids)).order_by("warm_up", "position")
    for warm_up_id, outcome, written_tokens in rows.values_list("warm_up_id", "outcome", "written_tokens"):
        lines[warm_up_id].append((outcome, written_tokens))
    by_outcome: dict[str, list[UUID]] = defaultdict(list)
    for warm_up_id, found in lines.items():
        by_outcome[summary(found)].append(warm_up_id)
    for outcome, summed_up in by_outcome.items():
        changed = WarmUp.objects.filter(pk__in=summed_up).exclude(outcome__in=(outcome, *_ENDED))
        changed.update(outcome=outcome, settled_at=now if outcome else None)


_ENDED = (Outcome.FAILED, Outcome.CANCELLED)
