"""Whether a warm-up is sent, and what came of asking. One leader per `prefix_hash`."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from decimal import Decimal
from uuid import uuid4

from warmcache.cache.beliefs import Warmth
from warmcache.cache.guards import Accounts, Reservation, stop_reason
from warmcache.cache.visits import Occasion, Visit, visit_key
from warmcache.core.beliefs import situation_of
from warmcache.core.decide import Action, Decision, decide, operators_refusal
from warmcache.core.errors import StoreUnavailable
from warmcache.core.intents import sign_of
from warmcache.core.origin import Origin
from warmcache.core.outcomes import WarmthState
from warmcache.core.prefix import AnyPrompt, Layer, Prefix, Ttl
from warmcache.core.reasons import Reason
from warmcache.runtime.state import Runtime
from warmcache.warmups.admission import claim_and_reserve
from warmcache.warmups.run import WarmUpRun, longest_seconds

ROW_PATIENCE_SECONDS = 1.0

MAX_UNDER_WAY = 200
"""Warm-ups of one process that are at the provider or wait for their turn, each with its prompt in memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """What came of considering a warm-up.

    While one is in flight, ours or another's, `await attempt.finished()` waits for its end and gives the warmth then.
    """

    decision: Decision
    warmth: Warmth
    prefix: Prefix
    finished: Callable[[], Awaitable[Warmth]] | None = None


async def consider(runtime: Runtime, prefix: Prefix, occasion: Occasion) -> Decision:
    """The policy's decision now. A skip is counted. One look-up, no SQL, no hashing."""
    decision = await _decision(runtime, prefix, occasion)
    if decision.action is Action.SKIP:
        runtime.ledger.count_skip(label=occasion.label, intent=occasion.intent, reason=decision.reason)
    return decision


async def _decision(runtime: Runtime, prefix: Prefix, occasion: Occasion) -> Decision:
    policy = await runtime.policy.known()
    now = runtime.clock.now()
    visit = _visit(runtime, prefix, occasion, now)
    decision = await _weighed(runtime, prefix, occasion, now)
    if visit is None:
        return decision
    if decision.action is Action.SKIP:
        visit.note_skip(decision.reason, decision.numbers)
        return decision
    visit.note_warm(occasion.intent, decision.reason, decision.numbers, now)
    is_held_out = visit.draw(policy.holdout_share, runtime.random)
    return replace(decision, action=Action.SKIP, reason=Reason.HELD_OUT) if is_held_out else decision


async def _weighed(runtime: Runtime, prefix: Prefix, occasion: Occasion, now: float) -> Decision:
    """The decision before the lot: in neither arm would a visit be warmed that is skipped here."""
    policy = runtime.policy.current
    refusal = operators_refusal(occasion.intent, policy.limits)
    if refusal is not None:
        return _skip(refusal, prefix)
    if now < runtime.warming_paused_until:
        return _skip(Reason.UPSTREAM_LIMITED, prefix)
    accounts = _accounts(runtime, prefix, occasion)
    try:
        sightings = await runtime.store.look_up(prefix.hashes, stops=accounts.stops)
    except StoreUnavailable:
        return _skip(Reason.STORE_UNAVAILABLE, prefix)
    forecasts = runtime.learning.forecasts(occasion.label)
    is_resumed = any(point.layer is Layer.CONVERSATION for point in prefix.breakpoints)
    decision = decide(
        replace(situation_of(prefix, sightings, now), kept_share=forecasts.kept.mean if is_resumed else 1.0),
        limits=policy.limits,
        capabilities=runtime.provider.capabilities,
        rates=runtime.rates,
        forecasts=forecasts,
        intent=occasion.intent,
        chars=occasion.chars,
    )
    if decision.action is Action.SKIP:
        return decision
    stopped_for = stop_reason(accounts, sightings)
    return decision if stopped_for is None else replace(decision, action=Action.SKIP, reason=stopped_for)


def _accounts(runtime: Runtime, prefix: Prefix, occasion: Occasion) -> Accounts:
    return runtime.guards.accounts(prefix, intent=occasion.intent, label=occasion.label, subject=occasion.subject)


