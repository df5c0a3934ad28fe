"""The operator's knobs in the real admin."""

import re
from decimal import Decimal
from html import unescape
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse

from tests.warmcache.admin.test_ledger import NOW, make_usage, make_warm_up
from warmcache.admin.policy import THE_ROW
from warmcache.models import SkipCount, WarmPolicy

pytestmark = pytest.mark.django_db

LIST = "admin:warmcache_warmpolicy_changelist"
ADD = "admin:warmcache_warmpolicy_add"
CHANGE = "admin:warmcache_warmpolicy_change"
HERE = {"upstream": "simulator"}
"""Who answers in the tests."""


def save(client: Client, **fields: Any) -> str:
    """What the page says after `fields` were sent; nothing where it took them."""
    row = WarmPolicy.objects.first()
    url = reverse(CHANGE, args=[row.pk]) if row else reverse(ADD)
    response = client.post(url, {"is_enabled": "on", **fields})
    return "" if response.status_code == 302 else words(response.content.decode())


def words(html: str) -> str:
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", html))).strip()


def test_the_list_leads_to_the_one_page(admin_client: Client) -> None:
    before = admin_client.get(reverse(LIST))
    save(admin_client)
    after = admin_client.get(reverse(LIST))

    assert before.headers["location"] == reverse(ADD)
    assert after.headers["location"] == reverse(CHANGE, args=[THE_ROW])


def test_there_is_exactly_one_row_and_nobody_deletes_it(admin_client: Client) -> None:
    assert save(admin_client) == ""

    statuses = [
        admin_client.post(reverse(ADD), {"is_enabled": "on"}).status_code,
        admin_client.post(reverse("admin:warmcache_warmpolicy_delete", args=[THE_ROW]), {"post": "yes"}).status_code,
    ]

    assert statuses == [403, 403]
    assert list(WarmPolicy.objects.values_list("pk", flat=True)) == [THE_ROW]


def test_the_page_offers_no_second_row(admin_client: Client) -> None:
    html = admin_client.get(reverse(ADD)).content.decode()

    assert 'name="_save"' in html
    assert 'name="_addanother"' not in html


def test_an_empty_page_leaves_everything_to_the_settings(admin_client: Client) -> None:
    save(admin_client)

    row = WarmPolicy.objects.get()
    assert row.is_enabled
    assert (row.intents, row.holdout_share, row.daily_usd, row.user_daily_warm_ups) == (None, None, None, None)


def test_what_is_written_is_stored(admin_client: Client) -> None:
    save(
        admin_client,
        value_of_second_usd="0.2",
        holdout_share="0.05",
        intents=["typing", "attach"],
        user_daily_usd="0.5",
        daily_warm_ups="30",
        keeps_shared_layers="on",
        keep_days="30",
    )

    row = WarmPolicy.objects.get()
    assert (row.value_of_second_usd, row.user_daily_usd) == (Decimal("0.2"), Decimal("0.5"))
    assert (row.holdout_share, row.intents, row.daily_warm_ups) == (0.05, ["typing", "attach"], 30)
    assert (row.keeps_shared_layers, row.keep_days) == (True, 30)


def test_the_switch_is_a_box_that_is_cleared(admin_client: Client) -> None:
    save(admin_client)

    admin_client.post(reverse(CHANGE, args=[THE_ROW]), {})

    assert not WarmPolicy.objects.get().is_enabled


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"holdout_share": "1.2"}, "A share is between 0 and 1"),
        ({"holdout_share": "-0.1"}, "A share is between 0 and 1"),
        ({"holdout_share": "half"}, "Enter a number"),
        ({"intents": ["typing", "dreaming"]}, "dreaming is no intent."),
        ({"daily_usd": "-1"}, "This cannot be negative."),
        ({"value_of_second_usd": "-0.01"}, "This cannot be negative."),
        ({"daily_warm_ups": "-1"}, "greater than or equal to 0"),
        ({"user_daily_warm_ups": "1.5"}, "Enter a whole number"),
        ({"keep_days": "3"}, "The forecasts look back on 8 days"),
    ],
)
def test_what_has_no_meaning_is_refused_in_words(admin_client: Client, fields: dict[str, Any], says: str) -> None:
    assert says in save(admin_client, **fields)
    assert not WarmPolicy.objects.exists()


def test_each_empty_field_says_what_is_in_force_instead(admin_client: Client, settings: Any) -> None:
    settings.WARMCACHE = {**settings.WARMCACHE, "DAILY_USD": "12.5", "HOLDOUT_SHARE": 0.25, "INTENTS": ["typing"]}

    text = words(admin_client.get(reverse(ADD)).content.decode())

    for told in ("12.5, as in the settings", "0.25, as in the settings", "which is typing", "10000, as in"):
        assert told in text


