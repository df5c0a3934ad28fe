"""Real requests: join a warm-up in flight, stream, retry before the first block, settle what was warmed."""

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial
from types import TracebackType
from typing import Any, Self
from uuid import UUID, uuid4

from warmcache.background.tasks import TaskOwner
from warmcache.cache.beliefs import left_entries, record_answer
from warmcache.cache.visits import Visit, visit_keys_before
from warmcache.core.blocks import BlockKind
from warmcache.core.errors import StreamBroken, UpstreamError
from warmcache.core.origin import Origin
from warmcache.core.outcomes import CONVERSING, Arm, Purpose, RequestStatus, RequestWarmth
from warmcache.core.ports import BlockBegan, BlockDelta, StreamBegan, StreamEnded, StreamEvent
from warmcache.core.prefix import AnyPrompt, Json, LastTurn, PreparedPrompt, Request, Ttl
from warmcache.core.usage import Usage
from warmcache.ledger.rows import RequestFacts, settlement_without_row
from warmcache.requests.approach import Approach
from warmcache.requests.ending import Ending, Result, end_request
from warmcache.requests.lifetime import chosen_ttl
from warmcache.requests.measurement import Measurement
from warmcache.requests.retry import pause_before_retry
from warmcache.runtime.pauses import pause_for_real_traffic
from warmcache.runtime.state import Runtime
from warmcache.upstream.earlier_answers import EarlierAnswer

logger = logging.getLogger(__name__)

NOT_OVER = "A response has its result once the `with` is left."


