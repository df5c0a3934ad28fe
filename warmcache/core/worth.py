"""What a warm-up is worth: expected seconds at the operator's price, against expected dollars.

Everything is an expectation about one question: will a real request with this prefix START within the TTL of the
warm-up's start? With that chance `q`, prices per token and the price of a second, for the cold part `c` and the hot
part `h` of a prefix:

    paid now                 r*h + w*c                             the warm-up's own bill
    saved later              q * ((w - r)*c + lapse*(w - r)*h)     the real request reads instead of writing
    benefit                  q * value_of_second * saved_seconds
    worth it                 benefit > paid now - saved later

`lapse` is the chance that the hot part would have expired before the send. A leading part that others keep alive has
an expiry, and so a chance, of its own. A wholly cold prefix is worth warming
from `q = w / (w - r + V)` on, where `V` is the value of the saved latency in prices of the prefix.

Money is `Decimal` US dollars; chances are floats in 0..1; times are seconds.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from warmcache.core.economics import Rates, RateSource
from warmcache.core.reasons import JoinReason
from warmcache.core.ttl import SHORT_TTL_SECONDS

ZERO = Decimal(0)

LONGEST_JOIN_SECONDS = 45.0
"""A stalled warm-up keeps nobody longer than this, whatever a second write costs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerStake:
    """One layer of a prefix: its own tokens, without those of the layers before it."""

    tokens: int
    hot_tokens: int = 0
    held_tokens: int = 0
    """The hot tokens that have an expiry of their own, later than that of the other hot ones."""
    ttl_seconds: int = SHORT_TTL_SECONDS

    @property
    def cold_tokens(self) -> int:
        return self.tokens - self.hot_tokens