def test_a_switch_that_is_off_in_the_settings_says_so(admin_client: Client, settings: Any) -> None:
    settings.WARMCACHE = {**settings.WARMCACHE, "ENABLED": False, "KEEPS_SHARED_LAYERS": True}

    text = words(admin_client.get(reverse(ADD)).content.decode())

    assert "The settings have warming off" in text
    assert "The settings have it on" in text


def test_whoever_may_only_look_only_looks(client: Client) -> None:
    user = get_user_model().objects.create_user(username="auditor", password="x", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_warmpolicy"))
    client.force_login(user)

    assert client.get(reverse(LIST)).status_code == 200
    assert client.post(reverse(ADD), {"is_enabled": "on"}).status_code == 403


class TestWhatTheKnobsDo:
    def test_each_knob_has_a_unit_a_meaning_and_an_effect(self, admin_client: Client) -> None:
        make_usage(make_warm_up(outcome="unused", **HERE), intent="typing", numbers={"saved_seconds": 2.0}, **HERE)
        SkipCount.objects.create(minute=NOW, label="helpdesk", intent="typing", reason="over_cost_cap", count=3)

        text = words(admin_client.get(reverse(ADD)).content.decode())

        assert "cap per warm-up $0.2500 , as in the settings (US dollars) No single warm-up may cost more" in text
        assert (
            "A warm-up cost $0.0425 on average. “it would cost more than the operator allows” kept 3 visits cold"
            in text
        )
        assert "With 0.05 about 0.1 visits would have been held out and 0.1 s given up" in text
        assert "“typing”: 1 for $0.0425" in text
        assert "Nobody has changed anything." in text

    def test_the_shared_layer_has_a_preview(self, admin_client: Client) -> None:
        make_warm_up(**HERE)
        for _ in range(40):
            make_usage(cache_read_tokens=9000, **HERE)

        text = words(admin_client.get(reverse(ADD)).content.decode())

        assert "helpdesk, claude-opus-5-5 shared layer, 4,000 tokens; 40 requests" in text
        assert re.search(
            r"With [\w ,]+ the last 7 days would have cost about \$\d\.\d+ (more|less) than with 1 h", text
        )
        assert "helpdesk, claude-opus-5-5 conversations, 5,000 tokens; 40 requests" in text
        assert "an assumption: too few silences were seen" in text

    def test_a_model_without_a_price_has_none_and_the_page_opens(self, admin_client: Client) -> None:
        make_warm_up(model="claude-of-tomorrow", cost_usd=None, **HERE)
        make_usage(model="claude-of-tomorrow", cost_usd=None, **HERE)

        assert "there is nothing to tell it from" in words(admin_client.get(reverse(ADD)).content.decode())

    def test_who_changed_what_is_told_with_both_values(self, admin_client: Client) -> None:
        save(admin_client, daily_usd="20")
        save(admin_client, daily_usd="30", holdout_share="0.05")

        text = words(admin_client.get(reverse(LIST), follow=True).content.decode())

        assert "admin hold-out share: as in the settings → 0.05; budget per day in all: 20.0000 → 30" in text
        assert "admin budget per day in all: as in the settings → 20" in text


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"holdout_share": "1"}, "The hold-out share is 1: every visit is left cold"),
        ({"holdout_share": "0.6"}, "leaves 60.0% of the visits cold"),
        ({"value_of_second_usd": "0"}, "no warm-up is ever worth its cost"),
        ({"value_of_second_usd": "50"}, "nearly everything is warmed"),
        ({"max_cost_per_warm_up_usd": "60"}, "above the budget of a whole day"),
        ({"user_daily_usd": "60"}, "The budget of one person is above the budget of all."),
        ({"daily_warm_ups": "0"}, "No warm-up is allowed in a day"),
    ],
)
def test_what_can_hardly_be_meant_is_stored_with_a_warning_that_stays(
    admin_client: Client, fields: dict[str, Any], says: str
) -> None:
    assert save(admin_client, **fields) == ""

    once, later = (words(admin_client.get(reverse(CHANGE, args=[THE_ROW])).content.decode()) for _ in range(2))
    assert (once.count(says), later.count(says)) == (2, 1)


def test_whoever_may_only_look_sees_what_the_knobs_do(client: Client) -> None:
    user = get_user_model().objects.create_user(username="auditor", password="x", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_warmpolicy"))
    client.force_login(user)

    before = words(client.get(reverse(LIST)).content.decode())
    WarmPolicy.objects.create(pk=THE_ROW, holdout_share=1.0)
    after = client.get(reverse(LIST), follow=True).content.decode()

    assert "What each knob does" in before
    assert "Nothing is set here yet" in before
    assert "every visit is left cold" in words(after)
    assert 'name="_save"' not in after
