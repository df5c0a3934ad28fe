"""Rows of the ledger: written, settled and swept. Synchronous; `ledger/writer.py` calls it off the event loop."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db.models import Count, F, Q, Sum

from warmcache.background import database
from warmcache.background.statements import Insert
from warmcache.core.economics import Rates
from warmcache.core.failures import Failure
from warmcache.core.guards import Spent
from warmcache.core.intents import Intent
from warmcache.core.moments import at
from warmcache.core.origin import Origin
from warmcache.core.outcomes import CONVERSING, Arm, Outcome, Purpose, RequestStatus, RequestWarmth
from warmcache.core.prefix import Prefix
from warmcache.core.reasons import Reason
from warmcache.core.settlement import total_cost_usd
from warmcache.core.usage import Usage
from warmcache.databases import connection_of, in_transaction_of
from warmcache.ledger import settlement as lines
from warmcache.ledger.settleable import Place, Reading
from warmcache.ledger.silences import Follower, Silence, end_silence
from warmcache.models import LostWrites, SkipCount, UsageRecord, WarmUp

_atomic = in_transaction_of(WarmUp)

_MAX_PROVIDER_WORD = 80
"""The column's width: a longer id of the provider must not cost us the row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WarmUpFacts:
    """One warm-up, as it was sent. `started_at` is the call's start at the provider, in epoch seconds."""

    id: UUID
    origin: Origin
    prefix: Prefix
    intent: Intent
    reason: Reason
    """Why the policy said yes."""
    started_at: float
    numbers: dict[str, Any] = field(default_factory=dict)
    """What the policy weighed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestFacts:
    """One real request, as it ended. `started_at` is the call's start at the provider, in epoch seconds."""

    id: UUID
    origin: Origin
    purpose: Purpose
    prefix: Prefix
    started_at: float
    duration_ms: int
    ttft_ms: int | None
    status: RequestStatus
    error_code: Failure | None
    request_id: str
    found: Usage | None
    """What the provider's first answer reported: what was in the cache when the request came."""
    usage: Usage | None
    """What was billed, over all attempts."""
    rates: Rates | None
    joined_id: UUID | None
    raced_id: UUID | None
    waited_ms: int
    response_id: str = ""
    miss_reason: str = ""
    """Why the provider could not read everything that an earlier request had left, as far as it says so."""
    followed_request: bool = False
    """Whether it waited for another real request, which wrote what it needed."""
    asked_tool: bool = False
    arm: Arm = Arm.NONE
    """The arm of the visit that it ended."""
    intent: Intent | None = None
    """The intent at which the policy had said warm in that visit."""
    lead_ms: int | None = None
    numbers: dict[str, Any] = field(default_factory=dict)
    """What the policy had weighed then, or when it last said no."""
    decided: Reason | None = None
    """Why the visit was to be warmed, or the last reason why not; None if nothing announced this request."""
    answered_ms: int | None = None
    first_token_ms: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """What a real request found."""

    warmth: RequestWarmth
    warm_up_id: UUID | None
    cost_usd: Decimal | None
    silence: Silence | None = None
    """None for the first request of a place."""
    arrival_seconds: float | None = None
    """Time since the previous request under the same label, whoever sent it; None for the first one and for a title."""


@_atomic
def insert_warm_up(facts: WarmUpFacts) -> None:
    """Inserts the row before the call ends, so that a request that races it, or a crash, leaves a trace. An existing
    row is left unchanged."""
    started_at, deepest = at(facts.started_at), facts.prefix.breakpoints[-1]
    row = WarmUp(
        id=facts.id,
        **_origin_columns(facts.origin, facts.prefix),
        intent=facts.intent,
        reason=facts.reason,
        numbers=facts.numbers,
        started_at=started_at,
        estimated_expires_at=started_at + timedelta(seconds=deepest.ttl_seconds),
    )
    WarmUp.objects.bulk_create([row], ignore_conflicts=True)
    lines.open_lines(facts.id, facts.prefix, started_at)


