"""What is at stake when a live prefix is about to lapse, in dollars: the costs of a refresh and of a lapse."""

from dataclasses import dataclass
from decimal import Decimal

from warmcache.core.economics import Rates
from warmcache.core.forecast.forecasts import Forecasts
from warmcache.core.intents import Sign
from warmcache.core.keeping import KeepPlan, KeepStakes, plan_keeping


@dataclass(frozen=True, slots=True, kw_only=True)
class RestingPrefix:
    """A conversation between two requests. Tokens are estimates."""

    model: str
    live_tokens: int
    """Tokens in the cache until it lapses."""
    missing_tokens: int
    """The end of the history that no request has contained yet: the last reply."""
    shared_tokens: int = 0
    """The part that other people's requests will have kept alive when someone comes back."""
    held_tokens: int = 0
    """The part that stays live when the rest lapses, because it was written with a longer TTL."""
    asks_tool: bool = False
    """A program comes back, so nobody waits for its seconds."""
    hour_holds: float | None = None
    """The chance that the next request begins with the missing tokens too, if a refresh may write them for an hour;
    None if it may not."""

    @property
    def tokens(self) -> int:
        return self.live_tokens + self.missing_tokens


def plan_refresh(
    prefix: RestingPrefix,
    forecasts: Forecasts,
    rates: Rates,
    *,
    value_of_second_usd: Decimal,
    silent_seconds: float,
    left_seconds: float,
    ttl_seconds: int,
    held_left_seconds: float,
) -> KeepPlan:
    """Decides near expiry whether a refresh pays, once the gates of `decide` have passed. Times: see `plan_keeping`."""
    return plan_keeping(
        stakes_of(prefix, forecasts, rates, value_of_second_usd=value_of_second_usd),
        forecasts.silence(asks_tool=prefix.asks_tool).survival,
        silent_seconds=silent_seconds,
        left_seconds=left_seconds,
        ttl_seconds=ttl_seconds,
        held_left_seconds=held_left_seconds,
    )


def stakes_of(prefix: RestingPrefix, forecasts: Forecasts, rates: Rates, *, value_of_second_usd: Decimal) -> KeepStakes:
    """A refresh reads the live part and writes the missing part.

    What is already in the cache keeps the TTL it was written with, so only the missing part can be written for longer.
    """
    read, missing = prefix.live_tokens * rates.cache_read, prefix.missing_tokens
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
        for live_tokens in (prefix.shared_tokens, prefix.held_tokens)
    )
    may_upgrade = prefix.hour_holds is not None and missing > 0
    return KeepStakes(
        refresh=float(read + missing * rates.cache_write_5m),
        upgrade=float(read + missing * rates.cache_write_1h) if may_upgrade else None,
        upgrade_holds=prefix.hour_holds or 0.0,
        loss=loss,
        held_loss=min(loss, held_loss) if prefix.held_tokens > prefix.shared_tokens else None,
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
    """Total dollars lost when someone returns and only this much is live: the second write, and the wait."""
    exposed, value = max(0, tokens - live_tokens), float(value_of_second_usd)
    money = float(exposed * (rates.cache_write_5m - rates.cache_read))
    seconds = 0.0 if asks_tool else _wait_worth(model, exposed, live_tokens, forecasts, rates, value)
    return (money + seconds) * forecasts.kept.mean


def _wait_worth(
    model: str, cold_tokens: int, cached_tokens: int, forecasts: Forecasts, rates: Rates, value: float
) -> float:
    """The value of the wait, without the part that a warm-up at the first key would save if that pays."""
    typing, prefill = forecasts.intent(Sign.TYPING), forecasts.prefill(model)
    saved = prefill.saved_seconds(cold_tokens, cached_tokens=cached_tokens)
    spared = value * typing.saved_seconds(saved, round_trip_seconds=prefill.round_trip_seconds)
    read, write = float(rates.cache_read), float(rates.cache_write_5m)
    warm_up = read * (cold_tokens + cached_tokens) + (1 / typing.send_chance - 1) * write * cold_tokens
    # The saved part is computed from a rounded wait, so it may slightly exceed the wait itself.
    return max(0.0, value * saved - max(0.0, spared - warm_up))
