"""Should we warm now? A pure function from what we believe to a `Decision` that says why.

This is the only rule: live warm-ups and the replay of recorded traffic (`warmcache/replay/`) both use it.
"""

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any

from warmcache.core.beliefs import Situation
from warmcache.core.economics import RateSource
from warmcache.core.forecast.forecasts import Forecasts
from warmcache.core.intents import ON_AT_FIRST, SURER_SIGN, WEIGHED_ELSEWHERE, Intent, Sign, sign_of
from warmcache.core.outcomes import WarmthState
from warmcache.core.outlook import outlook_of, waits_for_surer
from warmcache.core.ports import Capabilities
from warmcache.core.reasons import Reason
from warmcache.core.worth import Outlook, Worth, layer_stakes, weigh

SAFE_SECONDS = 1e9
"""For what need not be expected to lapse."""


class Action(StrEnum):
    WARM = "warm"
    SKIP = "skip"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What to do and why, with every number used. Tokens are estimates."""

    action: Action
    reason: Reason
    prefix_tokens: int = 0
    hot_tokens: int = 0
    expires_at: float | None = None
    cost_usd: Decimal | None = None
    cap_usd: Decimal | None = None
    forecast: str = ""
    """The name of the forecast that was used: `typing_20` once twenty characters are typed."""
    sample_size: float = 0.0
    """Observed intents behind its chance of a send; 0 means that only the prior was used."""
    worth: Worth | None = None
    """None if a gate refused before anything was weighed."""

    @property
    def cold_tokens(self) -> int:
        return self.prefix_tokens - self.hot_tokens

    @property
    def numbers(self) -> dict[str, Any]:
        """The numbers as JSON values, for the ledger; empty if nothing was weighed."""
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
        """The warmth state to show with this decision."""
        if self.action is Action.WARM or self.reason is Reason.IN_FLIGHT:
            return WarmthState.WARMING
        return WarmthState.WARM if self.reason is Reason.ALREADY_WARM else WarmthState.SKIPPED


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The operator's limits, and the value of a saved second. The defaults are those of the settings."""

    is_enabled: bool = True
    max_cost_usd: Decimal = Decimal("0.25")
    """Limit for one warm-up."""
    value_of_second_usd: Decimal = Decimal("0.05")
    intents: frozenset[Intent] = ON_AT_FIRST
    """The intents at which warming is considered at all."""


def decide(
    situation: Situation,
    *,
    limits: Limits,
    capabilities: Capabilities,
    rates: RateSource,
    forecasts: Forecasts,
    intent: Intent,
    chars: int | None = None,
) -> Decision:
    """Decides whether to warm now for this intent. The first gate that refuses gives the reason.

    `chars`: how many characters the person has typed, if the host reports it.
    """
    refusal = operators_refusal(intent, limits) or standing_refusal(situation, limits, capabilities)
    if refusal is not None:
        return Decision(action=Action.SKIP, reason=refusal, prefix_tokens=situation.prefix_tokens)
    return _Weighing(situation, limits, rates, forecasts, intent, sign_of(intent, chars)).decision()


def operators_refusal(intent: Intent, limits: Limits) -> Reason | None:
    """The operator's reason to refuse, which does not depend on the prompt, or None."""
    if not limits.is_enabled:
        return Reason.WARMING_OFF
    return Reason.INTENT_OFF if intent not in limits.intents else None


def standing_refusal(situation: Situation, limits: Limits, capabilities: Capabilities) -> Reason | None:
    """The reason why this prefix is never warmed, whatever the intent and the state of the cache, or None."""
    if not limits.is_enabled:
        return Reason.WARMING_OFF
    if not capabilities.accepts_zero_max_tokens:
        return Reason.ENDPOINT_WITHOUT_PREWARM
    if situation.obstacle is not None:
        return situation.obstacle
    return Reason.BELOW_MINIMUM_TOKENS if situation.is_too_short else None