class ResponseStream:
    """One streamed request, as an async context manager that is iterated once.

        async with stream_response(prompt, turn, max_tokens=4096) as response:
            async for event in response: ...
        response.result

    Leaving the context, in whatever way, closes the upstream connection at once, then writes the ledger. An
    `UpstreamError` ends the iteration; events yielded before it stay valid. `response.batches()` is the same iteration
    with the events that arrived together in one list.
    """

    def __init__(
        self,
        runtime: Runtime,
        prompt: AnyPrompt,
        turn: LastTurn,
        *,
        max_tokens: int,
        purpose: Purpose,
        origin: Origin,
        ending: Ending | None = None,
        members: Json | None = None,
        timeout_seconds: float | None = None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.id: UUID = uuid4()
        self.person_is_next = False
        """Set before the context is left, where an answer that ends with a call of a tool is the last one all the same:
        then no program continues it at once."""
        self._result: Result | None = None
        self._runtime = runtime
        self._build: Callable[[Ttl | None], Request] = partial(
            _built, runtime, prompt, turn, origin.label, members or {}, timeout_seconds
        )
        settings = prompt.settings if isinstance(prompt, PreparedPrompt) else prompt
        self._is_ttl_open = settings.conversation_ttl == "auto"
        self._request = self._build(None)
        self._billed_prefix = self._request.prefix
        """The same, with the tokens that its bill has shown; the row keeps what was estimated."""
        self._max_tokens = max_tokens
        self._purpose = purpose
        self._origin = origin
        self._ending = ending
        self._jitter = jitter
        self._upstream = AsyncExitStack()
        self._recordings = TaskOwner("recordings")
        self._approach = Approach(runtime, self._request.prefix, label=origin.label, request_id=self.id)
        self._heard = Measurement(self._request.prefix.model)
        self._miss_reason = ""
        self._called_at = 0.0
        self._started_at = 0.0
        self._visit: Visit | None = None
        self._visit_ended_at: float | None = None

    @property
    def is_over(self) -> bool:
        """Whether there is a `result`."""
        return self._result is not None

    @property
    def result(self) -> Result:
        """How it ended: known once the context is left. Raises `RuntimeError` before."""
        if self._result is None:
            raise RuntimeError(NOT_OVER)
        return self._result

    async def expected_warmth(self) -> RequestWarmth:
        """What this request will probably find, known before the call: `hit`, `joined`, `raced`, `cold`, `held_out`.
        The iteration that follows uses the same look-up in the store."""
        self._meet_visit()
        if self._visit is not None and self._visit.arm == Arm.HELD_OUT:
            return RequestWarmth.HELD_OUT
        return await self._approach.expected_warmth()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            await self._upstream.aclose()
        finally:
            try:
                await self._recordings.join()
                await self._approach.give_back()
            finally:
                await self._end(error)

    async def __aiter__(self) -> AsyncIterator[StreamEvent]:
        async for events in self.batches():
            for event in events:
                yield event

    async def texts(self) -> AsyncIterator[str]:
        """The text of the answer alone, as it arrives, instead of all events."""
        async for events in self.batches():
            for event in events:
                if isinstance(event, BlockDelta) and event.kind == BlockKind.TEXT:
                    yield event.text

    async def batches(self) -> AsyncIterator[Sequence[StreamEvent]]:
        """The events, one list for each read of the connection that completed some."""
        self._called_at = self._runtime.clock.now()
        self._meet_visit()
        await self._approach.prepare()
        self._choose_lifetime()
        for tries_done in range(1, self._runtime.config.max_tries + 1):
            try:
                async for events in self._one_try():
                    yield events
                return
            except UpstreamError as error:
                await self._approach.give_back()
                pause_for_real_traffic(self._runtime, error)
                pause_seconds = self._pause_after(error, tries_done)
                if pause_seconds is None:
                    raise
                logger.info("Trying again in %.1f s after %s", pause_seconds, error.code)
                await self._upstream.aclose()
                self._heard.begin_again()
                await asyncio.sleep(pause_seconds)

    def _choose_lifetime(self) -> None:
        """A longer life changes no hash, so that what was looked up and led stays true."""
        if self._is_ttl_open:
            prefix, sightings = self._request.prefix, self._approach.sightings
            if chosen_ttl(self._runtime, prefix, sightings, label=self._origin.label) == "1h":
                self._request = self._build("1h")
                self._billed_prefix = self._request.prefix

    def _pause_after(self, error: UpstreamError, tries_done: int) -> float | None:
        if self._heard.has_blocks:
            return None
        return pause_before_retry(error, tries_done=tries_done, config=self._runtime.config, jitter=self._jitter)

    def _meet_visit(self) -> None:
        """A reply ends its visit: it is the send that the visit's signs announced. A program sends a tool round."""
        if self._visit_ended_at is None and self._purpose is Purpose.REPLY:
            now = self._visit_ended_at = self._runtime.clock.now()
            keys = visit_keys_before(self._request.prefix)
            self._visit = self._runtime.visits.meet(self._origin.subject, keys, now)

    async def _one_try(self) -> AsyncIterator[Sequence[StreamEvent]]:
        provider = await self._runtime.connected()
        started_at = self._runtime.clock.now()
        self._started_at = self._started_at or started_at
        earlier = self._runtime.answers.before(self._request.prefix, self._comparable, started_at)
        arriving = await self._upstream.enter_async_context(
            provider.stream(
                self._request, max_tokens=self._max_tokens, earlier_id=earlier.response_id if earlier else None
            )
        )
        held: BlockBegan | None = None
        async for events in arriving:
            passed_on: list[StreamEvent] = []
            for event in events:
                if held is not None:
                    self._heard.has_blocks = True
                    passed_on.append(held)
                    held = None
                match event:
                    case BlockDelta():
                        self._note_delta(event, started_at)
                    case StreamBegan():
                        self._note_answer(event, earlier, started_at)
                    case BlockBegan():
                        if event.kind == BlockKind.THINKING:
                            # Thinking may never be shown, and its time is not part of reading the prompt.
                            self._note_first_token(started_at)
                        # Held until it has content: until then the next attempt may begin it again.
                        held = event
                        continue
                    case StreamEnded():
                        self._heard.ended = event
                passed_on.append(event)
            if passed_on:
                yield passed_on

    @property
    def _comparable(self) -> Origin:
        """The origin to compare with: only a reply follows what was warmed in its place; a title has its own prompt."""
        return self._origin if self._purpose is Purpose.REPLY else replace(self._origin, place="")

    def _note_answer(self, event: StreamBegan, earlier: EarlierAnswer | None, started_at: float) -> None:
        """The first answer tells what was in the cache when the request came; each answer tells what is there now."""
        is_first = self._heard.begin(event)
        self._heard.answered_ms = self._since_ms(self._called_at)
        self._runtime.learning.saw_bill(self._origin.label, self._request.prefix, event.usage)
        prefix = self._billed_prefix = self._runtime.learning.sized(self._origin.label, self._request.prefix)
        if is_first:
            self._miss_reason = earlier.tells_by(event.miss_reason, prefix) if earlier else ""
        self._runtime.answers.note(event.response_id, prefix, self._comparable, was_warm_up=False, at=started_at)
        recording = self._record(event.usage, started_at, is_first=is_first)
        self._recordings.spawn(recording, name=f"request {self.id}")

    async def _record(self, usage: Usage, started_at: float, *, is_first: bool) -> None:
        """Tells the store what an answer showed: beside the reading, so that no token waits for the store."""
        await self._remember(usage, started_at)
        await self._approach.give_back()
        if is_first:
            await self._tell_guards(usage)

    async def _remember(self, usage: Usage, started_at: float) -> None:
        left_something = left_entries(usage, self._runtime.provider.capabilities)
        await record_answer(
            self._runtime.store,
            self._billed_prefix,
            started_at,
            usage,
            sightings=self._approach.sightings,
            left_something=left_something,
        )

    def _note_delta(self, delta: BlockDelta, started_at: float) -> None:
        """Reads the clock only for the first ones."""
        self._note_first_token(started_at)
        if self._heard.is_first_text(delta):
            self._heard.ttft_ms = self._since_ms(self._called_at)

    def _note_first_token(self, started_at: float) -> None:
        """Only at the first token of an attempt, which shows how fast the prompt was read."""
        read = self._heard.take_first_token()
        if read is None:
            return
        self._heard.first_token_ms = self._since_ms(self._called_at)
        if self._runtime.provider.capabilities.reports_cache_writes:
            seconds = self._runtime.clock.now() - started_at
            self._runtime.learning.saw_call(self._request.prefix.model, read, seconds)

    async def _end(self, error: BaseException | None) -> None:
        facts, heard = self._facts(error), self._heard
        result = Result(
            status=facts.status,
            stop_reason=heard.ended.stop_reason if heard.ended else "",
            stop_details=heard.ended.message.get("stop_details") if heard.ended else None,
            usage=facts.usage,
            request_id=facts.request_id,
            ttft_ms=facts.ttft_ms,
            settlement=settlement_without_row(facts),
            prefix=self._billed_prefix,
            started_at=self._started_at,
            is_ttl_open=self._is_ttl_open,
            asks_tool=facts.asked_tool,
        )
        self._teach_history(facts)
        self._result = await end_request(self._runtime, facts, result, self._ending) if self._started_at else result

    def _teach_history(self, facts: RequestFacts) -> None:
        if facts.usage is not None and facts.purpose in CONVERSING and facts.status is RequestStatus.COMPLETE:
            self._runtime.learning.saw_answer(
                facts.origin.label,
                facts.origin.place,
                self._billed_prefix,
                reply_tokens=facts.usage.output_tokens,
                asked_tool=facts.asked_tool,
                is_person=facts.purpose is Purpose.REPLY,
            )

    def _facts(self, error: BaseException | None) -> RequestFacts:
        heard, approach = self._heard, self._approach
        status = _status(error, has_ended=heard.ended is not None)
        return RequestFacts(
            id=self.id,
            origin=self._origin,
            purpose=self._purpose,
            prefix=self._request.prefix,
            started_at=self._started_at or self._runtime.clock.now(),
            duration_ms=self._since_ms(self._started_at) if self._started_at else 0,
            ttft_ms=heard.ttft_ms,
            status=status,
            error_code=error.code if isinstance(error, UpstreamError) else None,
            request_id=heard.began.request_id if heard.began else getattr(error, "request_id", ""),
            found=heard.found,
            usage=heard.usage,
            # Each attempt has its own price: their sum would fall into the tier of larger prompts.
            rates=self._runtime.rates(self._request.prefix.model, heard.found.total_input_tokens)
            if heard.found
            else None,
            joined_id=approach.joined.warm_up_id if approach.joined else None,
            raced_id=approach.raced.warm_up_id if approach.raced else None,
            waited_ms=round(approach.waited_seconds * 1000),
            answered_ms=heard.answered_ms,
            first_token_ms=heard.first_token_ms,
            response_id=heard.began.response_id if heard.began else "",
            miss_reason=self._miss_reason,
            followed_request=approach.joined is not None and approach.joined.warm_up_id is None,
            asked_tool=self._asked_tool,
            **visit_facts(self._visit, self._visit_ended_at),
        )

    @property
    def _asked_tool(self) -> bool:
        """Whether a program continues the answer at once; a paused one, too."""
        ended = self._heard.ended
        return not self.person_is_next and ended is not None and ended.stop_reason in ("tool_use", "pause_turn")

    async def _tell_guards(self, found: Usage) -> None:
        """A request that the provider answered earns its subject a credit and shows which warm-ups were read."""
        await self._runtime.guards.note_request(
            self._request.prefix,
            subject=self._origin.subject,
            earns_credit=self._purpose is Purpose.REPLY,
            found=found,
            started_at=self._started_at,
        )

    def _since_ms(self, moment: float) -> int:
        # A wall clock may be set back, and no column accepts negative values.
        return max(0, round((self._runtime.clock.now() - moment) * 1000))


def _built(
    runtime: Runtime,
    prompt: AnyPrompt,
    turn: LastTurn,
    label: str,
    members: Json,
    timeout_seconds: float | None,
    ttl: Ttl | None,
) -> Request:
    built = runtime.build(prompt, turn, label=label, conversation_ttl=ttl)
    return replace(built, members=members, timeout_seconds=timeout_seconds)


def visit_facts(visit: Visit | None, ended_at: float | None) -> dict[str, Any]:
    """The visit that a request ended, as fields of `RequestFacts`."""
    if visit is None or ended_at is None:
        return {}
    decision = {"decided": visit.decided, "numbers": visit.numbers}
    if not visit.intent:
        return decision
    lead_ms = round(max(0.0, ended_at - visit.decided_at) * 1000)
    return {**decision, "arm": visit.arm, "intent": visit.intent, "lead_ms": lead_ms}


def _status(error: BaseException | None, *, has_ended: bool) -> RequestStatus:
    if has_ended:
        return RequestStatus.COMPLETE
    if error is None or isinstance(error, asyncio.CancelledError | GeneratorExit):
        return RequestStatus.STOPPED
    return RequestStatus.INTERRUPTED if isinstance(error, StreamBroken) else RequestStatus.FAILED
