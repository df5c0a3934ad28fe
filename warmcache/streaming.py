"""Real requests: join a warm-up in flight, stream, retry before the first block, settle what was warmed."""

import asyncio
import contextlib
import logging
import random
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Self
from uuid import UUID, uuid4

from warmcache import records
from warmcache.core.catalog import facts_for
from warmcache.core.errors import StoreUnavailable, StreamBroken, UpstreamError, UpstreamUnavailable
from warmcache.core.joining import join_bound_seconds
from warmcache.core.policy import WarmthState
from warmcache.core.ports import BlockBegan, BlockDelta, Sighting, StreamBegan, StreamEnded, StreamEvent
from warmcache.core.prefix import Json, Prompt, build_request
from warmcache.core.usage import Usage
from warmcache.records import Origin, Settlement
from warmcache.runtime import Runtime
from warmcache.warming import pause_for_real_traffic
from warmcache.warmth import Flight, believed, flight_for, left_entries, record_warm

logger = logging.getLogger(__name__)

FIRST_BACKOFF_SECONDS = 0.5
MAX_BACKOFF_SECONDS = 8.0

RECORD_PATIENCE_SECONDS = 5.0
"""How long the end of a reply may wait for its row; a database that hangs must not hold the person up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """How a real request ended. `usage` is None where the provider never began to answer.

    `ttft_ms` runs from the call of `stream_response` to the first visible text, a join included.
    """

    status: str
    stop_reason: str
    usage: Usage | None
    request_id: str
    ttft_ms: int | None
    settlement: Settlement


class ResponseStream:
    """One streamed request, as an async context manager that is iterated once.

        async with stream_response(prompt, turn, max_tokens=4096) as response:
            async for event in response: ...
        response.result

    Leaving the context closes the upstream connection at once, then writes the ledger, however it is left. An
    `UpstreamError` ends the iteration; what was yielded before it stays valid.
    """

    def __init__(
        self,
        runtime: Runtime,
        prompt: Prompt,
        turn: Sequence[Json],
        *,
        max_tokens: int,
        purpose: str,
        origin: Origin,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.id: UUID = uuid4()
        self.result: Result | None = None
        self._runtime = runtime
        self._request = build_request(prompt, turn, runtime.config.prefix_key)
        self._max_tokens = max_tokens
        self._purpose = purpose
        self._origin = origin
        self._jitter = jitter
        self._upstream = AsyncExitStack()
        self._began: StreamBegan | None = None
        self._found: Usage | None = None
        self._spent: Usage | None = None
        self._ended: StreamEnded | None = None
        self._has_blocks = False
        self._output_characters = 0
        self._ttft_ms: int | None = None
        self._joined: Flight | None = None
        self._raced: Flight | None = None
        self._waited_seconds = 0.0
        self._called_at = 0.0
        self._started_at = 0.0

    async def expected_warmth(self) -> str:
        """What this request will probably find: `hit`, `joined`, `raced` or `cold`. Known before the call."""
        sightings = await self._look_up()
        flight = self._flight_in(sightings)
        if flight is not None:
            return "raced" if self._join_bound_seconds(flight) is None else "joined"
        state = believed(self._request.prefix, sightings, self._runtime.clock.now()).state
        return "hit" if state in (WarmthState.WARM, WarmthState.EXPIRING) else "cold"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            await self._upstream.aclose()
        finally:
            await self._record(error)

    async def __aiter__(self) -> AsyncIterator[StreamEvent]:
        self._called_at = self._runtime.clock.now()
        await self._join()
        for tries_left in reversed(range(self._runtime.config.max_tries)):
            try:
                async for event in self._one_try():
                    yield event
                return
            except UpstreamError as error:
                pause_for_real_traffic(self._runtime, error)
                pause_seconds = self._pause_before_retry(error, tries_left)
                if pause_seconds is None:
                    raise
                logger.info("Trying again in %.1f s after %s", pause_seconds, error.code)
                await self._upstream.aclose()
                self._spent, self._began, self._output_characters = self._usage(), None, 0
                await asyncio.sleep(pause_seconds)

    async def _one_try(self) -> AsyncIterator[StreamEvent]:
        started_at = self._runtime.clock.now()
        self._started_at = self._started_at or started_at
        events = await self._upstream.enter_async_context(
            self._runtime.provider.stream(self._request, max_tokens=self._max_tokens)
        )
        held: BlockBegan | None = None
        async for event in events:
            if held is not None:
                self._has_blocks = True
                yield held
                held = None
            match event:
                case StreamBegan():
                    self._began = event
                    self._found = self._found or event.usage
                    await self._remember(event.usage, started_at)
                case BlockBegan():
                    # Until something is in it, the next try may begin it again.
                    held = event
                    continue
                case BlockDelta():
                    self._note_delta(event)
                case StreamEnded():
                    self._ended = event
            yield event

    async def _remember(self, usage: Usage, started_at: float) -> None:
        """What the provider has read is there and what it has written is there now; what it did not find is not."""
        prefix = self._request.prefix
        if usage.cache_read_tokens == 0:
            with contextlib.suppress(StoreUnavailable):
                await self._runtime.store.forget(prefix.hashes)
        if left_entries(self._runtime, usage):
            await record_warm(self._runtime, prefix, started_at)

    def _note_delta(self, delta: BlockDelta) -> None:
        self._output_characters += len(delta.text)
        if self._ttft_ms is None and delta.kind == "text":
            self._ttft_ms = self._since_ms(self._called_at)

    async def _join(self) -> None:
        """Waits for a warm-up of this prefix that is in flight, if that is faster than going, and never for long."""
        flight = self._flight_in(await self._look_up())
        if flight is None:
            return
        bound_seconds = self._join_bound_seconds(flight)
        if bound_seconds is None:
            self._raced = flight
            return
        has_ended = False
        with contextlib.suppress(StoreUnavailable):
            has_ended = await self._runtime.store.wait_until_released(flight.prefix_hash, timeout_seconds=bound_seconds)
        self._waited_seconds = self._runtime.clock.now() - self._called_at
        self._joined, self._raced = (flight, None) if has_ended else (None, flight)

    def _join_bound_seconds(self, flight: Flight) -> float | None:
        config = self._runtime.config
        return join_bound_seconds(
            elapsed_seconds=self._runtime.clock.now() - flight.started_at,
            prefix_tokens=flight.prefix_tokens,
            join_after_seconds=config.join_after_seconds,
            bound_factor=config.join_bound_factor,
        )

    async def _look_up(self) -> Mapping[str, Sighting]:
        try:
            return await self._runtime.store.look_up(self._request.prefix.hashes)
        except StoreUnavailable:
            return {}

    def _flight_in(self, sightings: Mapping[str, Sighting]) -> Flight | None:
        return flight_for(self._request.prefix, sightings, self._runtime.clock.now())

    def _pause_before_retry(self, error: UpstreamError, tries_left: int) -> float | None:
        """Seconds until the next try, or None. Never after the first block: the person would read it twice."""
        is_transient = isinstance(error, UpstreamUnavailable | StreamBroken)
        if self._has_blocks or not tries_left or not is_transient:
            return None
        if error.code == "rate_limited" and error.retry_after_seconds is None:
            return None
        if error.retry_after_seconds is not None:
            is_short = error.retry_after_seconds <= self._runtime.config.max_retry_after_seconds
            return error.retry_after_seconds if is_short else None
        tries_done = self._runtime.config.max_tries - tries_left
        ceiling = min(MAX_BACKOFF_SECONDS, FIRST_BACKOFF_SECONDS * 2.0 ** (tries_done - 1))
        return ceiling * self._jitter()

    async def _record(self, error: BaseException | None) -> None:
        usage = self._usage()
        status = _status(error, has_ended=self._ended is not None)
        request_id = self._began.request_id if self._began else getattr(error, "request_id", "")
        facts = records.RequestFacts(
            id=self.id,
            origin=self._origin,
            purpose=self._purpose,
            prefix=self._request.prefix,
            started_at=self._started_at or self._runtime.clock.now(),
            duration_ms=self._since_ms(self._started_at) if self._started_at else 0,
            ttft_ms=self._ttft_ms,
            status=status,
            error_code=getattr(error, "code", "") if status != "stopped" else "",
            request_id=request_id,
            found=self._found,
            usage=usage,
            rates=self._runtime.rates(self._request.prefix.model, usage.total_input_tokens) if usage else None,
            joined_id=self._joined.warm_up_id if self._joined else None,
            raced_id=self._raced.warm_up_id if self._raced else None,
            waited_ms=round(self._waited_seconds * 1000),
        )
        self.result = Result(
            status=status,
            stop_reason=self._ended.stop_reason if self._ended else "",
            usage=usage,
            request_id=request_id,
            ttft_ms=self._ttft_ms,
            settlement=await self._settled(facts),
        )

    def _usage(self) -> Usage | None:
        """As billed, over all tries; of a reply that broke off the provider never tells the output: it is estimated."""
        now = self._usage_of_this_try()
        return self._spent + now if self._spent and now else self._spent or now

    def _usage_of_this_try(self) -> Usage | None:
        if self._ended is not None or self._began is None:
            return self._ended.usage if self._ended else None
        seen_tokens = round(self._output_characters / facts_for(self._request.prefix.model).chars_per_token)
        begun = self._began.usage
        return replace(begun, output_tokens=max(begun.output_tokens, seen_tokens))

    async def _settled(self, facts: records.RequestFacts) -> Settlement:
        """A ledger that cannot be written must not cost the person the reply."""
        if self._started_at:
            try:
                async with asyncio.timeout(RECORD_PATIENCE_SECONDS):
                    return await self._runtime.ledger.perform(lambda: records.record_request(facts))
            except TimeoutError:
                logger.error("The row of request %s is not written yet; its reply goes on without", self.id)
            except Exception as error:
                logger.error("Request %s has no row: %s", self.id, error)
        return records.settlement_without_row(facts)

    def _since_ms(self, moment: float) -> int:
        return round((self._runtime.clock.now() - moment) * 1000)


def _status(error: BaseException | None, *, has_ended: bool) -> str:
    if has_ended:
        return "complete"
    if error is None or isinstance(error, asyncio.CancelledError | GeneratorExit):
        return "stopped"
    return "interrupted" if isinstance(error, StreamBroken) else "failed"
