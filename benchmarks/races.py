"""A send meets a warm-up in flight: what each way to treat it costs, over a grid of scenarios. Arithmetic, no servers.

A scenario is a prompt's size, how long the provider really takes, what is believed of that, and how far the warm-up
has got when the send comes. Base and slope are each believed right, and three times too low and too high; most calls
take their time, some three times as long, a few stall for 40 s. The cost of a meeting is its wait at the price of a
second, plus what the request pays for the prompt: a read after a join, a second write otherwise.
"""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal

from warmcache.core.worth import weigh_joining

VALUE_USD = 0.05
WRITE_USD, READ_USD = 2.5e-6, 1e-7
TOKENS = (2000, 8000, 18_000, 50_000, 150_000)
SPEEDS = ((0.7, 18e-6), (0.4, 9e-6), (1.0, 100e-6))
"""Base seconds and seconds per uncached token."""

READ_SECONDS_PER_TOKEN = 1e-6
MISBELIEFS = (1 / 3, 1.0, 3.0)
ELAPSED_SHARES = (0.02, *(n / 10 for n in range(1, 20)), 2.0)
STALL_SECONDS = 40.0
ENDINGS = ((0.94, 1.0, 0.0), (0.05, 3.0, 0.0), (0.01, 1.0, STALL_SECONDS))
"""Share of the calls, factor on their time, seconds on top."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Meeting:
    """One scenario; `weight` is its share. Times in seconds."""

    weight: float
    tokens: int
    elapsed: float
    ends_at: float
    """Of the warm-up, after its start."""
    goes: float
    """The whole call of a request that goes at once."""
    reads: float
    """The call of a request that finds the entry."""
    believed_goes: float
    believed_reads: float


Bound = Callable[[Meeting], float]
"""How long the request waits at most; 0 means that it goes at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    wait_seconds: float
    dollars: float

    @property
    def worth(self) -> float:
        return VALUE_USD * self.wait_seconds + self.dollars


def meetings() -> Iterator[Meeting]:
    """The grid. A warm-up that has ended by the time of the send is no meeting."""
    grid = itertools.product(TOKENS, SPEEDS, MISBELIEFS, MISBELIEFS, ELAPSED_SHARES, ENDINGS)
    for tokens, (base, slope), base_belief, slope_belief, share, (weight, factor, stall) in grid:
        goes, reads = base + slope * tokens, base + READ_SECONDS_PER_TOKEN * tokens
        ends_at, elapsed = factor * goes + stall, share * goes
        if elapsed < ends_at:
            trip = base_belief * base
            yield Meeting(
                weight=weight,
                tokens=tokens,
                elapsed=elapsed,
                ends_at=ends_at,
                goes=goes,
                reads=reads,
                believed_goes=trip + slope_belief * slope * tokens,
                believed_reads=trip + READ_SECONDS_PER_TOKEN * tokens,
            )


def cost_of(meeting: Meeting, bound_seconds: float) -> Cost:
    """What the meeting costs if the request waits at most so long."""
    rest = meeting.ends_at - meeting.elapsed
    if rest <= bound_seconds:
        return Cost(wait_seconds=rest + meeting.reads, dollars=READ_USD * meeting.tokens)
    return Cost(wait_seconds=bound_seconds + meeting.goes, dollars=WRITE_USD * meeting.tokens)


def by_the_rule(meeting: Meeting) -> float:
    """The app's own."""
    choice = weigh_joining(
        elapsed_seconds=meeting.elapsed,
        warm_up_seconds=meeting.believed_goes,
        warm_seconds=meeting.believed_reads,
        go_seconds=meeting.believed_goes,
        cold_tokens=meeting.tokens,
        write_usd_per_token=Decimal(str(WRITE_USD)),
        read_usd_per_token=Decimal(str(READ_USD)),
        value_of_second_usd=Decimal(str(VALUE_USD)),
    )
    return choice.bound_seconds if choice.joins else 0.0


def in_hindsight(meeting: Meeting) -> float:
    """The best for whoever knows when the warm-up ends."""
    return min((0.0, float("inf")), key=lambda bound: cost_of(meeting, bound).worth)


WAYS: dict[str, Bound] = {
    "the rule": by_the_rule,
    "always going": lambda meeting: 0.0,
    "joining without a bound": lambda meeting: float("inf"),
    "in hindsight": in_hindsight,
}


def mean_cost(way: Bound) -> tuple[float, float, float]:
    """Worth of a meeting in dollars, its wait in seconds, and the longest of a hundred waits."""
    costs = [(meeting.weight, cost_of(meeting, way(meeting))) for meeting in meetings()]
    total = sum(weight for weight, _ in costs)
    worth = sum(weight * cost.worth for weight, cost in costs) / total
    wait = sum(weight * cost.wait_seconds for weight, cost in costs) / total
    return worth, wait, _tail(costs, total)


def _tail(costs: list[tuple[float, Cost]], total: float) -> float:
    left = total / 100
    for weight, cost in sorted(costs, key=lambda each: -each[1].wait_seconds):
        left -= weight
        if left <= 0:
            return cost.wait_seconds
    return 0.0


def run() -> None:
    """Prints one line per way."""
    print(f"  {sum(1 for _ in meetings()):,} meetings, a second is worth ${VALUE_USD:g}")
    for name, way in WAYS.items():
        worth, wait, tail = mean_cost(way)
        print(f"  {name:<24} {1000 * worth:6.1f} m$ a meeting, {wait:5.2f} s wait, 99th of a hundred {tail:5.1f} s")
