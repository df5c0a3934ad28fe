"""Pre-warming: decide, claim, send, record. One leader per `prefix_hash`."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from decimal import Decimal
from uuid import UUID, uuid4

from warmcache.cache.beliefs import Warmth, left_entries, record_warm, warmth_of
from warmcache.cache.guards import Accounts, Reservation, stop_reason
from warmcache.cache.visits import Occasion, Visit, place_of
from warmcache.core.catalog import facts_for
from warmcache.core.economics import request_cost_usd
from warmcache.core.errors import StoreUnavailable, UpstreamError
from warmcache.core.policy import (
    WEIGHED_ELSEWHERE,
    Action,
    Decision,
    WarmthState,
    believed_warmth,
    decide,
    forecast_name,
    has_little_left,
    is_covered,
)
from warmcache.core.ports import Answer
from warmcache.core.prefix import Prefix, Prompt, Request
from warmcache.core.usage import Usage
from warmcache.ledger import rows
from warmcache.ledger.rows import Origin
from warmcache.models import Outcome
from warmcache.runtime.wiring import Runtime
from warmcache.warmups.admission import claim_and_reserve

logger = logging.getLogger(__name__)

LONGEST_PAUSE_SECONDS = 3600.0
"""A provider that asks for more is asked again after this."""

ROW_PATIENCE_SECONDS = 1.0

MAX_UNDER_WAY = 200
"""Warm-ups of one process that are at the provider or wait for their turn, each with its prompt in memory."""

PAUSING_CODES = {"rate_limited", "overloaded", "spend_limit", "key_refused"}


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
    if occasion.intent not in policy.intents:
        return _skip("intent_off", prefix)
    if now < runtime.warming_paused_until:
        return _skip("upstream_limited", prefix)
    accounts = _accounts(runtime, prefix, occasion)
    try:
        sightings = await runtime.store.look_up(prefix.hashes, stops=accounts.stops)
    except StoreUnavailable:
        return _skip("store_unavailable", prefix)
    decision = decide(
        prefix,
        sightings=sightings,
        now=now,
        limits=policy.limits,
        capabilities=runtime.provider.capabilities,
        rates=runtime.rates,
        forecasts=runtime.learning.forecasts(occasion.label),
        intent=occasion.intent,
        chars=occasion.chars,
    )
    if decision.action is Action.SKIP:
        return decision
    stopped_for = stop_reason(accounts, sightings)
    if stopped_for is not None:  # before the lot: in neither arm would this visit have been warmed
        return replace(decision, action=Action.SKIP, reason=stopped_for)
    if visit is None:
        return decision
    visit.note_warm(occasion.intent, decision.numbers, now)
    is_held_out = visit.draw(policy.holdout_share, runtime.random)
    return replace(decision, action=Action.SKIP, reason="held_out") if is_held_out else decision


def _accounts(runtime: Runtime, prefix: Prefix, occasion: Occasion) -> Accounts:
    return runtime.guards.accounts(prefix, intent=occasion.intent, label=occasion.label, subject=occasion.subject)


def _visit(runtime: Runtime, prefix: Prefix, occasion: Occasion, now: float) -> Visit | None:
    """A sign of a person is noted whatever is decided: the chance of a send must not depend on who was warmed."""
    if occasion.intent in WEIGHED_ELSEWHERE or prefix.deepest is None:
        return None
    name = forecast_name(occasion.intent, occasion.chars)
    place = place_of(prefix)
    return runtime.visits.note(occasion.subject, place, label=occasion.label, name=name, now=now)


def _skip(reason: str, prefix: Prefix) -> Decision:
    return Decision(action=Action.SKIP, reason=reason, prefix_tokens=prefix.prefix_tokens)


async def prewarm(runtime: Runtime, prompt: Prompt, occasion: Occasion) -> Attempt:
    """Decides, and if it pays sends the warm-up in a task of the runtime; never raises for the provider's sake."""
    request = runtime.build(prompt, None, label=occasion.label)
    prefix = request.prefix
    decision = await consider(runtime, prefix, occasion)
    if decision.action is Action.SKIP:
        return skipped_attempt(runtime, prefix, decision)
    warm_up_id = uuid4()
    admitted: Reservation | str = "busy"
    if len(runtime.tasks) < MAX_UNDER_WAY:
        accounts, cost_usd = _accounts(runtime, prefix, occasion), decision.cost_usd or Decimal(0)
        admitted = await claim_and_reserve(runtime, prefix, accounts, cost_usd=cost_usd, owner=str(warm_up_id))
    if isinstance(admitted, str):
        runtime.ledger.count_skip(label=occasion.label, intent=occasion.intent, reason=admitted)
        return skipped_attempt(runtime, prefix, _skip(admitted, prefix))
    upstream = runtime.provider.capabilities.upstream
    origin = Origin(label=occasion.label, subject=occasion.subject, upstream=upstream, place=occasion.place)
    warm_up = _WarmUp(runtime, request, decision, warm_up_id, origin, occasion.intent, admitted)
    task = runtime.tasks.spawn(warm_up.run(), name=f"warm-up {warm_up_id}")
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
    if decision.reason != "in_flight":
        return Attempt(decision=decision, warmth=warmth, prefix=prefix)
    return Attempt(decision=decision, warmth=warmth, prefix=prefix, finished=lambda: _follow(runtime, prefix))


