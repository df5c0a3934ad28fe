"""Rows of the ledger, added up so that the sums of hours and days can take their place. Pure.

A row becomes a `Tally`: its words, and sums that are whole numbers. Whatever is added up, in whatever order, the result
is exact, so that a report reads the same from rows, from roll-ups, and from both. Dollars are counted in units of 1e-8,
chances in millionths. Waits are counted by bucket, so that percentiles can be read from sums.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from decimal import ROUND_HALF_EVEN, Decimal
from enum import StrEnum
from typing import Any

from warmcache.core.economics import Rates
from warmcache.core.intents import WEIGHED_ELSEWHERE
from warmcache.core.outcomes import Outcome, Purpose
from warmcache.core.settlement import COST_STEP, MET

READ = (Outcome.HIT, Outcome.JOINED)
CAME = (*MET, Outcome.EVICTED, Outcome.DIVERGED)
"""Outcomes that prove that a request came, whether or not it found what was warmed."""

NOT_SENT = (Outcome.FAILED, Outcome.CANCELLED, Outcome.PENDING)
MILLIONTHS = 1_000_000


class Kind(StrEnum):
    """What the rows of a tally are."""

    WARM_UP = "warm_up"
    REQUEST = "request"
    SKIP = "skip"
    LOST = "lost"


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """What the rows of one tally have in common. `outcome`: of a warm-up; a reply's warmth; the reason of a skip."""

    kind: str
    """A `Kind`."""
    upstream: str = ""
    label: str = ""
    model: str = ""
    intent: str = ""
    outcome: str = ""
    purpose: str = ""
    arm: str = ""

    @property
    def values(self) -> tuple[str, ...]:
        return tuple(getattr(self, name) for name in WORDS)


