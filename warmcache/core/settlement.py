"""What a warm-up spent on each layer, and how a real request settled it. Pure: billed counts in, lines out.

Each layer that a warm-up wrote or renewed is a separate line, because different requests read the layers:

    hit        a request read it             unused     no request came in time
    joined     a request waited for it       cancelled  the warm-up was stopped
    raced      a request went before         diverged   the request of the same conversation had other bytes
    failed     the provider refused          evicted    same bytes, in time, and it was not there

The warm-up's own outcome sums up its lines: see `summary`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import ROUND_FLOOR, Decimal

from warmcache.core.economics import Rates, request_cost_usd
from warmcache.core.outcomes import Outcome
from warmcache.core.usage import Usage

FULL_READ_SHARE = 0.99
"""A request has read everything that a warm-up left if it read at least this share of it."""

SPAN_READ_SHARE = 0.5
"""The end of an earlier layer is estimated, so reading this share of its own tokens proves that it was read: a read
that ends before the layer covers almost none of them, a longer one covers all."""

SNAP_SHARE = 0.05
"""Share of all cached tokens: a layer that ends this close to the point where reading stopped ended exactly there."""

COST_STEP = Decimal("1e-8")
"""The precision of the ledger's columns."""

MET = (Outcome.HIT, Outcome.JOINED, Outcome.RACED)
"""With these outcomes a request points at the warm-up."""

BEST_FIRST = (
    *MET,
    Outcome.DIVERGED,
    Outcome.EVICTED,
    Outcome.UNUSED,
    Outcome.CANCELLED,
    Outcome.FAILED,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A layer as estimated before the call: up to `end_tokens` from the start of the prompt."""

    end_tokens: int
    ttl_seconds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Bill:
    """A layer as billed. Its entry ends at `end_tokens`; the other counts are its own written and read tokens."""

    end_tokens: int
    written_tokens: int
    read_tokens: int
    cost_usd: Decimal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line as known when a request comes: estimated until the call is billed; until then both parts are 0."""

    end_tokens: int
    written_tokens: int
    read_tokens: int
    is_deepest: bool

    @property
    def is_billed(self) -> bool:
        return self.written_tokens + self.read_tokens > 0

    @property
    def start_tokens(self) -> int:
        return self.end_tokens - self.written_tokens - self.read_tokens if self.is_billed else 0


def total_cost_usd(usage: Usage, rates: Rates | None) -> Decimal | None:
    """The cost of a request, with all digits that the ledger holds."""
    return request_cost_usd(usage, rates).quantize(COST_STEP) if rates else None


def split_bill(spans: Sequence[Span], usage: Usage, rates: Rates | None) -> list[Bill]:
    """Attributes the billed tokens to the layers; the lines' costs add up exactly to the call's cost.

    The provider reports only totals of what it read and wrote. Reading ends where writing begins, and one-hour writes
    come before five-minute writes; the other ends of layers are scaled from the estimates.
    """
    if not spans:
        return []
    ends = _billed_ends(spans, usage)
    read_until = usage.cache_read_tokens
    bills, start = [], 0
    for end in ends:
        read = min(max(read_until - start, 0), end - start)
        bills.append((start, end, read))
        start = end
    total = total_cost_usd(usage, rates)
    costs = _costs([(start, end) for start, end, _ in bills], usage, rates, total)
    return [
        Bill(end_tokens=end, written_tokens=end - start - read, read_tokens=read, cost_usd=cost)
        for (start, end, read), cost in zip(bills, costs, strict=True)
    ]


def outcome_of(line: Line, *, read_tokens: int) -> Outcome | None:
    """`hit` or `evicted`, by the total that a request in time and with the same bytes read; None if unknown."""
    if not line.is_billed and not read_tokens:
        return None
    return Outcome.HIT if _is_read(line, read_tokens) else Outcome.EVICTED


def credit_of(line: Line, *, read_tokens: int) -> int:
    """How many of the written tokens the request really read: never more than were written."""
    written_from = line.end_tokens - line.written_tokens
    return min(max(read_tokens - written_from, 0), line.written_tokens)


def summary(lines: Iterable[tuple[Outcome, int]]) -> Outcome:
    """A warm-up's outcome from its lines, (outcome, written tokens) in prompt order; empty while it is undecided.

    It is the best outcome of the lines that it wrote. If it wrote nothing, the deepest renewed line counts: a shared
    layer that everybody reads says nothing about the conversation after it.
    """
    known = list(lines)
    deciding = [outcome for outcome, written in known if written] or [outcome for outcome, _ in known[-1:]]
    settled = [outcome for outcome in deciding if outcome]
    best = min(settled, key=BEST_FIRST.index, default=Outcome.PENDING)
    return best if best in MET or len(settled) == len(deciding) else Outcome.PENDING


def _is_read(line: Line, read_tokens: int) -> bool:
    if line.is_deepest and line.is_billed:
        return read_tokens >= FULL_READ_SHARE * line.end_tokens
    span = line.end_tokens - line.start_tokens
    return read_tokens - line.start_tokens >= SPAN_READ_SHARE * span


def _billed_ends(spans: Sequence[Span], usage: Usage) -> list[int]:
    """Where each layer ends, in billed tokens: scaled, then moved to the positions that the bill reveals."""
    reads, left, estimated = usage.cache_read_tokens, usage.cached_tokens, spans[-1].end_tokens
    ends = [round(span.end_tokens * left / estimated) if estimated else 0 for span in spans[:-1]]
    if usage.cache_write_1h_tokens:
        hours = [n for n, span in enumerate(spans[:-1]) if span.ttl_seconds > spans[n + 1].ttl_seconds]
        for index in hours:
            ends[index] = reads + usage.cache_write_1h_tokens
    if ends and reads:
        nearest = min(range(len(ends)), key=lambda index: abs(ends[index] - reads))
        if abs(ends[nearest] - reads) <= SNAP_SHARE * left:
            ends[nearest] = reads
    return [min([*ends[index:], left]) for index in range(len(spans))]


def _costs(
    parts: Sequence[tuple[int, int]], usage: Usage, rates: Rates | None, total: Decimal | None
) -> list[Decimal | None]:
    """Costs per line, rounded down; the last line takes the remainder, including the placeholder's tokens."""
    if rates is None or total is None:
        return [None] * len(parts)
    costs = [_cost(start, end, usage, rates).quantize(COST_STEP, rounding=ROUND_FLOOR) for start, end in parts[:-1]]
    return [*costs, total - sum(costs, Decimal(0))]


def _cost(start: int, end: int, usage: Usage, rates: Rates) -> Decimal:
    """Cost of the cached tokens from `start` to `end`: first those read, then one-hour writes, then the others."""
    reads = usage.cache_read_tokens
    hours = reads + usage.cache_write_1h_tokens
    read = max(0, min(end, reads) - start)
    hour = max(0, min(end, hours) - max(start, reads))
    return read * rates.cache_read + hour * rates.cache_write_1h + (end - start - read - hour) * rates.cache_write_5m
