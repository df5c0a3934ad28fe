"""Roll-ups say the same as the rows that they stand for, also when these are gone."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from tests.warmcache.ledger.random_ledger import fill, recomputed
from warmcache.core.economics import Rates
from warmcache.core.tallies import bucket_of
from warmcache.ledger import rollups
from warmcache.models import RollUp, RollUpState, UsageRecord, WarmUp, WarmUpLine
from warmcache.reports.evidence import read_evidence
from warmcache.reports.figures import Report, report_of
from warmcache.upstream.prices import rates_for

NOW = datetime(2027, 3, 14, 15, 9, 26, tzinfo=UTC)
MONTH = 30 * 86_400


def report(*, days: float = 30, now: datetime = NOW, label: str | None = None) -> Report:
    return report_of(read_evidence(now=now.timestamp(), period_seconds=days * 86_400, rates=rates_for, label=label))


def reply(at: datetime, **values: Any) -> UsageRecord:
    return UsageRecord.objects.create(
        **{
            **{"label": "helpdesk", "model": "claude-sonnet-5-5", "upstream": "anthropic", "status": "complete"},
            **{"warmth": "hit", "ttft_ms": 800, "cost_usd": Decimal("0.003"), "started_at": at},
            **values,
        }
    )


class TestRandomLedgers(TestCase):
    @settings(max_examples=8)
    @given(st.integers(0, 2**32), st.integers(0, 60), st.sampled_from((0.5, 1, 2, 12, 40)))
    def test_every_figure_is_that_of_the_rows_before_and_after_pruning(self, seed: int, rows: int, days: float) -> None:
        fill(Random(seed), rows=rows, until=NOW, days=38)
        begin = report(days=days).since
        expected = recomputed(begin, NOW)

        _require_equal(report(days=days), expected)
        pruned = rollups.prune(NOW.timestamp(), rates_for, keep_days=10)
        again = report(days=days)

        assert again.since == begin
        _require_equal(again, expected)
        assert not UsageRecord.objects.filter(started_at__lt=pruned.until or begin).exists()
        assert rollups.prune(NOW.timestamp(), rates_for, keep_days=10).rows == 0


def _require_equal(found: Report, expected: dict[str, Any]) -> None:
    for row in found.totals:
        for name, value in expected["totals"][row.upstream].items():
            assert getattr(row, name) == value, name
    assert len(found.totals) == len(expected["totals"])
    spent = {(row.upstream, row.label, row.model, row.intent): row for row in found.spending}
    assert spent.keys() == expected["spending"].keys()
    for key, figures in expected["spending"].items():
        assert {name: getattr(spent[key], name) for name in figures} == figures
    assert {(row.label, row.intent, row.reason): row.count for row in found.skips} == expected["skips"]
    assert found.lost_writes == expected["lost_writes"]
    _require_equal_waits(found, expected["waits"])
    _require_equal_statistics(found, expected)


def _require_equal_waits(found: Report, expected: dict[Any, list[int]]) -> None:
    waits = {(row.upstream, row.label, row.model, row.warmth): row for row in found.waits}
    assert {key: row.count for key, row in waits.items()} == {key: len(row) for key, row in expected.items()}
    for key, row in waits.items():
        for share, value in ((0.5, row.p50_ms), (0.95, row.p95_ms)):
            real = expected[key][min(row.count - 1, int(share * row.count))]
            assert bucket_of(int(value)) == bucket_of(real)
            assert abs(value - real) <= 0.05 * real


def _require_equal_statistics(found: Report, expected: dict[str, Any]) -> None:
    experiments = {(row.upstream, row.intent): row for row in found.experiments}
    assert experiments.keys() == expected["experiments"].keys()
    for key, figures in expected["experiments"].items():
        row = experiments[key]
        assert (row.treated, row.held_out) == (figures["treated"], figures["held_out"])
        for interval, pair, more in (
            (row.saved_seconds, figures["saved_seconds"], 0.0),
            (row.extra_usd, figures["extra_usd"], figures["spent_each"]),
        ):
            assert (interval is None) == (pair is None)
            if interval is not None:
                assert interval.value == pytest.approx(pair[0] + more, abs=1e-9)
                assert interval.high - interval.value == pytest.approx(1.96 * pair[1], abs=1e-9)
    forecasts = {(row.upstream, row.intent): row for row in found.forecasts}
    assert forecasts.keys() == expected["forecasts"].keys()
    for key, weighed in expected["forecasts"].items():
        assert forecasts[key].warm_ups == len(weighed)
        assert forecasts[key].predicted_chance == pytest.approx(sum(chance for chance, _ in weighed) / len(weighed))
        share = forecasts[key].observed_chance
        assert share is not None
        assert share.value == pytest.approx(sum(came for _, came in weighed) / len(weighed))


@pytest.mark.django_db
class TestCatchingUp:
    def test_only_hours_that_can_no_longer_change_are_rolled_up(self) -> None:
        reply(NOW - timedelta(hours=5))
        reply(NOW - timedelta(minutes=30))

        assert rollups.catch_up(NOW.timestamp(), rates_for)

        assert rollups.rolled_until() == datetime(2027, 3, 14, 13, tzinfo=UTC)
        assert [row.sums["rows"] for row in RollUp.objects.filter(is_coarse=False)] == [1]

    def test_it_stops_after_a_bounded_part_and_goes_on_from_there(self) -> None:
        for hours in range(100, 0, -10):
            reply(NOW - timedelta(hours=hours))

        assert not rollups.catch_up(NOW.timestamp(), rates_for, rows_at_once=3)
        begun = rollups.rolled_until()
        assert rollups.catch_up(NOW.timestamp(), rates_for)

        assert begun is not None
        assert begun < NOW - timedelta(hours=60)
        assert report().totals[0].replies == 10

    def test_an_hour_that_another_process_has_rolled_up_is_left_as_it_is(self) -> None:
        reply(NOW - timedelta(hours=5))

        def rates_of_a_slow_process(model: str, tokens: int) -> Rates | None:
            rollups.catch_up(NOW.timestamp(), rates_for)
            return rates_for(model, tokens)

        rollups.catch_up(NOW.timestamp(), rates_of_a_slow_process)

        assert RollUp.objects.filter(is_coarse=False).count() == 1
        assert rollups.rolled_until() == datetime(2027, 3, 14, 13, tzinfo=UTC)

    def test_hours_are_dropped_once_nobody_begins_a_period_with_them(self) -> None:
        for days in range(20):
            reply(NOW - timedelta(days=days, hours=4))

        rollups.catch_up(NOW.timestamp(), rates_for)

        oldest = RollUp.objects.filter(seconds=3600).earliest("start").start
        assert NOW - timedelta(days=8) < oldest < NOW - timedelta(days=4)
        assert RollUp.objects.filter(seconds=86_400, is_coarse=False).count() == 19
        assert report(days=2).before[0].replies == 2

    def test_a_clock_that_was_set_back_counts_nothing_twice(self) -> None:
        reply(NOW - timedelta(hours=5))
        rollups.catch_up(NOW.timestamp(), rates_for)

        assert report(now=NOW - timedelta(hours=4)).totals[0].replies == 1


@pytest.mark.django_db
class TestPruning:
    def test_a_row_that_came_late_is_in_the_sums_that_stay(self) -> None:
        long_ago = NOW - timedelta(days=20)
        reply(long_ago)
        rollups.catch_up(NOW.timestamp(), rates_for)
        reply(long_ago)

        pruned = rollups.prune(NOW.timestamp(), rates_for, keep_days=10)

        assert (pruned.rows, UsageRecord.objects.count()) == (2, 0)
        assert report().totals[0].replies == 2

    def test_whole_days_go_and_what_the_forecasts_need_stays(self) -> None:
        for days in range(20):
            reply(NOW - timedelta(days=days))

        pruned = rollups.prune(NOW.timestamp(), rates_for, keep_days=0)

        assert pruned.until == datetime(2027, 3, 6, tzinfo=UTC)
        assert UsageRecord.objects.count() == 9

    def test_one_that_was_cut_off_is_finished_by_the_next(self) -> None:
        for days in range(20):
            reply(NOW - timedelta(days=days, hours=1))
        rollups.prune(NOW.timestamp(), rates_for, keep_days=15)
        UsageRecord.objects.filter(started_at__lt=NOW - timedelta(days=12)).delete()
        RollUpState.objects.update(pruned_until=NOW - timedelta(days=11))

        rollups.prune(NOW.timestamp(), rates_for, keep_days=10)

        assert report().totals[0].replies == 20

    def test_in_rounds_the_oldest_days_go_first_and_no_figure_changes(self) -> None:
        for days in range(20):
            for _ in range(3):
                reply(NOW - timedelta(days=days, hours=1))
        rows = []
        while (pruned := rollups.prune(NOW.timestamp(), rates_for, keep_days=10, rows_at_once=5)).rows:
            assert not UsageRecord.objects.filter(started_at__lt=pruned.until).exists()
            assert report().totals[0].replies == 60
            rows.append(pruned.rows)

        assert rows == [6] * 4 + [3]
        assert UsageRecord.objects.count() == 33

    def test_a_warm_up_goes_with_its_lines_and_leaves_no_link(self) -> None:
        at = datetime(2027, 2, 27, 23, 59, 50, tzinfo=UTC)
        row = WarmUp.objects.create(
            **{"intent": "typing", "model": "m", "upstream": "anthropic", "reason": "cold", "outcome": "hit"},
            started_at=at,
        )
        WarmUpLine.objects.create(warm_up=row, position=0, layer="shared", prefix_hash="a", ttl_seconds=300)
        WarmUpLine.objects.update(outcome="hit")
        usage = reply(at + timedelta(seconds=20), warm_up=row)

        rollups.prune(NOW.timestamp(), rates_for, keep_days=14)

        usage.refresh_from_db()
        assert (WarmUp.objects.count(), WarmUpLine.objects.count(), usage.warm_up_id) == (0, 0, None)


@pytest.mark.django_db
def test_a_report_reads_the_days_and_the_newest_rows_alone() -> None:
    for minutes in range(0, 30 * 24 * 60, 1440):
        reply(NOW - timedelta(minutes=minutes))
    report()

    with CaptureQueriesContext(
        connection,
    ) as queries:
        report()

    read = [query["sql"] for query in queries if "usagerecord" in query["sql"]]
    assert read
    assert all("2027-03-14" in sql for sql in read), "rows of earlier days were read"
