"""From rows in the database to the words an operator reads."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from warmcache.models import LostWrites, SkipCount, UsageRecord, WarmUp, WarmUpLine
from warmcache.reports.evidence import read_evidence
from warmcache.reports.figures import report_of
from warmcache.upstream.prices import rates_for

pytestmark = pytest.mark.django_db

MODEL = "claude-sonnet-5-5"


@pytest.fixture
def now() -> datetime:
    return datetime.now(tz=UTC)


def warm_up(at: datetime, *, outcomes: tuple[str, ...] = ("hit", "unused"), **values: Any) -> WarmUp:
    row = WarmUp.objects.create(
        **{
            "intent": "typing",
            "label": "helpdesk",
            "model": MODEL,
            "upstream": "anthropic",
            "reason": "cold",
            "cost_usd": Decimal("0.02"),
            "started_at": at,
            "outcome": "hit",
            "numbers": {"send_chance": 0.8, "saved_seconds": 1.5},
            **values,
        }
    )
    for position, outcome in enumerate(outcomes):
        WarmUpLine.objects.create(
            warm_up=row,
            position=position,
            layer="shared",
            prefix_hash="a",
            ttl_seconds=300,
            written_tokens=1000,
            credited_tokens=1000 if outcome == "hit" else 0,
            cost_usd=Decimal("0.01"),
            outcome=outcome,
            estimated_expires_at=at + timedelta(seconds=300),
        )
    return row


def reply(at: datetime, **values: Any) -> UsageRecord:
    return UsageRecord.objects.create(
        **{
            "label": "helpdesk",
            "model": MODEL,
            "upstream": "anthropic",
            "status": "complete",
            "warmth": "hit",
            "ttft_ms": 800,
            "cost_usd": Decimal("0.003"),
            "input_tokens": 1000,
            "output_tokens": 100,
            "started_at": at,
            **values,
        }
    )


def told(*arguments: str) -> str:
    out = StringIO()
    call_command("warmcache_report", *arguments, stdout=out)
    return out.getvalue()


def test_an_empty_ledger_says_that_there_is_nothing_yet() -> None:
    assert told().count("nothing yet") == 7


def test_text_and_json_say_the_same(now: datetime) -> None:
    warm_up(now - timedelta(hours=1))
    for number in range(40):
        arm = "held_out" if number % 2 else "treated"
        reply(
            now - timedelta(hours=1),
            arm=arm,
            intent="typing",
            warmth="hit" if arm == "treated" else "held_out",
            ttft_ms=(800 if arm == "treated" else 2800) + number,
            numbers={"saved_seconds": 1.5},
        )
    SkipCount.objects.create(minute=now, label="helpdesk", intent="typing", reason="no_credit", count=7)

    text, found = told(), json.loads(told("--json"))

    (spent,), (experiment,), (forecast,) = found["spending"], found["experiments"], found["forecasts"]
    assert (spent["cost_usd"], spent["wasted_usd"], spent["wasted_share"]) == ("0.02000000", "0.01000000", 0.5)
    assert "1 warm-up for $0.0200: 1 hit" in text
    assert "wasted: $0.0100, 50%; 1,000 of 2,000 tokens written were read; 0.03 warm-ups per reply (40)" in text
    assert experiment["saved_seconds"]["value"] == pytest.approx(2.001)
    assert "20 treated, 20 held out" in text
    assert "not enough data: 30 of each are needed" in text
    assert "saved per reply: 2.001 s [" in text
    assert "believed 1.500 s" in text
    assert (forecast["predicted_chance"], forecast["is_enough"]) == (0.8, False)
    assert "believed 80%, seen 0% [" in text
    assert "7  no_credit" in text
    assert [row["warmth"] for row in found["waits"]] == ["held_out", "hit"]


def test_the_simulated_upstream_is_called_simulated(now: datetime) -> None:
    reply(now, upstream="simulator")
    warm_up(now, upstream="simulator")

    text = told()

    assert "Figures of the simulated upstream come from its own latency model" in text
    assert "(SIMULATED upstream)" in text
    assert "simulator" not in text


def test_what_the_ledger_lost_is_said(now: datetime) -> None:
    LostWrites.objects.create(minute=now, count=12)

    assert "12 rows could not be written in this time" in told()


def test_only_the_period_and_the_label_that_were_asked_for_are_told(now: datetime) -> None:
    warm_up(now - timedelta(days=2))
    warm_up(now, label="sales")
    reply(now, label="sales")

    by_time, by_label = told("--since", "1d"), told("--label", "sales", "--since", "2w")

    assert "helpdesk" not in by_time
    assert "sales" in by_time
    assert "helpdesk" not in by_label
    assert "label sales" in by_label
    with pytest.raises(CommandError, match="--since: A period looks like 7d"):
        told("--since", "yesterday")


def test_nothing_is_left_open_whose_time_has_ended(now: datetime) -> None:
    row = warm_up(now - timedelta(hours=1), outcomes=("",), outcome="")

    text = told()

    row.refresh_from_db()
    assert row.outcome == "unused"
    assert "1 unused" in text


def test_titles_and_tool_rounds_are_not_what_a_person_waits_for(now: datetime) -> None:
    reply(now, purpose="title")

    assert json.loads(told("--json"))["waits"] == []


def test_warming_is_compared_without_the_output_that_it_does_not_change(now: datetime) -> None:
    reply(now, cost_usd=Decimal("0.003"), output_tokens=100, arm="treated", intent="typing")

    evidence = read_evidence(now=now.timestamp() + 1, period_seconds=60, rates=rates_for)

    (row,) = evidence.tallies
    assert row.sums["bill"] == 200_000  # 0.002: 100 tokens at $10 a million


def test_a_report_takes_as_many_queries_for_many_rows_as_for_few(
    now: datetime, django_assert_max_num_queries: Any
) -> None:
    for _ in range(30):
        warm_up(now)
        reply(now)

    with django_assert_max_num_queries(25):
        report_of(read_evidence(now=now.timestamp() + 1, period_seconds=60, rates=rates_for))


class TestPruneCommand:
    def pruned(self, *arguments: str) -> str:
        out = StringIO()
        call_command("warmcache_prune", *arguments, stdout=out)
        return out.getvalue()

    def test_it_says_what_is_gone_and_the_report_says_the_same_as_before(self, now: datetime) -> None:
        for days in (0, 5, 20):
            reply(now - timedelta(days=days))
        before = json.loads(told("--json", "--since", "4w"))["totals"]

        text = self.pruned("--keep-days", "10")

        assert text.startswith("1 rows from before ")
        assert UsageRecord.objects.count() == 2
        assert json.loads(told("--json", "--since", "4w"))["totals"] == before

    def test_nothing_goes_unless_somebody_says_how_long_rows_are_kept(self, now: datetime) -> None:
        reply(now - timedelta(days=400))

        assert "kept for ever" in self.pruned()
        with pytest.raises(CommandError, match="keep at least these"):
            self.pruned("--keep-days", "3")
        assert UsageRecord.objects.count() == 1
