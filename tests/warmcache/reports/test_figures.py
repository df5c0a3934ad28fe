"""The report's figures, from rows made by hand."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from warmcache.core.statistics import Interval, Sample, difference_of_means, median_interval, ratio_of, share_interval
from warmcache.core.tallies import (
    Billed,
    LineRow,
    RequestRow,
    Tally,
    WarmUpRow,
    added_up,
    of_request,
    of_skips,
    of_warm_up,
)
from warmcache.reports.evidence import Evidence, Part
from warmcache.reports.experiments import ENOUGH
from warmcache.reports.figures import Report, report_of
from warmcache.reports.gains import Source, Verdict
from warmcache.upstream.prices import rates_for

NOW = datetime(2027, 1, 2, tzinfo=UTC)
MODEL = "claude-sonnet-5-5"
RATES = rates_for(MODEL, 5000)
READ = LineRow(outcome="hit", cost_usd=Decimal("0.03"), written_tokens=3000, credited_tokens=3000)
UNREAD = LineRow(outcome="unused", cost_usd=Decimal("0.01"), written_tokens=1000, credited_tokens=0)
WARM_UP = WarmUpRow(
    upstream="anthropic",
    label="helpdesk",
    model=MODEL,
    intent="typing",
    outcome="hit",
    billed=Billed(cost_usd=Decimal("0.04")),
    send_chance=0.9,
    lines=(READ, UNREAD),
)
REQUEST = RequestRow(
    upstream="anthropic",
    label="helpdesk",
    model=MODEL,
    purpose="reply",
    warmth="hit",
    failed=False,
    ttft_ms=1000,
    arm="",
    intent="",
    billed=Billed(cost_usd=Decimal("0.001")),
    saved_seconds=None,
)
TREATED = replace(REQUEST, arm="treated", intent="typing", saved_seconds=2.0)
HELD_OUT = replace(TREATED, arm="held_out", warmth="held_out", ttft_ms=3000, billed=Billed(cost_usd=Decimal("0.013")))


def costing(row: WarmUpRow, amount: str | None) -> WarmUpRow:
    return replace(row, billed=Billed(cost_usd=None if amount is None else Decimal(amount)))


def report(
    warm_ups: list[WarmUpRow] | None = None,
    requests: list[RequestRow] | None = None,
    skips: list[Tally] | None = None,
) -> Report:
    tallies = [of_warm_up(row, RATES) for row in warm_ups or []]
    tallies += [of_request(row, RATES) for row in requests or []]
    return report_of(
        Evidence(
            since=NOW - timedelta(days=7),
            until=NOW,
            label=None,
            step=timedelta(days=1),
            tallies=tuple(added_up([*tallies, *(skips or [])])),
            parts=tuple(Part(start=NOW, tally=tally) for tally in tallies),
        )
    )


class TestSpending:
    def test_what_nobody_read_was_wasted_line_by_line(self) -> None:
        raced = replace(WARM_UP, outcome="raced", lines=(replace(UNREAD, outcome="raced", cost_usd=Decimal("0.04")),))

        (found,) = report([WARM_UP, raced], [REQUEST] * 4).spending

        assert (found.warm_ups, found.cost_usd, found.outcomes) == (2, Decimal("0.08"), {"hit": 1, "raced": 1})
        assert (found.wasted_usd, found.wasted_share) == (Decimal("0.05"), pytest.approx(0.625))
        assert (found.written_tokens, found.credited_tokens) == (5000, 3000)
        assert (found.replies, found.warm_ups_per_reply) == (4, 0.5)

    def test_what_still_waits_is_neither_wasted_nor_used(self) -> None:
        waiting = replace(WARM_UP, outcome="", lines=(replace(UNREAD, outcome=""),))

        (found,) = report([waiting]).spending

        assert (found.wasted_share, found.outcomes, found.warm_ups_per_reply) == (None, {"waiting": 1}, None)

    def test_models_without_a_price_are_counted_and_cost_nothing(self) -> None:
        (found,) = report([replace(costing(WARM_UP, None), lines=(replace(READ, cost_usd=None),))]).spending

        assert (found.cost_usd, found.unpriced) == (0, 1)

    def test_labels_models_intents_and_upstreams_are_kept_apart_in_a_fixed_order(self) -> None:
        others = [
            replace(WARM_UP, intent="attach"),
            replace(WARM_UP, label="sales"),
            replace(WARM_UP, model="claude-opus-5-5"),
            replace(WARM_UP, upstream="simulator"),
        ]

        found = report([*reversed(others), WARM_UP])

        assert [(row.upstream, row.label, row.model, row.intent) for row in found.spending] == [
            ("anthropic", "helpdesk", "claude-opus-5-5", "typing"),
            ("anthropic", "helpdesk", "claude-sonnet-5-5", "attach"),
            ("anthropic", "helpdesk", "claude-sonnet-5-5", "typing"),
            ("anthropic", "sales", "claude-sonnet-5-5", "typing"),
            ("simulator", "helpdesk", "claude-sonnet-5-5", "typing"),
        ]
        assert found.upstreams == ("anthropic", "simulator")


def spread(row: RequestRow, count: int) -> list[RequestRow]:
    """Half a little faster, half a little slower than `row`."""
    return [replace(row, ttft_ms=(row.ttft_ms or 0) + (100 if n % 2 else -100)) for n in range(count)]


class TestExperiment:
    def test_the_difference_of_the_means_is_what_warming_bought(self) -> None:
        warm_ups = [costing(WARM_UP, "0.02")] * 50

        (found,) = report(warm_ups, spread(TREATED, 50) + spread(HELD_OUT, 40)).experiments

        assert (found.treated, found.held_out, found.is_enough) == (50, 40, True)
        assert found.saved_seconds is not None
        assert found.saved_seconds.value == pytest.approx(2.0)
        assert 1.9 < found.saved_seconds.low < 2.0 < found.saved_seconds.high < 2.1
        # 0.02 a warm-up, and each treated reply reads for 0.001 what a held-out one pays 0.013 for
        assert found.extra_usd is not None
        assert found.extra_usd.value == pytest.approx(0.008)
        assert found.usd_per_saved_second is not None
        assert found.usd_per_saved_second.value == pytest.approx(0.004)
        assert found.predicted_saved_seconds == pytest.approx(2.0)

    def test_a_treated_visit_whose_warm_up_came_too_late_counts_as_treated(self) -> None:
        late = replace(TREATED, warmth="cold", ttft_ms=3000)

        (found,) = report([], spread(TREATED, 20) + spread(late, 20) + spread(HELD_OUT, 40)).experiments

        assert found.saved_seconds is not None
        assert found.saved_seconds.value == pytest.approx(1.0)

    def test_few_visits_are_called_not_enough(self) -> None:
        (found,) = report([], spread(TREATED, 200) + spread(HELD_OUT, ENOUGH - 1)).experiments

        assert not found.is_enough

    def test_one_arm_alone_tells_nothing(self) -> None:
        (found,) = report([], spread(TREATED, 50)).experiments

        assert (found.saved_seconds, found.extra_usd, found.usd_per_saved_second) == (None, None, None)

    def test_where_the_gain_may_be_nothing_no_second_has_a_price(self) -> None:
        same = replace(HELD_OUT, ttft_ms=TREATED.ttft_ms)

        (found,) = report([], spread(TREATED, 40) + spread(same, 40)).experiments

        assert found.saved_seconds is not None
        assert found.usd_per_saved_second is None

    def test_warm_ups_are_charged_to_every_reply_that_was_not_held_out(self) -> None:
        outside_the_lot = replace(TREATED, arm="")

        (found,) = report(
            [costing(WARM_UP, "0.02")] * 80, spread(TREATED, 40) + spread(HELD_OUT, 40) + spread(outside_the_lot, 40)
        ).experiments

        assert found.extra_usd is not None
        assert found.extra_usd.value == pytest.approx(0.02 - 0.012)

    def test_visits_outside_the_lot_are_not_compared(self) -> None:
        assert report([], spread(REQUEST, 50)).experiments == []


class TestForecast:
    def test_what_was_believed_stands_beside_what_came(self) -> None:
        came = replace(WARM_UP, lines=(READ, READ))
        lapsed = replace(WARM_UP, lines=(READ, UNREAD))
        diverged = replace(WARM_UP, lines=(READ, replace(UNREAD, outcome="diverged")))
        failed = replace(WARM_UP, lines=(replace(UNREAD, outcome="failed"),))

        (found,) = report([came] * 20 + [lapsed] * 10 + [diverged] * 10 + [failed] * 5).forecasts

        assert (found.warm_ups, found.is_enough, found.predicted_chance) == (40, True, pytest.approx(0.9))
        assert found.observed_chance is not None
        assert found.observed_chance.value == pytest.approx(0.75)
        assert found.observed_chance.low < 0.75 < found.observed_chance.high

    def test_warm_ups_that_nobody_weighed_are_not_judged(self) -> None:
        assert report([replace(WARM_UP, send_chance=None)]).forecasts == []
        for intent in ("manual", "keep", "turn_finished"):
            assert report([replace(WARM_UP, intent=intent)]).forecasts == []


class TestWaits:
    def test_each_warmth_has_its_median_and_its_number(self) -> None:
        cold = replace(REQUEST, warmth="cold", ttft_ms=4000)
        unanswered = replace(REQUEST, ttft_ms=None)

        found = report([], [*spread(REQUEST, 20), cold, unanswered]).waits

        assert [(row.warmth, row.count) for row in found] == [("cold", 1), ("hit", 20)]
        assert found[0].median_ms is None
        assert found[1].median_ms == Interval(value=pytest.approx(1000, rel=0.05), low=902, high=1124.5)
        assert (found[0].p50_ms, found[0].p95_ms) == (4024.5, 4024.5)


def test_skips_are_added_up_the_most_frequent_first() -> None:
    rows = [
        of_skips("a", "typing", "already_warm", 3),
        of_skips("a", "typing", "no_credit", 4),
        of_skips("a", "typing", "already_warm", 5),
    ]

    assert [(row.reason, row.count) for row in report(skips=rows).skips] == [("already_warm", 8), ("no_credit", 4)]


class TestGains:
    PRICE = Decimal("0.05")

    def test_a_hold_out_that_is_large_enough_tells_what_was_saved(self) -> None:
        (gain,) = report([costing(WARM_UP, "0.02")] * 50, spread(TREATED, 50) + spread(HELD_OUT, 40)).gains

        assert gain.source is Source.HOLD_OUT
        assert gain.saved_seconds is not None
        assert gain.saved_seconds.value == pytest.approx(100.0)
        assert gain.extra_usd is not None
        assert gain.extra_usd.value == pytest.approx(0.4)
        assert gain.verdict(self.PRICE) is Verdict.PAYS
        assert gain.verdict(Decimal("0.001")) is Verdict.TOO_DEAR

    def test_without_one_the_model_is_believed_of_replies_that_read_a_warm_up(self) -> None:
        read, cold = replace(TREATED, arm=""), replace(TREATED, arm="", warmth="cold")

        (gain,) = report([WARM_UP], [read, read, cold]).gains

        assert (gain.source, gain.saved_seconds) == (Source.MODEL, Interval(value=4.0, low=4.0, high=4.0))
        # The layer that nobody read, and reading 3,000 tokens of the other one
        assert RATES is not None
        assert gain.extra_usd is not None
        assert gain.extra_usd.value == pytest.approx(0.01 + 3000 * float(RATES.cache_read))

    def test_nothing_sent_and_nothing_known_are_said_so(self) -> None:
        (idle,), (unknown,) = report([], [REQUEST]).gains, report([WARM_UP], [REQUEST]).gains

        assert (idle.verdict(self.PRICE), unknown.verdict(self.PRICE)) == (Verdict.NOTHING_SENT, Verdict.NOT_ENOUGH)


class TestTotals:
    def test_dollars_are_divided_by_what_became_of_them(self) -> None:
        title = replace(REQUEST, purpose="title", ttft_ms=None, billed=Billed(cost_usd=Decimal("0.0005")))
        asked = replace(
            REQUEST,
            billed=Billed(cost_usd=Decimal("0.1"), input_tokens=10, cache_read_tokens=80, cache_write_tokens=10),
        )
        waiting = replace(WARM_UP, outcome="", lines=(replace(UNREAD, outcome="", cost_usd=Decimal("0.04")),))

        (found,) = report([WARM_UP, waiting], [asked, title]).totals

        assert (found.replies, found.replies_usd, found.others_usd) == (1, Decimal("0.1"), Decimal("0.0005"))
        assert (found.used_usd, found.wasted_usd, found.waiting_usd) == (
            *(Decimal("0.03"), Decimal("0.01"), Decimal("0.04")),
        )
        assert found.total_usd == Decimal("0.1805")
        assert (found.read_tokens, found.prompt_tokens, found.hit_rate) == (80, 100, 0.8)


def sample(*values: float) -> Sample:
    return Sample(count=len(values), total=sum(values), squares=sum(value**2 for value in values))


class TestStatistics:
    def test_the_median_lies_between_order_statistics(self) -> None:
        found = median_interval(float, 100)

        assert found == Interval(value=49.5, low=40.0, high=59.0)
        assert median_interval(float, 5) is None

    def test_a_share_stays_between_nothing_and_all(self) -> None:
        none, half, all_of_them = (share_interval(count, 10) for count in (0, 5, 10))

        assert none is not None
        assert half is not None
        assert all_of_them is not None
        assert (none.low, all_of_them.high) == (0.0, 1.0)
        assert (half.low, half.high) == (pytest.approx(0.2366, abs=1e-4), pytest.approx(0.7634, abs=1e-4))
        assert share_interval(0, 0) is None

    def test_two_means_differ_by_as_much_as_their_errors_allow(self) -> None:
        found = difference_of_means(sample(3.0, 5.0), sample(1.0, 1.0))

        # Variance 2 of two values: standard error 1.
        assert found == Interval(value=3.0, low=pytest.approx(1.04), high=pytest.approx(4.96))
        assert difference_of_means(sample(1.0), sample(1.0, 2.0)) is None

    def test_a_ratio_lies_between_the_extremes_and_is_none_over_what_may_be_zero(self) -> None:
        above, below = Interval(value=2.0, low=1.0, high=3.0), Interval(value=4.0, low=2.0, high=5.0)

        assert ratio_of(above, below) == Interval(value=0.5, low=0.2, high=1.5)
        assert ratio_of(above, Interval(value=1.0, low=-1.0, high=3.0)) is None
