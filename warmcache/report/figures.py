"""From the ledger's rows to an operator's figures. Pure.

Only the hold-out shows what warming gains: of the visits for which the policy said warm, a random part was left cold.
All visits that were to be warmed count as treated, whether or not the warm-up came in time (intention to treat), and
the difference of the means is the value of the decision to warm. A held-out visit may still read a shared layer that
others have warmed: we measure one visit's warming on top of everyone else's.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TypeVar

from warmcache.core.intents import WEIGHED_ELSEWHERE
from warmcache.core.outcomes import Arm, Outcome
from warmcache.core.settlement import BEST_FIRST, MET
from warmcache.core.statistics import Interval, difference_of_means, median_interval, ratio_of, share_interval

T = TypeVar("T")
Key = tuple[str, ...]

ENOUGH = 30
"""The minimum number in each arm for a comparison."""

READ = (Outcome.HIT, Outcome.JOINED)
CAME = (*MET, Outcome.EVICTED, Outcome.DIVERGED)
"""Outcomes that prove that a request came, whether or not it found what was warmed."""

NOT_SENT = (Outcome.FAILED, Outcome.CANCELLED, Outcome.PENDING)


@dataclass(frozen=True, slots=True, kw_only=True)
class LineRow:
    outcome: str
    cost_usd: Decimal | None
    written_tokens: int
    credited_tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WarmUpRow:
    """`lines` in the order of the prompt."""

    upstream: str
    label: str
    model: str
    intent: str
    outcome: str
    started_at: datetime
    cost_usd: Decimal | None
    send_chance: float | None
    """As the policy believed."""
    lines: tuple[LineRow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestRow:
    """One reply. `intent` and `arm` are those of the visit that it ended."""

    upstream: str
    label: str
    model: str
    warmth: str
    ttft_ms: int | None
    arm: str
    intent: str
    started_at: datetime
    input_usd: Decimal | None
    """Without the output, which warming does not change."""
    saved_seconds: float | None
    """As the policy believed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SkipRow:
    label: str
    intent: str
    reason: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """All rows of a period. `lost_writes`: rows that could not be written, so no figure includes them."""

    since: datetime
    until: datetime
    label: str | None
    warm_ups: Sequence[WarmUpRow]
    requests: Sequence[RequestRow]
    skips: Sequence[SkipRow]
    lost_writes: int = 0


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
    """From pressing send to the first text, as measured on the server, by what the reply found."""

    upstream: str
    label: str
    model: str
    warmth: str
    count: int
    median_ms: Interval | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """Treated against held out, for visits of one upstream where the policy first said warm at `intent`."""

    upstream: str
    intent: str
    treated: int
    held_out: int
    is_enough: bool
    saved_seconds: Interval | None
    """Per reply; positive if warming made it faster."""
    extra_usd: Interval | None
    """Per reply; includes the warm-ups of visits that ended without one."""
    usd_per_saved_second: Interval | None
    predicted_saved_seconds: float | None
    """The mean of what the policy believed."""


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
class Report:
    since: datetime
    until: datetime
    label: str | None
    upstreams: tuple[str, ...]
    spending: list[Spending]
    waits: list[Wait]
    experiments: list[Experiment]
    forecasts: list[Forecast]
    skips: list[SkipRow]
    lost_writes: int


def report_of(evidence: Evidence) -> Report:
    """Every figure, in a fixed order."""
    upstreams = {row.upstream for row in evidence.warm_ups} | {row.upstream for row in evidence.requests}
    return Report(
        since=evidence.since,
        until=evidence.until,
        label=evidence.label,
        upstreams=tuple(sorted(upstreams)),
        spending=_spending(evidence),
        waits=_waits(evidence.requests),
        experiments=_experiments(evidence),
        forecasts=_forecasts(evidence.warm_ups),
        skips=_skips(evidence.skips),
        lost_writes=evidence.lost_writes,
    )


def _spending(evidence: Evidence) -> list[Spending]:
    replies = Counter((row.upstream, row.label, row.model) for row in evidence.requests)
    groups = _grouped(evidence.warm_ups, lambda row: (row.upstream, row.label, row.model, row.intent))
    return [_spent(key, rows, replies[key[0], key[1], key[2]]) for key, rows in groups]


def _spent(key: Key, rows: Sequence[WarmUpRow], replies: int) -> Spending:
    upstream, label, model, intent = key
    outcomes = Counter(row.outcome or "waiting" for row in rows)
    lines = [line for row in rows for line in row.lines if line.outcome]
    settled = _sum(line.cost_usd for line in lines)
    wasted = _sum(line.cost_usd for line in lines if line.outcome not in READ)
    return Spending(
        upstream=upstream,
        label=label,
        model=model,
        intent=intent,
        warm_ups=len(rows),
        cost_usd=_sum(row.cost_usd for row in rows),
        unpriced=sum(row.cost_usd is None and row.outcome not in NOT_SENT for row in rows),
        outcomes={outcome: outcomes[outcome] for outcome in (*BEST_FIRST, "waiting") if outcomes[outcome]},
        wasted_usd=wasted,
        wasted_share=float(wasted / settled) if settled else None,
        written_tokens=sum(line.written_tokens for row in rows for line in row.lines),
        credited_tokens=sum(line.credited_tokens for line in lines),
        replies=replies,
        warm_ups_per_reply=len(rows) / replies if replies else None,
    )


