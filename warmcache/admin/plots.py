"""Figures over time: tables, from which the page's script draws its plots."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from warmcache.admin.words import dollars
from warmcache.core.outcomes import Outcome, RequestWarmth
from warmcache.reports.figures import Moment, Report


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """`when` for people, `at` in epoch seconds; a cell has its text and its number."""

    when: str
    at: int
    cells: tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """`unit`: what stands before a number on the axis."""

    name: str
    title: str
    unit: str
    series: tuple[str, ...]
    rows: tuple[Row, ...]


def plots_of(report: Report, upstream: str, step: timedelta) -> list[Plot]:
    """None where nothing happened: a page without figures has no empty axes."""
    moments = [moment for moment in report.timeline if moment.upstream == upstream]
    if not moments:
        return []
    form = "%Y-%m-%d %H:%M" if step < timedelta(days=1) else "%Y-%m-%d"
    outcomes = _named(moments, lambda moment: moment.warm_ups, [str(outcome) or "waiting" for outcome in Outcome])
    warmths = _named(moments, lambda moment: moment.replies, [str(warmth) for warmth in RequestWarmth])
    return [
        Plot(
            name="dollars",
            title="Dollars over time",
            unit="$",
            series=("replies", "warm-ups", "wasted"),
            rows=_rows(
                moments,
                form,
                lambda moment: tuple(
                    (dollars(usd), float(usd)) for usd in (moment.replies_usd, moment.warm_ups_usd, moment.wasted_usd)
                ),
            ),
        ),
        Plot(
            name="outcomes",
            title="Warm-ups by outcome",
            unit="",
            series=outcomes,
            rows=_rows(moments, form, lambda moment: _counts(moment.warm_ups, outcomes)),
        ),
        Plot(
            name="replies",
            title="Replies by what they found",
            unit="",
            series=warmths,
            rows=_rows(moments, form, lambda moment: _counts(moment.replies, warmths)),
        ),
    ]


def _named(
    moments: Sequence[Moment], counts: Callable[[Moment], dict[str, int]], order: Sequence[str]
) -> tuple[str, ...]:
    met = {name for moment in moments for name in counts(moment)}
    return tuple(name for name in (*order, *sorted(met - set(order))) if name in met)


def _counts(counts: dict[str, int], names: Sequence[str]) -> tuple[tuple[str, float], ...]:
    return tuple((f"{counts.get(name, 0):,}", float(counts.get(name, 0))) for name in names)


def _rows(
    moments: Sequence[Moment], form: str, cells: Callable[[Moment], tuple[tuple[str, float], ...]]
) -> tuple[Row, ...]:
    starts = [(moment.start.strftime(form), int(moment.start.timestamp()), moment) for moment in moments]
    return tuple(Row(when=when, at=at, cells=cells(moment)) for when, at, moment in starts)
