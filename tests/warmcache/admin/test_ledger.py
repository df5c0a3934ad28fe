"""What an operator sees of the ledger, page by page, in the real admin."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from html import unescape
from typing import Any

import pytest
from django.contrib import admin
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from warmcache.admin.words import dollars, seconds
from warmcache.core.intents import WEIGHED_ELSEWHERE
from warmcache.models import LostWrites, Outcome, SkipCount, UsageRecord, WarmUp, WarmUpLine

pytestmark = pytest.mark.django_db

NOW = datetime.now(tz=UTC)
WARM_UPS = "admin:warmcache_warmup_changelist"
REQUESTS = "admin:warmcache_usagerecord_changelist"
SKIPS = "admin:warmcache_skipcount_changelist"


def make_warm_up(**values: Any) -> WarmUp:
    warm_up = WarmUp.objects.create(
        **{
            "intent": "typing",
            "label": "helpdesk",
            "subject": "user 7",
            "model": "claude-opus-5-5",
            "upstream": "anthropic",
            "prefix_hash": "b" * 64,
            "prefix_tokens": 12_345,
            "reason": "partly_cold",
            "cache_read_tokens": 4000,
            "cache_write_tokens": 8345,
            "cost_usd": Decimal("0.04252500"),
            "duration_ms": 1234,
            "request_id": "req_1",
            "started_at": NOW,
            "estimated_expires_at": NOW + timedelta(days=1),  # the machine may come to it late
            **values,
        }
    )
    make_line(warm_up, layer="shared", prefix_tokens=4000, ttl_seconds=3600, read_tokens=4000)
    make_line(warm_up, position=1, prefix_hash="b" * 64, written_tokens=8345, cost_usd=Decimal("0.0421"))
    return warm_up


def make_line(warm_up: WarmUp, **values: Any) -> WarmUpLine:
    return WarmUpLine.objects.create(
        **{
            "warm_up": warm_up,
            "position": 0,
            "layer": "draft",
            "prefix_hash": "a" * 64,
            "prefix_tokens": 12_345,
            "ttl_seconds": 300,
            "cost_usd": Decimal("0.0004"),
            "estimated_expires_at": warm_up.estimated_expires_at,
            **values,
        }
    )


def make_usage(warm_up: WarmUp | None = None, **values: Any) -> UsageRecord:
    return UsageRecord.objects.create(
        **{
            "label": "helpdesk",
            "model": "claude-opus-5-5",
            "upstream": "anthropic",
            "status": "complete",
            "warmth": "hit",
            "warm_up": warm_up,
            "started_at": NOW,
            "cache_read_tokens": 12_345,
            "cost_usd": Decimal("0.00246900"),
            "ttft_ms": 640,
            **values,
        }
    )


def words(html: str) -> str:
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", html))).strip()


def page(client: Client, name: str, *args: Any, **query: str) -> str:
    response = client.get(reverse(name, args=args), query)
    assert response.status_code == 200
    return response.content.decode()


def shown_rows(html: str) -> int:
    return len(re.findall(r'<tr>\s*<th class="field-', html))


def totals(html: str) -> str:
    found = re.search(r'id="warm-up-totals">(.*?)</p>', html, re.S)
    assert found is not None
    return words(found[1])


def test_a_warm_up_is_a_line_that_can_be_read(admin_client: Client) -> None:
    make_warm_up()

    text = words(page(admin_client, WARM_UPS))

    for cell in ("typing", "helpdesk", "claude-opus-5-5", "anthropic", "waiting", "partly_cold"):
        assert cell in text
    for cell in ("12,345", "4,000", "8,345", "$0.0425", "1.23 s"):
        assert cell in text


def test_what_time_has_ended_is_settled_before_the_list_is_read(admin_client: Client) -> None:
    warm_up = make_warm_up(estimated_expires_at=NOW - timedelta(seconds=1))

    text = totals(page(admin_client, WARM_UPS))

    warm_up.refresh_from_db()
    assert warm_up.outcome == Outcome.UNUSED
    assert "1 unused or evicted" in text
    assert "0 waiting" in text


def test_the_totals_say_what_it_cost_and_what_it_brought(admin_client: Client) -> None:
    for outcome in ("hit", "hit", "joined", "raced", "unused", "failed", ""):
        make_warm_up(outcome=outcome, cost_usd=Decimal("0.10"))
    for _ in range(5):
        make_usage()

    assert totals(page(admin_client, WARM_UPS)) == (
        "7 warm-ups for $0.7000: 3 used, 1 raced, 1 unused or evicted, 1 failed or cancelled, 1 waiting. "
        "1.40 warm-ups per reply (5)."
    )


def test_the_totals_are_those_of_the_filtered_rows(admin_client: Client) -> None:
    make_warm_up(label="helpdesk", outcome="hit", cost_usd=Decimal("0.10"))
    make_warm_up(label="sales", outcome="unused", cost_usd=None)
    make_usage(label="helpdesk")
    make_usage(label="sales")
    make_usage(label="sales")

    text = totals(page(admin_client, WARM_UPS, label="sales", outcome__exact="unused"))

    assert text.startswith("1 warm-up for $0.0000: 0 used")
    assert text.endswith("0.50 warm-ups per reply (2).")


def test_without_a_request_there_is_no_ratio(admin_client: Client) -> None:
    assert totals(page(admin_client, WARM_UPS)).endswith("No reply yet.")


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ({"outcome__exact": "hit"}, 1),
        ({"outcome__exact": ""}, 1),
        ({"intent__exact": "attach"}, 1),
        ({"label": "sales"}, 1),
        ({"model": "claude-opus-5-5"}, 2),
        ({"upstream": "simulator"}, 1),
        ({"started_at__gte": "2001-01-01 00:00:00+00:00"}, 2),
        ({"started_at__year": "1999"}, 0),
        ({"q": "req_other"}, 1),
        ({"q": "c" * 64}, 1),
        ({"q": "user 7"}, 1),
        ({"q": "nobody"}, 0),
    ],
    ids=str,
)
def test_the_list_can_be_narrowed(admin_client: Client, query: dict[str, str], count: int) -> None:
    make_warm_up(outcome="hit")
    make_warm_up(
        intent="attach",
        label="sales",
        upstream="simulator",
        request_id="req_other",
        prefix_hash="c" * 64,
        subject="user 8",
    )

    html = page(admin_client, WARM_UPS, **query)

    assert shown_rows(html) == count
    assert totals(html).startswith(f"{count} warm-up")


@pytest.mark.parametrize("list_name", [WARM_UPS, REQUESTS, SKIPS])
def test_a_pattern_in_the_address_is_refused_before_the_database_sees_it(admin_client: Client, list_name: str) -> None:
    refused = admin_client.get(reverse(list_name), {"label__regex": "["})

    assert refused.status_code == 400


@pytest.mark.parametrize("intent", sorted(WEIGHED_ELSEWHERE))
def test_numbers_that_did_not_decide_say_so(admin_client: Client, intent: str) -> None:
    warm_up = make_warm_up(intent=intent, numbers={"net_usd": "-0.0028"})

    text = words(page(admin_client, "admin:warmcache_warmup_change", warm_up.pk))

    assert "net usd -0.0028 These did not decide: this warm-up was" in text


def test_numbers_that_decided_stand_alone(admin_client: Client) -> None:
    warm_up = make_warm_up(intent="typing", numbers={"net_usd": "0.0028"})

    text = words(page(admin_client, "admin:warmcache_warmup_change", warm_up.pk))

    assert "net usd 0.0028" in text
    assert "did not decide" not in text


def test_a_warm_up_shows_its_lines_and_the_requests_that_met_it(admin_client: Client) -> None:
    warm_up = make_warm_up(outcome="joined", waited_ms=850, numbers={"send_chance": 0.85, "net_usd": None})
    usage = make_usage(warm_up)
    WarmUpLine.objects.filter(position=1).update(outcome="joined", credited_tokens=8345, request=usage)

    html = page(admin_client, "admin:warmcache_warmup_change", warm_up.pk)

    text = words(html)
    assert "shared 4,000 60 min 0 4,000 $0.000400 waiting 0 -" in text
    assert f"draft 12,345 5 min 8,345 0 $0.0421 joined 8,345 {usage.started_at:%Y-%m-%d %H:%M:%S}" in text
    assert "net usd - send chance 0.85" in text
    assert "hit complete 12,345 $0.002469 640 ms" in text
    assert "850 ms" in text
    assert reverse("admin:warmcache_usagerecord_change", args=[usage.pk]) in html


def test_a_warm_up_that_met_nobody_says_so(admin_client: Client) -> None:
    text = words(page(admin_client, "admin:warmcache_warmup_change", make_warm_up().pk))

    assert "Requests that met it: none" in text


def test_only_the_first_of_very_many_requests_are_listed(admin_client: Client) -> None:
    warm_up = make_warm_up()
    for _ in range(52):
        make_usage(warm_up)

    text = words(page(admin_client, "admin:warmcache_warmup_change", warm_up.pk))

    assert text.count("hit complete") == 50
    assert "The first 50 are shown." in text


def test_words_from_outside_are_escaped(admin_client: Client) -> None:
    hostile = "<script>alert(1)</script>"
    warm_up = make_warm_up(label=hostile, reason=hostile, numbers={hostile: hostile})
    make_line(warm_up, position=2, layer="<b>bad</b>")
    make_usage(warm_up, status="<b>bad</b>", label=hostile)

    for html in (
        page(admin_client, WARM_UPS),
        page(admin_client, REQUESTS),
        page(admin_client, "admin:warmcache_warmup_change", warm_up.pk),
        page(admin_client, "admin:warmcache_dashboard_changelist"),
    ):
        assert hostile not in html
        assert "<b>bad</b>" not in html


def test_a_real_request_is_a_line_that_leads_to_its_warm_up(admin_client: Client) -> None:
    warm_up = make_warm_up()
    make_usage(warm_up)
    make_usage(warmth="cold", cost_usd=None, ttft_ms=None)

    html = page(admin_client, REQUESTS)

    assert reverse("admin:warmcache_warmup_change", args=[warm_up.pk]) in html
    assert "$0.002469" in html
    assert "unknown" in html


@pytest.mark.parametrize(
    "query", [{"warmth": "cold"}, {"status": "failed"}, {"q": "req_x"}, {"label": "sales"}], ids=str
)
def test_real_requests_can_be_narrowed(admin_client: Client, query: dict[str, str]) -> None:
    make_usage()
    make_usage(warmth="cold", status="failed", request_id="req_x", label="sales")

    assert shown_rows(page(admin_client, REQUESTS, **query)) == 1


def test_a_real_request_shows_all_that_was_billed(admin_client: Client) -> None:
    usage = make_usage(make_warm_up(), output_tokens=77, error_code="stream_cut")

    text = words(page(admin_client, "admin:warmcache_usagerecord_change", usage.pk))

    assert "77" in text
    assert "stream_cut" in text


def test_lost_writes_are_listed(admin_client: Client) -> None:
    LostWrites.objects.create(minute=NOW, count=3)

    assert shown_rows(page(admin_client, "admin:warmcache_lostwrites_changelist")) == 1


def test_skips_are_listed_with_their_reason(admin_client: Client) -> None:
    SkipCount.objects.create(minute=NOW, label="helpdesk", intent="typing", reason="over_cost_cap", count=9)

    html = page(admin_client, SKIPS, reason="over_cost_cap")

    assert shown_rows(html) == 1
    assert "over_cost_cap" in html


@pytest.mark.parametrize("model", ["warmup", "usagerecord", "skipcount"])
def test_nobody_writes_the_ledger_by_hand(admin_client: Client, model: str) -> None:
    row = {
        "warmup": make_warm_up,
        "usagerecord": make_usage,
        "skipcount": lambda: SkipCount.objects.create(minute=NOW, intent="typing", reason="x", count=1),
    }[model]()

    statuses = [
        admin_client.get(reverse(f"admin:warmcache_{model}_add")).status_code,
        admin_client.post(reverse(f"admin:warmcache_{model}_change", args=[row.pk]), {"label": "mine"}).status_code,
        admin_client.get(reverse(f"admin:warmcache_{model}_delete", args=[row.pk])).status_code,
    ]

    assert statuses == [403, 403, 403]
    assert page(admin_client, f"admin:warmcache_{model}_change", row.pk)


def many(make: Callable[[], Any]) -> Callable[[int], None]:
    def fill(count: int) -> None:
        for _ in range(count):
            make()

    return fill


@pytest.mark.parametrize(
    ("name", "fill", "most"),
    [
        (WARM_UPS, many(make_warm_up), 15),
        (REQUESTS, many(lambda: make_usage(make_warm_up())), 15),
    ],
    ids=["warm-ups", "requests"],
)
def test_a_list_takes_as_many_queries_for_forty_rows_as_for_two(
    admin_client: Client, name: str, fill: Callable[[int], None], most: int
) -> None:
    counts = []
    admin_client.get("/admin/")  # the first page of a session is noted
    for number in (2, 38):
        fill(number)
        with CaptureQueriesContext(
            connection,
        ) as queries:
            page(admin_client, name)
        counts.append(len(queries))

    assert counts[0] == counts[1] <= most


def test_a_detail_page_takes_as_many_queries_for_forty_requests_as_for_one(admin_client: Client) -> None:
    warm_up, counts = make_warm_up(), []
    admin_client.get("/admin/")  # the first page of a session is noted
    for number in (1, 39):
        many(lambda: make_usage(warm_up))(number)
        with CaptureQueriesContext(connection) as queries:
            page(admin_client, "admin:warmcache_warmup_change", warm_up.pk)
        counts.append(len(queries))

    assert counts[0] == counts[1]


def test_no_column_can_hold_what_people_wrote() -> None:
    free_text = {
        (model.__name__, column.name)
        for model in (WarmUp, WarmUpLine, UsageRecord, SkipCount, LostWrites)
        for column in model._meta.get_fields()
        if (getattr(column, "max_length", None) or 0) > 80 or type(column).__name__ == "TextField"
    }

    assert free_text == set()
    assert {WarmUp, UsageRecord, SkipCount, LostWrites} <= set(admin.site._registry)


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (None, "unknown"),
        (Decimal(0), "$0.0000"),
        (Decimal("0.00000123"), "$0.000001"),
        (Decimal("0.0099"), "$0.009900"),
        (Decimal("0.01"), "$0.0100"),
        (Decimal("1234.5"), "$1,234.5000"),
    ],
)
def test_money_can_be_read(amount: Decimal | None, text: str) -> None:
    assert dollars(amount) == text


@pytest.mark.parametrize(("milliseconds", "text"), [(None, "-"), (0, "0 ms"), (999, "999 ms"), (1500, "1.50 s")])
def test_time_can_be_read(milliseconds: int | None, text: str) -> None:
    assert seconds(milliseconds) == text
