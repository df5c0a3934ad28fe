"""The report as text for people, line by line, and the same figures as JSON values."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import datetime
from decimal import Decimal
from typing import Any

from warmcache.core.statistics import Interval
from warmcache.core.upstreams import Upstream
from warmcache.reports.experiments import ENOUGH, Experiment
from warmcache.reports.figures import Forecast, Report, Skips, Spending, Wait
from warmcache.reports.gains import Gain
from warmcache.reports.totals import Totals

NOT_ENOUGH = "not enough data"
MAX_SKIPS_SHOWN = 20
UPSTREAMS: dict[str, str] = {upstream: upstream.words for upstream in Upstream}
SIMULATED = "Figures of the simulated upstream come from its own latency model: they prove the plumbing, not the gain."


def lines(report: Report, *, price_of_second_usd: Decimal) -> Iterator[str]:
    """The whole report; tables are aligned for a terminal."""
    yield from _head(report)
    yield from _section("What everything cost", report.totals, _totals)
    yield from _section("What warming bought", report.gains, lambda gains: _gains(gains, price_of_second_usd))
    yield from _section("What was spent", report.spending, _spending)
    yield from _section("Time to the first text, by warmth", report.waits, _waits)
    yield from _section("What warming buys: treated against held out", report.experiments, _experiments)
    yield from _section("Chance of a request after a warm-up: believed and seen", report.forecasts, _forecasts)
    yield from _section("Why warming was skipped", report.skips, _skips)


def as_json(report: Report, *, price_of_second_usd: Decimal) -> dict[str, Any]:
    """All figures, unrounded; money as decimal strings, times in ISO 8601."""
    verdicts = {gain.upstream: str(gain.verdict(price_of_second_usd)) for gain in report.gains}
    found: dict[str, Any] = _plain(
        {**asdict(report), "enough": ENOUGH, "price_of_second_usd": price_of_second_usd, "verdicts": verdicts}
    )
    return found


def _plain(value: Any) -> Any:
    match value:
        case dict():
            return {name: _plain(item) for name, item in value.items()}
        case list() | tuple():
            return [_plain(item) for item in value]
        case Decimal():
            return str(value)
        case datetime():
            return value.isoformat()
    return value


def _head(report: Report) -> Iterator[str]:
    named = f", label {report.label}" if report.label is not None else ""
    yield f"Warming from {report.since:%Y-%m-%d %H:%M} to {report.until:%Y-%m-%d %H:%M} UTC{named}"
    if Upstream.SIMULATOR in report.upstreams:
        yield SIMULATED
    if not report.is_complete:
        yield "The ledger is still being added up: what is newest is missing. Ask again in a minute."
    if report.lost_writes:
        yield f"{report.lost_writes:,} rows could not be written in this time: the figures do not know of them."


def _totals(rows: Sequence[Totals]) -> Iterator[str]:
    for row in rows:
        share = "none" if row.hit_rate is None else f"{row.hit_rate:.1%}"
        yield (
            f"  {UPSTREAMS.get(row.upstream, row.upstream)}: ${row.total_usd:.4f} in all;"
            f" {row.replies:,} replies ${row.replies_usd:.4f}, titles and the like ${row.others_usd:.4f}"
        )
        yield (
            f"    {row.warm_ups:,} warm-ups: used ${row.used_usd:.4f}, wasted ${row.wasted_usd:.4f},"
            f" not known yet ${row.waiting_usd:.4f};"
            f" {share} of {row.prompt_tokens:,} prompt tokens were read from the cache"
        )


def _gains(rows: Sequence[Gain], price_of_second_usd: Decimal) -> Iterator[str]:
    for row in rows:
        yield f"  {UPSTREAMS.get(row.upstream, row.upstream)}: {row.verdict(price_of_second_usd).words}"
        yield f"    seconds saved: {_maybe(row.saved_seconds, 1, ' s')}, {row.source.words}"
        yield (
            f"    dollars for them: {_maybe(row.extra_usd, 4, '')};"
            f" for each: {_maybe(row.usd_per_saved_second, 4, '')}, your price: {price_of_second_usd}"
        )


def _section(title: str, rows: Sequence[Any], write: Any) -> Iterator[str]:
    yield ""
    yield title
    if rows:
        yield from write(rows)
    else:
        yield "  nothing yet"


def _spending(rows: Sequence[Spending]) -> Iterator[str]:
    for row in rows:
        unpriced = f", {row.unpriced:,} without a known price" if row.unpriced else ""
        yield f"  {row.label or '-'}, {row.model}, {row.intent} ({UPSTREAMS.get(row.upstream, row.upstream)})"
        plural = "" if row.warm_ups == 1 else "s"
        yield f"    {row.warm_ups:,} warm-up{plural} for ${row.cost_usd:.4f}{unpriced}: {_counted(row.outcomes)}"
        wasted = "not known yet" if row.wasted_share is None else f"${row.wasted_usd:.4f}, {row.wasted_share:.0%}"
        ratio = "no reply yet" if row.warm_ups_per_reply is None else f"{row.warm_ups_per_reply:.2f} warm-ups per reply"
        yield (
            f"    wasted: {wasted}; {row.credited_tokens:,} of {row.written_tokens:,} tokens written were read;"
            f" {ratio} ({row.replies:,})"
        )


def _waits(rows: Sequence[Wait]) -> Iterator[str]:
    yield f"  {'label':<20}{'model':<22}{'upstream':<11}{'found it':<10}{'n':>7}  median, 95 %; 95th"
    for row in rows:
        median = NOT_ENOUGH if row.median_ms is None else _interval(row.median_ms, 0, " ms")
        group = f"{row.label or '-':<20}{row.model:<22}{_upstream(row.upstream):<11}"
        yield f"  {group}{row.warmth:<10}{row.count:>7,}  {median}; {row.p95_ms:,.0f} ms"


def _experiments(rows: Sequence[Experiment]) -> Iterator[str]:
    for row in rows:
        yield (
            f"  {row.intent} ({UPSTREAMS.get(row.upstream, row.upstream)}):"
            f" {row.treated:,} treated, {row.held_out:,} held out"
        )
        if not row.is_enough:
            yield f"    {NOT_ENOUGH}: {ENOUGH} of each are needed before a difference means something"
        believed = _number(row.predicted_saved_seconds)
        yield f"    saved per reply: {_maybe(row.saved_seconds, 3, ' s')}, believed {believed}"
        yield f"    dollars more per reply: {_maybe(row.extra_usd, 6, '')}"
        yield f"    dollars per saved second: {_maybe(row.usd_per_saved_second, 4, '')}"


def _forecasts(rows: Sequence[Forecast]) -> Iterator[str]:
    for row in rows:
        doubt = "" if row.is_enough else f" ({NOT_ENOUGH})"
        seen = "-" if row.observed_chance is None else _shares(row.observed_chance)
        yield (
            f"  {row.intent} ({UPSTREAMS.get(row.upstream, row.upstream)}): believed {row.predicted_chance:.0%},"
            f" seen {seen} of {row.warm_ups:,} warm-ups{doubt}"
        )


def _skips(rows: Sequence[Skips]) -> Iterator[str]:
    for row in rows[:MAX_SKIPS_SHOWN]:
        yield f"  {row.count:>9,}  {row.reason:<26}{row.intent:<15}{row.label or '-'}"
    rest = rows[MAX_SKIPS_SHOWN:]
    if rest:
        yield f"  {sum(row.count for row in rest):>9,}  others"


def _counted(outcomes: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {outcome}" for outcome, count in outcomes.items())


def _maybe(interval: Interval | None, digits: int, unit: str) -> str:
    return NOT_ENOUGH if interval is None else _interval(interval, digits, unit)


def _interval(interval: Interval, digits: int, unit: str) -> str:
    bounds = f"{interval.low:,.{digits}f} to {interval.high:,.{digits}f}"
    return f"{interval.value:,.{digits}f}{unit} [{bounds}]"


def _shares(interval: Interval) -> str:
    return f"{interval.value:.0%} [{interval.low:.0%} to {interval.high:.0%}]"


def _number(value: float | None) -> str:
    return "nothing" if value is None else f"{value:.3f} s"


def _upstream(name: str) -> str:
    return "SIMULATED" if name == Upstream.SIMULATOR else name
