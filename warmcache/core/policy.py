"""Should we warm now? Pure: what is believed goes in, a `Decision` that says why comes out."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import StrEnum
from typing import Any

from warmcache.core.catalog import facts_for
from warmcache.core.economics import RateSource
from warmcache.core.forecast import Forecasts
from warmcache.core.intents import SURER_INTENT, outlook_of, waits_for_surer
from warmcache.core.ports import Capabilities, Sighting
from warmcache.core.prefix import Breakpoint, Prefix
from warmcache.core.worth import Outlook, Worth, layer_stakes, weigh

REFRESH_BELOW_FRACTION = 0.2
"""An entry with less than this part of its TTL left may expire while the person still types; a read renews it."""

WEIGHED_ELSEWHERE = frozenset({"manual", "keep", "turn_finished"})
"""A person asked for it, or the plan for the time near expiry has weighed it (`core/keeping.py`): gates only."""

SURE_TYPING_CHARS = 20


class Action(StrEnum):
    WARM = "warm"
    SKIP = "skip"


class WarmthState(StrEnum):
    """What a person is shown. `warming`, `skipped` and `failed` speak of a warm-up, the others of the entry."""

    COLD = "cold"
    WARMING = "warming"
    WARM = "warm"
    EXPIRING = "expiring"
    SKIPPED = "skipped"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerWarmth:
    """One breakpoint as believed: the tokens of its prefix that are in the cache, and until when."""

    breakpoint: Breakpoint
    hot_tokens: int
    expires_at: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What to do and why, with every number used. Tokens are estimates."""

    action: Action
    reason: str
    prefix_tokens: int = 0
    hot_tokens: int = 0
    expires_at: float | None = None
    cost_usd: Decimal | None = None
    cap_usd: Decimal | None = None
    forecast: str = ""
    """The name of the forecast that was asked: `typing_20` once twenty characters are typed."""
    sample_size: float = 0.0
    """Observed intents behind its chance of a send; 0 means the prior alone."""
    worth: Worth | None = None
    """None where a gate answered before anything was weighed."""

    @property
    def cold_tokens(self) -> int:
        return self.prefix_tokens - self.hot_tokens

    @property
    def numbers(self) -> dict[str, Any]:
        """The same as JSON values, for the ledger; empty where nothing was weighed."""
        worth = self.worth
        if worth is None:
            return {}
        price = worth.price_of_a_second_usd
        return {
            "forecast": self.forecast,
            "sample_size": round(self.sample_size, 2),
            "send_chance": round(worth.send_chance, 4),
            "break_even_chance": None if worth.break_even_chance is None else round(worth.break_even_chance, 4),
            "saved_seconds": round(worth.saved_seconds, 3),
            "lapse_chance": round(worth.lapse_chance, 4),
            "prefix_tokens": worth.prefix_tokens,
            "hot_tokens": worth.hot_tokens,
            "value_of_second_usd": _money(worth.value_of_second_usd),
            "cost_usd": None if worth.cost_usd is None else _money(worth.cost_usd),
            "saved_later_usd": _money(worth.saved_later_usd),
            "benefit_usd": _money(worth.benefit_usd),
            "net_usd": _money(worth.net_usd),
            "price_of_a_second_usd": None if price is None else _money(price),
            "cap_usd": None if self.cap_usd is None else _money(self.cap_usd),
            "price_version": worth.price_version,
        }

    def state(self) -> WarmthState:
        """The warmth to show with this decision."""
        if self.action is Action.WARM or self.reason == "in_flight":
            return WarmthState.WARMING
        return WarmthState.WARM if self.reason == "already_warm" else WarmthState.SKIPPED


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The operator's bounds, and what a saved second is worth to him."""

    is_enabled: bool
    max_cost_usd: Decimal
    value_of_second_usd: Decimal = Decimal("0.05")


def forecast_name(intent: str, chars: int | None) -> str:
    """Which forecast an intent asks: twenty characters are followed by a send more often than the first key."""
    return "typing_20" if intent == "typing" and chars is not None and chars >= SURE_TYPING_CHARS else intent


def decide(
    prefix: Prefix,
    *,
    sightings: Mapping[str, Sighting],
    now: float,
    limits: Limits,
    capabilities: Capabilities,
    rates: RateSource,
    forecasts: Forecasts,
    intent: str = "typing",
    chars: int | None = None,
) -> Decision:
    """Whether to warm `prefix` at `now` (epoch seconds) for this intent. The first gate that says no gives the reason.

    `chars`: how many the person has typed, where the host says so.
    """
    refusal = standing_refusal(prefix, limits, capabilities)
    if refusal is not None:
        return Decision(action=Action.SKIP, reason=refusal, prefix_tokens=prefix.prefix_tokens)
    name = forecast_name(intent, chars)
    return _Weighing(prefix, sightings, now, limits, rates, forecasts, name).decision()


def believed_warmth(prefix: Prefix, sightings: Mapping[str, Sighting], now: float) -> list[LayerWarmth]:
    """Per breakpoint, what the provider's look-back would find: the nearest earlier position with a live entry."""
    layers: list[LayerWarmth] = []
    hot_tokens, expires_at = 0, None
    for point in prefix.breakpoints:
        for position in point.look_back:
            seen = sightings.get(position.prefix_hash)
            if seen is not None and seen.expires_at is not None and seen.expires_at > now:
                hot_tokens, expires_at = position.prefix_tokens, seen.expires_at
                break
        layers.append(LayerWarmth(breakpoint=point, hot_tokens=hot_tokens, expires_at=expires_at))
    return layers


