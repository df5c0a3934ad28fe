"""Whether warming is on and healthy now, for every process: from rows, and one ping. Synchronous."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from django.db.models import Sum

from warmcache.conf import Config
from warmcache.core.guards import DAY_SECONDS
from warmcache.core.moments import at
from warmcache.core.reasons import Reason
from warmcache.core.wording import gettext_noop
from warmcache.ledger import rows
from warmcache.models import SkipCount, UsageRecord, WarmUp
from warmcache.operator_policy import OperatorPolicy
from warmcache.stores.health import answers

LATELY = timedelta(minutes=15)
ERRORS_FROM = timedelta(days=1)

HINDRANCES = (
    Reason.UPSTREAM_LIMITED,
    Reason.STORE_UNAVAILABLE,
    Reason.ENDPOINT_WITHOUT_PREWARM,
    Reason.BREAKER_OPEN,
    Reason.BUDGET,
    Reason.USER_BUDGET,
    Reason.BUSY,
)
"""Reasons that say something about the operation, and not about one prompt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LastError:
    at: datetime
    code: str
    is_warm_up: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """`hindrances`: what kept visits cold in the last minutes, and how many. `store_answers` is None without Redis."""

    is_on: bool
    why_off: str
    hindrances: dict[Reason, int]
    store_answers: bool | None
    spent_today_usd: Decimal
    budget_usd: Decimal
    warm_ups_today: int
    budget_warm_ups: int
    last_error: LastError | None

    @property
    def budget_left_usd(self) -> Decimal:
        return max(Decimal(0), self.budget_usd - self.spent_today_usd)


def read_state(now: float, config: Config, policy: OperatorPolicy) -> State:
    """Five queries, and a ping to Redis if there is one."""
    midnight = now // DAY_SECONDS * DAY_SECONDS
    spent = rows.spent_since("", midnight, upstream=config.upstream, unknown_usd=policy.max_cost_per_warm_up_usd)
    return State(
        is_on=policy.is_enabled and bool(policy.intents),
        why_off=_why_off(config, policy),
        hindrances=_hindrances(at(now)),
        store_answers=answers(config.redis_url) if config.redis_url else None,
        spent_today_usd=spent.usd,
        budget_usd=policy.daily_usd,
        warm_ups_today=spent.count,
        budget_warm_ups=policy.daily_warm_ups,
        last_error=_last_error(at(now)),
    )


def _why_off(config: Config, policy: OperatorPolicy) -> str:
    if not config.enabled:
        return gettext_noop("in the settings (WARMCACHE['ENABLED'])")
    if not policy.is_enabled:
        return gettext_noop("in the warm policy")
    return "" if policy.intents else gettext_noop("because no intent is chosen in the warm policy")


def _hindrances(now: datetime) -> dict[Reason, int]:
    found = SkipCount.objects.filter(minute__gte=now - LATELY, reason__in=HINDRANCES).order_by()
    counts = dict(found.values_list("reason").annotate(Sum("count")))
    return {reason: counts[reason] for reason in HINDRANCES if counts.get(reason)}


def _last_error(now: datetime) -> LastError | None:
    newest = []
    for model in (WarmUp, UsageRecord):
        failed = model._default_manager.filter(started_at__gte=now - ERRORS_FROM).exclude(error_code="")
        row = failed.order_by("-started_at").values_list("started_at", "error_code").first()
        if row is not None:
            newest.append(LastError(at=row[0], code=row[1], is_warm_up=model is WarmUp))
    return max(newest, key=lambda error: error.at, default=None)
