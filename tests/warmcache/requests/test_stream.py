import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.servers import PATIENCE_SECONDS
from warmcache import Purpose, services
from warmcache.core.economics import Rates
from warmcache.core.errors import StreamBroken, UpstreamError, UpstreamRefused, UpstreamUnavailable
from warmcache.core.origin import Origin
from warmcache.core.ports import BlockBegan, BlockDelta, BlockEnded, BlockSigned, StreamBegan, StreamEnded, StreamEvent
from warmcache.core.prefix import Prompt
from warmcache.requests.stream import ResponseStream
from warmcache.testing import MODEL, FakeClock, FakeProvider, FakeRuntime, fake_runtime, make_prompt, make_turn


def request(fake: FakeRuntime, prompt: Prompt | None = None) -> ResponseStream:
    """As `services.stream_response`, but it never waits between two tries."""
    return ResponseStream(
        fake.runtime,
        prompt or make_prompt(),
        make_turn(),
        max_tokens=100,
        purpose=Purpose.REPLY,
        origin=Origin(label="", subject="", upstream="simulator"),
        jitter=lambda: 0.0,
    )


async def read(response: ResponseStream) -> list[StreamEvent]:
    async with response:
        return [event async for event in response]


async def failure_of(response: ResponseStream) -> UpstreamError:
    with pytest.raises(UpstreamError) as raised:
        await read(response)
    return raised.value


def text_of(events: list[StreamEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, BlockDelta))


async def start_warm_up(fake: FakeRuntime, prompt: Prompt | None = None) -> services.Attempt:
    fake.provider.hold_warm_ups()
    attempt = await services.prewarm_prefix(prompt or make_prompt(), intent="typing")
    await fake.provider.warm_ups_in_flight()
    return attempt


async def until(condition: Any) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not condition():  # noqa: ASYNC110 - the other task sets no event
            await asyncio.sleep(0)


async def settle() -> None:
    """Lets every task go as far as it can."""
    for _ in range(30):
        await asyncio.sleep(0)


class TestReading:
    async def test_a_reply_comes_in_pieces_and_ends_with_its_usage(self, fake: FakeRuntime) -> None:
        response = services.stream_response(make_prompt(), make_turn(), max_tokens=100)

        events = await read(response)

        assert text_of(events) == "Hello there."
        assert isinstance(events[-1], StreamEnded)
        assert (response.result.status, response.result.stop_reason) == ("complete", "end_turn")
        assert response.result.usage is not None
        assert response.result.usage.output_tokens == 2
        assert response.result.request_id == "req_0"

    async def test_the_time_to_the_first_text_is_measured_from_the_call(
        self, fake: FakeRuntime, clock: FakeClock
    ) -> None:
        response = request(fake)
        async with response:
            async for event in response:
                if isinstance(event, BlockDelta):
                    clock.advance(10)
                else:
                    clock.advance(0.25)

        assert response.result.ttft_ms == 250

    async def test_a_clock_that_is_set_back_makes_no_time_negative(self, fake: FakeRuntime, clock: FakeClock) -> None:
        response = request(fake)
        async with response:
            async for _ in response:
                clock.advance(-60)

        assert (response.result.ttft_ms, response.result.status) == (0, "complete")

    async def test_leaving_early_closes_the_upstream_call_at_once(self, fake: FakeRuntime) -> None:
        response = request(fake)

        async with response:
            async for event in response:
                if isinstance(event, BlockDelta):
                    break
            assert fake.provider.open_calls == 1

        assert fake.provider.open_calls == 0
        assert response.result.status == "stopped"
        assert response.result.usage is not None

    async def test_a_cancelled_reader_closes_the_upstream_call_at_once(self, fake: FakeRuntime) -> None:
        fake.provider.stall(after_pieces=1)
        response = request(fake)
        reading = asyncio.create_task(read(response))
        await until(lambda: response._heard.ttft_ms is not None)

        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading

        assert fake.provider.open_calls == 0
        assert response.result.status == "stopped"

    async def test_a_bug_of_the_reader_closes_the_call_and_is_raised(self, fake: FakeRuntime) -> None:
        response = request(fake)

        with pytest.raises(ZeroDivisionError):
            async with response:
                async for _ in response:
                    raise ZeroDivisionError

        assert fake.provider.open_calls == 0
        assert response.result.status == "failed"

    async def test_a_response_that_nobody_reads_sends_nothing(self, fake: FakeRuntime) -> None:
        response = request(fake)

        async with response:
            pass

        assert fake.provider.reply_count == 0
        assert (response.result.status, response.result.usage) == ("stopped", None)