def _waits(requests: Sequence[RequestRow]) -> list[Wait]:
    waits = []
    for (upstream, label, model, warmth), rows in _grouped(
        requests, lambda row: (row.upstream, row.label, row.model, row.warmth)
    ):
        seen = [float(row.ttft_ms) for row in rows if row.ttft_ms is not None]
        if seen:
            median = median_interval(seen)
            waits.append(
                Wait(upstream=upstream, label=label, model=model, warmth=warmth, count=len(seen), median_ms=median)
            )
    return waits


def _experiments(evidence: Evidence) -> list[Experiment]:
    drawn = [row for row in evidence.requests if row.arm and row.ttft_ms is not None]
    warm_ups = dict(_grouped(evidence.warm_ups, lambda row: (row.upstream, row.intent)))
    return [
        _experiment(key, rows, warm_ups.get(key, []))
        for key, rows in _grouped(drawn, lambda row: (row.upstream, row.intent))
    ]


def _experiment(key: Key, rows: Sequence[RequestRow], warm_ups: Sequence[WarmUpRow]) -> Experiment:
    treated = [row for row in rows if row.arm == Arm.TREATED]
    held_out = [row for row in rows if row.arm == Arm.HELD_OUT]
    saved = difference_of_means(_waited_seconds(held_out), _waited_seconds(treated))
    began = min(row.started_at for row in rows)
    warming_usd = _sum(row.cost_usd for row in warm_ups if row.started_at >= began)
    extra = _extra_usd(treated, held_out, float(warming_usd))
    believed = [row.saved_seconds for row in rows if row.saved_seconds is not None]
    upstream, intent = key
    return Experiment(
        upstream=upstream,
        intent=intent,
        treated=len(treated),
        held_out=len(held_out),
        is_enough=min(len(treated), len(held_out)) >= ENOUGH,
        saved_seconds=saved,
        extra_usd=extra,
        usd_per_saved_second=ratio_of(extra, saved) if extra and saved else None,
        predicted_saved_seconds=sum(believed) / len(believed) if believed else None,
    )


def _extra_usd(treated: Sequence[RequestRow], held_out: Sequence[RequestRow], warming_usd: float) -> Interval | None:
    """The difference of the replies' own bills, plus the warm-ups' cost divided among the treated replies."""
    bills = [[float(row.input_usd) for row in rows if row.input_usd is not None] for rows in (treated, held_out)]
    difference = difference_of_means(*bills)
    if difference is None:
        return None
    warming = warming_usd / len(treated)
    return Interval(value=difference.value + warming, low=difference.low + warming, high=difference.high + warming)


def _forecasts(warm_ups: Sequence[WarmUpRow]) -> list[Forecast]:
    """Decided by the deepest layer: requests of other people read a shared one. Manual warm-ups and those weighed by
    another plan are left out: they were not sent because of the chance in their row."""
    weighed = [row for row in warm_ups if row.send_chance is not None and row.intent not in WEIGHED_ELSEWHERE]
    settled = [row for row in weighed if row.lines]
    settled = [row for row in settled if row.lines[-1].outcome not in NOT_SENT]
    forecasts = []
    for (upstream, intent), rows in _grouped(settled, lambda row: (row.upstream, row.intent)):
        came = sum(row.lines[-1].outcome in CAME for row in rows)
        forecasts.append(
            Forecast(
                upstream=upstream,
                intent=intent,
                warm_ups=len(rows),
                is_enough=len(rows) >= ENOUGH,
                predicted_chance=sum(row.send_chance or 0.0 for row in rows) / len(rows),
                observed_chance=share_interval(came, len(rows)),
            )
        )
    return forecasts


def _skips(skips: Iterable[SkipRow]) -> list[SkipRow]:
    """Summed over the minutes; the most frequent first."""
    counts: Counter[Key] = Counter()
    for row in skips:
        counts[row.label, row.intent, row.reason] += row.count
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return [
        SkipRow(label=label, intent=intent, reason=reason, count=count) for (label, intent, reason), count in ordered
    ]


def _waited_seconds(rows: Sequence[RequestRow]) -> list[float]:
    return [row.ttft_ms / 1000 for row in rows if row.ttft_ms is not None]


def _sum(amounts: Iterable[Decimal | None]) -> Decimal:
    return sum((amount for amount in amounts if amount is not None), Decimal(0))


def _grouped(rows: Iterable[T], key: Callable[[T], Key]) -> list[tuple[Key, list[T]]]:
    groups: dict[Key, list[T]] = defaultdict(list)
    for row in rows:
        groups[key(row)].append(row)
    return sorted(groups.items(), key=lambda item: item[0])
