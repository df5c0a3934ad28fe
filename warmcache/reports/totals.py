"""What everything cost in a period, for each upstream. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from warmcache.core.outcomes import CONVERSING, Purpose
from warmcache.core.tallies import Kind, Tally, dollars
from warmcache.reports.grouping import grouped, of_kind, sums_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """Dollars of warm-ups are divided by what became of each layer: read by a request, read by none, not known yet."""

    upstream: str
    replies: int
    replies_usd: Decimal
    """Replies and the requests that continue them."""
    others_usd: Decimal
    """Titles, compactions."""
    warm_ups: int
    used_usd: Decimal
    wasted_usd: Decimal
    waiting_usd: Decimal
    total_usd: Decimal
    unpriced: int
    """Rows of models without a known price: their cost is in no figure."""
    failed: int
    """Replies that failed."""
    prompt_tokens: int
    """Of replies: read from the cache, written to it, or neither."""
    read_tokens: int
    hit_rate: float | None
    """Read of all prompt tokens."""
    warm_up_tokens: dict[str, int]
    """As billed to warm-ups: input, read, write, output."""
    reply_tokens: dict[str, int]
    """The same of all real requests."""


BILLED = ("input", "read", "write", "output")


def totals_of(tallies: Sequence[Tally]) -> list[Totals]:
    rows = [tally for tally in tallies if tally.words.upstream]
    return [_totals(words.upstream, found) for words, found in grouped(rows, "upstream")]


def _totals(upstream: str, tallies: Sequence[Tally]) -> Totals:
    requests = of_kind(tallies, Kind.REQUEST)
    conversing = sums_of(row for row in requests if row.words.purpose in CONVERSING)
    replies = sums_of(row for row in requests if row.words.purpose == Purpose.REPLY)
    asked, warmed = sums_of(requests), sums_of(of_kind(tallies, Kind.WARM_UP))
    prompt_tokens = conversing["input"] + conversing["read"] + conversing["write"]
    return Totals(
        upstream=upstream,
        replies=replies["rows"],
        replies_usd=dollars(conversing["cost"]),
        others_usd=dollars(asked["cost"] - conversing["cost"]),
        warm_ups=warmed["rows"],
        used_usd=dollars(warmed["settled"] - warmed["wasted"]),
        wasted_usd=dollars(warmed["wasted"]),
        waiting_usd=dollars(warmed["cost"] - warmed["settled"]),
        total_usd=dollars(asked["cost"] + warmed["cost"]),
        unpriced=asked["unpriced"] + warmed["unpriced"],
        failed=replies["failed"],
        prompt_tokens=prompt_tokens,
        read_tokens=conversing["read"],
        hit_rate=conversing["read"] / prompt_tokens if prompt_tokens else None,
        warm_up_tokens={name: warmed[name] for name in BILLED},
        reply_tokens={name: asked[name] for name in BILLED},
    )
