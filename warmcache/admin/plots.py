"""Figures over time: tables, from which the page's script draws its plots."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal

from django.utils.translation import gettext

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
    """`unit`: what stands before a number on the axis. `step_seconds`: what one row covers."""

    name: str
    title: str
    unit: str
    step_seconds: int
    series: tuple[str, ...]
    rows: tuple[Row, ...]


def plots_of(report: Report, upstream: str, step: timedelta) -> list[Plot]:
    """None where nothing happened: a page without figures has no empty axes."""
    moments = _without_gaps([moment for moment in report.timeline if moment.upstream == upstream], step)
    if not moments:
        return []
    step_seconds = int(step.total_seconds())
    form = "%Y-%m-%d %H:%M" if step < timedelta(days=1) else "%Y-%m-%d"
    outcomes = _named(moments, lambda moment: moment.warm_ups, [str(outcome) or "waiting" for outcome in Outcome])
    warmths = _named(moments, lambda moment: moment.replies, [str(warmth) for warmth in RequestWarmth])
    return [
        Plot(
            name="dollars",
            title=gettext("Dollars over time"),
            unit="$",
            step_seconds=step_seconds,
            series=(
                gettext("replies"),
                gettext("titles and compactions"),
                gettext("warm-ups"),
                gettext("of them wasted"),
            ),
            rows=_rows(
                moments,
                form,
                lambda moment: tuple(
                    (dollars(usd), float(usd))
                    for usd in (moment.replies_usd, moment.others_usd, moment.warm_ups_usd, moment.wasted_usd)
                ),
            ),
        ),
        Plot(
            name="outcomes",
            title=gettext("Warm-ups by outcome"),
            unit="",
            step_seconds=step_seconds,
            series=outcomes,
            rows=_rows(moments, form, lambda moment: _counts(moment.warm_ups, outcomes)),
        ),
        Plot(
            name="replies",
            title=gettext("Replies by what they found"),
            unit="",
            step_seconds=step_seconds,
            series=warmths,
            rows=_rows(moments, form, lambda moment: _counts(moment.replies, warmths)),
        ),
    ]


def _without_gaps(moments: Sequence[Moment], step: timedelta) -> list[Moment]:
    """An hour or a day in which nothing happened is zero: a line would be drawn across it."""
    filled: list[Moment] = []
    for moment in moments:
        while filled and filled[-1].start + step < moment.start:
            filled.append(_nothing(moment, filled[-1].start + step))
        filled.append(moment)
    return filled


def _nothing(like: Moment, start: datetime) -> Moment:
    zero = Decimal(0)
    return replace(
        like,
        start=start,
        warm_ups={},
        replies={},
        warm_ups_usd=zero,
        wasted_usd=zero,
        replies_usd=zero,
        others_usd=zero,
    )


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
