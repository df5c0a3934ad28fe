"""The log that an operator searches, and the stories that its rows tell."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from tests.warmcache.admin.test_ledger import (
    NOW,
    REQUESTS,
    WARM_UPS,
    make_usage,
    make_warm_up,
    page,
    shown_rows,
    words,
)
from warmcache.admin import host, stories
from warmcache.admin.host import ShownMessage
from warmcache.models import UsageRecord, WarmUp

pytestmark = pytest.mark.django_db

CONVERSATION = "8f14e45f-ceea-467f-ab0e-8a3c8c5b4a11"
WEIGHED = {
    "send_chance": 0.8,
    "break_even_chance": 0.35,
    "saved_seconds": 1.5,
    "value_of_second_usd": "0.05",
    "benefit_usd": "0.06",
    "cost_usd": "0.52",
    "net_usd": "-0.46",
    "cap_usd": "0.25",
}


class Directory:
    """A host that knows one person and one message."""

    def subjects_named(self, name: str) -> list[str]:
        return ["user 7"] if name == "ann" else []

    def name_of(self, subject: str) -> str | None:
        return "ann" if subject == "user 7" else None

    def message_of(self, place: str, request_id: str) -> ShownMessage | None:
        return ShownMessage(url="/messages/1/", server_ttft_ms=700, browser_ttft_ms=760)


@pytest.fixture
def directory() -> Iterator[None]:
    before = host.registered()
    host.register(Directory())
    yield
    host._host = before


@pytest.mark.parametrize("term", ["ann", "user 7", "req_9", "c" * 64, CONVERSATION, f"conversation {CONVERSATION}"])
@pytest.mark.parametrize("name", [WARM_UPS, REQUESTS])
def test_a_search_finds_exactly_what_is_named(admin_client: Client, directory: None, name: str, term: str) -> None:
    make: Any = make_warm_up if name == WARM_UPS else make_usage
    known = {
        "subject": "user 7",
        "request_id": "req_9",
        "prefix_hash": "c" * 64,
        "place": f"conversation {CONVERSATION}",
    }
    make(**known)
    make(subject="user 77", request_id="req_99", prefix_hash="d" * 64, place="conversation 9")

    html = page(admin_client, name, q=term)

    assert shown_rows(html) == 1


def test_a_row_is_found_by_its_id_and_a_part_of_a_word_finds_nothing(admin_client: Client) -> None:
    row = make_warm_up(request_id="req_12345")

    assert shown_rows(page(admin_client, WARM_UPS, q=str(row.pk))) == 1
    assert shown_rows(page(admin_client, WARM_UPS, q="req_1234")) == 0


@pytest.mark.parametrize("model", [WarmUp, UsageRecord])
def test_a_search_reads_indexes_alone(admin_client: Client, directory: None, model: type[Any]) -> None:
    name = WARM_UPS if model is WarmUp else REQUESTS
    make_usage(make_warm_up())

    with CaptureQueriesContext(connection) as queries:
        page(admin_client, name, q="ann")

    searches = [query["sql"] for query in queries if "req_" not in query["sql"] and "'user 7'" in query["sql"]]
    assert searches
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SET enable_seqscan = off")
        for sql in searches:
            prefix = "EXPLAIN QUERY PLAN " if connection.vendor == "sqlite" else "EXPLAIN "
            cursor.execute(prefix + sql)
            plan = " ".join(str(line) for line in cursor.fetchall())
            assert f"SCAN {model._meta.db_table}" not in plan, plan
            assert "Seq Scan on warmcache" not in plan, plan


@pytest.mark.parametrize(
    "query", [{"since": "24h"}, {"label": "sales"}, {"model": "m"}, {"upstream": "local"}], ids=str
)
def test_the_log_is_narrowed_by_period_assistant_model_and_upstream(
    admin_client: Client, query: dict[str, str]
) -> None:
    make_warm_up(started_at=NOW - timedelta(days=3))
    make_warm_up(label="sales", model="m", upstream="local")

    assert shown_rows(page(admin_client, WARM_UPS, **query)) == 1


def test_a_period_that_is_none_shows_nothing(admin_client: Client) -> None:
    make_warm_up()

    assert shown_rows(page(admin_client, WARM_UPS, since="yesterday")) == 0


def test_a_warm_up_tells_its_story_in_order(admin_client: Client) -> None:
    row = make_warm_up(numbers=WEIGHED, outcome="evicted", settled_at=NOW)
    make_usage(row, miss_reason="messages_changed")

    text = words(page(admin_client, "admin:warmcache_warmup_change", row.pk))

    told = text[text.index("What happened") :]
    parts = (
        "It was decided to warm (partly_cold): a part of it was cold.",
        "A message was expected with a chance of 80%; 35% was needed.",
        "It was to save 1.5 s at $0.0500 a second, $0.0600 in all, and to cost $0.5200: net -$0.4600.",
        "The call to claude-opus-5-5 took 1.23 s, request req_1.",
        "It was billed $0.042525: 8,345 tokens written, 4,000 read, 0 neither.",
        "evicted: same bytes, in time, nothing read.",
        "a request read 12,345 tokens of the cache; its first text came after 640 ms.",
        "The API says why it missed: messages_changed.",
    )
    places = [told.index(part) for part in parts]
    assert places == sorted(places)


def test_a_cold_reply_says_why_its_visit_was_not_warmed(admin_client: Client) -> None:
    refused = make_usage(warmth="cold", decided="over_cost_cap", numbers=WEIGHED)
    unannounced = make_usage(warmth="cold")

    why, nothing = (
        words(page(admin_client, "admin:warmcache_usagerecord_change", row.pk)) for row in (refused, unannounced)
    )

    assert "It was decided not to warm (over_cost_cap): it would cost more than the operator allows." in why
    assert "and to cost $0.52" in why
    assert "The cap for one warm-up was $0.2500." in why
    assert "Nothing announced this request" in nothing


def test_a_wait_is_divided_into_its_legs(admin_client: Client, directory: None) -> None:
    row = make_usage(waited_ms=100, answered_ms=300, first_token_ms=500, ttft_ms=640, request_id="req_1")

    legs = stories.legs_of(row, Directory().message_of("", "req_1"))
    text = words(page(admin_client, "admin:warmcache_usagerecord_change", row.pk))

    assert [leg.milliseconds for leg in legs] == [60, 100, 200, 200, 140, 60]
    assert sum(leg.milliseconds for leg in legs) == 760
    assert "thinking, until the first text: 140 ms (18%)" in text
    assert "the way to the browser, and its paint: 60 ms" in text


def test_what_was_not_measured_is_no_leg(admin_client: Client) -> None:
    legs = stories.legs_of(make_usage(ttft_ms=640), None)

    assert [leg.milliseconds for leg in legs] == [640]
    assert stories.bar_of([]) == "not measured"
