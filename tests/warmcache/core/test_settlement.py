from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warmcache.core.economics import Rates, request_cost_usd
from warmcache.core.settlement import (
    BEST_FIRST,
    COST_STEP,
    Bill,
    Line,
    Span,
    credit_of,
    outcome_of,
    split_bill,
    summary,
    total_cost_usd,
)
from warmcache.core.usage import Usage

RATES = Rates(
    input=Decimal("2") / 10**6,
    output=Decimal("10") / 10**6,
    cache_read=Decimal("0.10") / 10**6,
    cache_write_5m=Decimal("2.50") / 10**6,
    cache_write_1h=Decimal("4") / 10**6,
    version="by hand",
)
SHARED, CONVERSATION = Span(end_tokens=4000, ttl_seconds=3600), Span(end_tokens=6000, ttl_seconds=300)


def parts(bills: list[Bill]) -> list[tuple[int, int, int]]:
    return [(bill.end_tokens, bill.written_tokens, bill.read_tokens) for bill in bills]


class TestBill:
    def test_a_cold_prefix_is_written_layer_by_layer_each_at_its_own_price(self) -> None:
        usage = Usage(input_tokens=10, cache_write_tokens=6000, cache_write_1h_tokens=4000)

        bills = split_bill([SHARED, CONVERSATION], usage, RATES)

        assert parts(bills) == [(4000, 4000, 0), (6000, 2000, 0)]
        # 4000 * 4e-6, and 2000 * 2.5e-6 + 10 * 2e-6
        assert [bill.cost_usd for bill in bills] == [Decimal("0.016"), Decimal("0.00502")]

    def test_what_lived_already_was_only_read(self) -> None:
        bills = split_bill([SHARED, CONVERSATION], Usage(cache_read_tokens=4000, cache_write_tokens=2000), RATES)

        assert parts(bills) == [(4000, 0, 4000), (6000, 2000, 0)]
        assert [bill.cost_usd for bill in bills] == [Decimal("0.0004"), Decimal("0.005")]

    @pytest.mark.parametrize("read_tokens", [3900, 4150])
    def test_a_layer_ends_where_reading_ended_if_it_is_estimated_to_end_about_there(self, read_tokens: int) -> None:
        usage = Usage(cache_read_tokens=read_tokens, cache_write_tokens=6000 - read_tokens)

        assert parts(split_bill([SHARED, CONVERSATION], usage, RATES)) == [
            (read_tokens, 0, read_tokens),
            (6000, 6000 - read_tokens, 0),
        ]

    def test_a_history_that_grew_is_read_up_to_where_it_ended_before(self) -> None:
        bills = split_bill([SHARED, CONVERSATION], Usage(cache_read_tokens=5200, cache_write_tokens=800), RATES)

        assert parts(bills) == [(4000, 0, 4000), (6000, 800, 1200)]

    def test_estimates_are_scaled_to_what_was_billed(self) -> None:
        bills = split_bill([SHARED, CONVERSATION], Usage(cache_write_tokens=12_000), RATES)

        assert parts(bills) == [(8000, 8000, 0), (12_000, 4000, 0)]

    def test_the_hour_that_was_billed_tells_where_the_shared_layer_ends(self) -> None:
        usage = Usage(cache_write_tokens=6000, cache_write_1h_tokens=4400)

        assert parts(split_bill([SHARED, CONVERSATION], usage, RATES)) == [(4400, 4400, 0), (6000, 1600, 0)]

    def test_what_left_nothing_was_spent_all_the_same(self) -> None:
        bills = split_bill([SHARED, CONVERSATION], Usage(input_tokens=6000), RATES)

        assert [bill.cost_usd for bill in bills] == [0, Decimal("0.012")]
        assert parts(bills) == [(0, 0, 0), (0, 0, 0)]

    def test_without_a_price_no_line_has_one(self) -> None:
        bills = split_bill([SHARED, CONVERSATION], Usage(cache_write_tokens=6000), None)

        assert [bill.cost_usd for bill in bills] == [None, None]


spans = st.lists(st.tuples(st.integers(0, 50_000), st.sampled_from([300, 3600])), min_size=1, max_size=3).map(
    lambda drawn: [
        Span(end_tokens=sum(size for size, _ in drawn[: n + 1]), ttl_seconds=ttl) for n, (_, ttl) in enumerate(drawn)
    ]
)
counts = st.integers(0, 200_000)
prices = st.decimals(Decimal(0), Decimal("0.001"), places=10)


@st.composite
def usages(draw: st.DrawFn) -> Usage:
    written = draw(counts)
    return Usage(
        input_tokens=draw(counts),
        cache_read_tokens=draw(counts),
        cache_write_tokens=written,
        cache_write_1h_tokens=draw(st.integers(0, written)),
        output_tokens=draw(st.integers(0, 5)),
    )