def is_expiring(expires_at: float, ttl_seconds: int, now: float) -> bool:
    return expires_at - now < REFRESH_BELOW_FRACTION * ttl_seconds


def has_little_left(deepest: LayerWarmth, now: float) -> bool:
    """Whether what is live of a prefix may expire before it is read."""
    return deepest.expires_at is not None and is_expiring(deepest.expires_at, deepest.breakpoint.ttl_seconds, now)


def is_covered(prefix: Prefix, deepest: LayerWarmth) -> bool:
    """Live, and what is not yet in the cache is too short to be worth a call of its own.

    After a reply only that reply is uncached: the next request writes it in passing.
    """
    if deepest.expires_at is None:
        return False
    return prefix.prefix_tokens - deepest.hot_tokens < facts_for(prefix.model).min_prefix_tokens


def standing_refusal(prefix: Prefix, limits: Limits, capabilities: Capabilities) -> str | None:
    """The reason why this prefix is not warmed whatever is in the cache, or None."""
    if not limits.is_enabled:
        return "warming_off"
    if not capabilities.accepts_zero_max_tokens:
        return "endpoint_without_prewarm"
    if prefix.obstacle is not None:
        return prefix.obstacle
    if prefix.prefix_tokens < facts_for(prefix.model).min_prefix_tokens:
        return "below_minimum_tokens"
    return None


class _Weighing:
    """One decision about a prefix that could be warmed."""

    def __init__(
        self,
        prefix: Prefix,
        sightings: Mapping[str, Sighting],
        now: float,
        limits: Limits,
        rates: RateSource,
        forecasts: Forecasts,
        intent: str,
    ) -> None:
        self._prefix = prefix
        self._now = now
        self._limits = limits
        self._rates = rates
        self._forecasts = forecasts
        self._intent = intent
        self._deepest = believed_warmth(prefix, sightings, now)[-1]
        self._seen = sightings.get(self._deepest.breakpoint.prefix_hash, Sighting())

    def decision(self) -> Decision:
        if self._seen.is_uncacheable:
            return self._skip("not_cacheable")
        if self._seen.lease_owner is not None:
            return self._skip("in_flight")
        covered = is_covered(self._prefix, self._deepest)
        if covered and not has_little_left(self._deepest, self._now):
            return self._skip("already_warm")
        outlook = self._outlook(self._intent)
        worth = self._worth(outlook)
        reason = self._reason_to_skip(outlook, worth)
        if reason is not None:
            return self._skip("already_warm" if covered and reason == "not_worth_it" else reason, worth)
        return replace(self._skip(self._reason_to_warm(), worth), action=Action.WARM)

    def _reason_to_skip(self, outlook: Outlook, worth: Worth) -> str | None:
        if worth.cost_usd is None:
            return "unknown_price"
        if worth.cost_usd > self._limits.max_cost_usd:
            return "over_cost_cap"
        if self._intent in WEIGHED_ELSEWHERE:
            return None
        if not worth.is_worth_it:
            return "not_worth_it"
        return "not_yet" if self._waits(outlook, worth.cost_usd) else None

    def _outlook(self, intent: str) -> Outlook:
        hot_tokens, expires_at = self._deepest.hot_tokens, self._deepest.expires_at
        return outlook_of(
            self._forecasts,
            intent,
            model=self._prefix.model,
            hot_tokens=hot_tokens,
            cold_tokens=self._prefix.prefix_tokens - hot_tokens,
            left_seconds=expires_at - self._now if expires_at is not None else 0.0,
        )

    def _worth(self, outlook: Outlook) -> Worth:
        ends = [(point.prefix_tokens, point.ttl_seconds) for point in self._prefix.breakpoints]
        return weigh(
            layer_stakes(ends, self._deepest.hot_tokens),
            outlook,
            model=self._prefix.model,
            rates=self._rates,
            value_of_second_usd=self._limits.value_of_second_usd,
        )

    def _waits(self, outlook: Outlook, write_usd: Decimal) -> bool:
        if self._intent not in SURER_INTENT:
            return False
        return waits_for_surer(
            self._forecasts,
            self._intent,
            outlook,
            self._outlook(SURER_INTENT[self._intent]),
            write_usd=write_usd,
            value_of_second_usd=self._limits.value_of_second_usd,
        )

    def _reason_to_warm(self) -> str:
        if self._deepest.hot_tokens == 0:
            return "cold"
        return "partly_cold" if self._deepest.hot_tokens < self._prefix.prefix_tokens else "expiring"

    def _skip(self, reason: str, worth: Worth | None = None) -> Decision:
        return Decision(
            action=Action.SKIP,
            reason=reason,
            prefix_tokens=self._prefix.prefix_tokens,
            hot_tokens=self._deepest.hot_tokens,
            expires_at=self._deepest.expires_at,
            cost_usd=worth.cost_usd if worth else None,
            cap_usd=self._limits.max_cost_usd,
            forecast=self._intent,
            sample_size=self._forecasts.intent(self._intent).sample_size,
            worth=worth,
        )


def _money(amount: Decimal) -> str:
    return format(amount.quantize(Decimal("0.00000001")).normalize(), "f")