def _visit(runtime: Runtime, prefix: Prefix, occasion: Occasion, now: float) -> Visit | None:
    """A sign of a person is noted whatever is decided: the chance of a send must not depend on who was warmed."""
    sign = sign_of(occasion.intent, occasion.chars)
    if sign is None or prefix.deepest is None:
        return None
    return runtime.visits.note(occasion.subject, visit_key(prefix), label=occasion.label, sign=sign, now=now)


def _skip(reason: Reason, prefix: Prefix) -> Decision:
    return Decision(action=Action.SKIP, reason=reason, prefix_tokens=prefix.prefix_tokens)


async def prewarm(
    runtime: Runtime, prompt: AnyPrompt, occasion: Occasion, *, conversation_ttl: Ttl | None = None
) -> Attempt:
    """Decides, and if it pays sends the warm-up in a task of the runtime; never raises for the provider's sake.
    `conversation_ttl`: how long what it writes shall live, if the prompt leaves that open."""
    request = runtime.build(prompt, None, label=occasion.label, conversation_ttl=conversation_ttl)
    prefix = request.prefix
    decision = await consider(runtime, prefix, occasion)
    if decision.action is Action.SKIP:
        return skipped_attempt(runtime, prefix, decision)
    warm_up_id = uuid4()
    admitted: Reservation | Reason = Reason.BUSY
    if len(runtime.tasks) < MAX_UNDER_WAY:
        accounts, cost_usd = _accounts(runtime, prefix, occasion), decision.cost_usd or Decimal(0)
        admitted = await claim_and_reserve(runtime, prefix, accounts, cost_usd=cost_usd, owner=str(warm_up_id))
    if not isinstance(admitted, Reservation):
        runtime.ledger.count_skip(label=occasion.label, intent=occasion.intent, reason=admitted)
        return skipped_attempt(runtime, prefix, _skip(admitted, prefix))
    upstream = runtime.provider.capabilities.upstream
    origin = Origin(label=occasion.label, subject=occasion.subject, upstream=upstream, place=occasion.place)
    run = WarmUpRun(runtime, request, decision, warm_up_id, origin, occasion.intent, admitted)
    task = runtime.tasks.spawn(run.run(), name=f"warm-up {warm_up_id}")
    # A task that is cancelled before its first step runs no `finally`.
    task.add_done_callback(lambda _: runtime.leases.give_back_soon(str(warm_up_id)))
    return Attempt(
        decision=decision,
        warmth=Warmth(state=WarmthState.WARMING, prefix_tokens=prefix.prefix_tokens),
        prefix=prefix,
        finished=lambda: _end_of(runtime, task),
    )


async def _end_of(runtime: Runtime, task: asyncio.Task[Warmth]) -> Warmth:
    """The end of our own warm-up, when its row tells it too."""
    warmth = await asyncio.shield(task)
    with contextlib.suppress(Exception):  # a ledger that cannot be written is logged by itself
        async with asyncio.timeout(ROW_PATIENCE_SECONDS):
            await runtime.ledger.perform(lambda: None)
    return warmth


def skipped_attempt(runtime: Runtime, prefix: Prefix, decision: Decision) -> Attempt:
    warmth = Warmth(
        state=decision.state(),
        reason=decision.reason,
        prefix_tokens=prefix.prefix_tokens,
        expires_at=decision.expires_at,
    )
    if decision.reason is not Reason.IN_FLIGHT:
        return Attempt(decision=decision, warmth=warmth, prefix=prefix)
    return Attempt(decision=decision, warmth=warmth, prefix=prefix, finished=lambda: _follow(runtime, prefix))


async def _follow(runtime: Runtime, prefix: Prefix) -> Warmth:
    """Waits for another's warm-up of the same prefix."""
    deepest_hash = prefix.breakpoints[-1].prefix_hash
    with contextlib.suppress(StoreUnavailable):  # `warmth_of` says so
        await runtime.store.wait_until_released(deepest_hash, timeout_seconds=longest_seconds(runtime))
    return await runtime.warmth_of(prefix)
