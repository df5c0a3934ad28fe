"""Rows of the ledger: written, settled and swept. Synchronous; `ledger.py` calls it off the event loop."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import F

from warmcache.core.economics import Rates, request_cost_usd
from warmcache.core.prefix import Prefix
from warmcache.core.usage import Usage
from warmcache.models import Outcome, SkipCount, UsageRecord, WarmUp

FULL_READ_FRACTION = 0.99
"""A request has used a warm-up if it read at least this part of what the warm-up left in the cache."""

MAX_CANDIDATES = 50
"""Of warm-ups that one request may settle: its look-back positions can match no more than this in practice."""

_MET = {Outcome.HIT, Outcome.JOINED, Outcome.RACED}
"""Outcomes that make a request point at the warm-up."""

_OPEN = (Outcome.PENDING, Outcome.UNUSED)
"""A request is recorded when it ends: one that started in time may come after the sweep, and knows better."""

_MAX_PROVIDER_WORD = 80
"""The column's width: an id of the provider's that is longer must not cost the row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """For whom and where a request was made. `label` and `subject` are the host's own words."""

    label: str
    subject: str
    upstream: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestFacts:
    """One real request, as it ended. `started_at` is in epoch seconds, the call's start at the provider."""

    id: UUID
    origin: Origin
    purpose: str
    prefix: Prefix
    started_at: float
    duration_ms: int
    ttft_ms: int | None
    status: str
    error_code: str
    request_id: str
    found: Usage | None
    """What the first answer of the provider said: what was in the cache when the request came."""
    usage: Usage | None
    """What was billed, over all tries."""
    rates: Rates | None
    joined_id: UUID | None
    raced_id: UUID | None
    waited_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """What a real request found: `warmth` is `hit`, `joined`, `raced` or `cold`."""

    warmth: str
    warm_up_id: UUID | None
    cost_usd: Decimal | None


def at(epoch_seconds: float) -> datetime:
    return datetime.fromtimestamp(epoch_seconds, tz=UTC)


def insert_warm_up(
    warm_up_id: UUID, *, prefix: Prefix, origin: Origin, intent: str, reason: str, hot_tokens: int, started_at: float
) -> None:
    """The row stands before the call ends, so that a request that races it, or a crash, leaves a trace."""
    deepest = prefix.breakpoints[-1]
    WarmUp.objects.create(
        id=warm_up_id,
        **_origin_columns(origin, prefix),
        intent=intent,
        reason=reason,
        started_at=at(started_at),
        estimated_expires_at=at(started_at + deepest.ttl_seconds),
        layers=[
            {
                "layer": point.layer,
                "prefix_hash": point.prefix_hash,
                "prefix_tokens": point.prefix_tokens,
                "ttl_seconds": point.ttl_seconds,
                "state": "warm" if point.prefix_tokens <= hot_tokens else "cold",
            }
            for point in prefix.breakpoints
        ],
    )


def finish_warm_up(warm_up_id: UUID, *, usage: Usage, rates: Rates | None, duration_ms: int, request_id: str) -> None:
    WarmUp.objects.filter(pk=warm_up_id).update(
        **_usage_columns(usage, rates), duration_ms=duration_ms, request_id=request_id[:_MAX_PROVIDER_WORD]
    )


def fail_warm_up(
    warm_up_id: UUID, *, outcome: Outcome, error_code: str, request_id: str, duration_ms: int, now: float
) -> None:
    WarmUp.objects.filter(pk=warm_up_id).update(
        outcome=outcome,
        error_code=error_code,
        request_id=request_id[:_MAX_PROVIDER_WORD],
        duration_ms=duration_ms,
        estimated_expires_at=None,
        settled_at=at(now),
    )


@transaction.atomic
def record_request(facts: RequestFacts) -> Settlement:
    """Writes the request's row and settles the warm-ups that it did or did not use."""
    used = _settle_warm_ups(facts)
    settlement = replace(settlement_without_row(facts), warm_up_id=used)
    UsageRecord.objects.create(
        id=facts.id,
        **_origin_columns(facts.origin, facts.prefix),
        **_usage_columns(facts.usage or Usage(), facts.rates),
        purpose=facts.purpose,
        status=facts.status,
        error_code=facts.error_code,
        request_id=facts.request_id[:_MAX_PROVIDER_WORD],
        warmth=settlement.warmth,
        warm_up_id=used,
        started_at=at(facts.started_at),
        duration_ms=facts.duration_ms,
        ttft_ms=facts.ttft_ms,
    )
    return settlement