async def _follow(runtime: Runtime, prefix: Prefix) -> Warmth:
    """Waits for another's warm-up of the same prefix."""
    deepest_hash = prefix.breakpoints[-1].prefix_hash
    with contextlib.suppress(StoreUnavailable):  # `warmth_of` says so
        await runtime.store.wait_until_released(deepest_hash, timeout_seconds=_longest_seconds(runtime))
    return await warmth_of(runtime, prefix)


class _WarmUp:
    """One warm-up, from the claimed lease of its deepest layer to its last word."""

    def __init__(
        self,
        runtime: Runtime,
        request: Request,
        decision: Decision,
        warm_up_id: UUID,
        origin: Origin,
        intent: str,
        reservation: Reservation,
    ) -> None:
        self._runtime = runtime
        self._request = request
        self._decision = decision
        self._id = warm_up_id
        self._origin = origin
        self._intent = intent
        self._started_at = 0.0
        self._has_slot = False
        self._reservation: Reservation | None = reservation
        """None once it is settled."""
        self._may_be_billed = False
        self._claimed = [request.prefix.breakpoints[-1].prefix_hash]
        """Its deepest layer first, whose lease it was born with."""

    async def run(self) -> Warmth:
        try:
            refusal = await self._wait_for_turn()
            return self._not_sent(refusal) if refusal else await self._send()
        finally:
            await self._give_back()

    async def _wait_for_turn(self) -> str | None:
        """Returns with a free slot and the leases of all cold layers, or with the reason why nothing is to be sent."""
        try:
            async with asyncio.timeout(self._runtime.config.warm_up_patience_seconds):
                while (blocker := await self._claim_shared_layers()) is not None:
                    await self._runtime.store.wait_until_released(
                        blocker, timeout_seconds=_longest_seconds(self._runtime)
                    )
                await self._runtime.warm_up_slots.acquire()
                self._has_slot = True
                return "already_warm" if await self._was_overtaken() else None
        except TimeoutError:
            return "busy"
        except StoreUnavailable:
            return "store_unavailable"

    async def _was_overtaken(self) -> bool:
        """Whether the person's own request, which waits for no turn, has written the prefix in the meantime."""
        prefix, now = self._request.prefix, self._runtime.clock.now()
        live = believed_warmth(prefix, await self._runtime.store.look_up(prefix.hashes), now)[-1]
        return is_covered(prefix, live) and not has_little_left(live, now)

    async def _claim_shared_layers(self) -> str | None:
        """Cold layers that others share are written once: by us, or by whoever holds the prefix_hash returned.

        No circle of waiting: whoever has to wait keeps the lease of its deepest layer only, and waits for one that is
        shallower still. A layer below the minimum is never in the cache by itself, so nobody waits for it.
        """
        store, prefix = self._runtime.store, self._request.prefix
        minimum = facts_for(prefix.model).min_prefix_tokens
        layers = believed_warmth(prefix, await store.look_up(prefix.hashes), self._runtime.clock.now())
        for layer in layers[:-1]:
            point = layer.breakpoint
            if layer.hot_tokens == point.prefix_tokens or point.prefix_tokens < minimum:
                continue
            if not await self._runtime.leases.claim(point.prefix_hash, owner=str(self._id)):
                await self._runtime.leases.give_back(self._claimed[1:], owner=str(self._id))
                del self._claimed[1:]
                return point.prefix_hash
            self._claimed.append(point.prefix_hash)
        return None

    async def _give_back(self) -> None:
        if self._has_slot:
            self._runtime.warm_up_slots.release()
        if self._reservation is not None:
            await self._runtime.guards.refund(self._reservation, may_be_billed=self._may_be_billed)
        await self._runtime.leases.give_back(self._claimed, owner=str(self._id))

    def _not_sent(self, reason: str) -> Warmth:
        """No row: the provider has seen nothing of it."""
        self._runtime.ledger.count_skip(label=self._origin.label, intent=self._intent, reason=reason)
        state = WarmthState.WARM if reason == "already_warm" else WarmthState.SKIPPED
        return Warmth(state=state, reason=reason, prefix_tokens=self._request.prefix.prefix_tokens)

    async def _send(self) -> Warmth:
        runtime = self._runtime
        self._started_at = runtime.clock.now()
        await self._announce()
        self._may_be_billed = True
        try:
            answer = await runtime.provider.prewarm(self._request)
        except UpstreamError as error:
            return self._failed(error)
        except BaseException as error:
            if isinstance(error, asyncio.CancelledError):
                self._record_failure(Outcome.CANCELLED, "", "")
            else:
                self._record_failure(Outcome.FAILED, "internal_error", "")
            raise
        return await self._succeeded(answer)

    async def _announce(self) -> None:
        """The row stands before the call, and requests of every process can see what is in flight."""
        with contextlib.suppress(StoreUnavailable):  # then nobody waits for it
            await self._runtime.store.begin(self._claimed, owner=str(self._id))
        self._runtime.ledger.post(lambda: rows.insert_warm_up(self._facts))

    async def _succeeded(self, answer: Answer) -> Warmth:
        runtime, prefix = self._runtime, self._request.prefix
        deepest = prefix.breakpoints[-1]
        duration_ms = self._duration_ms()
        if runtime.provider.capabilities.reports_cache_writes:
            runtime.learning.saw_call(prefix.model, answer.usage, duration_ms / 1000)
        runtime.answers.note(answer.response_id, prefix, self._origin, was_warm_up=True, at=self._started_at)
        rates = runtime.rates(prefix.model, answer.usage.total_input_tokens)
        runtime.ledger.post(
            lambda: rows.finish_warm_up(
                self._facts,
                usage=answer.usage,
                rates=rates,
                duration_ms=duration_ms,
                request_id=answer.request_id,
                response_id=answer.response_id,
            )
        )
        # Behind the row: what was billed is known, whatever becomes of the store or of this task.
        await self._settle(answer.usage, request_cost_usd(answer.usage, rates) if rates else None)
        if not left_entries(runtime, answer.usage):
            self._record_failure(Outcome.FAILED, "not_cacheable", answer.request_id)
            await self._remember_as_uncacheable(deepest.prefix_hash)
            return Warmth(state=WarmthState.SKIPPED, reason="not_cacheable", prefix_tokens=prefix.prefix_tokens)
        await record_warm(runtime, prefix, self._started_at, answer.usage)
        return Warmth(
            state=WarmthState.WARM,
            prefix_tokens=answer.usage.cached_tokens or prefix.prefix_tokens,
            expires_at=self._started_at + deepest.ttl_seconds,
        )

    async def _settle(self, usage: Usage, billed_usd: Decimal | None) -> None:
        reservation, self._reservation = self._reservation, None
        if reservation is None:
            return
        guards, prefix = self._runtime.guards, self._request.prefix
        expectations = (
            guards.expectations(reservation.accounts, prefix, usage=usage, started_at=self._started_at)
            if left_entries(self._runtime, usage)
            else []
        )
        await guards.settle(reservation, billed_usd=billed_usd, expectations=expectations)

    async def _remember_as_uncacheable(self, prefix_hash: str) -> None:
        seconds = self._runtime.config.uncacheable_seconds
        try:
            await self._runtime.store.record_uncacheable(prefix_hash, ttl_seconds=seconds)
        except StoreUnavailable:
            logger.warning("The store is down: a prefix that cannot be cached may be warmed again")

    def _failed(self, error: UpstreamError) -> Warmth:
        logger.warning("Warm-up %s failed: %s (%s)", self._id, error.code, error.message)
        pause_for_real_traffic(self._runtime, error)
        self._may_be_billed = error.code == "timed_out"
        self._record_failure(Outcome.FAILED, error.code, error.request_id)
        return Warmth(state=WarmthState.FAILED, reason=error.code, prefix_tokens=self._request.prefix.prefix_tokens)

    def _record_failure(self, outcome: Outcome, error_code: str, request_id: str) -> None:
        now, duration_ms = self._runtime.clock.now(), self._duration_ms()
        self._runtime.ledger.post(
            lambda: rows.fail_warm_up(
                self._facts,
                outcome=outcome,
                error_code=error_code,
                request_id=request_id,
                duration_ms=duration_ms,
                now=now,
            )
        )

    @property
    def _facts(self) -> rows.WarmUpFacts:
        return rows.WarmUpFacts(
            id=self._id,
            origin=self._origin,
            prefix=self._request.prefix,
            intent=self._intent,
            reason=self._decision.reason,
            started_at=self._started_at,
            numbers=self._decision.numbers,
        )

    def _duration_ms(self) -> int:
        # A wall clock may be set back, and no column holds less than nothing.
        return max(0, round((self._runtime.clock.now() - self._started_at) * 1000))


def pause_for_real_traffic(runtime: Runtime, error: UpstreamError) -> None:
    """After a limit at the provider no warm-up competes with real requests for a while."""
    if error.code in PAUSING_CODES:
        asked = min(error.retry_after_seconds or 0.0, LONGEST_PAUSE_SECONDS)
        seconds = max(runtime.config.pause_after_limit_seconds, asked)
        runtime.warming_paused_until = runtime.clock.now() + seconds
        runtime.tasks.spawn(runtime.guards.pause_upstream(seconds), name="pause")


def _longest_seconds(runtime: Runtime) -> float:
    """From the claim to the end of the call, at most."""
    config = runtime.config
    return config.warm_up_patience_seconds + config.warm_up_timeout_seconds + runtime.config.lease_seconds
