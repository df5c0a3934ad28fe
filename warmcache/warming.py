"""Pre-warming: decide, claim, send, record. One leader per `prefix_hash`."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from uuid import UUID, uuid4

from warmcache import records
from warmcache.core.catalog import facts_for
from warmcache.core.errors import UpstreamError
from warmcache.core.policy import Action, Decision, WarmthState, believed_warmth, decide, is_expiring
from warmcache.core.ports import Answer, Sighting
from warmcache.core.prefix import Prefix, Prompt, Request, build_request
from warmcache.models import Outcome
from warmcache.prices import rates_for
from warmcache.records import Origin
from warmcache.runtime import Flight, Runtime

logger = logging.getLogger(__name__)

LEASE_MARGIN_SECONDS = 5.0
"""A lease outlives the longest call by this much; it is released as soon as the call ends."""

PAUSING_CODES = {"rate_limited", "overloaded", "spend_limit", "key_refused"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Warmth:
    """What is believed of a prefix, to be shown. `expires_at` is estimated, in epoch seconds."""

    state: WarmthState
    reason: str | None = None
    prefix_tokens: int = 0
    expires_at: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """What came of considering a warm-up.

    While one is in flight, ours or another's, `await attempt.finished()` waits for its end and gives the warmth then.
    """

    decision: Decision
    warmth: Warmth
    prefix: Prefix
    finished: Callable[[], Awaitable[Warmth]] | None = None


async def warmth_of(runtime: Runtime, prefix: Prefix) -> Warmth:
    """What is believed right now, without deciding anything."""
    sightings = await runtime.store.look_up(prefix.hashes)
    return _believed(prefix, sightings, runtime.clock.now())


async def consider(runtime: Runtime, prefix: Prefix, *, intent: str, label: str) -> Decision:
    """The policy's decision now. A skip is counted. One look-up, no SQL, no hashing."""
    now = runtime.clock.now()
    if now < runtime.warming_paused_until:
        decision = Decision(action=Action.SKIP, reason="upstream_limited", prefix_tokens=prefix.prefix_tokens)
    else:
        decision = decide(
            prefix,
            sightings=await runtime.store.look_up(prefix.hashes),
            now=now,
            limits=runtime.config.limits,
            capabilities=runtime.provider.capabilities,
            rates=rates_for,
        )
    if decision.action is Action.SKIP:
        runtime.ledger.count_skip(label=label, intent=intent, reason=decision.reason)
    return decision


async def prewarm(runtime: Runtime, prompt: Prompt, *, intent: str, label: str, subject: str) -> Attempt:
    """Decides, and if it pays sends the warm-up in a task of the runtime; never raises for the provider's sake."""
    request = build_request(prompt, None, runtime.config.prefix_key)
    prefix = request.prefix
    decision = await consider(runtime, prefix, intent=intent, label=label)
    if decision.action is Action.SKIP:
        return skipped_attempt(runtime, prefix, decision)
    warm_up_id = uuid4()
    deepest_hash = prefix.breakpoints[-1].prefix_hash
    if not await runtime.store.claim(deepest_hash, owner=str(warm_up_id), ttl_seconds=_lease_seconds(runtime)):
        runtime.ledger.count_skip(label=label, intent=intent, reason="in_flight")
        return skipped_attempt(runtime, prefix, Decision(action=Action.SKIP, reason="in_flight"))
    origin = Origin(label=label, subject=subject, upstream=runtime.provider.capabilities.upstream)
    warm_up = _WarmUp(runtime, request, decision, warm_up_id, origin, intent)
    task = runtime.tasks.spawn(warm_up.run(), name=f"warm-up {warm_up_id}")
    return Attempt(
        decision=decision,
        warmth=Warmth(state=WarmthState.WARMING, prefix_tokens=prefix.prefix_tokens),
        prefix=prefix,
        finished=lambda: asyncio.shield(task),
    )


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
    await runtime.store.wait_until_released(deepest_hash, timeout_seconds=_lease_seconds(runtime))
    return await warmth_of(runtime, prefix)


