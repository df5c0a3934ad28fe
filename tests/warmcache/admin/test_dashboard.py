"""The operator's first page, and the switch above every other one."""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import AbstractBaseUser, Permission
from django.test import Client
from django.urls import reverse

from tests.warmcache.admin.test_ledger import make_usage, make_warm_up, page, words
from tests.warmcache.ledger.random_ledger import fill
from warmcache.models import LostWrites, SkipCount, WarmPolicy

pytestmark = pytest.mark.django_db

DASHBOARD = "admin:warmcache_dashboard_changelist"
SWITCH = "admin:warmcache_switch"
NOW = datetime.now(tz=UTC)
PAGES = (
    DASHBOARD,
    "admin:warmcache_warmup_changelist",
    "admin:warmcache_usagerecord_changelist",
    "admin:warmcache_skipcount_changelist",
    "admin:warmcache_lostwrites_changelist",
    "admin:warmcache_learnedevidence_changelist",
    "admin:warmcache_numbers",
)


@pytest.fixture
def viewer(client: Client, django_user_model: type[AbstractBaseUser]) -> Client:
    """Staff who may see the ledger and change nothing."""
    staff = django_user_model.objects.create_user(username="viewer", password="x", is_staff=True)
    views = Permission.objects.filter(content_type__app_label="warmcache", codename__startswith="view_")
    staff.user_permissions.set(views)  # type: ignore[attr-defined]
    client.force_login(staff)
    return client


def dashboard(client: Client, **query: str) -> str:
    return page(client, DASHBOARD, **{"upstream": "anthropic", **query})


def table(html: str, name: str) -> str:
    found = re.search(rf'<table id="{name}".*?</table>', html, re.S)
    assert found is not None, name
    return words(found[0])


def test_an_empty_ledger_has_a_page_that_says_so(admin_client: Client) -> None:
    text = words(dashboard(admin_client))

    for sentence in ("Warming is on.", "Nothing was asked in this time.", "No error in 24 hours.", "No Redis"):
        assert sentence in text
    assert "$50.00 of $50.00 left" in text


def test_one_warm_up_and_one_reply_are_enough(admin_client: Client) -> None:
    make_usage(make_warm_up(outcome="hit"))

    html = dashboard(admin_client, since="24h")

    text = words(html)
    assert "In all $0.0450" in text
    assert "warm 1 642 ms 642 ms" in table(html, "waits")
    assert "12,345 of 12,345 prompt tokens" in text
    assert "Not enough is known yet" in text
    assert "1 hit" not in text
    assert table(html, "outcomes").endswith(" 1")


def test_dollars_stand_beside_the_period_before(admin_client: Client) -> None:
    make_usage(cost_usd=Decimal("0.2"))
    make_usage(cost_usd=Decimal("0.1"), started_at=NOW - timedelta(days=10))

    assert "Replies $0.2000 before: $0.1000, +100%" in words(dashboard(admin_client))


def test_waste_is_sorted_and_says_what_to_do(admin_client: Client) -> None:
    for number in range(12):
        row = make_warm_up(intent="open", label="sales", outcome="unused", request_id=str(number))
        row.lines.update(outcome="unused")

    html = dashboard(admin_client)

    assert "sales opened $0.5100 100% $0.5103 12 Few who open a page write in time" in table(html, "waste")
    assert "?label=sales&amp;intent=open" in html


def test_what_keeps_warming_from_working_stands_first(admin_client: Client) -> None:
    # Not `NOW`: this file may have been imported a quarter of an hour ago.
    at = datetime.now(tz=UTC)
    SkipCount.objects.create(minute=at, label="helpdesk", intent="typing", reason="breaker_open", count=3)
    LostWrites.objects.create(minute=at, count=2)
    make_warm_up(error_code="overloaded", outcome="failed", started_at=at)
    WarmPolicy.objects.create(is_enabled=False)

    text = words(dashboard(admin_client, since="30m"))

    assert "Warming is off, in the warm policy." in text
    assert "Not warmed 3 times in the last 15 minutes: warm-ups of it have brought nothing lately." in text
    assert "Last error: overloaded of a warm-up" in text


def test_a_simulator_is_never_added_to_the_real_api(admin_client: Client) -> None:
    make_usage(cost_usd=Decimal("0.2"))
    make_usage(cost_usd=Decimal(7), upstream="simulator")

    real, simulated = dashboard(admin_client), dashboard(admin_client, upstream="simulator")

    assert "In all $0.2000" in words(real)
    assert "There are also figures of SIMULATED upstream" in words(real)
    assert "In all $7.0000" in words(simulated)
    assert "prove the plumbing, not the gain" in words(simulated)


