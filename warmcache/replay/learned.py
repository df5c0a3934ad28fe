"""Our policy: decides by expected value from current knowledge, and learns from what it observes."""

from decimal import Decimal

from warmcache.core.beliefs import Situation
from warmcache.core.decide import Action, Decision, Limits, decide
from warmcache.core.economics import RateSource
from warmcache.core.forecast.forecasts import Forecasts
from warmcache.core.forecast.teaching import (
    teach_arrival,
    teach_history,
    teach_open_end,
    teach_request,
    teach_return,
    teach_silence,
)
from warmcache.core.intents import SURE_TYPING_CHARS, Intent, Sign, intent_of
from warmcache.core.lifetimes import Growth, ttl_of_request, ttl_without_refreshes
from warmcache.core.ports import Capabilities
from warmcache.core.reasons import Reason
from warmcache.core.stakes import RestingPrefix, plan_refresh
from warmcache.core.ttl import LONG_TTL_SECONDS, SHORT_TTL_SECONDS, TTL_SECONDS
from warmcache.core.upstreams import Upstream
from warmcache.core.worth import weigh_joining
from warmcache.replay.policies import Meeting, View

_SHARED_AGE = 20

_CAPABILITIES = Capabilities(upstream=Upstream.SIMULATOR)


class Ours:
    """Implements `Policy` and `Learner`."""

    name = "ours"
    wakes = True
    hears = frozenset(Sign)
    looks = True

    def __init__(self, *, model: str, rates: RateSource, value_of_second_usd: Decimal, has_common_clock: bool) -> None:
        self._model = model
        self._rates = rates
        self._limits = Limits(value_of_second_usd=value_of_second_usd)
        self._has_common_clock = has_common_clock
        self._last_arrival: float | None = None
        self._shared_ttl = LONG_TTL_SECONDS if has_common_clock else SHORT_TTL_SECONDS
        self.forecasts = Forecasts()

    def on_intent(self, view: View, kind: Sign) -> int | None:
        """Decides as the app would."""
        chars = SURE_TYPING_CHARS if kind is Sign.TYPING_20 else None
        decision = self._decide(view, intent_of(kind), chars)
        return SHORT_TTL_SECONDS if decision.action is Action.WARM else None

    def _decide(self, view: View, intent: Intent, chars: int | None = None) -> Decision:
        is_held = 0 < view.shared_tokens < view.hot_tokens and view.shared_until > view.hot_until
        situation = Situation(
            model=self._model,
            layers=((view.shared_tokens, self._shared_ttl), (view.history_tokens, SHORT_TTL_SECONDS)),
            now=view.now,
            hot_tokens=view.hot_tokens,
            expires_at=view.hot_until if view.hot_tokens else None,
            held_tokens=view.shared_tokens if is_held else 0,
            held_until=view.shared_until if is_held else None,
            kept_share=self.forecasts.kept.mean if view.after >= 0 else 1.0,
        )
        return decide(
            situation,
            limits=self._limits,
            capabilities=_CAPABILITIES,
            rates=self._rates,
            forecasts=self._believed(view.history_tokens),
            intent=intent,
            chars=chars,
        )

    def _believed(self, tokens: int) -> Forecasts:
        """What is believed of a conversation whose prompt has so many tokens."""
        return self.forecasts

    def on_wake(self, view: View) -> int | None:
        """Near expiry: refresh, write the reply for an hour, or let it lapse."""
        rates = self._rates(self._model, view.history_tokens)
        if rates is None or view.after < 0:
            return None
        decision = self._decide(view, Intent.TURN_FINISHED)
        if decision.action is Action.SKIP and decision.reason is not Reason.ALREADY_WARM:
            return None
        plan = plan_refresh(
            RestingPrefix(
                model=self._model,
                live_tokens=view.hot_tokens,
                missing_tokens=view.history_tokens - view.hot_tokens,
                shared_tokens=self._shared_held(view),
                held_tokens=view.hour_tokens,
                asks_tool=view.asks_tool,
                hour_holds=self.forecasts.keeps_reply[view.asks_tool].mean,
            ),
            self._believed(view.history_tokens),
            rates,
            value_of_second_usd=self._limits.value_of_second_usd,
            silent_seconds=view.silent_seconds,
            left_seconds=view.hot_until - view.now,
            ttl_seconds=view.ttl_seconds,
            held_left_seconds=view.touched_at + LONG_TTL_SECONDS - view.now,
        )
        return plan.ttl_seconds

    def _shared_held(self, view: View) -> int:
        """The part of the shared layer that other conversations keep live."""
        if not self._has_common_clock:
            return 0
        return int(view.shared_tokens * (1 - self.forecasts.arrivals.survival(self._shared_ttl)))

    def request_ttl(self, view: View, new_tokens: int) -> int:
        """An hour for the new tokens, if that is cheaper than later refreshes."""
        if view.after < 0:
            return SHORT_TTL_SECONDS
        growth = Growth(
            model=self._model,
            tokens=view.history_tokens + new_tokens,
            new_tokens=new_tokens,
            shared_tokens=self._shared_held(view),
            held_tokens=view.hour_tokens,
        )
        chosen = ttl_of_request(
            growth,
            self._believed(growth.tokens),
            self._rates,
            value_of_second_usd=self._limits.value_of_second_usd,
            intents=self._limits.intents,
        )
        return TTL_SECONDS[chosen]

    def shared_ttl(self) -> int:
        """An hour if requests for the assistant are too rare for five minutes, but frequent enough for an hour."""
        return self._shared_ttl

    def joins(self, meeting: Meeting) -> bool:
        """Weighs the seconds gained or lost, at their price, and the second write that joining saves."""
        rates, prefill = self._rates(self._model, meeting.prefix_tokens), self.forecasts.prefill(self._model)
        if rates is None:
            return False
        hot = meeting.prefix_tokens - meeting.cold_tokens
        going = prefill.ttft_seconds(uncached_tokens=meeting.cold_tokens, cached_tokens=hot)
        return weigh_joining(
            elapsed_seconds=meeting.elapsed_seconds,
            warm_up_seconds=going,
            warm_seconds=prefill.ttft_seconds(uncached_tokens=0, cached_tokens=meeting.prefix_tokens),
            go_seconds=going,
            cold_tokens=meeting.cold_tokens,
            write_usd_per_token=rates.cache_write_5m,
            read_usd_per_token=rates.cache_read,
            value_of_second_usd=self._limits.value_of_second_usd,
        ).joins

    def saw_call(self, *, uncached_tokens: int, cached_tokens: int, ttft_seconds: float) -> None:
        self.forecasts.prefill(self._model).observe(
            uncached_tokens=uncached_tokens, cached_tokens=cached_tokens, ttft_seconds=ttft_seconds
        )

    def saw_intent(self, kind: Sign, *, lead_seconds: float | None) -> None:
        self.forecasts.intent(kind).observe(sent=lead_seconds is not None, lead_seconds=lead_seconds or 0.0)

    def saw_return(self, *, asked_tool: bool, seconds: float, tokens: int = 0) -> None:
        teach_return(self.forecasts, seconds, asked_tool=asked_tool)

    def saw_silence(self, *, asked_tool: bool, checkpoint: int, tokens: int = 0) -> None:
        teach_silence(self.forecasts, checkpoint, asked_tool=asked_tool)

    def saw_open_end(self, *, asked_tool: bool, seconds: float, tokens: int = 0) -> None:
        teach_open_end(self.forecasts, seconds, asked_tool=asked_tool)

    def saw_request(self, *, at: float, kept_share: float | None, asks_tool: bool | None) -> None:
        teach_request(self.forecasts, kept_share=kept_share, asks_tool=asks_tool)
        if not self._has_common_clock:
            return
        if self._last_arrival is not None:
            teach_arrival(self.forecasts, at - self._last_arrival)
        self._last_arrival = at
        if self.forecasts.arrivals.version % _SHARED_AGE == 0:
            self._choose_shared_ttl()

    def saw_history(self, *, asked_tool: bool, reply_tokens: int, keeps_prompt: bool, keeps_reply: bool) -> None:
        teach_history(
            self.forecasts,
            asked_tool=asked_tool,
            reply_tokens=reply_tokens,
            keeps_prompt=keeps_prompt,
            keeps_reply=keeps_reply,
        )

    def _choose_shared_ttl(self) -> None:
        rates = self._rates(self._model, 1)
        if rates is not None and self.forecasts.arrivals.is_representative:
            self._shared_ttl = TTL_SECONDS[ttl_without_refreshes(self.forecasts.arrivals, rates, new_share=0.0)]
