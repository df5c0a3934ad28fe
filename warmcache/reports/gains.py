"""What warming bought in a period: seconds saved, dollars for each, and whether that was below the operator's price.

The hold-out tells it of every intent that has one; of the others only the model of the policy does. Pure.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from warmcache.core.outcomes import Arm
from warmcache.core.statistics import Interval, ratio_of, sum_interval, sum_of
from warmcache.core.tallies import READ, Kind, Tally, dollars
from warmcache.core.wording import Worded, gettext_noop
from warmcache.reports.experiments import Experiment
from warmcache.reports.grouping import grouped, of_kind, sample_of, sums_of


class Source(Worded):
    """Where the seconds come from."""

    NONE = "none", gettext_noop("nothing was measured or believed yet")
    HOLD_OUT = "hold_out", gettext_noop("measured, against the visits that were held out")
    MODEL = "model", gettext_noop("believed by the policy's own model; a hold-out would measure it")
    BOTH = "both", gettext_noop("in part measured against the hold-out, in part believed by the model")


class Verdict(Worded):
    """Dollars per saved second beside the operator's price of a second."""

    NOTHING_SENT = "nothing_sent", gettext_noop("No warm-up was sent in this time.")
    NOT_ENOUGH = "not_enough", gettext_noop("Not enough is known yet to say whether warming pays.")
    NO_TIME_SAVED = "no_time_saved", gettext_noop("It saved no time: what it cost was wasted.")
    FREE = "free", gettext_noop("It saved time and cost nothing extra.")
    PAYS = "pays", gettext_noop("It pays: a saved second costs less than your price.")
    SEEMS_TO_PAY = "seems_to_pay", gettext_noop("It seems to pay, but the interval reaches above your price.")
    SEEMS_TOO_DEAR = "seems_too_dear", gettext_noop("It seems too dear, but the interval reaches below your price.")
    TOO_DEAR = "too_dear", gettext_noop("It does not pay: a saved second costs more than your price.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Gain:
    """Of one upstream. `extra_usd`: warm-ups that nobody read, and reading those that were read; a warm-up that is read
    spares the reply's own write. Seconds that warm-ups saved without a person's sign before them are in neither."""

    upstream: str
    warm_ups: int
    source: Source
    saved_seconds: Interval | None
    extra_usd: Interval | None
    usd_per_saved_second: Interval | None

    def verdict(self, price_of_second_usd: Decimal) -> Verdict:
        price, each, saved = float(price_of_second_usd), self.usd_per_saved_second, self.saved_seconds
        if not self.warm_ups:
            return Verdict.NOTHING_SENT
        if saved is not None and saved.high <= 0:
            return Verdict.NO_TIME_SAVED
        if each is None:
            return Verdict.NOT_ENOUGH
        if each.high <= 0:
            return Verdict.FREE
        if each.high <= price:
            return Verdict.PAYS
        if each.low > price:
            return Verdict.TOO_DEAR
        return Verdict.SEEMS_TO_PAY if each.value <= price else Verdict.SEEMS_TOO_DEAR


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """What is known of one intent."""

    source: Source
    seconds: Interval | None
    usd: Interval


def gains_of(tallies: Sequence[Tally], experiments: Sequence[Experiment]) -> list[Gain]:
    """One for each upstream: what happened at each intent is added up."""
    measured = {(each.upstream, each.intent): each for each in experiments if each.is_enough}
    found = []
    for words, rows in grouped([tally for tally in tallies if tally.words.upstream], "upstream"):
        parts = [
            _part(intent_rows, measured.get((words.upstream, intent_words.intent)))
            for intent_words, intent_rows in grouped(rows, "intent")
        ]
        sent = sums_of(of_kind(rows, Kind.WARM_UP))["rows"]
        found.append(_gain(words.upstream, sent, parts))
    return found


def _part(rows: Sequence[Tally], experiment: Experiment | None) -> _Part:
    if experiment is not None and experiment.saved_seconds is not None and experiment.extra_usd is not None:
        return _Part(
            source=Source.HOLD_OUT,
            seconds=_times(experiment.saved_seconds, experiment.treated),
            usd=_times(experiment.extra_usd, experiment.treated),
        )
    read = [row for row in of_kind(rows, Kind.REQUEST) if row.words.arm != Arm.HELD_OUT and row.words.outcome in READ]
    seconds = sum_interval(sample_of(sums_of(read), "beliefs", "believed_ms", unit=0.001))
    spent = sums_of(of_kind(rows, Kind.WARM_UP))
    usd = float(dollars(spent["wasted"] + spent["reading"]))
    return _Part(source=Source.MODEL, seconds=seconds, usd=Interval(value=usd, low=usd, high=usd))


def _gain(upstream: str, warm_ups: int, parts: Sequence[_Part]) -> Gain:
    seconds = sum_of([part.seconds for part in parts if part.seconds is not None])
    usd = sum_of([part.usd for part in parts])
    sources = {part.source for part in parts if part.seconds is not None}
    return Gain(
        upstream=upstream,
        warm_ups=warm_ups,
        source=Source.NONE if not sources else Source.BOTH if len(sources) > 1 else next(iter(sources)),
        saved_seconds=seconds,
        extra_usd=usd,
        usd_per_saved_second=ratio_of(usd, seconds) if usd and seconds else None,
    )


def _times(interval: Interval, count: int) -> Interval:
    return Interval(value=interval.value * count, low=interval.low * count, high=interval.high * count)
