"""From tallies to an operator's figures. Pure."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from warmcache.core.outcomes import CONVERSING, Purpose
from warmcache.core.settlement import BEST_FIRST
from warmcache.core.statistics import Interval, median_interval, share_interval
from warmcache.core.tallies import MILLIONTHS, Kind, Tally, Words, dollars, width_of
from warmcache.reports.evidence import Evidence
from warmcache.reports.experiments import ENOUGH, Experiment, experiments_of
from warmcache.reports.gains import Gain, gains_of
from warmcache.reports.grouping import Key, grouped, of_kind, sums_of, values
from warmcache.reports.totals import Totals, totals_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Spending:
    """Warm-ups of one upstream, label, model and intent. Shares are of the dollars of settled lines."""

    upstream: str
    label: str
    model: str
    intent: str
    warm_ups: int
    cost_usd: Decimal
    unpriced: int
    """Warm-ups of models without a known price: not included in the cost."""
    outcomes: dict[str, int]
    settled_usd: Decimal
    """Of the lines whose outcome is known."""
    wasted_usd: Decimal
    wasted_share: float | None
    written_tokens: int
    credited_tokens: int
    """Written tokens that a real request really read."""
    replies: int
    """Real replies of that upstream, label and model."""
    warm_ups_per_reply: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """From pressing send to the first text, as measured on the server, by what the reply found. Waits are added up by
    buckets that are at most 5 % wide."""

    upstream: str
    label: str
    model: str
    warmth: str
    count: int
    median_ms: Interval | None
    p50_ms: float
    p95_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """How often a request followed a warm-up: forecast and observed."""

    upstream: str
    intent: str
    warm_ups: int
    is_enough: bool
    predicted_chance: float
    observed_chance: Interval | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Skips:
    label: str
    intent: str
    reason: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """What was sent in one hour or day: warm-ups by outcome, replies by warmth."""

    start: datetime
    upstream: str
    warm_ups: dict[str, int]
    replies: dict[str, int]
    warm_ups_usd: Decimal
    wasted_usd: Decimal
    replies_usd: Decimal
    """Replies and the requests that continue them, as in `Totals`."""
    others_usd: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """`before`: the totals of the period before this one. `lost_writes`: rows that could not be written, so no figure
    includes them."""

    since: datetime
    until: datetime
    label: str | None
    is_complete: bool
    upstreams: tuple[str, ...]
    totals: list[Totals]
    before: list[Totals]
    gains: list[Gain]
    spending: list[Spending]
    waits: list[Wait]
    experiments: list[Experiment]
    forecasts: list[Forecast]
    skips: list[Skips]
    timeline: list[Moment]
    lost_writes: int


def report_of(evidence: Evidence) -> Report:
    """Every figure, in a fixed order."""
    found = evidence.tallies
    warm_ups, requests = of_kind(found, Kind.WARM_UP), of_kind(found, Kind.REQUEST)
    experiments = experiments_of(warm_ups, requests)
    return Report(
        since=evidence.since,
        until=evidence.until,
        label=evidence.label,
        is_complete=evidence.is_complete,
        upstreams=tuple(sorted({tally.words.upstream for tally in (*warm_ups, *requests)})),
        totals=totals_of(found),
        before=totals_of(evidence.before),
        gains=gains_of([*warm_ups, *requests], experiments),
        spending=_spending(warm_ups, requests),
        waits=_waits(requests, ("upstream", "label", "model", "outcome")),
        experiments=experiments,
        forecasts=_forecasts(warm_ups),
        skips=_skips(of_kind(found, Kind.SKIP)),
        timeline=_timeline(evidence),
        lost_writes=sum(tally.sums["rows"] for tally in of_kind(found, Kind.LOST)),
    )


def waits_by_warmth(evidence: Evidence) -> list[Wait]:
    """Over all labels and models of an upstream."""
    return _waits(of_kind(evidence.tallies, Kind.REQUEST), ("upstream", "outcome"))


def _spending(warm_ups: Sequence[Tally], requests: Sequence[Tally]) -> list[Spending]:
    replies: Counter[Key] = Counter()
    for tally in requests:
        if tally.words.purpose == Purpose.REPLY:
            replies[tally.words.upstream, tally.words.label, tally.words.model] += tally.sums["rows"]
    groups = grouped(warm_ups, "upstream", "label", "model", "intent")
    return [_spent(words, rows, replies[words.upstream, words.label, words.model]) for words, rows in groups]


def _spent(words: Words, rows: Sequence[Tally], replies: int) -> Spending:
    outcomes = Counter({row.words.outcome or "waiting": row.sums["rows"] for row in rows})
    sums = sums_of(rows)
    settled, wasted = sums["settled"], sums["wasted"]
    return Spending(
        upstream=words.upstream,
        label=words.label,
        model=words.model,
        intent=words.intent,
        warm_ups=sums["rows"],
        cost_usd=dollars(sums["cost"]),
        unpriced=sums["unpriced"],
        outcomes={outcome: outcomes[outcome] for outcome in (*BEST_FIRST, "waiting") if outcomes[outcome]},
        settled_usd=dollars(settled),
        wasted_usd=dollars(wasted),
        wasted_share=wasted / settled if settled else None,
        written_tokens=sums["written"],
        credited_tokens=sums["credited"],
        replies=replies,
        warm_ups_per_reply=sums["rows"] / replies if replies else None,
    )


def _waits(requests: Sequence[Tally], names: Sequence[str]) -> list[Wait]:
    waits = []
    replies = [tally for tally in requests if tally.waits]
    for words, rows in grouped(replies, *names):
        ranked = Ranks(rows)
        waits.append(
            Wait(
                upstream=words.upstream,
                label=words.label,
                model=words.model,
                warmth=words.outcome,
                count=ranked.count,
                median_ms=median_interval(ranked, ranked.count),
                p50_ms=ranked.percentile(0.5),
                p95_ms=ranked.percentile(0.95),
            )
        )
    return waits


class Ranks:
    """Order statistics of waits that were counted by bucket: the middle of the bucket in which a rank lies."""

    def __init__(self, tallies: Iterable[Tally]) -> None:
        waits: Counter[int] = Counter()
        for tally in tallies:
            waits.update(tally.waits)
        self._ordered = sorted(waits.items())
        self.count = waits.total()

    def __call__(self, rank: int) -> float:
        passed = 0
        for bucket, count in self._ordered:
            passed += count
            if rank < passed:
                return bucket + (width_of(bucket) - 1) / 2
        raise IndexError(rank)

    def percentile(self, share: float) -> float:
        """Nearest rank."""
        return self(min(self.count - 1, int(share * self.count)))


def _forecasts(warm_ups: Sequence[Tally]) -> list[Forecast]:
    """Decided by the deepest layer: requests of other people read a shared one. Manual warm-ups and those weighed by
    another plan are left out: they were not sent because of the chance in their row."""
    forecasts = []
    for words, rows in grouped([row for row in warm_ups if row.sums.get("forecasts")], "upstream", "intent"):
        sums = sums_of(rows)
        count = sums["forecasts"]
        forecasts.append(
            Forecast(
                upstream=words.upstream,
                intent=words.intent,
                warm_ups=count,
                is_enough=count >= ENOUGH,
                predicted_chance=sums["chance"] / MILLIONTHS / count,
                observed_chance=share_interval(sums["came"], count),
            )
        )
    return forecasts


def _skips(skips: Iterable[Tally]) -> list[Skips]:
    """The most frequent first."""
    ordered = sorted(
        skips, key=lambda tally: (-tally.sums["rows"], values(tally.words, ("label", "intent", "outcome")))
    )
    return [
        Skips(label=skip.words.label, intent=skip.words.intent, reason=skip.words.outcome, count=skip.sums["rows"])
        for skip in ordered
    ]


def _timeline(evidence: Evidence) -> list[Moment]:
    by_start: dict[tuple[datetime, str], list[Tally]] = defaultdict(list)
    for part in evidence.parts:
        if part.tally.words.kind in (Kind.WARM_UP, Kind.REQUEST):
            by_start[part.start, part.tally.words.upstream].append(part.tally)
    return [_moment(start, upstream, by_start[start, upstream]) for start, upstream in sorted(by_start)]


def _moment(start: datetime, upstream: str, tallies: Sequence[Tally]) -> Moment:
    warm_ups, requests = of_kind(tallies, Kind.WARM_UP), of_kind(tallies, Kind.REQUEST)
    replies = [tally for tally in requests if tally.words.purpose == Purpose.REPLY]
    spent, asked = sums_of(warm_ups), sums_of(requests)["cost"]
    conversing = sums_of(tally for tally in requests if tally.words.purpose in CONVERSING)["cost"]
    return Moment(
        start=start,
        upstream=upstream,
        warm_ups=_counted(warm_ups),
        replies=_counted(replies),
        warm_ups_usd=dollars(spent["cost"]),
        wasted_usd=dollars(spent["wasted"]),
        replies_usd=dollars(conversing),
        others_usd=dollars(asked - conversing),
    )


def _counted(tallies: Iterable[Tally]) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for tally in tallies:
        counts[tally.words.outcome or "waiting"] += tally.sums["rows"]
    return dict(sorted(counts.items()))
