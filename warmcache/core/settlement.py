"""What a warm-up spent on each layer, and what a real request made of it. Pure: billed counts in, lines out.

Each layer that a warm-up wrote or renewed is a line of its own, because layers are read by different requests:

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
"""A request has read the whole of what a warm-up left if it read at least this part of it."""

SPAN_READ_SHARE = 0.5
"""Where an earlier layer ends is estimated, so of its own tokens this part is enough to tell that it was read: what
ends before it reads next to nothing of it, what goes beyond reads all."""

SNAP_SHARE = 0.05
"""Of all that is cached: a layer that ends about as near to where reading stopped ended just there."""

COST_STEP = Decimal("1e-8")
"""What the ledger's columns hold."""

MET = (Outcome.HIT, Outcome.JOINED, Outcome.RACED)
"""Outcomes that make a request point at the warm-up."""

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
    """A layer as estimated before the call: up to `end_tokens` from the very start of the prompt."""

    end_tokens: int
    ttl_seconds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Bill:
    """A layer as billed. Its entry ends at `end_tokens`; of its own part so many were written and so many read."""

    end_tokens: int
    written_tokens: int
    read_tokens: int
    cost_usd: Decimal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """What is known of a line when a request comes: estimated until the call is billed, and both parts 0 until then."""

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
    """What a request cost, to the last digit that the ledger holds."""
    return request_cost_usd(usage, rates).quantize(COST_STEP) if rates else None


def split_bill(spans: Sequence[Span], usage: Usage, rates: Rates | None) -> list[Bill]:
    """Attributes the billed tokens to the layers; the lines' costs add up to the call's cost exactly.

    The provider says how much it read and wrote in all. Reading ends where writing begins, and what lives for an
    hour comes before what lives for five minutes; where the layers end in between is scaled from the estimates.
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
    """`hit` or `evicted`, by what a request in time and with the same bytes read in all; None where nothing tells."""
    if not line.is_billed and not read_tokens:
        return None
    return Outcome.HIT if _is_read(line, read_tokens) else Outcome.EVICTED


def credit_of(line: Line, *, read_tokens: int) -> int:
    """Tokens of what was written that the request really read: never more than was written."""
    written_from = line.end_tokens - line.written_tokens
    return min(max(read_tokens - written_from, 0), line.written_tokens)


def summary(lines: Iterable[tuple[Outcome, int]]) -> Outcome:
    """A warm-up's outcome from its lines, (outcome, written tokens) in the order of the prompt; empty while it waits.

    The best of the lines that it wrote. A layer that was only renewed counts where nothing was written, and then the
    deepest: a shared layer that everybody reads says nothing of the conversation behind it.
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
    """Where each layer ends, in billed tokens: scaled, and then moved to the points that the bill tells."""
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
    """The last line takes what is left, the placeholder's tokens included; the others are rounded down for it."""
    if rates is None or total is None:
        return [None] * len(parts)
    costs = [_cost(start, end, usage, rates).quantize(COST_STEP, rounding=ROUND_FLOOR) for start, end in parts[:-1]]
    return [*costs, total - sum(costs, Decimal(0))]


def _cost(start: int, end: int, usage: Usage, rates: Rates) -> Decimal:
    """Of the cached tokens from `start` to `end`: read ones first, then those written for an hour, then the others."""
    reads = usage.cache_read_tokens
    hours = reads + usage.cache_write_1h_tokens
    read = max(0, min(end, reads) - start)
    hour = max(0, min(end, hours) - max(start, reads))
    return read * rates.cache_read + hour * rates.cache_write_1h + (end - start - read - hour) * rates.cache_write_5m