class TestRetry:
    @pytest.mark.parametrize("failures", [1, 2])
    async def test_a_passing_trouble_before_the_answer_is_tried_again(self, fake: FakeRuntime, failures: int) -> None:
        fake.provider.fail(UpstreamUnavailable("overloaded", "busy"), times=failures)

        events = await read(request(fake))

        assert text_of(events) == "Hello there."
        assert fake.provider.reply_count == failures + 1

    async def test_three_tries_are_all(self, fake: FakeRuntime) -> None:
        fake.provider.fail(UpstreamUnavailable("server_error", "no"), times=9)
        response = request(fake)

        error = await failure_of(response)

        assert error.code == "server_error"
        assert fake.provider.reply_count == 3
        assert (response.result.status, response.result.usage) == ("failed", None)

    async def test_a_stream_that_breaks_before_its_first_block_is_tried_again(self, fake: FakeRuntime) -> None:
        fake.provider.fail(StreamBroken("stream_cut", "cut"), after_pieces=0)

        events = await read(request(fake))

        assert text_of(events) == "Hello there."
        assert fake.provider.reply_count == 2

    async def test_after_the_first_block_nothing_is_sent_twice(self, fake: FakeRuntime) -> None:
        fake.provider.fail(StreamBroken("stream_cut", "cut"), after_pieces=1)
        response = request(fake)

        error = await failure_of(response)

        assert error.code == "stream_cut"
        assert fake.provider.reply_count == 1
        assert response.result.status == "interrupted"
        assert response.result.usage is not None

    async def test_a_refusal_is_final(self, fake: FakeRuntime) -> None:
        fake.provider.fail(UpstreamRefused("key_refused", "no"), times=9)

        assert (await failure_of(request(fake))).code == "key_refused"
        assert fake.provider.reply_count == 1

    async def test_a_short_retry_after_is_honoured(self, fake: FakeRuntime, monkeypatch: pytest.MonkeyPatch) -> None:
        slept: list[float] = []
        monkeypatch.setattr("warmcache.requests.stream.asyncio.sleep", _recording(slept))
        fake.provider.fail(UpstreamUnavailable("rate_limited", "no", retry_after_seconds=7))

        await read(request(fake))

        assert slept == [7]

    async def test_a_long_retry_after_is_told_at_once(self, fake: FakeRuntime) -> None:
        fake.provider.fail(UpstreamUnavailable("rate_limited", "no", retry_after_seconds=21), times=9)

        error = await failure_of(request(fake))

        assert error.retry_after_seconds == 21
        assert fake.provider.reply_count == 1

    async def test_a_429_without_retry_after_is_no_matter_of_waiting(self, fake: FakeRuntime) -> None:
        fake.provider.fail(UpstreamUnavailable("rate_limited", "no"), times=9)

        await failure_of(request(fake))

        assert fake.provider.reply_count == 1

    async def test_pauses_grow_and_are_jittered(self, fake: FakeRuntime, monkeypatch: pytest.MonkeyPatch) -> None:
        slept: list[float] = []
        monkeypatch.setattr("warmcache.requests.stream.asyncio.sleep", _recording(slept))
        fake.provider.fail(UpstreamUnavailable("overloaded", "no"), times=2)
        response = request(fake)
        response._jitter = lambda: 0.5

        await read(response)

        assert slept == [0.25, 0.5]

    async def test_a_limit_met_by_a_reply_keeps_warm_ups_out_of_its_way(self, fake: FakeRuntime) -> None:
        fake.provider.fail(UpstreamUnavailable("overloaded", "no"))

        await read(request(fake, make_prompt(system_tokens=100)))

        attempt = await services.prewarm_prefix(make_prompt(), intent="typing")
        assert attempt.decision.reason == "upstream_limited"

    async def test_leaving_while_it_waits_for_the_next_try_sends_nothing_more(self, fake: FakeRuntime) -> None:
        fake.provider.fail(UpstreamUnavailable("rate_limited", "no", retry_after_seconds=19))
        reading = asyncio.create_task(read(request(fake)))
        await until(lambda: fake.provider.reply_count == 1)
        await asyncio.sleep(0)

        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading

        assert (fake.provider.reply_count, fake.provider.open_calls) == (1, 0)