@st.composite
def rates(draw: st.DrawFn) -> Rates:
    names = ("input", "output", "cache_read", "cache_write_5m", "cache_write_1h")
    return Rates(version="drawn", **{name: draw(prices) for name in names})


@given(spans=spans, usage=usages(), rates=rates())
def test_the_lines_add_up_to_what_was_billed_to_the_last_digit(spans: list[Span], usage: Usage, rates: Rates) -> None:
    bills = split_bill(spans, usage, rates)

    assert sum(bill.cost_usd or 0 for bill in bills) == total_cost_usd(usage, rates)
    assert abs(request_cost_usd(usage, rates) - sum(bill.cost_usd or 0 for bill in bills)) <= COST_STEP
    assert all(bill.cost_usd is not None and bill.cost_usd >= 0 for bill in bills)
    assert sum(bill.written_tokens for bill in bills) == usage.cache_write_tokens
    assert sum(bill.read_tokens for bill in bills) == usage.cache_read_tokens
    assert all(bill.written_tokens >= 0 and bill.read_tokens >= 0 for bill in bills)
    assert [bill.end_tokens for bill in bills] == sorted(bill.end_tokens for bill in bills)


def line(end: int, written: int, read: int, *, is_deepest: bool = False) -> Line:
    return Line(end_tokens=end, written_tokens=written, read_tokens=read, is_deepest=is_deepest)


class TestOutcome:
    @pytest.mark.parametrize(
        ("read_tokens", "outcome"), [(6000, "hit"), (5950, "hit"), (5900, "evicted"), (0, "evicted")]
    )
    def test_the_deepest_layer_is_read_whole_or_not_at_all(self, read_tokens: int, outcome: str) -> None:
        assert outcome_of(line(6000, 2000, 0, is_deepest=True), read_tokens=read_tokens) == outcome

    @pytest.mark.parametrize(
        ("read_tokens", "outcome"), [(6000, "hit"), (4300, "hit"), (3700, "hit"), (1900, "evicted"), (0, "evicted")]
    )
    def test_where_an_earlier_layer_ends_is_estimated(self, read_tokens: int, outcome: str) -> None:
        assert outcome_of(line(4000, 4000, 0), read_tokens=read_tokens) == outcome

    def test_what_ends_before_a_layer_has_not_read_it(self) -> None:
        assert outcome_of(line(6000, 2000, 0), read_tokens=4300) == "evicted"

    def test_a_provider_that_says_nothing_of_writes_is_believed_when_it_reads(self) -> None:
        unbilled = line(4000, 0, 0, is_deepest=True)

        assert [outcome_of(unbilled, read_tokens=read) for read in (3900, 0)] == ["hit", None]


class TestCredit:
    @pytest.mark.parametrize(("read_tokens", "credited"), [(0, 0), (4000, 0), (4500, 500), (6000, 2000), (9000, 2000)])
    def test_only_what_was_written_and_then_read_is_credited(self, read_tokens: int, credited: int) -> None:
        assert credit_of(line(6000, 2000, 0), read_tokens=read_tokens) == credited

    def test_a_renewed_layer_lends_nothing(self) -> None:
        assert credit_of(line(4000, 0, 4000), read_tokens=6000) == 0

    @given(written=counts, read=counts, before=counts, found=counts)
    def test_never_more_than_was_written_nor_than_was_read(
        self, written: int, read: int, before: int, found: int
    ) -> None:
        credited = credit_of(line(before + read + written, written, read), read_tokens=found)

        assert 0 <= credited <= min(written, found)


class TestSummary:
    @pytest.mark.parametrize(
        ("lines", "outcome"),
        [
            ([("hit", 4000), ("", 2000)], "hit"),
            ([("unused", 4000), ("", 2000)], ""),
            ([("unused", 4000), ("evicted", 2000)], "evicted"),
            ([("raced", 4000), ("hit", 2000)], "hit"),
            ([("hit", 0), ("", 2000)], ""),
            ([("hit", 0), ("unused", 2000)], "unused"),
            ([("hit", 0), ("", 0)], ""),
            ([("hit", 0), ("unused", 0)], "unused"),
            ([("", 4000)], ""),
            ([], ""),
        ],
    )
    def test_it_is_the_best_of_what_was_written_or_else_the_deepest(
        self, lines: list[tuple[str, int]], outcome: str
    ) -> None:
        assert summary(lines) == outcome

    @given(st.lists(st.tuples(st.sampled_from(BEST_FIRST), counts), min_size=1, max_size=4))
    def test_when_every_line_is_settled_so_is_the_warm_up(self, lines: list[tuple[str, int]]) -> None:
        assert summary(lines) in BEST_FIRST
