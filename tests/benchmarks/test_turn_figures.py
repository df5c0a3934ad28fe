"""The arithmetic of `python -m benchmarks turns`: what counts, and what the table says."""

import math

import pytest

from benchmarks.turns.figures import Line, Ratio, Reading, median_over_passes, percentile, ratio, remarks, table

TTFT = Line(title="added TTFT p50, ms", load="1 stream", value="ttft_p50")


def reading(server: str, ttft_p50: float, *, load_busy: float = 0.3, others: float = 0.0, failures: int = 0) -> Reading:
    values = {"ttft_p50": ttft_p50, "failures": failures}
    return Reading(server=server, load="1 stream", values=values, load_busy=load_busy, others=others)


def cells(row: str) -> list[str]:
    return [cell.strip() for cell in row.strip("|").split("|")]


@pytest.mark.parametrize(
    ("percent", "expected"), [(0, 10.0), (50, 25.0), (95, pytest.approx(38.5)), (100, 40.0)], ids=str
)
def test_a_percentile_lies_between_its_two_nearest_values(percent, expected):
    assert percentile([40.0, 10.0, 30.0, 20.0], percent) == expected


def test_a_percentile_of_one_value_is_that_value_and_of_none_is_no_number():
    assert percentile([7.0], 95) == 7.0
    assert math.isnan(percentile([], 50))


def test_the_median_is_taken_over_the_passes_that_count():
    passes = [reading("ours", 10), reading("ours", 30), reading("ours", 90, load_busy=0.81), reading("rows", 1)]

    assert median_over_passes(passes, server="ours", load="1 stream", value="ttft_p50") == 20


def test_a_load_whose_core_is_exactly_four_fifths_busy_still_counts():
    assert not reading("ours", 10, load_busy=0.8).is_void


def test_a_pass_without_a_figure_is_left_out_of_the_median():
    passes = [reading("ours", math.nan), reading("ours", 8)]

    assert median_over_passes(passes, server="ours", load="1 stream", value="ttft_p50") == 8


def test_a_ratio_to_nothing_is_no_number():
    assert ratio(6, 3) == 2
    assert math.isnan(ratio(6, 0))
    assert math.isnan(ratio(6, math.nan))


def test_the_table_shows_medians_and_ratios():
    passes = [reading("rows", 14), reading("ours", 40), reading("ours", 44), reading("ours", 48)]

    rows = table([TTFT], passes, servers=["rows", "ours"], ratios=[Ratio(server="ours", of="rows")])

    assert cells(rows[0]) == ["", "rows", "ours", "ours / rows"]
    assert cells(rows[2]) == ["added TTFT p50, ms", "14.0", "44.0", "3.14"]


def test_a_row_that_is_void_in_every_pass_says_so_and_has_no_ratio():
    passes = [reading("rows", 14), reading("ours", 44, load_busy=0.95)]

    rows = table([TTFT], passes, servers=["rows", "ours"], ratios=[Ratio(server="ours", of="rows")])

    assert cells(rows[2]) == ["added TTFT p50, ms", "14.0", "void", "-"]


def test_void_figures_can_be_kept_in_brackets():
    passes = [reading("rows", 14), reading("ours", 42, load_busy=0.95)]
    ratios = [Ratio(server="ours", of="rows")]

    rows = table([TTFT], passes, servers=["rows", "ours"], ratios=ratios, keeps_void=True)

    assert cells(rows[2]) == ["added TTFT p50, ms", "14.0", "(42.0)", "3.00"]


def test_what_was_not_measured_is_a_dash():
    rows = table([TTFT], [], servers=["ours"], ratios=[])

    assert cells(rows[2]) == ["added TTFT p50, ms", "-"]


def test_remarks_name_void_failed_and_disturbed_rows_and_no_others():
    passes = [reading("raw", 1), reading("rows", 14, load_busy=0.9), reading("ours", 44, others=0.25, failures=2)]

    assert remarks(passes) == [
        "disturbed (others on the server's core): ours: 1 stream 25%",
        "turns that failed: ours: 1 stream 2",
        "void (the load's core was busy): rows: 1 stream 90%",
    ]
