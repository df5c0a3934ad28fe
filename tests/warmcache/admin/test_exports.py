"""What leaves the ledger as a file: the rows that the list shows, nothing that a spreadsheet would run."""

import csv
import io
import json
import threading
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import AbstractBaseUser, Permission
from django.core.management import call_command
from django.db import connection
from django.test import AsyncClient, Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from tests.warmcache.admin.test_ledger import NOW, make_usage, make_warm_up
from warmcache.admin import exports
from warmcache.models import LostWrites, SkipCount, UsageRecord, WarmUp

pytestmark = pytest.mark.django_db

ROWS = ("warmup", "usagerecord", "skipcount", "lostwrites")


def text_of(client: Client, name: str, **query: str) -> str:
    answer = client.get(reverse(f"admin:warmcache_{name}"), query)
    assert answer.status_code == 200
    return b"".join(answer.streaming_content).decode()  # type: ignore[attr-defined]


def table(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_the_file_holds_the_filtered_rows_of_all_pages_and_every_column(admin_client: Client) -> None:
    for number in range(60):
        make_warm_up(started_at=NOW - timedelta(seconds=number), label=f"a{number % 2}")

    rows = table(text_of(admin_client, "warmup_export_csv", label="a1", p="1"))
    also = json.loads(text_of(admin_client, "warmup_export_json", label="a1"))

    newest = WarmUp.objects.filter(label="a1").order_by("-started_at").values_list("pk", flat=True)
    assert [row["id"] for row in rows] == [row["id"] for row in also] == [str(pk) for pk in newest]
    assert set(rows[0]) == set(also[0]) == {field.attname for field in WarmUp._meta.concrete_fields}
    assert rows[0]["cost_usd"] == also[0]["cost_usd"] == "0.04252500"
    assert also[0]["prefix_tokens"] == 12_345


@pytest.mark.parametrize("name", ROWS)
def test_a_file_without_rows_is_still_a_table_and_an_array(admin_client: Client, name: str) -> None:
    assert table(text_of(admin_client, f"{name}_export_csv")) == []
    assert json.loads(text_of(admin_client, f"{name}_export_json")) == []


def test_counters_are_rows_too(admin_client: Client) -> None:
    SkipCount.objects.create(minute=NOW, label="helpdesk", intent="typing", reason="over_cost_cap", count=3)
    LostWrites.objects.create(minute=NOW, count=2)

    assert table(text_of(admin_client, "skipcount_export_csv"))[0]["reason"] == "over_cost_cap"
    assert json.loads(text_of(admin_client, "lostwrites_export_json"))[0]["count"] == 2


@pytest.mark.parametrize(
    "text",
    ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", " =1", "\r=1", "a;=1", "a,+1", "a\n=1", "\uff1d1"],
    ids=repr,
)
def test_no_cell_begins_as_a_formula_does(admin_client: Client, text: str) -> None:
    make_usage(label=text, numbers={"=1": "=2"})

    (row,) = table(text_of(admin_client, "usagerecord_export_csv"))

    assert exports.FORMULA.search(row["label"]) is None
    assert row["label"].replace("'", "") == text
    assert json.loads(text_of(admin_client, "usagerecord_export_json"))[0]["label"] == text


def test_a_negative_number_stays_one(admin_client: Client) -> None:
    make_usage(cost_usd=Decimal("-0.5"))

    assert table(text_of(admin_client, "usagerecord_export_csv"))[0]["cost_usd"] == "-0.50000000"


def test_a_long_file_is_read_page_by_page_as_it_leaves(admin_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exports, "ROWS_AT_ONCE", 10)
    same = timezone.now()
    for number in range(35):
        # Moments that many rows share do not end a page.
        make_usage(started_at=same - timedelta(seconds=number // 15))
    answer = admin_client.get(reverse("admin:warmcache_usagerecord_export_csv"))
    parts = iter(answer.streaming_content)  # type: ignore[attr-defined]

    with CaptureQueriesContext(connection) as head:
        next(parts)
    with CaptureQueriesContext(connection) as first:
        page = next(parts)
    with CaptureQueriesContext(connection) as others:
        rest = list(parts)

    assert (len(head), len(first), len(others)) == (0, 1, 3)
    assert all("LIMIT 10" in query["sql"] for query in (*first, *others))
    ids = [line.split(b",")[0] for part in (page, *rest) for line in part.splitlines()]
    assert len(ids) == len(set(ids)) == UsageRecord.objects.count() == 35


def test_the_figures_are_those_of_the_report(admin_client: Client, capsys: pytest.CaptureFixture[str]) -> None:
    make_usage(make_warm_up(outcome="hit", settled_at=NOW))
    call_command("warmcache_report", "--json", "--since", "24h")
    printed = json.loads(capsys.readouterr().out)

    figures = json.loads(text_of(admin_client, "figures_json", since="24h"))
    rows = table(text_of(admin_client, "figures_csv", since="24h"))

    moving = {"since", "until", "timeline"}
    assert {name: figures[name] for name in figures.keys() - moving} == {
        name: printed[name] for name in printed.keys() - moving
    }
    (total,) = [row for row in rows if (row["table"], row["figure"]) == ("totals", "total_usd")]
    assert (total["upstream"], total["value"]) == ("anthropic", figures["totals"][0]["total_usd"])
    assert any((row["table"], row["label"], row["figure"]) == ("spending", "helpdesk", "wasted_usd") for row in rows)


@pytest.mark.parametrize("query", [{"since": "9y"}, {"label": "\0"}, {"label": "=1"}], ids=str)
def test_a_wrong_choice_of_figures_is_no_error(admin_client: Client, query: dict[str, str]) -> None:
    make_usage(label="=1")

    for row in table(text_of(admin_client, "figures_csv", **query)):
        assert all(exports.FORMULA.search(row[name]) is None for name in ("label", "model"))


@pytest.mark.parametrize("name", ROWS)
@pytest.mark.parametrize("query", ["?nonsense__exact=1", "?started_at__gte=yesterday", "?minute__gte=x", "?q=%00"])
def test_a_wrong_filter_exports_nothing_and_says_so(admin_client: Client, name: str, query: str) -> None:
    answer = admin_client.get(reverse(f"admin:warmcache_{name}_export_csv") + query, follow=True)

    assert answer.status_code == 200
    if answer.redirect_chain:
        assert "nothing was exported" in answer.content.decode()
    else:
        assert len(b"".join(answer.streaming_content).splitlines()) == 1  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", [*(f"{name}_export_csv" for name in ROWS), "figures_json"])
def test_who_may_not_see_the_list_gets_no_file(
    client: Client, django_user_model: type[AbstractBaseUser], name: str
) -> None:
    staff: Any = django_user_model.objects.create_user(username="staff", password="x", is_staff=True)  # type: ignore[attr-defined]
    staff.user_permissions.set(Permission.objects.filter(codename="view_warmpolicy"))
    client.force_login(staff)

    assert client.get(reverse(f"admin:warmcache_{name}")).status_code == 403


@pytest.mark.django_db(transaction=True)
async def test_an_async_server_reads_in_the_threads_of_the_database(
    admin_user: AbstractBaseUser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exports, "ROWS_AT_ONCE", 2)
    from asgiref.sync import sync_to_async

    for _ in range(5):
        await sync_to_async(make_usage)()
    own = threading.get_ident()
    read_in: set[int] = set()
    pages_of = exports.pages_of

    def watched(*args: Any, **kwargs: Any) -> Any:
        for page in pages_of(*args, **kwargs):
            read_in.add(threading.get_ident())
            yield page

    monkeypatch.setattr(exports, "pages_of", watched)
    client = AsyncClient()
    await client.aforce_login(admin_user)

    answer = await client.get(reverse("admin:warmcache_usagerecord_export_json"))
    text = b"".join([part async for part in answer.streaming_content])  # type: ignore[attr-defined]

    assert len(json.loads(text)) == 5
    assert read_in
    assert own not in read_in
