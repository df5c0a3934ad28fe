"""What the operators are told by mail: once for each condition, by one process, again after an hour."""

import time
from decimal import Decimal

import django
import pytest
from django.core import mail
from django.db import transaction
from django.test import override_settings

from chatapp.checks import check_mail_to_admins
from chatapp.models import AlertState
from chatapp.process import alerts
from warmcache.core.moments import at
from warmcache.models import LostWrites, SkipCount, UsageRecord, WarmPolicy, WarmUp
from warmcache.reports import conditions

pytestmark = pytest.mark.django_db

NOW = time.time()
MINUTE = 60.0


@pytest.fixture(autouse=True)
def mailed(settings):
    settings.ADMINS = ["ann@example.org"]
    settings.SENDS_MAIL = True
    settings.CSRF_TRUSTED_ORIGINS = ["https://chat.example.org"]


def breaker_opens(now: float) -> None:
    SkipCount.objects.create(minute=at(now), label="a", intent="typing", reason="breaker_open", count=3)


def make_replies(*waits_ms: int) -> None:
    for wait_ms in waits_ms:
        UsageRecord.objects.create(
            **{"model": "m", "upstream": "simulator", "status": "complete", "warmth": "cold"},
            **{"ttft_ms": wait_ms, "started_at": at(NOW)},
        )


def make_warm_ups(**counts: int) -> None:
    for outcome, count in counts.items():
        for _ in range(count):
            WarmUp.objects.create(
                **{"intent": "typing", "reason": "cold", "model": "m", "upstream": "simulator", "outcome": outcome},
                **{"started_at": at(NOW), "cost_usd": Decimal(0)},
            )


def nobody_listens() -> override_settings:
    """Django's own backend for SMTP, and no server at its address."""
    backend = "django.core.mail.backends.smtp.EmailBackend"
    if django.VERSION >= (6, 1):
        options = {"host": "127.0.0.1", "port": 9}
        return override_settings(MAILERS={"default": {"BACKEND": backend, "OPTIONS": options}})
    return override_settings(EMAIL_BACKEND=backend, EMAIL_HOST="127.0.0.1", EMAIL_PORT=9)


def names(now: float = NOW) -> set[str]:
    return {condition.name for condition, _ in conditions.holding(now)}


def test_nothing_is_wrong_with_an_empty_ledger():
    assert names() == set()


@pytest.mark.parametrize(
    ("waits_ms", "holds"),
    [
        ((9000,) * 21, True),
        ((9000,) * 20, False),
        ((100,) * 95 + (9000,) * 5, True),
        ((100,) * 96 + (9000,) * 4, False),
    ],
    ids=["all", "too few", "one in twenty", "fewer than that"],
)
def test_slow_first_tokens(waits_ms, holds):
    make_replies(*waits_ms)

    assert ("FirstTokenSlow" in names()) is holds
    assert "FirstTokenSlow" not in names(NOW + 16 * MINUTE)


@pytest.mark.parametrize(
    ("counts", "holds"),
    [({"unused": 41, "hit": 10}, True), ({"unused": 40, "hit": 10}, False), ({"raced": 31, "hit": 29}, False)],
    ids=["most", "too few", "half"],
)
def test_wasted_warm_ups(counts, holds):
    make_warm_ups(**counts)

    assert ("WarmUpsWasted" in names()) is holds


def test_what_is_skipped_or_lost_and_a_budget_that_ends():
    for reason in ("upstream_limited", "user_budget", "store_unavailable"):
        SkipCount.objects.create(minute=at(NOW), label="a", intent="typing", reason=reason, count=2)
    LostWrites.objects.create(minute=at(NOW), count=2)
    WarmPolicy.objects.create(daily_usd=Decimal(0))

    found = {condition.name: figures for condition, figures in conditions.holding(NOW)}

    assert set(found) == {"BreakerOpen", "BudgetSpent", "RedisAway", "LedgerBehind"}
    assert found["BreakerOpen"] == "Not warmed in 15 minutes: 2 times: the API has asked for a pause."
    WarmPolicy.objects.update(daily_usd=Decimal(1))
    WarmUp.objects.create(
        **{"intent": "typing", "reason": "cold", "model": "m", "upstream": "simulator"},
        **{"started_at": at(NOW), "cost_usd": Decimal("0.9")},
    )
    assert "BudgetNearlySpent" in names()


def test_a_condition_is_told_once_it_has_lasted_and_once_an_hour_over_all_processes():
    """Every look is that of another process: they know of each other by the row alone."""
    told = []
    for minute in range(0, 131):
        breaker_opens(NOW + minute * MINUTE)
        told += [minute for _ in alerts.due(NOW + minute * MINUTE)]

    assert told == [5, 65, 125]


def test_a_condition_that_comes_back_has_to_last_again():
    breaker_opens(NOW)
    alerts.due(NOW)

    # Skips count for a quarter of an hour.
    later = NOW + 60 * MINUTE
    breaker_opens(later)

    assert alerts.due(later) == []
    assert len(alerts.due(later + 5 * MINUTE)) == 1


async def has_lasted() -> None:
    from warmcache.background.database import in_database_thread

    def write() -> None:
        breaker_opens(time.time())
        since = at(time.time() - 10 * MINUTE)
        AlertState.objects.create(name="BreakerOpen", since=since, seen_at=at(time.time()))

    await in_database_thread(write)


@pytest.mark.django_db(transaction=True)
async def test_a_mail_says_what_is_wrong_and_where_to_look():
    await has_lasted()

    await alerts.look()
    await alerts.look()

    (sent,) = mail.outbox
    assert sent.to == ["ann@example.org"]
    assert sent.subject == "[Warmcache] Warming is paused after failures or unused warm-ups."
    assert "Not warmed in 15 minutes: 3 times" in sent.body
    assert "https://chat.example.org/admin/warmcache/dashboard/" in sent.body


@pytest.mark.django_db(transaction=True)
async def test_a_mail_that_could_not_be_sent_is_tried_again(settings, caplog):
    await has_lasted()

    with nobody_listens():
        await alerts.look()
    assert "No mail about BreakerOpen could be sent" in caplog.text
    await alerts.look()

    assert len(mail.outbox) == 1


def test_two_processes_that_look_at_once_do_not_both_write():
    breaker_opens(NOW)
    since = at(NOW - 10 * MINUTE)
    AlertState.objects.create(name="BreakerOpen", since=since, seen_at=at(NOW))

    with transaction.atomic():
        told = [alerts.due(NOW), alerts.due(NOW)]

    assert [len(mails) for mails in told] == [1, 0]


def test_without_a_mail_server_nobody_looks(settings):
    settings.SENDS_MAIL = False

    assert not alerts.is_wanted()
    assert [found.id for found in check_mail_to_admins(None)] == ["chatapp.W008"]
    settings.ADMINS = []
    assert check_mail_to_admins(None) == []
