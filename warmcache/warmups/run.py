"""One warm-up that was decided: its turn, the call, its row, what is believed and settled after it."""

import asyncio
import contextlib
import logging
from decimal import Decimal
from uuid import UUID

from warmcache.cache.beliefs import Warmth, left_entries, record_warm
from warmcache.cache.guards import Reservation
from warmcache.core.beliefs import believed_warmth, situation_of
from warmcache.core.catalog import facts_for
from warmcache.core.decide import Decision
from warmcache.core.economics import request_cost_usd
from warmcache.core.errors import PrewarmRefused, StoreUnavailable, UpstreamError
from warmcache.core.failures import Failure
from warmcache.core.intents import Intent
from warmcache.core.origin import Origin
from warmcache.core.outcomes import Outcome, WarmthState
from warmcache.core.ports import Answer
from warmcache.core.prefix import Request
from warmcache.core.reasons import Reason
from warmcache.core.usage import Usage
from warmcache.ledger import rows
from warmcache.runtime.pauses import pause_for_real_traffic
from warmcache.runtime.state import Runtime
from warmcache.signals import billed

logger = logging.getLogger(__name__)


class WarmUpRun:
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
        """Gives the warmth then, also where the provider fails."""
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
                        blocker, timeout_seconds=longest_seconds(self._runtime)
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
        provider = await runtime.connected()
        self._started_at = runtime.clock.now()
        await self._announce()
        self._may_be_billed = True
        try:
            answer = await provider.prewarm(self._request)
        except PrewarmRefused as error:
            return await self._refused_for_all(error)
        except UpstreamError as error:
            return self._failed(error)
        except BaseException as error:
            if isinstance(error, asyncio.CancelledError):
                self._record_failure(Outcome.CANCELLED, None, "")
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
        runtime, label = self._runtime, self._origin.label
        runtime.learning.saw_bill(label, self._request.prefix, answer.usage)
        prefix = runtime.learning.sized(label, self._request.prefix)
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
        cost_usd = request_cost_usd(answer.usage, rates) if rates else None
        billed.send_robust(WarmUpRun, warm_up_id=self._id, label=label, intent=self._intent, cost_usd=cost_usd)
        # Behind the row: what was billed is known, whatever becomes of the store or of this task.
        await self._settle(answer.usage, cost_usd)
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

    async def _refused_for_all(self, error: PrewarmRefused) -> Warmth:
        """The endpoint cannot warm this model: one failed warm-up tells it, and not one per visit."""
        prefix, reason = self._request.prefix, Reason.ENDPOINT_WITHOUT_PREWARM
        logger.warning(
            "The endpoint refuses `max_tokens: 0` for %s, so it is not warmed for a day: %s",
            prefix.model,
            error.message,
        )
        self._may_be_billed = False
        self._record_failure(Outcome.FAILED, reason, error.request_id)
        if self._reservation is not None:
            await self._runtime.guards.stop_endpoint(self._reservation.accounts)
        return Warmth(state=WarmthState.SKIPPED, reason=reason, prefix_tokens=prefix.prefix_tokens)

    def _failed(self, error: UpstreamError) -> Warmth:
        logger.warning("Warm-up %s failed: %s (%s)", self._id, error.code, error.message)
        pause_for_real_traffic(self._runtime, error)
        self._may_be_billed = error.code == Failure.TIMED_OUT
        self._record_failure(Outcome.FAILED, error.code, error.request_id)
        return Warmth(state=WarmthState.FAILED, reason=error.code, prefix_tokens=self._request.prefix.prefix_tokens)

    def _record_failure(self, outcome: Outcome, error_code: Failure | Reason | None, request_id: str) -> None:
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


def longest_seconds(runtime: Runtime) -> float:
    """From the claim to the end of the call, at most."""
    config = runtime.config
    return config.warm_up_patience_seconds + config.warm_up_timeout_seconds + config.lease_seconds