def settlement_without_row(facts: RequestFacts) -> Settlement:
    """What can be said of a request without the database."""
    return Settlement(
        warmth=_warmth_found(facts),
        warm_up_id=None,
        cost_usd=request_cost_usd(facts.usage, facts.rates) if facts.usage and facts.rates else None,
    )


def sweep(now: float) -> int:
    """Ends as `unused` what no request came for in time; returns how many. Safe to call at any moment."""
    return WarmUp.objects.filter(outcome=Outcome.PENDING, estimated_expires_at__lt=at(now)).update(
        outcome=Outcome.UNUSED, settled_at=at(now)
    )


@transaction.atomic
def add_skip_counts(counts: Mapping[tuple[float, str, str, str], int]) -> None:
    """Adds to the counters; keys are (minute in epoch seconds, label, intent, reason)."""
    for (minute, label, intent, reason), count in counts.items():
        row, _ = SkipCount.objects.get_or_create(minute=at(minute), label=label, intent=intent, reason=reason)
        SkipCount.objects.filter(pk=row.pk).update(count=F("count") + count)


def _settle_warm_ups(facts: RequestFacts) -> UUID | None:
    """Returns the newest warm-up whose entry this request could read, settled by it or by an earlier one."""
    started_at = at(facts.started_at)
    candidates = WarmUp.objects.filter(
        prefix_hash__in=facts.prefix.hashes, started_at__lte=started_at, estimated_expires_at__gte=started_at
    ).order_by("-started_at")
    found: UUID | None = None
    for warm_up in candidates[:MAX_CANDIDATES]:
        outcome = _outcome(warm_up, facts)
        if outcome is not None:
            _settle_once(warm_up.pk, outcome, facts)
        if found is None and (outcome in _MET or warm_up.pk in (facts.joined_id, facts.raced_id)):
            found = warm_up.pk
    return found


def _outcome(warm_up: WarmUp, facts: RequestFacts) -> Outcome | None:
    """None leaves it open: nothing is known where the request itself failed before the provider began to answer."""
    if warm_up.pk == facts.raced_id:
        return Outcome.RACED
    if facts.found is None:
        return None
    if warm_up.pk != facts.joined_id and _had_not_ended(warm_up, facts.started_at):
        return Outcome.RACED
    left_in_cache = warm_up.cache_read_tokens + warm_up.cache_write_tokens
    if left_in_cache == 0:
        return None
    if facts.found.cache_read_tokens < FULL_READ_FRACTION * left_in_cache:
        return Outcome.EVICTED
    return Outcome.JOINED if warm_up.pk == facts.joined_id else Outcome.HIT


def _had_not_ended(warm_up: WarmUp, moment: float) -> bool:
    """Whether the call was still at the provider: another process's, which this one could not see in flight."""
    surely_running = timedelta(milliseconds=warm_up.duration_ms - 1)  # as the duration was rounded
    return warm_up.duration_ms > 0 and warm_up.started_at + surely_running > at(moment)


def _settle_once(warm_up_id: UUID, outcome: Outcome, facts: RequestFacts) -> None:
    waited_ms = facts.waited_ms if warm_up_id in (facts.joined_id, facts.raced_id) else 0
    WarmUp.objects.filter(pk=warm_up_id, outcome__in=_OPEN).update(
        outcome=outcome, waited_ms=waited_ms, settled_at=at(facts.started_at + facts.duration_ms / 1000)
    )


def _warmth_found(facts: RequestFacts) -> str:
    """What the request met, told by what it really read: `hit`, `joined`, `raced` or `cold`."""
    if facts.raced_id is not None:
        return "raced"
    usage = facts.found or Usage()
    if usage.cache_read_tokens == 0 or usage.cache_read_tokens < usage.cache_write_tokens:
        return "cold"
    return "joined" if facts.joined_id is not None else "hit"


def _origin_columns(origin: Origin, prefix: Prefix) -> dict[str, Any]:
    deepest = prefix.deepest
    return {
        "label": origin.label,
        "subject": origin.subject,
        "upstream": origin.upstream,
        "model": prefix.model,
        "prefix_hash": deepest.prefix_hash if deepest else "",
        "prefix_tokens": prefix.prefix_tokens,
    }


def _usage_columns(usage: Usage, rates: Rates | None) -> dict[str, Any]:
    return {
        "input_tokens": usage.input_tokens,
        "cache_read_tokens": usage.cache_read_tokens,
        "cache_write_tokens": usage.cache_write_tokens,
        "cache_write_1h_tokens": usage.cache_write_1h_tokens,
        "output_tokens": usage.output_tokens,
        "cost_usd": request_cost_usd(usage, rates) if rates else None,
        "price_version": rates.version if rates else "",
    }
