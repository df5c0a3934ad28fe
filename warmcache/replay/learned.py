"""Our policy: decides by expected value from current knowledge, and learns from what it observes."""

from dataclasses import replace
from decimal import Decimal

from warmcache.core.beliefs import Situation
from warmcache.core.decide import Action, Decision, Limits, decide
from warmcache.core.economics import Rates, RateSource
from warmcache.core.forecast.forecasts import Forecasts
from warmcache.core.forecast.shares import ShareForecast
from warmcache.core.forecast.teaching import teach_arrival, teach_open_end, teach_return, teach_silence
from warmcache.core.intents import SURE_TYPING_CHARS, Intent, Sign, intent_of
from warmcache.core.keeping import KeepStakes
from warmcache.core.lifetimes import long_ttl_gain, ttl_without_refreshes
from warmcache.core.ports import Capabilities
from warmcache.core.reasons import Reason
from warmcache.core.stakes import RestingPrefix, plan_refresh, stakes_of
from warmcache.core.ttl import LONG_TTL_SECONDS, SHORT_TTL_SECONDS, TTL_SECONDS
from warmcache.core.upstreams import Upstream
from warmcache.core.worth import weigh_joining
from warmcache.replay.policies import Meeting, View

_PLAN_AGE = 200
"""After this many changes of a forecast, plans derived from it are computed again."""

_SHARED_AGE = 20

_CAPABILITIES = Capabilities(upstream=Upstream.SIMULATOR)