class TestJoining:
    async def test_a_request_waits_for_a_warm_up_that_is_under_way(self, fake: FakeRuntime, clock: FakeClock) -> None:
        await start_warm_up(fake)
        clock.advance(1)
        response = request(fake)
        reading = asyncio.create_task(read(response))
        await settle()
        assert fake.provider.reply_count == 0

        clock.advance(2)
        fake.provider.release_warm_ups()
        await reading

        assert response.result.settlement.warmth == "joined"
        assert response.result.usage is not None
        assert response.result.usage.cache_read_tokens >= 4000
        assert response.result.ttft_ms == 2000

    async def test_a_request_does_not_wait_for_a_warm_up_that_has_just_begun(self, fake: FakeRuntime) -> None:
        attempt = await start_warm_up(fake)
        response = request(fake)

        await read(response)

        assert response.result.settlement.warmth == "raced"
        fake.provider.release_warm_ups()
        assert attempt.finished is not None
        assert (await attempt.finished()).state == "warm"

    async def test_a_warm_up_that_stalls_holds_nobody_beyond_the_bound(self, clock: FakeClock) -> None:
        async with fake_runtime(clock=clock, has_database=False, join_bound_factor=0.9) as fake:
            await start_warm_up(fake)
            clock.advance(1.06)
            response = request(fake)

            async with asyncio.timeout(PATIENCE_SECONDS):
                await read(response)

            assert response.result.status == "complete"
            assert response.result.settlement.warmth == "raced"
            assert fake.provider.warm_up_count == 1

    async def test_a_warm_up_that_fails_lets_its_follower_go_at_once(self, fake: FakeRuntime, clock: FakeClock) -> None:
        await start_warm_up(fake)
        clock.advance(1)
        response = request(fake)
        reading = asyncio.create_task(read(response))
        await settle()

        next(iter(fake.runtime.tasks._tasks)).cancel()
        await reading

        assert response.result.settlement.warmth == "cold"

    async def test_a_warm_up_that_only_renews_is_not_worth_a_wait(self, fake: FakeRuntime, clock: FakeClock) -> None:
        await read(request(fake))
        clock.advance(294)
        await start_warm_up(fake)
        clock.advance(1)
        response = request(fake)

        async with asyncio.timeout(PATIENCE_SECONDS):
            await read(response)

        assert response.result.settlement.warmth == "hit"

    async def test_a_warm_up_of_the_shared_layer_alone_is_joined_by_a_conversation(
        self, fake: FakeRuntime, clock: FakeClock
    ) -> None:
        await start_warm_up(fake, make_prompt())
        clock.advance(1)

        assert await request(fake, make_prompt(turns=1)).expected_warmth() == "joined"

    async def test_someone_elses_conversation_is_not_joined(self, fake: FakeRuntime, clock: FakeClock) -> None:
        await read(request(fake))
        await start_warm_up(fake, make_prompt(name="ann", turns=1))
        clock.advance(1)

        assert await request(fake, make_prompt(name="bob", turns=1)).expected_warmth() == "hit"

    async def test_leaving_while_it_waits_sends_nothing_and_spares_the_warm_up(
        self, fake: FakeRuntime, clock: FakeClock
    ) -> None:
        attempt = await start_warm_up(fake)
        clock.advance(1)
        reading = asyncio.create_task(read(request(fake)))
        await settle()

        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        fake.provider.release_warm_ups()

        assert fake.provider.reply_count == 0
        assert attempt.finished is not None
        assert (await attempt.finished()).state == "warm"


class TestWarmth:
    async def test_what_it_will_meet_is_said_before_the_call(self, fake: FakeRuntime, clock: FakeClock) -> None:
        said = [await request(fake).expected_warmth()]
        attempt = await start_warm_up(fake)
        said.append(await request(fake).expected_warmth())
        clock.advance(1)
        said.append(await request(fake).expected_warmth())
        fake.provider.release_warm_ups()
        assert attempt.finished is not None
        await attempt.finished()
        said.append(await request(fake).expected_warmth())

        assert said == ["cold", "raced", "joined", "hit"]

    async def test_what_it_met_is_told_by_what_was_really_read(self, fake: FakeRuntime) -> None:
        attempt = await services.prewarm_prefix(make_prompt(), intent="typing")
        assert attempt.finished is not None
        await attempt.finished()
        fake.provider.evict()
        response = request(fake)

        await read(response)

        assert response.result.settlement.warmth == "cold"

    async def test_a_request_that_left_nothing_in_the_cache_is_not_believed_warm(self, fake: FakeRuntime) -> None:
        fake.provider.reports_nothing = True
        await read(request(fake))

        assert (await services.warmth_of(services.outline(make_prompt()))).state == "cold"

    async def test_its_own_entries_are_believed_warm_from_its_start_on(
        self, fake: FakeRuntime, clock: FakeClock
    ) -> None:
        started_at = clock.now()
        async with request(fake) as response:
            async for _ in response:
                clock.advance(5)

        assert (await services.warmth_of(services.outline(make_prompt()))).expires_at == started_at + 300