class _Weighing:
    """One decision about a prefix that could be warmed."""

    def __init__(
        self,
        situation: Situation,
        limits: Limits,
        rates: RateSource,
        forecasts: Forecasts,
        intent: Intent,
        sign: Sign | None,
    ) -> None:
        self._situation = situation
        self._limits = limits
        self._rates = rates
        self._forecasts = forecasts
        self._intent = intent
        self._sign = sign

    def decision(self) -> Decision:
        situation = self._situation
        if situation.is_uncacheable:
            return self._decided(Action.SKIP, Reason.NOT_CACHEABLE)
        if situation.is_in_flight:
            return self._decided(Action.SKIP, Reason.IN_FLIGHT)
        if situation.is_covered and not situation.has_little_left and self._intent in WEIGHED_ELSEWHERE:
            return self._decided(Action.SKIP, Reason.ALREADY_WARM)
        outlook = self._outlook(self._forecast)
        worth = self._worth(outlook)
        reason = self._reason_to_skip(outlook, worth)
        if reason is None:
            return self._decided(Action.WARM, self._reason_to_warm(), worth)
        if situation.is_covered and (reason is Reason.NOT_WORTH_IT or not situation.has_little_left):
            reason = Reason.ALREADY_WARM
        return self._decided(Action.SKIP, reason, worth)

    @property
    def _forecast(self) -> str:
        """The name of the forecast to use."""
        return self._sign or self._intent

    def _reason_to_skip(self, outlook: Outlook, worth: Worth) -> Reason | None:
        if worth.cost_usd is None:
            return Reason.UNKNOWN_PRICE
        if worth.cost_usd > self._limits.max_cost_usd:
            return Reason.OVER_COST_CAP
        if self._intent in WEIGHED_ELSEWHERE:
            return None
        if not worth.is_worth_it:
            return Reason.NOT_WORTH_IT
        return Reason.NOT_YET if self._waits(outlook, worth.cost_usd) else None

    def _outlook(self, forecast: str) -> Outlook:
        situation = self._situation
        # What is covered is left to live: to renew it early, too, gained less than it cost on recorded traffic.
        is_safe = situation.is_covered and not situation.has_little_left
        return outlook_of(
            self._forecasts,
            forecast,
            model=situation.model,
            hot_tokens=situation.hot_tokens,
            cold_tokens=situation.cold_tokens,
            left_seconds=SAFE_SECONDS if is_safe else situation.left_seconds,
            held_tokens=situation.held_tokens,
            held_left_seconds=SAFE_SECONDS if is_safe else situation.held_left_seconds,
            kept_share=situation.kept_share,
        )

    def _worth(self, outlook: Outlook) -> Worth:
        return weigh(
            layer_stakes(self._situation.layers, self._situation.hot_tokens, self._situation.held_tokens),
            outlook,
            model=self._situation.model,
            rates=self._rates,
            value_of_second_usd=self._limits.value_of_second_usd,
        )

    def _waits(self, outlook: Outlook, write_usd: Decimal) -> bool:
        if self._sign not in SURER_SIGN:
            return False
        surer = SURER_SIGN[self._sign]
        return waits_for_surer(
            self._forecasts,
            self._sign,
            surer,
            outlook,
            self._outlook(surer),
            write_usd=write_usd,
            value_of_second_usd=self._limits.value_of_second_usd,
        )

    def _reason_to_warm(self) -> Reason:
        if self._situation.hot_tokens == 0:
            return Reason.COLD
        return Reason.PARTLY_COLD if self._situation.cold_tokens > 0 else Reason.EXPIRING

    def _decided(self, action: Action, reason: Reason, worth: Worth | None = None) -> Decision:
        return Decision(
            action=action,
            reason=reason,
            prefix_tokens=self._situation.prefix_tokens,
            hot_tokens=self._situation.hot_tokens,
            expires_at=self._situation.expires_at,
            cost_usd=worth.cost_usd if worth else None,
            cap_usd=self._limits.max_cost_usd,
            forecast=self._forecast,
            sample_size=self._forecasts.intent(self._forecast).sample_size,
            worth=worth,
        )


def _money(amount: Decimal) -> str:
    return format(amount.quantize(Decimal("0.00000001")).normalize(), "f")