_REPLY_TOKENS = 300.0
_REPLIES_REMEMBERED = 200


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
        self._plans: dict[tuple[float, ...], float] = {}
        self._last_arrival: float | None = None
        self._shared_ttl = LONG_TTL_SECONDS if has_common_clock else SHORT_TTL_SECONDS
        self._reply_tokens = _REPLY_TOKENS
        self._keeps_prompt = {True: ShareForecast(0.95), False: ShareForecast(0.95)}
        """Whether the next prompt begins with the whole last one, depending on whether a tool was requested."""
        self._keeps_reply = {True: ShareForecast(0.95), False: ShareForecast(0.95)}
        """Whether it also contains the reply to the last one."""
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
            forecasts=self.forecasts,
            intent=intent,
            chars=chars,
        )

    def on_wake(self, view: View) -> int | None:
        """Near expiry: refresh, write the reply for an hour, or let it lapse."""
        rates = self._rates(self._model, view.history_tokens)
        if rates is None or view.after < 0:
            return None
        decision = self._decide(view, Intent.TURN_FINISHED)
        if decision.action is Action.SKIP and decision.reason is not Reason.ALREADY_WARM:
            return None
        plan = plan_refresh(
            replace(
                self._resting(view, view.hot_tokens, view.asks_tool),
                missing_tokens=view.history_tokens - view.hot_tokens,
                hour_holds=self._keeps_reply[view.asks_tool].mean,
            ),
            self.forecasts,
            rates,
            value_of_second_usd=self._limits.value_of_second_usd,
            silent_seconds=view.silent_seconds,
            left_seconds=view.hot_until - view.now,
            ttl_seconds=view.ttl_seconds,
            held_left_seconds=view.touched_at + LONG_TTL_SECONDS - view.now,
        )
        return plan.ttl_seconds

    def _resting(self, view: View, live_tokens: int, asks_tool: bool) -> RestingPrefix:
        return RestingPrefix(
            model=self._model,
            live_tokens=live_tokens,
            missing_tokens=0,
            shared_tokens=self._shared_held(view),
            held_tokens=view.hour_tokens,
            asks_tool=asks_tool,
        )

    def _shared_held(self, view: View) -> int:
        """The part of the shared layer that other conversations keep live."""
        if not self._has_common_clock:
            return 0
        return int(view.shared_tokens * (1 - self.forecasts.arrivals.survival(self._shared_ttl)))

    def request_ttl(self, view: View, new_tokens: int) -> int:
        """An hour for the new tokens, if that is cheaper than later refreshes."""
        tokens = view.history_tokens + new_tokens
        rates = self._rates(self._model, tokens)
        if rates is None or new_tokens > tokens / 2 or view.after < 0:
            return SHORT_TTL_SECONDS
        extra = float(new_tokens * (rates.cache_write_1h - rates.cache_write_5m))
        tool_share = self.forecasts.tool_use.mean
        gain = sum(
            share * self._keeps_prompt[asks_tool].mean * self._hour_gain(tokens, view, new_tokens, asks_tool, rates)
            for share, asks_tool in ((1 - tool_share, False), (tool_share, True))
        )
        return LONG_TTL_SECONDS if gain > extra else SHORT_TTL_SECONDS

    def _hour_gain(self, tokens: int, view: View, new_tokens: int, asks_tool: bool, rates: Rates) -> float:
        """What an hour's TTL gains over five minutes and the best refreshes, in dollars.

        Computed in units of one read of the prefix, rounded, so that one plan serves many requests.
        """
        read = float(tokens * rates.cache_read)
        if not read:
            return 0.0
        upgrade = read + self._reply_tokens * float(rates.cache_write_1h)  # a refresh would write the reply for an hour
        stakes = stakes_of(
            self._resting(view, tokens, asks_tool),
            self.forecasts,
            rates,
            value_of_second_usd=self._limits.value_of_second_usd,
        )
        holds = self._keeps_reply[asks_tool].mean
        held = -1.0 if stakes.held_loss is None else _coarse(stakes.held_loss / read)
        gaps = self.forecasts.silence(asks_tool=asks_tool)
        rounded = (_coarse(stakes.loss / read), round(upgrade / read, 1), held, round(holds, 1))
        key = (asks_tool, gaps.version // _PLAN_AGE, *rounded)
        if key not in self._plans:
            unit = KeepStakes(
                refresh=1.0,
                loss=rounded[0],
                upgrade=rounded[1],
                upgrade_holds=rounded[3],
                held_loss=None if held < 0 else held,
            )
            self._plans[key] = long_ttl_gain(unit, gaps.survival)
        return self._plans[key] * read

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

    def saw_return(self, *, asked_tool: bool, seconds: float) -> None:
        teach_return(self.forecasts, seconds, asked_tool=asked_tool)

    def saw_silence(self, *, asked_tool: bool, checkpoint: int) -> None:
        teach_silence(self.forecasts, checkpoint, asked_tool=asked_tool)

    def saw_open_end(self, *, asked_tool: bool, seconds: float) -> None:
        teach_open_end(self.forecasts, seconds, asked_tool=asked_tool)

    def saw_request(self, *, at: float, kept_share: float | None, asks_tool: bool | None) -> None:
        if asks_tool is not None:
            self.forecasts.tool_use.observe(float(asks_tool))
        if kept_share is not None:
            self.forecasts.kept.observe(kept_share)
        if not self._has_common_clock:
            return
        if self._last_arrival is not None:
            teach_arrival(self.forecasts, at - self._last_arrival)
        self._last_arrival = at
        if self.forecasts.arrivals.version % _SHARED_AGE == 0:
            self._choose_shared_ttl()

    def saw_history(self, *, asked_tool: bool, reply_tokens: int, keeps_prompt: bool, keeps_reply: bool) -> None:
        self._keeps_prompt[asked_tool].observe(float(keeps_prompt))
        self._keeps_reply[asked_tool].observe(float(keeps_reply))
        self._reply_tokens += (reply_tokens - self._reply_tokens) / _REPLIES_REMEMBERED

    def _choose_shared_ttl(self) -> None:
        rates = self._rates(self._model, 1)
        if rates is not None and self.forecasts.arrivals.is_representative:
            self._shared_ttl = TTL_SECONDS[ttl_without_refreshes(self.forecasts.arrivals, rates, new_share=0.0)]


def _coarse(value: float) -> float:
    """Rounds so that one plan serves many requests: halves up to ten, whole numbers above."""
    return round(2 * value) / 2 if value < 10 else float(round(value))