class TestLedgerTrouble:
    async def test_a_ledger_that_hangs_holds_the_end_up_for_a_bounded_time(
        self, fake: FakeRuntime, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        async def hang(write: object) -> None:
            await asyncio.Event().wait()

        response = request(fake)

        with monkeypatch.context() as patch:
            patch.setattr(fake.runtime.ledger, "perform", hang)
            patch.setattr("warmcache.requests.ending.RECORD_PATIENCE_SECONDS", 0.01)
            await read(response)

        assert response.result.settlement.warmth == "cold"
        assert response.result.settlement.cost_usd is not None


def _recording(slept: list[float]) -> Callable[[float], Awaitable[None]]:
    """No wait for the test's own task; housekeepers of the runtime sleep as always."""
    own_task, real_sleep = asyncio.current_task(), asyncio.sleep

    async def sleep(seconds: float) -> None:
        if asyncio.current_task() is not own_task:
            await real_sleep(seconds)
            return
        slept.append(seconds)

    return sleep


async def test_a_break_before_the_first_text_of_a_block_is_tried_again_and_the_block_begins_once(
    fake: FakeRuntime,
) -> None:
    fake.provider.fail(StreamBroken("stream_cut", "cut"), after_pieces=0)
    response = request(fake)

    events = await read(response)

    assert fake.provider.reply_count == 2
    assert [type(event).__name__ for event in events].count("BlockBegan") == 1
    assert response.result.status == "complete"


async def test_what_the_provider_did_not_find_is_believed_no_longer(fake: FakeRuntime) -> None:
    prompt = make_prompt(turns=1)
    attempt = await services.prewarm_prefix(prompt, intent="typing")
    assert attempt.finished is not None
    await attempt.finished()
    shallow = attempt.prefix.breakpoints[0].prefix_hash
    fake.provider.evict()

    async with services.stream_response(make_prompt(turns=2), make_turn(), max_tokens=9) as response:
        [event async for event in response]

    seen = await fake.runtime.store.look_up([shallow, attempt.prefix.breakpoints[-1].prefix_hash])
    assert set(seen) == {shallow}


async def test_a_try_that_broke_off_is_billed_and_tells_what_was_found(fake: FakeRuntime) -> None:
    fake.provider.fail(StreamBroken("stream_cut", "cut"), after_pieces=0)
    response = request(fake)

    await read(response)

    result = response.result
    assert result is not None and result.usage is not None
    assert result.usage.cache_write_tokens > 0
    assert result.usage.cache_read_tokens >= result.usage.cache_write_tokens
    assert result.settlement.warmth == "cold"


async def test_two_tries_are_billed_as_two_prompts_and_not_as_one_large_one(fake: FakeRuntime) -> None:
    prompt, priced_for = make_prompt(), []
    known = fake.runtime.rates

    def rates(model: str, tokens: int) -> Rates | None:
        priced_for.append(tokens)
        return known(model, tokens)

    fake.provider.fail(StreamBroken("stream_cut", "cut"), after_pieces=0)
    response = request(fake, prompt)
    fake.runtime.rates = rates
    await read(response)

    assert response.result.usage is not None
    assert max(priced_for) < response.result.usage.total_input_tokens


class Thinker(FakeProvider):
    """Needs a second to read and half a minute to think, of which it shows nothing."""

    async def _events(self, number: int, trouble: Any) -> AsyncGenerator[StreamEvent, None]:
        clock = self._clock
        clock.advance(1)
        async for event in super()._events(number, trouble):
            if isinstance(event, BlockBegan):
                yield BlockBegan(index=0, kind="thinking")
                clock.advance(30)
                yield BlockSigned(index=0, signature="signed")
                yield BlockEnded(index=0)
            yield event if isinstance(event, StreamBegan | StreamEnded) else replace(event, index=1)


async def test_thinking_that_is_not_shown_does_not_teach_that_reading_is_slow(clock: FakeClock) -> None:
    async with fake_runtime(clock=clock, provider=Thinker(clock=clock), has_database=False, learns=True) as fake:
        for _ in range(20):
            await read(services.stream_response(make_prompt(), make_turn(), max_tokens=100))

        assert fake.runtime.learning.forecasts("").prefill(MODEL).round_trip_seconds < 2