@pytest.mark.parametrize(
    "query",
    [{"since": "9y"}, {"label": "nobody"}, {"upstream": "elsewhere"}, {"since": "30m"}, {"since": "9999w"}],
    ids=str,
)
def test_an_odd_choice_is_a_page_all_the_same(admin_client: Client, query: dict[str, str]) -> None:
    fill(Random(1), rows=30, until=NOW + timedelta(minutes=5), days=20)

    html = dashboard(admin_client, **query)

    if query == {"since": "9y"}:
        assert "A period looks like 7d, 24h, 30m or 2w, not &#x27;9y&#x27;. This is 7d." in html


class TestSwitch:
    def test_one_press_on_any_page_switches_all_off_and_the_log_knows_who(self, admin_client: Client) -> None:
        for name in PAGES:
            assert "Switch all warming off" in page(admin_client, name)

        answer = admin_client.post(reverse(SWITCH), {"on": "0", "next": reverse(PAGES[1])})

        assert answer["location"] == reverse(PAGES[1])
        assert not WarmPolicy.objects.get().is_enabled
        assert "Switched warming off." in LogEntry.objects.latest("action_time").get_change_message()
        assert "Switch warming on" in page(admin_client, PAGES[1])

    def test_the_other_settings_stay_and_on_is_on_again(self, admin_client: Client) -> None:
        WarmPolicy.objects.create(pk=7, is_enabled=False, holdout_share=0.1)

        admin_client.post(reverse(SWITCH), {"on": "1"})

        row = WarmPolicy.objects.get()
        assert (row.is_enabled, row.holdout_share) == (True, 0.1)

    def test_nobody_is_sent_to_another_site(self, admin_client: Client) -> None:
        answer = admin_client.post(reverse(SWITCH), {"on": "0", "next": "https://elsewhere.example/"})

        assert answer["location"] == reverse(DASHBOARD)

    def test_a_link_switches_nothing(self, admin_client: Client) -> None:
        assert admin_client.get(reverse(SWITCH)).status_code == 405

    def test_who_may_only_look_sees_every_page_and_no_switch(self, viewer: Client) -> None:
        make_usage(make_warm_up())

        for name in (*PAGES, "admin:warmcache_warmpolicy_changelist"):
            assert "Switch all warming off" not in viewer.get(reverse(name), follow=True).content.decode()

        assert viewer.post(reverse(SWITCH), {"on": "0"}).status_code == 403
        assert "Dashboard" in words(viewer.get(reverse("admin:index")).content.decode())


def test_the_dashboard_is_for_those_who_may_see_the_rows(
    client: Client, django_user_model: type[AbstractBaseUser]
) -> None:
    staff: Any = django_user_model.objects.create_user(username="staff", password="x", is_staff=True)
    client.force_login(staff)

    assert client.get(reverse(DASHBOARD)).status_code == 403


class TestPlots:
    def test_dollars_over_time_add_up_to_the_cards(self, admin_client: Client) -> None:
        make_usage(make_warm_up(outcome="hit"), cost_usd=Decimal("0.2"))
        make_usage(purpose="title", cost_usd=Decimal("0.03"))
        make_usage(purpose="tool_round", cost_usd=Decimal("0.01"))

        html = dashboard(admin_client, since="24h")

        text = words(html)
        assert "Replies $0.2100 before" in text
        assert "$0.0300 of it for titles and compactions" in text
        assert table(html, "dollars").endswith("$0.2100 $0.0300 $0.0425 $0.0000")

    def test_a_day_without_anything_is_zero_and_not_left_out(self, admin_client: Client) -> None:
        for days in (0, 3):
            make_usage(started_at=NOW - timedelta(days=days))

        found = table(dashboard(admin_client), "replies")

        assert re.findall(r"\d{4}-\d\d-\d\d (\d)", found) == ["1", "0", "0", "1"]


def test_warm_ups_per_reply_are_those_of_the_period_and_no_title_counts(admin_client: Client) -> None:
    make_usage(make_warm_up())
    make_usage(purpose="title")
    make_usage(started_at=NOW - timedelta(days=3))

    assert "1.00 warm-ups per reply (1)." in words(page(admin_client, PAGES[1], since="24h"))
    assert "0.50 warm-ups per reply (2)." in words(page(admin_client, PAGES[1]))
    assert "per reply" not in words(page(admin_client, PAGES[1], q="req_1"))
