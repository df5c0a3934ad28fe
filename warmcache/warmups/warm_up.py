"""Pre-warming: decide, claim, send, record. One leader per `prefix_hash`."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from decimal import Decimal
from uuid import UUID, uuid4

from warmcache.cache.beliefs import Warmth, left_entries, record_warm
from warmcache.cache.guards import Accounts, Reservation, stop_reason
from warmcache.cache.visits import Occasion, Visit, visit_key
from warmcache.core.beliefs import believed_warmth, situation_of
from warmcache.core.catalog import facts_for
from warmcache.core.decide import Action, Decision, decide, operators_refusal
from warmcache.core.economics import request_cost_usd
from warmcache.core.errors import StoreUnavailable, UpstreamError
from warmcache.core.failures import Failure
from warmcache.core.intents import Intent, sign_of
from warmcache.core.origin import Origin
from warmcache.core.outcomes import Outcome, WarmthState
from warmcache.core.ports import Answer
from warmcache.core.prefix import AnyPrompt, Prefix, Request
from warmcache.core.reasons import Reason
from warmcache.core.usage import Usage
from warmcache.ledger import rows
from warmcache.runtime.pauses import pause_for_real_traffic
from warmcache.runtime.state import Runtime
from warmcache.warmups.admission import claim_and_reserve

logger = logging.getLogger(__name__)

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
    decision = decide(
        situation_of(prefix, sightings, now),
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
    return replace(decision, action=Action.SKIP, reason=Reason.HELD_OUT) if is_held_out else decision


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


async def prewarm(runtime: Runtime, prompt: AnyPrompt, occasion: Occasion) -> Attempt:
    """Decides, and if it pays sends the warm-up in a task of the runtime; never raises for the provider's sake."""
    request = runtime.build(prompt, None, label=occasion.label)
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
    if decision.reason is not Reason.IN_FLIGHT:
        return Attempt(decision=decision, warmth=warmth, prefix=prefix)
    return Attempt(decision=decision, warmth=warmth, prefix=prefix, finished=lambda: _follow(runtime, prefix))


async def _follow(runtime: Runtime, prefix: Prefix) -> Warmth:
    """Waits for another's warm-up of the same prefix."""
    deepest_hash = prefix.breakpoints[-1].prefix_hash
    with contextlib.suppress(StoreUnavailable):  # `warmth_of` says so
        await runtime.store.wait_until_released(deepest_hash, timeout_seconds=_longest_seconds(runtime))
    return await runtime.warmth_of(prefix)


class _WarmUp:
    """One warm-up, from the claimed lease of its deepest layer to its last word."""

    def __init__(
        self,
        runtime: Runtime,
        request: Request,
        decision: Decision,
        warm_up_id: UUID,
        origin: Origin,
        intent: Intent,
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

    async def _wait_for_turn(self) -> Reason | None:
        """Returns with a free slot and the leases of all cold layers, or with the reason why nothing is to be sent."""
        try:
            async with asyncio.timeout(self._runtime.config.warm_up_patience_seconds):
                while (blocker := await self._claim_shared_layers()) is not None:
                    await self._runtime.store.wait_until_released(
                        blocker, timeout_seconds=_longest_seconds(self._runtime)
                    )
                await self._runtime.warm_up_slots.acquire()
                self._has_slot = True
                return Reason.ALREADY_WARM if await self._was_overtaken() else None
        except TimeoutError:
            return Reason.BUSY
        except StoreUnavailable:
            return Reason.STORE_UNAVAILABLE

    async def _was_overtaken(self) -> bool:
        """Whether the person's own request, which waits for no turn, has written the prefix in the meantime."""
        prefix, now = self._request.prefix, self._runtime.clock.now()
        situation = situation_of(prefix, await self._runtime.store.look_up(prefix.hashes), now)
        return situation.is_covered and not situation.has_little_left

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

    def _not_sent(self, reason: Reason) -> Warmth:
        """No row: the provider has seen nothing of it."""
        self._runtime.ledger.count_skip(label=self._origin.label, intent=self._intent, reason=reason)
        state = WarmthState.WARM if reason is Reason.ALREADY_WARM else WarmthState.SKIPPED
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
                self._record_failure(Outcome.FAILED, Failure.INTERNAL_ERROR, "")
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
        if not left_entries(answer.usage, runtime.provider.capabilities):
            self._record_failure(Outcome.FAILED, Reason.NOT_CACHEABLE, answer.request_id)
            await self._remember_as_uncacheable(deepest.prefix_hash)
            return Warmth(state=WarmthState.SKIPPED, reason=Reason.NOT_CACHEABLE, prefix_tokens=prefix.prefix_tokens)
        await record_warm(runtime.store, prefix, self._started_at, answer.usage)
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
            if left_entries(usage, self._runtime.provider.capabilities)
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
        self._may_be_billed = error.code == Failure.TIMED_OUT
        self._record_failure(Outcome.FAILED, error.code, error.request_id)
        reason = Failure.named(error.code)
        return Warmth(state=WarmthState.FAILED, reason=reason, prefix_tokens=self._request.prefix.prefix_tokens)

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


def _longest_seconds(runtime: Runtime) -> float:
    """From the claim to the end of the call, at most."""
    config = runtime.config
    return config.warm_up_patience_seconds + config.warm_up_timeout_seconds + runtime.config.lease_seconds
