"""What an operator should be told at once, from rows that all processes share: the rules of `deploy/alerts.yaml`.

Prometheus measures a chat's own metrics; here the ledger's rows say the same. Synchronous.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from django.db.models import Count, Q, Sum

from warmcache.core.moments import at
from warmcache.core.outcomes import Outcome, Purpose
from warmcache.core.reasons import Reason
from warmcache.models import LostWrites, SkipCount, UsageRecord, WarmUp
from warmcache.reports.vital_signs import policy_and_budget_left
from warmcache.stores import health

QUARTER = timedelta(minutes=15)
FIVE_MINUTES = timedelta(minutes=5)
DAY = timedelta(days=1)

SLOW_SECONDS, SLOW_SHARE, ENOUGH_REPLIES = 8, 0.95, 20
WASTED_SHARE, ENOUGH_WARM_UPS = 0.6, 50
BUDGET_SHARE_LEFT = Decimal("0.2")
WASTED = (Outcome.UNUSED, Outcome.EVICTED, Outcome.DIVERGED, Outcome.RACED)
PAUSES = (Reason.BREAKER_OPEN, Reason.UPSTREAM_LIMITED)
BUDGETS = (Reason.BUDGET, Reason.USER_BUDGET)


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """`name`, `lasts` and `words` are those of the rule."""

    name: str
    words: str
    advice: str
    lasts: timedelta
    """How long it holds before anybody is told."""
    figures: Callable[[datetime], str]
    """What was seen; empty if the condition does not hold."""


def _slow(now: datetime) -> str:
    replies = UsageRecord.objects.filter(
        purpose=Purpose.REPLY, started_at__gt=now - QUARTER, started_at__lte=now, ttft_ms__isnull=False
    )
    count = replies.count()
    if count <= ENOUGH_REPLIES:
        return ""
    slower = count - int(SLOW_SHARE * count) - 1
    wait_ms = replies.order_by("-ttft_ms").values_list("ttft_ms", flat=True)[slower] or 0
    if wait_ms <= SLOW_SECONDS * 1000:
        return ""
    return f"Of {count:,} replies in 15 minutes, one in twenty began after {wait_ms / 1000:.1f} s or more."


def _wasted(now: datetime) -> str:
    ended = WarmUp.objects.filter(started_at__gt=now - DAY, started_at__lte=now).exclude(outcome=Outcome.PENDING)
    found = ended.order_by().aggregate(all=Count("pk"), wasted=Count("pk", filter=Q(outcome__in=WASTED)))
    count, wasted = found["all"], found["wasted"]
    if count <= ENOUGH_WARM_UPS or wasted <= WASTED_SHARE * count:
        return ""
    return f"Of {count:,} warm-ups in 24 hours, {wasted:,} were of no use."


def _skipped(now: datetime, reasons: tuple[Reason, ...], lately: timedelta) -> str:
    found = SkipCount.objects.filter(minute__gt=now - lately, minute__lte=now, reason__in=reasons).order_by()
    counts: dict[str, int] = dict(found.values_list("reason").annotate(Sum("count")))
    told = [f"{counts[reason]:,} times: {reason.words}" for reason in reasons if counts.get(reason)]
    minutes = int(lately / timedelta(minutes=1))
    return f"Not warmed in {minutes} minutes: {'; '.join(told)}." if told else ""


def _budget(now: datetime) -> str:
    policy, left = policy_and_budget_left(now.timestamp())
    if not policy.is_enabled or left >= policy.daily_usd * BUDGET_SHARE_LEFT:
        return ""
    return f"${left:.2f} of ${policy.daily_usd:.2f} are left today."


def _redis(now: datetime) -> str:
    if health.is_lost():
        return "Redis did not answer a process."
    return _skipped(now, (Reason.STORE_UNAVAILABLE,), FIVE_MINUTES)


def _behind(now: datetime) -> str:
    lost = LostWrites.objects.filter(minute__gt=now - QUARTER, minute__lte=now)
    count = lost.order_by().aggregate(all=Sum("count"))["all"]
    return f"{count:,} rows could not be written in 15 minutes." if count else ""


CONDITIONS = (
    Condition(
        name="FirstTokenSlow",
        words="One reply in twenty begins after more than 8 s.",
        advice="The dashboard in the admin shows the waits by warmth, and the slowest of the day.",
        lasts=timedelta(minutes=10),
        figures=_slow,
    ),
    Condition(
        name="WarmUpsWasted",
        words="More than 60 % of the day's warm-ups were wasted.",
        advice="The dashboard tells which assistants and intents waste it, and what to do.",
        lasts=timedelta(hours=1),
        figures=_wasted,
    ),
    Condition(
        name="BreakerOpen",
        words="Warming is paused after failures or unused warm-ups.",
        advice="The first line of the dashboard says which breaker is open and why.",
        lasts=timedelta(minutes=5),
        figures=lambda now: _skipped(now, PAUSES, QUARTER),
    ),
    Condition(
        name="BudgetNearlySpent",
        words="Four fifths of what warm-ups may cost today are spent.",
        advice="The budget stands in the warm policy in the admin; a UTC day begins it anew.",
        lasts=timedelta(minutes=5),
        figures=_budget,
    ),
    Condition(
        name="BudgetSpent",
        words="Warm-ups are refused because a budget of the day is spent.",
        advice="The budgets stand in the warm policy in the admin.",
        lasts=timedelta(minutes=5),
        figures=lambda now: _skipped(now, BUDGETS, QUARTER),
    ),
    Condition(
        name="RedisAway",
        words="Redis does not answer: nothing is warmed, and each process speaks for itself.",
        advice="See REDIS_URL, and /readyz.",
        lasts=timedelta(minutes=2),
        figures=_redis,
    ),
    Condition(
        name="LedgerBehind",
        words="The ledger cannot be read, or rows of it were lost.",
        advice="See the database; Lost writes in the admin counts them.",
        lasts=timedelta(minutes=5),
        figures=_behind,
    ),
)


def holding(now: float) -> list[tuple[Condition, str]]:
    """The conditions that hold at this moment, with what was seen. Some nine statements."""
    moment = at(now)
    found = ((condition, condition.figures(moment)) for condition in CONDITIONS)
    return [(condition, figures) for condition, figures in found if figures]
