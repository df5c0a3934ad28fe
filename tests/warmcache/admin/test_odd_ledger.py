"""A ledger that no version of ours would write, and choices that nobody offers: never an error, for any role."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.contrib.auth.models import AbstractBaseUser, Permission
from django.test import Client
from django.urls import reverse

from tests.warmcache.admin.test_ledger import make_usage, make_warm_up, words
from warmcache.models import LearnedEvidence, LostWrites, SkipCount, UsageRecord, WarmPolicy, WarmUp

pytestmark = pytest.mark.django_db

NOW = datetime.now(tz=UTC)
LISTS = ("warmup", "usagerecord", "skipcount", "lostwrites", "warmpolicy", "learnedevidence", "dashboard")
WRONG = (
    *("?since=9y", "?label=%00&upstream=elsewhere", "?o=99", "?p=999", "?nonsense__exact=1"),
    *("?outcome__exact=nothing", "?started_at__gte=yesterday", "?q=%00", "?q=user+7", "?label=retired&since=9999w"),
)


@pytest.fixture
def viewer(client: Client, django_user_model: type[AbstractBaseUser]) -> Client:
    staff = django_user_model.objects.create_user(username="viewer", password="x", is_staff=True)
    views = Permission.objects.filter(content_type__app_label="warmcache", codename__startswith="view_")
    staff.user_permissions.set(views)  # type: ignore[attr-defined]
    client.force_login(staff)
    return client


@pytest.fixture
def odd_rows() -> None:
    """Of an assistant that is gone, a model without a price, a clock that jumped; with words of other versions."""
    for upstream in ("anthropic", "simulator", "elsewhere"):
        for at in (NOW, NOW + timedelta(days=400), datetime(1970, 1, 1, tzinfo=UTC), NOW - timedelta(hours=30)):
            values = {"upstream": upstream, "label": "retired", "started_at": at}
            warm_up = make_warm_up(**values, outcome="hit", settled_at=at - timedelta(days=1))
            make_usage(warm_up, **values, followed_at=at - timedelta(hours=1))
            make_usage(make_warm_up(**values, model="claude-of-tomorrow", cost_usd=None), **values, cost_usd=None)
            make_warm_up(**values, intent="dreamt", outcome="vanished", reason="mood", numbers={"send_chance": 2})
            make_usage(**values, warmth="lukewarm", status="", purpose="poem", decided="mood", ttft_ms=None)
        evidence = {"arrivals": {"returns": [1], "silence": []}, "sizes": {"claude-of-tomorrow": {"bills": 3}}}
        LearnedEvidence.objects.create(upstream=upstream, label="retired", evidence=evidence)
    SkipCount.objects.create(minute=NOW, label="retired", intent="dreamt", reason="mood", count=3)
    LostWrites.objects.create(minute=NOW + timedelta(days=3), count=2)
    WarmPolicy.objects.create(holdout_share=7.0, intents=["dreamt"], daily_usd=Decimal(-1), value_of_second_usd=0)


@pytest.mark.parametrize("name", LISTS)
def test_no_list_and_no_choice_is_an_error(viewer: Client, odd_rows: None, name: str) -> None:
    for query in WRONG:
        answer = viewer.get(reverse(f"admin:warmcache_{name}_changelist") + query, follow=True)
        assert answer.status_code == 200, query
        assert "Dashboard" in words(answer.content.decode()), query


def test_no_detail_is_an_error(viewer: Client, odd_rows: None) -> None:
    for model in (WarmUp, UsageRecord, SkipCount, LostWrites, WarmPolicy):
        for pk in model._default_manager.values_list("pk", flat=True):
            url = reverse(f"admin:warmcache_{model._meta.model_name}_change", args=[pk])
            assert viewer.get(url).status_code == 200, url


@pytest.mark.parametrize("since", ["24h", "7d", "90d"])
@pytest.mark.parametrize("upstream", ["anthropic", "simulator"])
def test_what_is_in_the_future_or_has_no_price_is_in_no_sum(
    viewer: Client, odd_rows: None, since: str, upstream: str
) -> None:
    url = reverse("admin:warmcache_dashboard_changelist")
    text = words(viewer.get(url, {"since": since, "upstream": upstream}).content.decode())

    known = UsageRecord.objects.filter(
        upstream=upstream, started_at__lte=NOW, started_at__gte=NOW - timedelta(hours=60)
    )
    counted = known.filter(started_at__gte=NOW - timedelta(hours=24)) if since == "24h" else known
    replies = counted.filter(purpose="reply").count()
    assert f"{replies} replies, 0 failed" in text
    assert "of models without a known price are not in it" in text


@pytest.mark.parametrize("name", LISTS)
def test_who_may_see_nothing_is_refused_and_not_shown_an_error(
    client: Client, django_user_model: type[AbstractBaseUser], odd_rows: None, name: str
) -> None:
    client.force_login(django_user_model.objects.create_user(username="staff", password="x", is_staff=True))

    assert client.get(reverse(f"admin:warmcache_{name}_changelist"), follow=True).status_code == 403
    assert client.get(reverse("admin:warmcache_numbers")).status_code == 403