def layer_stakes(ends: Sequence[tuple[int, int]], hot_tokens: int, held_tokens: int = 0) -> tuple[LayerStake, ...]:
    """Layers from their ends, as (tokens from the start of the prompt, TTL in seconds); `hot_tokens` are live, and of
    these `held_tokens` for longer."""
    stakes, start = [], 0
    for end, ttl_seconds in ends:
        hot, held = (min(max(tokens - start, 0), end - start) for tokens in (hot_tokens, min(held_tokens, hot_tokens)))
        stakes.append(LayerStake(tokens=end - start, hot_tokens=hot, held_tokens=held, ttl_seconds=ttl_seconds))
        start = end
    return tuple(stakes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """What we expect of the person."""

    send_chance: float
    """The chance that a request with this prefix starts within the TTL of a warm-up that starts now."""
    saved_seconds: float
    """Expected first-token time saved, given a send: the part of the prefill that fits into the lead time."""
    lapse_chance: float = 0.0
    """The chance that what is hot now has expired by the time of the send, given a send."""
    held_lapse_chance: float = 0.0
    """The same for the leading part that lives longer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Worth:
    """A warm-up, weighed. `net_usd = benefit_usd - extra_usd` and `extra_usd = cost_usd - saved_later_usd`."""

    prefix_tokens: int
    hot_tokens: int
    send_chance: float
    saved_seconds: float
    lapse_chance: float
    value_of_second_usd: Decimal
    cost_usd: Decimal | None = None
    """The warm-up's own bill; None if the price is unknown."""
    saved_later_usd: Decimal = ZERO
    benefit_usd: Decimal = ZERO
    break_even_chance: float | None = None
    """The chance of a send at which it starts to pay; above 1 no chance is enough; None: nothing would be gained."""
    price_version: str = ""

    @property
    def is_worth_it(self) -> bool:
        """Whether warming pays; False without a known price."""
        return self.cost_usd is not None and self.net_usd > 0

    @property
    def extra_usd(self) -> Decimal:
        """Expected extra dollars compared with no warm-up; negative if it saves money."""
        return (self.cost_usd or ZERO) - self.saved_later_usd

    @property
    def net_usd(self) -> Decimal:
        return self.benefit_usd - self.extra_usd

    @property
    def price_of_a_second_usd(self) -> Decimal | None:
        """Expected dollars per expected second: an operator compares it with the value of a second."""
        return price_of_a_second_usd(self.extra_usd, self.send_chance * self.saved_seconds)


def price_of_a_second_usd(extra_usd: Decimal, expected_seconds: float) -> Decimal | None:
    """What one saved second costs; None if no second is saved."""
    return extra_usd / Decimal(expected_seconds) if expected_seconds > 0 else None


def weigh(
    layers: Sequence[LayerStake], outlook: Outlook, *, model: str, rates: RateSource, value_of_second_usd: Decimal
) -> Worth:
    """The value of warming these layers now. The whole prompt is priced at the tier of its size."""
    prefix_tokens = sum(layer.tokens for layer in layers)
    unpriced = Worth(
        prefix_tokens=prefix_tokens,
        hot_tokens=sum(layer.hot_tokens for layer in layers),
        send_chance=outlook.send_chance,
        saved_seconds=outlook.saved_seconds,
        lapse_chance=outlook.lapse_chance,
        value_of_second_usd=value_of_second_usd,
    )
    prices = rates(model, prefix_tokens)
    return unpriced if prices is None else _priced(unpriced, layers, prices, Decimal(outlook.held_lapse_chance))


def _priced(unpriced: Worth, layers: Sequence[LayerStake], prices: Rates, held_lapse: Decimal) -> Worth:
    chance = Decimal(unpriced.send_chance)
    lapse = Decimal(unpriced.lapse_chance)
    cost = gained = ZERO
    for layer in layers:
        write = prices.cache_write(layer.ttl_seconds)
        cost += layer.hot_tokens * prices.cache_read + layer.cold_tokens * write
        lapsing = (layer.hot_tokens - layer.held_tokens) * lapse + layer.held_tokens * held_lapse
        gained += (layer.cold_tokens + lapsing) * (write - prices.cache_read)
    seconds = unpriced.value_of_second_usd * Decimal(unpriced.saved_seconds)
    return replace(
        unpriced,
        cost_usd=cost,
        saved_later_usd=chance * gained,
        benefit_usd=chance * seconds,
        break_even_chance=float(cost / (gained + seconds)) if gained + seconds > 0 else None,
        price_version=prices.version,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinChoice:
    """Wait for a warm-up in flight, or send at once. `gain_seconds` is negative if joining takes longer."""

    joins: bool
    reason: JoinReason
    gain_seconds: float
    bound_seconds: float
    """The longest further wait."""


def weigh_joining(
    *,
    elapsed_seconds: float,
    warm_up_seconds: float,
    warm_seconds: float,
    go_seconds: float,
    cold_tokens: int,
    write_usd_per_token: Decimal,
    read_usd_per_token: Decimal,
    value_of_second_usd: Decimal,
    bound_factor: float = 3.0,
) -> JoinChoice:
    """A send meets a warm-up that started `elapsed_seconds` ago and takes `warm_up_seconds` in all.

    Joining takes the rest of the warm-up and one warm first token (`warm_seconds`); going takes `go_seconds` and pays a
    second write. What is expected may be wrong by far, and a call may stall: so a request waits for as long as going at
    once would be worth, or until the warm-up is overdue by far, whichever is later, and never longer than
    `LONGEST_JOIN_SECONDS`. `python -m benchmarks races` compares this with other ways.
    """
    rest = max(0.0, warm_up_seconds - elapsed_seconds)
    gain = go_seconds - (rest + warm_seconds)
    saved = cold_tokens * (write_usd_per_token - read_usd_per_token)
    reason = JoinReason.NOT_WORTH_WAITING
    if value_of_second_usd * Decimal(gain) + saved > 0:
        reason = JoinReason.FASTER if gain > 0 else JoinReason.CHEAPER
    saved_seconds = float(saved / value_of_second_usd) if value_of_second_usd > 0 else LONGEST_JOIN_SECONDS
    patience = max(bound_factor * warm_up_seconds - elapsed_seconds, go_seconds + saved_seconds)
    return JoinChoice(
        joins=reason is not JoinReason.NOT_WORTH_WAITING,
        reason=reason,
        gain_seconds=gain,
        bound_seconds=min(LONGEST_JOIN_SECONDS, patience),
    )