@_atomic
def finish_warm_up(
    facts: WarmUpFacts,
    *,
    usage: Usage,
    rates: Rates | None,
    duration_ms: int,
    request_id: str,
    response_id: str = "",
) -> None:
    """Records what the warm-up was billed, in all and per layer. Complete even if the row was never inserted."""
    _update_warm_up(
        facts,
        **_usage_columns(usage, rates),
        duration_ms=duration_ms,
        request_id=request_id[:_MAX_PROVIDER_WORD],
        response_id=response_id[:_MAX_PROVIDER_WORD],
    )
    lines.bill_lines(facts.id, facts.prefix, usage, rates, at(facts.started_at + duration_ms / 1000))


@_atomic
def fail_warm_up(
    facts: WarmUpFacts,
    *,
    outcome: Outcome,
    error_code: Failure | Reason | None,
    request_id: str,
    duration_ms: int,
    now: float,
) -> None:
    """Records a failed warm-up with its cost. Complete even if the row was never inserted."""
    _update_warm_up(
        facts,
        outcome=outcome,
        error_code=error_code or "",
        request_id=request_id[:_MAX_PROVIDER_WORD],
        duration_ms=duration_ms,
        estimated_expires_at=None,
        settled_at=at(now),
    )
    lines.end_lines(facts.id, outcome, at(now))
    lines.tell_outcome(facts.id, outcome, label=facts.origin.label, intent=facts.intent)


def _update_warm_up(facts: WarmUpFacts, **columns: Any) -> None:
    """Takes the row's lock, as everything that changes its lines must."""
    row = WarmUp.objects.filter(pk=facts.id)
    if not row.update(**columns):
        insert_warm_up(facts)
        row.update(**columns)


@_atomic
def record_request(facts: RequestFacts, *, then: Callable[[Settlement], None] | None = None) -> Settlement:
    """Writes the request's row and settles the warm-ups that it did or did not use: three statements if it follows
    another request and there is nothing to settle. `then` is called in the same transaction."""
    findings = _settle_lines(facts)
    silence, arrival_seconds = _since_earlier(facts)
    settlement = replace(
        settlement_without_row(facts), warm_up_id=findings.met_id, silence=silence, arrival_seconds=arrival_seconds
    )
    has_missed = findings.has_missed or settlement.warmth is RequestWarmth.COLD
    usage = facts.usage or Usage()
    record = UsageRecord(
        id=facts.id,
        **_origin_columns(facts.origin, facts.prefix),
        **_usage_columns(usage, facts.rates),
        web_searches=usage.web_searches,
        web_fetches=usage.web_fetches,
        purpose=facts.purpose,
        status=facts.status,
        error_code=facts.error_code or "",
        request_id=facts.request_id[:_MAX_PROVIDER_WORD],
        warmth=settlement.warmth,
        response_id=facts.response_id[:_MAX_PROVIDER_WORD],
        miss_reason=facts.miss_reason if has_missed else "",
        warm_up_id=findings.met_id,
        started_at=at(facts.started_at),
        duration_ms=facts.duration_ms,
        ttft_ms=facts.ttft_ms,
        waited_ms=facts.waited_ms,
        asked_tool=facts.asked_tool,
        arm=facts.arm,
        intent=facts.intent or "",
        lead_ms=facts.lead_ms,
        numbers=facts.numbers,
        decided=facts.decided or "",
        answered_ms=facts.answered_ms,
        first_token_ms=facts.first_token_ms,
    )
    _INSERT_RECORD.run(record)
    if then is not None:
        then(settlement)
    return settlement


_INSERT_RECORD = Insert(UsageRecord)


def settlement_without_row(facts: RequestFacts) -> Settlement:
    """What is known about a request without the database."""
    return Settlement(
        warmth=_warmth_found(facts),
        warm_up_id=None,
        cost_usd=total_cost_usd(facts.usage, facts.rates) if facts.usage else None,
    )


def ping() -> None:
    """Raises an error if the ledger's database does not answer."""
    database.ping(connection_of(WarmUp).alias)


def sweep(now: float) -> int:
    """Ends as `unused` the warm-ups that no request used in time; returns how many. Safe to call at any moment."""
    return lines.sweep(at(now))