WORDS = tuple(each.name for each in fields(Words))


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """`waits`: lower end of a bucket in milliseconds -> number of replies."""

    words: Words
    sums: Mapping[str, int]
    waits: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class LineRow:
    outcome: str
    cost_usd: Decimal | None
    written_tokens: int
    credited_tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Billed:
    """What was billed for a row, in tokens and dollars."""

    input_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int = 0
    cost_usd: Decimal | None = None

    @property
    def prompt_tokens(self) -> int:
        return self.input_tokens + self.cache_read_tokens + self.cache_write_tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class WarmUpRow:
    """`lines` in the order of the prompt."""

    upstream: str
    label: str
    model: str
    intent: str
    outcome: str
    billed: Billed
    send_chance: float | None
    """As the policy believed."""
    lines: tuple[LineRow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestRow:
    """One real request. `intent` and `arm` are those of the visit that it ended."""

    upstream: str
    label: str
    model: str
    purpose: str
    warmth: str
    failed: bool
    ttft_ms: int | None
    arm: str
    intent: str
    billed: Billed
    saved_seconds: float | None
    """As the policy believed."""


def of_warm_up(row: WarmUpRow, rates: Rates | None) -> Tally:
    """`rates`: the prices of its model; None if they are not known."""
    settled = [line for line in row.lines if line.outcome]
    sums = _billed(row.billed, is_sent=row.outcome not in NOT_SENT) | {
        "settled": _units_of(line.cost_usd for line in settled),
        "wasted": _units_of(line.cost_usd for line in settled if line.outcome not in READ),
        "written": sum(line.written_tokens for line in row.lines),
        "credited": sum(line.credited_tokens for line in settled),
    }
    if rates is not None:
        sums["reading"] = units(sums["credited"] * rates.cache_read)
    deepest = row.lines[-1].outcome if row.lines else Outcome.PENDING
    if row.send_chance is not None and row.intent not in WEIGHED_ELSEWHERE and deepest not in NOT_SENT:
        sums |= {"forecasts": 1, "chance": round(row.send_chance * MILLIONTHS), "came": int(deepest in CAME)}
    words = Words(
        kind=Kind.WARM_UP,
        upstream=row.upstream,
        label=row.label,
        model=row.model,
        intent=row.intent,
        outcome=row.outcome,
    )
    return Tally(words=words, sums=sums)


def of_request(row: RequestRow, rates: Rates | None) -> Tally:
    """The wait is that of a reply: nobody waits for a title or a tool round."""
    sums, waits = _billed(row.billed, is_sent=not row.failed) | {"failed": int(row.failed)}, {}
    if row.purpose == Purpose.REPLY and row.ttft_ms is not None:
        waits = {bucket_of(row.ttft_ms): 1}
        sums |= {"waits": 1, "wait_ms": row.ttft_ms, "wait_ms2": row.ttft_ms**2}
        if row.arm:
            sums |= _input_bill(row.billed, rates)
        if row.intent:
            sums |= _belief(row.saved_seconds)
    words = Words(
        kind=Kind.REQUEST,
        upstream=row.upstream,
        label=row.label,
        model=row.model,
        intent=row.intent,
        outcome=row.warmth,
        purpose=row.purpose,
        arm=row.arm,
    )
    return Tally(words=words, sums=sums, waits=waits)


def of_skips(label: str, intent: str, reason: str, count: int) -> Tally:
    return Tally(words=Words(kind=Kind.SKIP, label=label, intent=intent, outcome=reason), sums={"rows": count})


def of_lost(count: int) -> Tally:
    return Tally(words=Words(kind=Kind.LOST), sums={"rows": count})


class Sheet:
    """Adds tallies up, all by all of their words or by some. Fast: a page adds up tens of thousands."""

    def __init__(self, *names: str) -> None:
        self._kept = [name in names or not names for name in WORDS]
        self._keeps_all = all(self._kept)
        self._found: dict[tuple[str, ...], tuple[dict[str, int], dict[Any, int]]] = {}

    def add(self, words: tuple[str, ...], sums: Mapping[str, int], waits: Mapping[Any, int]) -> None:
        """`words` in the order of `WORDS`; buckets may be numbers, or their digits."""
        key = words
        if not self._keeps_all:
            key = tuple([word if kept else "" for word, kept in zip(words, self._kept, strict=True)])
        found = self._found.get(key)
        if found is None:
            self._found[key] = (dict(sums), dict(waits))
            return
        for added, to in ((sums, found[0]), (waits, found[1])):
            for name, number in added.items():
                to[name] = to.get(name, 0) + number

    def tallies(self) -> list[Tally]:
        """One for each combination of words, in a fixed order."""
        return [
            Tally(words=Words(**dict(zip(WORDS, key, strict=True))), sums=sums, waits=_numbered(waits))
            for key, (sums, waits) in sorted(self._found.items(), key=lambda item: item[0])
        ]


def added_up(tallies: Iterable[Tally]) -> list[Tally]:
    """One tally for each combination of words, in a fixed order."""
    sheet = Sheet()
    for tally in tallies:
        sheet.add(tally.words.values, tally.sums, tally.waits)
    return sheet.tallies()


COARSE = ("kind", "upstream", "outcome", "purpose")
"""The words by which time is told, and the period before."""


def _numbered(waits: Mapping[Any, int]) -> dict[int, int]:
    found: dict[int, int] = {}
    for bucket, count in waits.items():
        found[int(bucket)] = found.get(int(bucket), 0) + count
    return found


def bucket_of(milliseconds: int) -> int:
    """The lower end of its bucket: exact below 100 ms, otherwise at most 5 % below."""
    width = width_of(milliseconds)
    return milliseconds // width * width


def width_of(milliseconds: int) -> int:
    width = 1
    while milliseconds >= width * (100 if width == 1 else 200):
        width *= 5 if width == 1 else 10
    return width


def units(amount: Decimal) -> int:
    """Dollars as a whole number of the ledger's smallest step."""
    return int((amount / COST_STEP).to_integral_value(ROUND_HALF_EVEN))


def dollars(number: int) -> Decimal:
    return number * COST_STEP


def _billed(billed: Billed, *, is_sent: bool) -> dict[str, int]:
    return {
        "rows": 1,
        "cost": units(billed.cost_usd or Decimal(0)),
        "unpriced": int(billed.cost_usd is None and is_sent),
        "input": billed.input_tokens,
        "read": billed.cache_read_tokens,
        "write": billed.cache_write_tokens,
        "output": billed.output_tokens,
    }


def _input_bill(billed: Billed, rates: Rates | None) -> dict[str, int]:
    """The bill without its output, which warming does not change; nothing if there is no price."""
    if billed.cost_usd is None or rates is None:
        return {}
    amount = units(billed.cost_usd - billed.output_tokens * rates.output)
    return {"bills": 1, "bill": amount, "bill2": amount**2}


def _belief(saved_seconds: float | None) -> dict[str, int]:
    if saved_seconds is None:
        return {}
    milliseconds = round(saved_seconds * 1000)
    return {"beliefs": 1, "believed_ms": milliseconds, "believed_ms2": milliseconds**2}


def _units_of(amounts: Iterable[Decimal | None]) -> int:
    return units(sum((amount for amount in amounts if amount is not None), Decimal(0)))
