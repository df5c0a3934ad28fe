"""What is at stake when a live prefix is about to lapse, in dollars: what a refresh costs, and what a lapse would."""

from dataclasses import dataclass
from decimal import Decimal

from warmcache.core.economics import Rates
from warmcache.core.forecast import Forecasts
from warmcache.core.keeping import KeepStakes

TYPING = "typing"


@dataclass(frozen=True, slots=True, kw_only=True)
class RestingPrefix:
    """A conversation between two requests. Tokens are estimates."""

    model: str
    live_tokens: int
    """In the cache until it lapses."""
    missing_tokens: int
    """The end of the history that no request has carried yet: the last reply."""
    held_tokens: int = 0
    """The part that lives on when the rest lapses, because others use it or it was written for longer."""
    asks_tool: bool = False
    """A program comes back, whose seconds nobody waits for."""

    @property
    def tokens(self) -> int:
        return self.live_tokens + self.missing_tokens


def stakes_of(prefix: RestingPrefix, forecasts: Forecasts, rates: Rates, *, value_of_second_usd: Decimal) -> KeepStakes:
    """For `plan_keeping`. A refresh reads what is live and writes what is missing.

    Not for an hour: what is in the cache already would keep the lifetime it was written with.
    """
    read = prefix.live_tokens * rates.cache_read
    loss, held_loss = (
        lapse_usd(
            forecasts,
            rates,
            model=prefix.model,
            tokens=prefix.tokens,
            live_tokens=live_tokens,
            asks_tool=prefix.asks_tool,
            value_of_second_usd=value_of_second_usd,
        )
        for live_tokens in (0, prefix.held_tokens)
    )
    return KeepStakes(
        refresh=float(read + prefix.missing_tokens * rates.cache_write_5m),
        loss=loss,
        held_loss=min(loss, held_loss) if prefix.held_tokens else None,
    )


def lapse_usd(
    forecasts: Forecasts,
    rates: Rates,
    *,
    model: str,
    tokens: int,
    live_tokens: int,
    asks_tool: bool,
    value_of_second_usd: Decimal,
) -> float:
    """Dollars lost, in all, when somebody returns and only so much is live: the second write, and the wait."""
    exposed, value = max(0, tokens - live_tokens), float(value_of_second_usd)
    money = float(exposed * (rates.cache_write_5m - rates.cache_read))
    seconds = 0.0 if asks_tool else _wait_worth(model, exposed, live_tokens, forecasts, rates, value)
    return (money + seconds) * forecasts.kept.mean


def _wait_worth(
    model: str, cold_tokens: int, cached_tokens: int, forecasts: Forecasts, rates: Rates, value: float
) -> float:
    """What the wait costs, without the part that a warm-up at the first key would spare where that pays."""
    typing, prefill = forecasts.intent(TYPING), forecasts.prefill(model)
    saved = prefill.saved_seconds(cold_tokens, cached_tokens=cached_tokens)
    spared = value * typing.saved_seconds(saved, round_trip_seconds=prefill.round_trip_seconds)
    read, write = float(rates.cache_read), float(rates.cache_write_5m)
    warm_up = read * (cold_tokens + cached_tokens) + (1 / typing.send_chance - 1) * write * cold_tokens
    # What is spared is told from a rounded wait, and so may be a hair more than the wait itself.
    return max(0.0, value * saved - max(0.0, spared - warm_up))