def spent_since(subject: str, since: float, *, upstream: str, unknown_usd: Decimal) -> Spent:
    """What warm-ups that were sent since then have cost. One that is not billed yet counts as `unknown_usd`."""
    rows = WarmUp.objects.filter(upstream=upstream, started_at__gte=at(since))
    is_open = Q(cost_usd=None, outcome=Outcome.PENDING)
    own = Q(subject=subject)
    found = rows.aggregate(
        count=Count("pk"),
        usd=Sum("cost_usd"),
        open=Count("pk", filter=is_open),
        own_count=Count("pk", filter=own),
        own_usd=Sum("cost_usd", filter=own),
        own_open=Count("pk", filter=is_open & own),
    )
    return Spent(
        own_count=found["own_count"],
        own_usd=(found["own_usd"] or Decimal(0)) + found["own_open"] * unknown_usd,
        count=found["count"],
        usd=(found["usd"] or Decimal(0)) + found["open"] * unknown_usd,
    )


@_atomic
def add_lost_writes(minute: float, count: int) -> None:
    """Adds to the count of rows that could not be written; `minute` in epoch seconds."""
    row, _ = LostWrites.objects.get_or_create(minute=at(minute))
    LostWrites.objects.filter(pk=row.pk).update(count=F("count") + count)


@_atomic
def add_skip_counts(counts: Mapping[tuple[float, str, str, str], int]) -> None:
    """Adds to the counters; keys are (minute in epoch seconds, label, intent, reason)."""
    for (minute, label, intent, reason), count in counts.items():
        row, _ = SkipCount.objects.get_or_create(minute=at(minute), label=label, intent=intent, reason=reason)
        SkipCount.objects.filter(pk=row.pk).update(count=F("count") + count)


def _settle_lines(facts: RequestFacts) -> lines.Findings:
    """Settles the layers that it read, whoever warmed them, and those of its own place that it did not ask for."""
    reading = Reading(
        request_id=facts.id,
        hashes=facts.prefix.hashes,
        started_at=at(facts.started_at),
        ended_at=at(facts.started_at + facts.duration_ms / 1000),
        read_tokens=facts.found.cache_read_tokens if facts.found else None,
        miss_reason=facts.miss_reason,
        joined_id=facts.joined_id,
        raced_id=facts.raced_id,
        waited_ms=facts.waited_ms,
    )
    return lines.settle(reading, _place(facts))


def _since_earlier(facts: RequestFacts) -> tuple[Silence | None, float | None]:
    if facts.purpose not in CONVERSING:
        return None, None
    origin = facts.origin
    follower = Follower(
        upstream=origin.upstream,
        label=origin.label,
        subject=origin.subject,
        hashes=facts.prefix.hashes,
        started_at=at(facts.started_at),
    )
    return end_silence(follower)


def _place(facts: RequestFacts) -> Place | None:
    """The request's place; None if it does not follow what was warmed: a title or a tool round has its own prompt."""
    origin = facts.origin
    if not origin.place or facts.purpose is not Purpose.REPLY:
        return None
    return Place(upstream=origin.upstream, label=origin.label, subject=origin.subject, name=origin.place)


def _warmth_found(facts: RequestFacts) -> RequestWarmth:
    """What the request found, by what it really read: `hit`, `joined`, `raced` or `cold`; or `held_out`."""
    if facts.arm == Arm.HELD_OUT:
        return RequestWarmth.HELD_OUT
    if facts.raced_id is not None:
        return RequestWarmth.RACED
    usage = facts.found or Usage()
    if usage.cache_read_tokens == 0 or usage.cache_read_tokens < usage.cache_write_tokens:
        return RequestWarmth.COLD
    has_joined = facts.joined_id is not None or facts.followed_request
    return RequestWarmth.JOINED if has_joined else RequestWarmth.HIT


def _origin_columns(origin: Origin, prefix: Prefix) -> dict[str, Any]:
    deepest = prefix.deepest
    return {
        "label": origin.label,
        "subject": origin.subject,
        "upstream": origin.upstream,
        "place": origin.place,
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
        "cost_usd": total_cost_usd(usage, rates),
        "price_version": rates.version if rates else "",
    }
