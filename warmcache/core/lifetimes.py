"""Five minutes or an hour? Chosen from people's silences, where the prompt leaves the TTL open (`auto`).

An hour costs more to write but outlives pauses. For a shared layer the alternative is another write by the next
request: `with_lifetimes` decides per layer, once enough silences are observed. For a conversation it is five minutes
with refreshes near expiry: `ttl_of_request` decides per request, when it is known how much there is to write, and a
refresh decides again (`core/stakes.py`). One rule for the app and for the replay.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from decimal import Decimal

from warmcache.core.economics import Rates, RateSource
from warmcache.core.forecast.forecasts import Forecasts
from warmcache.core.forecast.gaps import GapForecast
from warmcache.core.intents import Intent
from warmcache.core.keeping import KeepStakes, Survival, cost_after_touch, lapse_cost, plan_keeping
from warmcache.core.prefix import Prompt
from warmcache.core.stakes import RestingPrefix, stakes_of
from warmcache.core.ttl import LONG_TTL_SECONDS, REFRESH_AT_FRACTION, SHORT_TTL_SECONDS, Ttl

_GAIN_AGE = 200
"""After this many changes of a forecast, gains derived from it are computed again."""


def with_lifetimes(prompt: Prompt, forecasts: Forecasts, rates: RateSource) -> Prompt:
    """`prompt` with a concrete TTL for each `auto`; for the conversation five minutes, unless a request or a refresh
    chooses an hour."""
    if "auto" not in (prompt.shared_ttl, prompt.conversation_ttl):
        return prompt
    conversation: Ttl = "1h" if prompt.conversation_ttl == "1h" else "5m"
    shared = prompt.shared_ttl
    if shared == "auto":
        shared = _shared_ttl(forecasts.arrivals, rates(prompt.model, 1))
    return replace(prompt, shared_ttl=shared, conversation_ttl=conversation)


def _shared_ttl(arrivals: GapForecast, prices: Rates | None) -> Ttl:
    if prices is None or not arrivals.is_representative:
        return "5m"
    return ttl_without_refreshes(arrivals, prices, new_share=0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """A request of a conversation that is about to be sent. Tokens are estimates."""

    model: str
    tokens: int
    """Of its whole prompt."""
    new_tokens: int
    """Those that it will write: they are not in the cache."""
    shared_tokens: int = 0
    """The part that other people's requests will have kept alive when someone comes back."""
    held_tokens: int = 0
    """The part that is live for an hour already."""

    @property
    def is_new(self) -> bool:
        """Whether most of it has to be written, as at the beginning: then nothing is known of who comes back."""
        return self.new_tokens > self.tokens / 2


def ttl_of_request(
    growth: Growth,
    forecasts: Forecasts,
    rates: RateSource,
    *,
    value_of_second_usd: Decimal,
    intents: Collection[Intent],
) -> Ttl:
    """The TTL for what a request writes: an hour, if that is cheaper than later refreshes. `intents` are those that may
    warm; `refresh` renews entries."""
    prices = rates(growth.model, growth.tokens)
    if prices is None or growth.is_new or growth.new_tokens <= 0:
        return "5m"
    if Intent.TURN_FINISHED not in intents:
        silence = forecasts.after_reply
        if not silence.is_representative:
            return "5m"
        return ttl_without_refreshes(silence, prices, new_share=growth.new_tokens / growth.tokens)
    extra = float(growth.new_tokens * (prices.cache_write_1h - prices.cache_write_5m))
    tool_share = forecasts.tool_use.mean
    gain = 0.0
    for share, asks_tool in ((1 - tool_share, False), (tool_share, True)):
        holds = share * forecasts.keeps_prompt[asks_tool].mean
        gain += holds * _gain(growth, forecasts, prices, asks_tool, value_of_second_usd)
    return "1h" if gain > extra else "5m"


def _gain(growth: Growth, forecasts: Forecasts, prices: Rates, asks_tool: bool, value_of_second_usd: Decimal) -> float:
    """What an hour's TTL gains over five minutes and the best refreshes, in dollars.

    Computed in units of one read of the prefix, rounded, so that one computation serves many requests.
    """
    read = float(growth.tokens * prices.cache_read)
    if not read:
        return 0.0
    # A refresh would write the reply for an hour.
    upgrade = read + forecasts.reply_tokens.mean * float(prices.cache_write_1h)
    stakes = stakes_of(
        RestingPrefix(
            model=growth.model,
            live_tokens=growth.tokens,
            missing_tokens=0,
            shared_tokens=growth.shared_tokens,
            held_tokens=growth.held_tokens,
            asks_tool=asks_tool,
        ),
        forecasts,
        prices,
        value_of_second_usd=value_of_second_usd,
    )
    holds = forecasts.keeps_reply[asks_tool].mean
    held = -1.0 if stakes.held_loss is None else _coarse(stakes.held_loss / read)
    silence = forecasts.silence(asks_tool=asks_tool)
    rounded = (_coarse(stakes.loss / read), round(upgrade / read, 1), held, round(holds, 1))
    key = (asks_tool, silence.version // _GAIN_AGE, *rounded)
    if key not in forecasts.long_gains:
        unit = KeepStakes(
            refresh=1.0,
            loss=rounded[0],
            upgrade=rounded[1],
            upgrade_holds=rounded[3],
            held_loss=None if held < 0 else held,
        )
        forecasts.long_gains[key] = long_ttl_gain(unit, silence.survival)
    return forecasts.long_gains[key] * read


def _coarse(value: float) -> float:
    """Rounds so that one computation serves many requests: halves up to ten, whole numbers above."""
    return round(2 * value) / 2 if value < 10 else float(round(value))


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