class _WarmUp:
    """One warm-up, from the claimed lease of its deepest layer to its last word."""

    def __init__(
        self, runtime: Runtime, request: Request, decision: Decision, warm_up_id: UUID, origin: Origin, intent: str
    ) -> None:
        self._runtime = runtime
        self._request = request
        self._decision = decision
        self._id = warm_up_id
        self._origin = origin
        self._intent = intent
        self._started_at = 0.0
        self._claimed = [request.prefix.breakpoints[-1].prefix_hash]

    async def run(self) -> Warmth:
        runtime = self._runtime
        try:
            await self._claim_shallower_layers()
            async with runtime.warm_up_slots:
                return await self._send()
        finally:
            for prefix_hash in self._claimed:
                runtime.flights.pop(prefix_hash, None)
                await runtime.store.release(prefix_hash, owner=str(self._id))

    async def _claim_shallower_layers(self) -> None:
        """Cold layers that others share are written once: we write them, or wait for whoever does.

        No circle of waiting: a warm-up waits only for layers shallower than its own deepest, and whoever holds one
        of those waits for still shallower ones or for nothing.
        """
        store = self._runtime.store
        lease_seconds = _lease_seconds(self._runtime)
        sightings = await store.look_up(self._request.prefix.hashes)
        layers = believed_warmth(self._request.prefix, sightings, self._runtime.clock.now())
        for layer in layers[:-1]:
            point = layer.breakpoint
            if layer.hot_tokens == point.prefix_tokens:
                continue
            if await store.claim(point.prefix_hash, owner=str(self._id), ttl_seconds=lease_seconds):
                self._claimed.append(point.prefix_hash)
            else:
                await store.wait_until_released(point.prefix_hash, timeout_seconds=lease_seconds)

    async def _send(self) -> Warmth:
        runtime = self._runtime
        self._started_at = runtime.clock.now()
        self._announce()
        try:
            answer = await runtime.provider.prewarm(self._request)
        except UpstreamError as error:
            return self._failed(error)
        except BaseException as error:
            is_cancelled = isinstance(error, asyncio.CancelledError)
            self._record_failure(Outcome.CANCELLED if is_cancelled else Outcome.FAILED, "internal_error", "")
            raise
        return await self._succeeded(answer)

    def _announce(self) -> None:
        """The row stands before the call, and requests of this process can see what is in flight."""
        prefix = self._request.prefix
        flight = Flight(warm_up_id=self._id, prefix_tokens=prefix.prefix_tokens, started_at=self._started_at)
        for prefix_hash in self._claimed:
            self._runtime.flights[prefix_hash] = flight
        self._runtime.ledger.post(
            lambda: records.insert_warm_up(
                self._id,
                prefix=prefix,
                origin=self._origin,
                intent=self._intent,
                reason=self._decision.reason,
                hot_tokens=self._decision.hot_tokens,
                started_at=self._started_at,
            )
        )

    async def _succeeded(self, answer: Answer) -> Warmth:
        runtime, prefix = self._runtime, self._request.prefix
        deepest = prefix.breakpoints[-1]
        duration_ms = self._duration_ms()
        rates = rates_for(prefix.model, answer.usage.total_input_tokens)
        runtime.ledger.post(
            lambda: records.finish_warm_up(
                self._id, usage=answer.usage, rates=rates, duration_ms=duration_ms, request_id=answer.request_id
            )
        )
        if answer.usage.cached_tokens == 0 and runtime.provider.capabilities.reports_cache_writes:
            await runtime.store.record_uncacheable(deepest.prefix_hash, ttl_seconds=runtime.config.uncacheable_seconds)
            return Warmth(state=WarmthState.SKIPPED, reason="not_cacheable", prefix_tokens=prefix.prefix_tokens)
        await record_warm(runtime, prefix, self._started_at)
        return Warmth(
            state=WarmthState.WARM,
            prefix_tokens=answer.usage.cached_tokens or prefix.prefix_tokens,
            expires_at=self._started_at + deepest.ttl_seconds,
        )

    def _failed(self, error: UpstreamError) -> Warmth:
        logger.warning("Warm-up %s failed: %s (%s)", self._id, error.code, error.message)
        pause_for_real_traffic(self._runtime, error)
        self._record_failure(Outcome.FAILED, error.code, error.request_id)
        return Warmth(state=WarmthState.FAILED, reason=error.code, prefix_tokens=self._request.prefix.prefix_tokens)

    def _record_failure(self, outcome: Outcome, error_code: str, request_id: str) -> None:
        now, duration_ms = self._runtime.clock.now(), self._duration_ms()
        self._runtime.ledger.post(
            lambda: records.fail_warm_up(
                self._id,
                outcome=outcome,
                error_code=error_code,
                request_id=request_id,
                duration_ms=duration_ms,
                now=now,
            )
        )

    def _duration_ms(self) -> int:
        return round((self._runtime.clock.now() - self._started_at) * 1000)


async def record_warm(runtime: Runtime, prefix: Prefix, started_at: float) -> None:
    """The provider has written or read these entries for a request that STARTED at `started_at`."""
    minimum = facts_for(prefix.model).min_prefix_tokens
    await runtime.store.record_warm(
        {
            point.prefix_hash: started_at + point.ttl_seconds
            for point in prefix.breakpoints
            if point.prefix_tokens >= minimum
        }
    )


def pause_for_real_traffic(runtime: Runtime, error: UpstreamError) -> None:
    """After a limit at the provider no warm-up competes with real requests for a while."""
    if error.code in PAUSING_CODES:
        seconds = max(runtime.config.pause_after_limit_seconds, error.retry_after_seconds or 0.0)
        runtime.warming_paused_until = runtime.clock.now() + seconds


def _believed(prefix: Prefix, sightings: Mapping[str, Sighting], now: float) -> Warmth:
    if not prefix.breakpoints:
        return Warmth(state=WarmthState.COLD)
    deepest = believed_warmth(prefix, sightings, now)[-1]
    tokens = prefix.prefix_tokens
    if sightings.get(deepest.breakpoint.prefix_hash, Sighting()).lease_owner is not None:
        return Warmth(state=WarmthState.WARMING, reason="in_flight", prefix_tokens=tokens)
    if deepest.expires_at is None or deepest.hot_tokens < tokens / 2:
        return Warmth(state=WarmthState.COLD, prefix_tokens=tokens)
    expiring = is_expiring(deepest.expires_at, deepest.breakpoint.ttl_seconds, now)
    state = WarmthState.EXPIRING if expiring else WarmthState.WARM
    return Warmth(state=state, prefix_tokens=tokens, expires_at=deepest.expires_at)


def _lease_seconds(runtime: Runtime) -> float:
    return runtime.config.warm_up_timeout_seconds + LEASE_MARGIN_SECONDS
