"""Five minutes or an hour? Chosen per layer from people's silences, if the prompt leaves the TTL open (`auto`).

An hour costs more to write but outlives pauses. For a conversation the alternative is five minutes with refreshes near
expiry; for a shared layer it is another write by the next request. Until enough silences are observed, the choice is
five minutes.
"""

from collections.abc import Collection
from dataclasses import replace

from warmcache.core.economics import Rates, RateSource
from warmcache.core.forecast.forecasts import Forecasts
from warmcache.core.forecast.gaps import GapForecast
from warmcache.core.intents import Intent
from warmcache.core.keeping import KeepStakes, Survival, cost_after_touch, lapse_cost, plan_keeping
from warmcache.core.prefix import Prompt
from warmcache.core.ttl import LONG_TTL_SECONDS, REFRESH_AT_FRACTION, SHORT_TTL_SECONDS, Ttl

NEW_SHARE = 0.07
"""New tokens of a turn as a share of the prefix: 5 to 7 % in the recorded traffic of the replay."""


def with_lifetimes(prompt: Prompt, forecasts: Forecasts, rates: RateSource, *, intents: Collection[Intent]) -> Prompt:
    """`prompt` with a concrete TTL for each `auto`. `intents` are those that may warm; `refresh` renews entries."""
    if "auto" not in (prompt.shared_ttl, prompt.conversation_ttl):
        return prompt
    prices = rates(prompt.model, 1)
    conversation = prompt.conversation_ttl
    if conversation == "auto":
        conversation = _conversation_ttl(forecasts.after_reply, prices, refreshes=Intent.TURN_FINISHED in intents)
    shared = prompt.shared_ttl
    if shared == "auto":
        shared = _shared_ttl(forecasts.arrivals, prices)
    return replace(prompt, shared_ttl=shared, conversation_ttl=conversation)


def _conversation_ttl(silence: GapForecast, prices: Rates | None, *, refreshes: bool) -> Ttl:
    if prices is None or not silence.is_representative:
        return "5m"
    if refreshes:
        read = float(prices.cache_read)
        stakes = KeepStakes(refresh=1.0, loss=float(prices.cache_write_5m - prices.cache_read) / read)
        extra = NEW_SHARE * float(prices.cache_write_1h - prices.cache_write_5m) / read
        return "1h" if long_ttl_gain(stakes, silence.survival) > extra else "5m"
    return ttl_without_refreshes(silence, prices, new_share=NEW_SHARE)


def _shared_ttl(arrivals: GapForecast, prices: Rates | None) -> Ttl:
    if prices is None or not arrivals.is_representative:
        return "5m"
    return ttl_without_refreshes(arrivals, prices, new_share=0.0)


def ttl_without_refreshes(silence: GapForecast, prices: Rates, *, new_share: float) -> Ttl:
    """The cheaper TTL if only requests renew entries. `new_share`: new tokens of a turn as a share of the prefix."""
    pays = long_ttl_pays(
        late_share=silence.survival(SHORT_TTL_SECONDS),
        very_late_share=silence.survival(LONG_TTL_SECONDS),
        new_share=new_share,
        write=float(prices.cache_write_5m / prices.input),
        long_write=float(prices.cache_write_1h / prices.input),
        read=float(prices.cache_read / prices.input),
    )
    return "1h" if pays else "5m"


def long_ttl_pays(
    *, late_share: float, very_late_share: float, new_share: float, write: float, long_write: float, read: float
) -> bool:
    """Whether one hour is cheaper than five minutes WITHOUT refreshes.

    `late_share`, `very_late_share`: share of gaps over five minutes and over an hour; `new_share`: new tokens of a turn
    as a share of the prefix.
    """
    return (long_write - read) * very_late_share + (long_write - write) * new_share < (write - read) * late_share


def long_ttl_gain(stakes: KeepStakes, survival: Survival) -> float:
    """The gain of an hour's TTL over five minutes for a request that starts now, with refreshes in both cases.

    The price of the longer write is not included: the caller compares it.
    """
    soon = REFRESH_AT_FRACTION * SHORT_TTL_SECONDS
    plan = plan_keeping(
        stakes,
        survival,
        silent_seconds=soon,
        left_seconds=SHORT_TTL_SECONDS - soon,
        held_left_seconds=LONG_TTL_SECONDS - soon if stakes.held_loss is not None else 0.0,
    )
    short = lapse_cost(stakes, survival, SHORT_TTL_SECONDS, LONG_TTL_SECONDS) - survival(soon) * plan.value
    return short - cost_after_touch(stakes, survival, 0.0, LONG_TTL_SECONDS)
