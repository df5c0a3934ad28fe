"""Real requests: join a warm-up in flight, stream, retry before the first block, settle what was warmed."""

import asyncio
import contextlib
import logging
import random
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, Self
from uuid import UUID, uuid4

from warmcache.cache.beliefs import Flight, believed, flight_for, is_warm, left_entries, record_warm
from warmcache.cache.visits import Visit, places_before
from warmcache.core.catalog import facts_for
from warmcache.core.errors import LedgerBehind, StoreUnavailable, StreamBroken, UpstreamError, UpstreamUnavailable
from warmcache.core.policy import WarmthState
from warmcache.core.ports import BlockBegan, BlockDelta, Sighting, StreamBegan, StreamEnded, StreamEvent
from warmcache.core.prefix import Json, Prefix, Prompt
from warmcache.core.usage import Usage
from warmcache.ledger import rows
from warmcache.ledger.rows import Origin, Settlement
from warmcache.models import Arm
from warmcache.requests.join import wait_bound_seconds
from warmcache.requests.lead import RequestLead
from warmcache.runtime.wiring import Runtime
from warmcache.upstream.earlier_answers import EarlierAnswer
from warmcache.warmups.warm_up import pause_for_real_traffic

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
    prefix: Prefix
    """What of the request can be cached, without its content."""
    started_at: float
    """When the call went to the provider, epoch seconds; 0 where none did."""


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
        self._request = runtime.build(prompt, turn, label=origin.label)
        self._max_tokens = max_tokens
        self._purpose = purpose
        self._origin = origin
        self._jitter = jitter
        self._upstream = AsyncExitStack()
        self._lead = RequestLead(runtime, self._request.prefix, self.id)
        self._began: StreamBegan | None = None
        self._found: Usage | None = None
        self._miss_reason = ""
        self._spent: Usage | None = None
        self._ended: StreamEnded | None = None
        self._has_blocks = False
        self._output_characters = 0
        self._is_timed = False
        """Whether this try has taught the model's speed."""
        self._ttft_ms: int | None = None
        self._joined: Flight | None = None
        self._raced: Flight | None = None
        self._waited_seconds = 0.0
        self._called_at = 0.0
        self._started_at = 0.0
        self._visit: Visit | None = None
        self._visit_ended_at: float | None = None

    async def expected_warmth(self) -> str:
        """What this request will probably find, known before the call: `hit`, `joined`, `raced`, `cold`, `held_out`."""
        self._meet_visit()
        if self._visit is not None and self._visit.arm == Arm.HELD_OUT:
            return Arm.HELD_OUT.value
        sightings = await self._look_up()
        flight = self._flight_in(sightings)
        if flight is not None and self._wait_bound_seconds(flight) is not None:
            return "joined"
        if flight is not None and flight.warm_up_id is not None:
            return "raced"
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
            try:
                await self._lead.give_back()
            finally:
                await self._record(error)

    async def __aiter__(self) -> AsyncIterator[StreamEvent]:
        self._called_at = self._runtime.clock.now()
        self._meet_visit()
        await self._join()
        for tries_left in reversed(range(self._runtime.config.max_tries)):
            try:
                async for event in self._one_try():
                    yield event
                return
            except UpstreamError as error:
                await self._lead.give_back()
                pause_for_real_traffic(self._runtime, error)
                pause_seconds = self._pause_before_retry(error, tries_left)
                if pause_seconds is None:
                    raise
                logger.info("Trying again in %.1f s after %s", pause_seconds, error.code)
                await self._upstream.aclose()
                self._spent, self._began, self._output_characters = self._usage(), None, 0
                self._is_timed = False
                await asyncio.sleep(pause_seconds)

    def _meet_visit(self) -> None:
        """A reply is asked for by the send that the signs of its visit were about; a tool round by a program."""
        if self._visit_ended_at is None and self._purpose == "reply":
            now = self._visit_ended_at = self._runtime.clock.now()
            places = places_before(self._request.prefix)
            self._visit = self._runtime.visits.meet(self._origin.subject, places, now)

    async def _one_try(self) -> AsyncIterator[StreamEvent]:
        started_at = self._runtime.clock.now()
        self._started_at = self._started_at or started_at
        earlier = self._runtime.answers.before(self._request.prefix, self._comparable, started_at)
        events = await self._upstream.enter_async_context(
            self._runtime.provider.stream(
                self._request, max_tokens=self._max_tokens, earlier_id=earlier.response_id if earlier else None
            )
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
                    self._note_answer(event, earlier, started_at)
                    await self._remember(event.usage, started_at)
                    await self._lead.give_back()
                case BlockBegan():
                    if event.kind == "thinking":
                        # What is thought may never be shown, and is no part of reading the prompt.
                        self._teach_speed(started_at)
                    # Until something is in it, the next try may begin it again.
                    held = event
                    continue
                case BlockDelta():
                    self._note_delta(event, started_at)
                case StreamEnded():
                    self._ended = event
            yield event

    @property
    def _comparable(self) -> Origin:
        """Only a reply follows what was warmed and sent in its place; a title has a prompt of its own."""
        return self._origin if self._purpose == "reply" else replace(self._origin, place="")

    def _note_answer(self, event: StreamBegan, earlier: EarlierAnswer | None, started_at: float) -> None:
        """The first answer tells what was in the cache when the request came."""
        prefix = self._request.prefix
        if self._found is None:
            self._found = event.usage
            self._miss_reason = earlier.tells_by(event.miss_reason, prefix) if earlier else ""
        self._runtime.answers.note(event.response_id, prefix, self._comparable, was_warm_up=False, at=started_at)

    async def _remember(self, usage: Usage, started_at: float) -> None:
        """What the provider has read is there and what it has written is there now; what it did not find is not."""
        prefix = self._request.prefix
        if usage.cache_read_tokens == 0:
            with contextlib.suppress(StoreUnavailable):
                await self._runtime.store.forget(prefix.hashes)
        if left_entries(self._runtime, usage):
            await record_warm(self._runtime, prefix, started_at, usage)

    def _note_delta(self, delta: BlockDelta, started_at: float) -> None:
        self._teach_speed(started_at)
        self._output_characters += len(delta.text)
        if self._ttft_ms is None and delta.kind == "text":
            self._ttft_ms = self._since_ms(self._called_at)

    def _teach_speed(self, started_at: float) -> None:
        """At the first token of a try, and no more."""
        if self._is_timed or self._began is None:
            return
        self._is_timed = True
        if self._runtime.provider.capabilities.reports_cache_writes:
            seconds = self._runtime.clock.now() - started_at
            self._runtime.learning.saw_call(self._request.prefix.model, self._began.usage, seconds)

    async def _join(self) -> None:
        """Waits for whoever writes this prefix right now, if that is better than going, once and never for long; leads
        where nobody does."""
        flight = await self._flight_or_lead()
        if flight is None:
            return
        bound_seconds = self._wait_bound_seconds(flight)
        if bound_seconds is None:
            self._raced = flight
            return
        has_ended = False
        with contextlib.suppress(StoreUnavailable):
            has_ended = await self._runtime.store.wait_until_released(flight.prefix_hash, timeout_seconds=bound_seconds)
        self._waited_seconds = max(0.0, self._runtime.clock.now() - self._called_at)
        if not has_ended:
            self._raced = flight
            return
        sightings = await self._look_up()
        if is_warm(flight.prefix_hash, sightings, self._runtime.clock.now()):
            self._joined = flight
        await self._lead.take(sightings)

    async def _flight_or_lead(self) -> Flight | None:
        sightings = await self._look_up()
        flight = self._flight_in(sightings)
        if flight is None and not await self._lead.take(sightings):
            # Somebody was quicker since that look.
            flight = self._flight_in(await self._look_up())
        return flight

    def _wait_bound_seconds(self, flight: Flight) -> float | None:
        return wait_bound_seconds(self._runtime, self._request.prefix, flight, label=self._origin.label)

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
        usage, found = self._usage(), self._found
        status = _status(error, has_ended=self._ended is not None)
        request_id = self._began.request_id if self._began else getattr(error, "request_id", "")
        facts = rows.RequestFacts(
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
            found=found,
            usage=usage,
            # Each try has its own price: together they would fall into the tier of larger prompts.
            rates=self._runtime.rates(self._request.prefix.model, found.total_input_tokens) if found else None,
            joined_id=self._joined.warm_up_id if self._joined else None,
            raced_id=self._raced.warm_up_id if self._raced else None,
            waited_ms=round(self._waited_seconds * 1000),
            response_id=self._began.response_id if self._began else "",
            miss_reason=self._miss_reason,
            followed_request=self._joined is not None and self._joined.warm_up_id is None,
            asked_tool=self._ended is not None and self._ended.stop_reason == "tool_use",
            **self._visit_facts(),
        )
        self.result = Result(
            status=status,
            stop_reason=self._ended.stop_reason if self._ended else "",
            usage=usage,
            request_id=request_id,
            ttft_ms=self._ttft_ms,
            settlement=await self._settled(facts),
            prefix=self._request.prefix,
            started_at=self._started_at,
        )
        await self._tell_guards()

    async def _tell_guards(self) -> None:
        """A request that the provider has answered earns its subject a credit and shows which warm-ups were read."""
        if self._found is not None:
            await self._runtime.guards.note_request(
                self._request.prefix,
                subject=self._origin.subject,
                earns_credit=self._purpose == "reply",
                found=self._found,
                started_at=self._started_at,
            )

    def _visit_facts(self) -> dict[str, Any]:
        visit = self._visit
        if visit is None or not visit.intent or self._visit_ended_at is None:
            return {}
        lead_seconds = max(0.0, self._visit_ended_at - visit.decided_at)
        return {
            "arm": visit.arm,
            "intent": visit.intent,
            "lead_ms": round(lead_seconds * 1000),
            "numbers": visit.numbers,
        }

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

    async def _settled(self, facts: rows.RequestFacts) -> Settlement:
        """A ledger that cannot be written must not cost the person the reply."""
        if self._started_at:
            try:
                async with asyncio.timeout(RECORD_PATIENCE_SECONDS):
                    settlement = await self._runtime.ledger.perform(lambda: rows.record_request(facts), is_kept=True)
                    self._teach_silence(settlement)
                    return settlement
            except (TimeoutError, LedgerBehind):
                logger.error("The row of request %s is not written yet; its reply goes on without", self.id)
            except Exception as error:
                logger.error("Request %s has no row: %s", self.id, error)
        return rows.settlement_without_row(facts)

    def _teach_silence(self, settlement: Settlement) -> None:
        if settlement.arrival_seconds is not None:
            self._runtime.learning.saw_arrival(self._origin.label, settlement.arrival_seconds)
        if (silence := settlement.silence) is not None:
            self._runtime.learning.saw_return(self._origin.label, silence.seconds, asked_tool=silence.asked_tool)

    def _since_ms(self, moment: float) -> int:
        # A wall clock may be set back, and no column holds less than nothing.
        return max(0, round((self._runtime.clock.now() - moment) * 1000))


def _status(error: BaseException | None, *, has_ended: bool) -> str:
    if has_ended:
        return "complete"
    if error is None or isinstance(error, asyncio.CancelledError | GeneratorExit):
        return "stopped"
    return "interrupted" if isinstance(error, StreamBroken) else "failed"
