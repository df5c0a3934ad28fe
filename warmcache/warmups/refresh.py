"""After a reply: one decision near the expiry of what it left warm, and no call before.

The reply's own request has just renewed the prefix, so an immediate warm-up would gain nothing. Shortly before the
prefix lapses the plan of `core/stakes.py` weighs whether the person will come back. If a refresh pays, it is sent, and
the next decision is due near the end of that one. A new request in the same place cancels what was due there. Until
then only hashes and numbers are kept; the host loads the prompt at the moment of the call."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from warmcache.background.database import in_database_thread
from warmcache.background.timers import Timer
from warmcache.cache.visits import Occasion
from warmcache.core.beliefs import LayerWarmth, believed_warmth
from warmcache.core.decide import Action
from warmcache.core.errors import StoreUnavailable
from warmcache.core.intents import Intent
from warmcache.core.keeping import KeepPlan, is_too_late, refresh_at
from warmcache.core.outcomes import WarmthState
from warmcache.core.ports import Sighting
from warmcache.core.prefix import AnyPrompt, Prefix, Ttl
from warmcache.core.reasons import Reason
from warmcache.core.stakes import RestingPrefix, plan_refresh
from warmcache.core.ttl import LONG_TTL_SECONDS
from warmcache.runtime.state import Runtime
from warmcache.warmups.attempt import consider, prewarm

INTENT = Intent.TURN_FINISHED

MARGIN_SECONDS = 20.0
"""Before expiry, for a call that waits for its turn: a late refresh would be a write."""

TOUCHED_SECONDS = 5.0
"""An expiry that is this much later than ours comes from another call, not from a difference of clocks."""

Load = Callable[[], AnyPrompt | None]
"""The prompt that the next message of a place would follow, or None if the place is gone. Called in a thread that may
use the database."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rest:
    """A place to which people may come back, between two requests. Times are epoch seconds."""

    place: str
    """The host's own name of it."""
    label: str
    subject: str
    prefix: Prefix
    """The prefix of the last call there."""
    load: Load
    silent_since: float
    """Start of the last real request."""
    touched_at: float
    """Start of the last call that renewed the prefix, as far as this process knows."""
    missing_tokens: int
    """The reply, which no request has contained yet."""
    asks_tool: bool = False
    is_ttl_open: bool = False
    """Whether a refresh may choose how long what it writes lives."""

    @property
    def ttl_seconds(self) -> int:
        return self.prefix.breakpoints[-1].ttl_seconds

    @property
    def due_at(self) -> float:
        return refresh_at(self.touched_at, self.ttl_seconds, MARGIN_SECONDS)


def schedule(runtime: Runtime, rest: Rest) -> None:
    """Replaces what was due in that place. Bounded; timers end with the process, and then the prefix lapses."""
    if rest.place and rest.prefix.breakpoints:
        runtime.timers.set(_key(rest.place), _timer(runtime, rest))


def cancel(runtime: Runtime, place: str) -> None:
    """Cancels what is due: someone has come back, or nobody can any more."""
    if place:
        runtime.timers.cancel(_key(place))


def _key(place: str) -> str:
    return f"refresh {place}"


def _timer(runtime: Runtime, rest: Rest) -> Timer:
    return Timer(at=rest.due_at, action=lambda: _decide(runtime, rest))


async def _decide(runtime: Runtime, rest: Rest) -> Timer | None:
    """Refreshes, waits for a later expiry, or lets it lapse; returns the next decision, if there is one."""
    occasion = Occasion(intent=INTENT, label=rest.label, subject=rest.subject, place=rest.place)
    decision = await consider(runtime, rest.prefix, occasion)
    if decision.action is Action.SKIP and decision.reason is not Reason.ALREADY_WARM:
        return None
    try:
        sightings = await runtime.store.look_up(rest.prefix.hashes)
    except StoreUnavailable:
        return _let_lapse(runtime, rest, Reason.STORE_UNAVAILABLE)
    now = runtime.clock.now()
    live = believed_warmth(rest.prefix, sightings, now)[-1]
    touched_at = (live.expires_at or 0.0) - rest.ttl_seconds
    if is_too_late(now, touched_at, rest.ttl_seconds, MARGIN_SECONDS):
        return _let_lapse(runtime, rest, Reason.LAPSED)
    if touched_at > rest.touched_at + TOUCHED_SECONDS:
        return _timer(runtime, replace(rest, touched_at=touched_at))
    plan = _plan(runtime, rest, live, sightings)
    if plan is None or not plan.refreshes:
        return _let_lapse(runtime, rest, plan.reason if plan is not None else Reason.UNKNOWN_PRICE)
    return await _refresh(runtime, rest, occasion, plan)


def _let_lapse(runtime: Runtime, rest: Rest, reason: Reason) -> Timer | None:
    runtime.ledger.count_skip(label=rest.label, intent=INTENT, reason=reason)
    return None


def _plan(runtime: Runtime, rest: Rest, live: LayerWarmth, sightings: Mapping[str, Sighting]) -> KeepPlan | None:
    """The plan; None if the model has no known price."""
    forecasts = runtime.learning.forecasts(rest.label)
    rates = runtime.rates(rest.prefix.model, live.hot_tokens + rest.missing_tokens)
    if rates is None or live.expires_at is None:
        return None
    now = runtime.clock.now()
    held_tokens, held_until = _held(rest, live.expires_at, sightings)
    resting = RestingPrefix(
        model=rest.prefix.model,
        live_tokens=live.hot_tokens,
        missing_tokens=rest.missing_tokens,
        held_tokens=held_tokens,
        asks_tool=rest.asks_tool,
        hour_holds=forecasts.keeps_reply[rest.asks_tool].mean if rest.is_ttl_open else None,
    )
    return plan_refresh(
        resting,
        forecasts,
        rates,
        value_of_second_usd=runtime.policy.current.value_of_second_usd,
        silent_seconds=now - rest.silent_since,
        left_seconds=live.expires_at - now,
        ttl_seconds=rest.ttl_seconds,
        held_left_seconds=max(0.0, held_until - now),
    )


def _held(rest: Rest, expires_at: float, sightings: Mapping[str, Sighting]) -> tuple[int, float]:
    """The leading part that lives clearly longer than the whole: (tokens, expiry)."""
    for point in reversed(rest.prefix.breakpoints[:-1]):
        held_until = sightings.get(point.prefix_hash, Sighting()).expires_at
        if held_until is not None and held_until > expires_at + rest.ttl_seconds / 2:
            return point.prefix_tokens, held_until
    return 0, 0.0


async def _refresh(runtime: Runtime, rest: Rest, occasion: Occasion, plan: KeepPlan) -> Timer | None:
    prompt = await in_database_thread(rest.load)
    if prompt is None:
        return None
    ttl: Ttl = "1h" if plan.ttl_seconds == LONG_TTL_SECONDS else "5m"
    attempt = await prewarm(runtime, prompt, occasion, conversation_ttl=ttl)
    if attempt.finished is None:
        return None
    warmth = await attempt.finished()
    if warmth.state is not WarmthState.WARM or warmth.expires_at is None:
        return None
    renewed = replace(rest, prefix=attempt.prefix, missing_tokens=0)
    return _timer(runtime, replace(renewed, touched_at=warmth.expires_at - renewed.ttl_seconds))
