"""The real provider against each trouble of the real simulator, over real sockets."""

import asyncio
import gc
import gzip
import itertools
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import httpx2
import pytest
from aiohttp import web

from tests.servers import PATIENCE_SECONDS
from tests.warmcache.simulated import Simulated, eventually, simulated
from tests.warmcache.upstream.endpoints import serving
from warmcache.conf import Config
from warmcache.core.errors import StreamBroken, UpstreamError, UpstreamRefused, UpstreamUnavailable
from warmcache.core.ports import BlockBegan, BlockDelta, BlockEnded, BlockSigned, StreamBegan, StreamEnded, StreamEvent
from warmcache.core.prefix import Request, build_request
from warmcache.core.usage import Usage
from warmcache.testing import KEY, make_prompt, make_turn
from warmcache.upstream.anthropic import MessagesProvider, usage_of
from warmcache.upstream.api_errors import MAX_BODY_BYTES

WARM_UP = build_request(make_prompt(), None, KEY)
REQUEST = build_request(make_prompt(), make_turn(), KEY)
NO_ANSWER = {"first_event_timeout_seconds": 0.3, "warm_up_timeout_seconds": 0.3}
SILENT = {"idle_timeout_seconds": 0.3, "thinking_timeout_seconds": 0.3, "warm_up_timeout_seconds": 0.3}
SILENT_AFTER_TEXT = {"idle_timeout_seconds": 2.0}
"""Impatience for stalls only, and only where they strike: a slow machine must not look like one."""


@pytest.fixture
async def side() -> AsyncIterator[Simulated]:
    async with simulated() as running:
        yield running


@pytest.fixture
async def deaf_side() -> AsyncIterator[Simulated]:
    """For stalls before the answer."""
    async with simulated(**NO_ANSWER) as running:
        yield running


@pytest.fixture
async def silent_side() -> AsyncIterator[Simulated]:
    """For stalls in the middle."""
    async with simulated(**SILENT) as running:
        yield running


@pytest.fixture(autouse=True)
async def no_task_is_left_behind() -> AsyncIterator[None]:
    yield
    assert asyncio.all_tasks() == {asyncio.current_task()}


def _living_requests() -> list[httpx2.Request]:
    gc.collect()
    return [found for found in gc.get_objects() if type(found) is httpx2.Request]


async def read(provider: MessagesProvider, request: Request = REQUEST) -> list[StreamEvent]:
    async with provider.stream(request, max_tokens=300) as arriving:
        return [event async for events in arriving for event in events]


async def failure_of(work: Any) -> UpstreamError:
    async with asyncio.timeout(PATIENCE_SECONDS):
        with pytest.raises(UpstreamError) as raised:
            await work
    return raised.value


def kinds(events: list[StreamEvent]) -> list[str]:
    return [type(event).__name__ for event in events]


async def test_a_body_that_the_api_would_refuse_unread_is_not_sent(side: Simulated) -> None:
    request = replace(REQUEST, pieces=(*REQUEST.pieces, bytes(MAX_BODY_BYTES)))

    for work in (side.provider.prewarm(request), read(side.provider, request)):
        failure = await failure_of(work)
        assert failure.code == "prompt_too_large"
        assert "32 MB, most of it pictures" in failure.message


class TestAnswers:
    async def test_a_warm_up_writes_and_the_request_reads(self, side: Simulated) -> None:
        side.next_replies("Yes, now.")

        answer = await side.provider.prewarm(WARM_UP)
        events = await read(side.provider)

        began, ended = events[0], events[-1]
        assert isinstance(began, StreamBegan)
        assert isinstance(ended, StreamEnded)
        assert answer.usage.cache_write_tokens > 3900
        assert answer.request_id.startswith("req_")
        assert began.usage.cache_read_tokens == answer.usage.cache_write_tokens
        assert (began.request_id[:4], began.response_id[:4]) == ("req_", "msg_")
        assert "".join(event.text for event in events if isinstance(event, BlockDelta)) == "Yes, now."
        assert (ended.stop_reason, ended.usage.cache_read_tokens) == ("end_turn", began.usage.cache_read_tokens)
        assert ended.usage.output_tokens > 0

    async def test_each_layer_is_written_with_its_own_lifetime(self, side: Simulated) -> None:
        request = build_request(make_prompt(turns=1, shared_ttl="1h"), None, KEY)

        usage = (await side.provider.prewarm(request)).usage

        shared = request.prefix.breakpoints[0]
        assert usage.cache_write_1h_tokens == pytest.approx(shared.prefix_tokens, abs=20)
        assert usage.cache_write_tokens - usage.cache_write_1h_tokens == pytest.approx(1000, abs=20)

    async def test_thinking_its_signature_and_a_tool_call_come_as_what_they_are(self, side: Simulated) -> None:
        blocks = [
            {"type": "thinking", "thinking": "Let me see."},
            {"type": "text", "text": "I look."},
            {"type": "tool_use", "name": "search", "input": {"query": "x"}},
        ]
        side.simulator.scripts.add(_script(blocks=blocks))

        events = await read(side.provider)

        begun = [(event.kind, event.name) for event in events if isinstance(event, BlockBegan)]
        assert begun == [("thinking", ""), ("text", ""), ("tool_input", "search")]
        assert sum(isinstance(event, BlockEnded) for event in events) == 3
        assert sum(isinstance(event, BlockSigned) for event in events) == 1
        tool_input = "".join(e.text for e in events if isinstance(e, BlockDelta) and e.kind == "tool_input")
        assert tool_input == '{"query":"x"}'

    async def test_beta_headers_reach_the_provider(self, side: Simulated) -> None:
        await side.provider.prewarm(build_request(make_prompt(betas=("a-beta", "b-beta")), None, KEY))

        assert side.exchanges[0].headers["anthropic-beta"] == "a-beta,b-beta"

    async def test_what_goes_over_the_wire_is_what_was_encoded_once(self, side: Simulated) -> None:
        await side.provider.prewarm(WARM_UP)
        await read(side.provider)

        about = {"previous_message_id": None}
        assert [exchange.body for exchange in side.exchanges] == [
            WARM_UP.encoded(diagnostics=about, max_tokens=0),
            REQUEST.encoded(diagnostics=about, max_tokens=300, stream=True),
        ]
        assert {exchange.headers["content-type"] for exchange in side.exchanges} == {"application/json"}

    async def test_the_prompt_s_bytes_are_let_go_once_the_answer_comes(self, side: Simulated) -> None:
        system = "Something that no other test sends. " * 3
        request = build_request(make_prompt(system=system), make_turn(), KEY)

        async with side.provider.stream(request, max_tokens=300) as arriving:
            await anext(aiter(arriving))
            kept = [sent for sent in _living_requests() if system.encode() in sent.content]

        assert kept == []

    @pytest.mark.parametrize("encoding", ["identity", "gzip"])
    async def test_an_answer_may_be_packed(self, encoding: str) -> None:
        async with packed_server(encoding) as url:
            provider = MessagesProvider(Config(api_key="k", base_url=url))
            try:
                events = await read(provider)
            finally:
                await provider.aclose()

        assert kinds(events) == ["StreamBegan", "StreamEnded"]

    async def test_one_connection_serves_one_call_after_the_other(self, side: Simulated) -> None:
        side.next_replies("Yes.", times=5)
        for _ in range(5):
            await side.provider.prewarm(WARM_UP)
            await read(side.provider)

        assert side.open_connections() == 1

    @pytest.mark.parametrize(
        ("raw", "usage"),
        [
            ({}, Usage()),
            ({"input_tokens": None, "cache_creation": None}, Usage()),
            (
                {
                    "input_tokens": 1,
                    "cache_read_input_tokens": 2,
                    "cache_creation_input_tokens": 7,
                    "cache_creation": {"ephemeral_5m_input_tokens": 3, "ephemeral_1h_input_tokens": 4},
                    "output_tokens": 5,
                },
                Usage(
                    input_tokens=1,
                    cache_read_tokens=2,
                    cache_write_tokens=7,
                    cache_write_1h_tokens=4,
                    output_tokens=5,
                ),
            ),
            (
                {"server_tool_use": {"web_search_requests": 3, "web_fetch_requests": None}},
                Usage(web_searches=3),
            ),
            (
                {
                    "input_tokens": 10,
                    "output_tokens": 5,
                    "iterations": [{"type": "message", "input_tokens": 10, "output_tokens": 5}],
                },
                Usage(input_tokens=10, output_tokens=5),
            ),
            (
                {
                    "input_tokens": 10,
                    "output_tokens": 5,
                    "server_tool_use": {"web_search_requests": 1},
                    "iterations": [
                        {"type": "compaction", "input_tokens": 900, "output_tokens": 40, "cache_read_input_tokens": 7},
                        {"type": "message", "input_tokens": 10, "output_tokens": 5},
                        None,
                    ],
                },
                Usage(input_tokens=910, cache_read_tokens=7, output_tokens=45, web_searches=1),
            ),
        ],
    )
    def test_all_that_is_billed_is_counted_and_what_is_missing_is_zero(self, raw: dict[str, Any], usage: Usage) -> None:
        assert usage_of(raw) == usage


REFUSALS: list[tuple[str, dict[str, Any], type[UpstreamError], str]] = [
    ("unauthorized", {}, UpstreamRefused, "key_refused"),
    ("spend_limit", {}, UpstreamRefused, "spend_limit"),
    ("own_spend_limit", {}, UpstreamRefused, "spend_limit"),
    ("rate_limited", {}, UpstreamUnavailable, "rate_limited"),
    ("server_error", {}, UpstreamUnavailable, "server_error"),
    ("overloaded", {}, UpstreamUnavailable, "overloaded"),
    ("reset", {}, UpstreamUnavailable, "unreachable"),
    ("stall", {"where": "before_headers"}, UpstreamUnavailable, "timed_out"),
    ("status", {"status": 400}, UpstreamRefused, "request_refused"),
    ("status", {"status": 402}, UpstreamRefused, "spend_limit"),
    ("status", {"status": 403}, UpstreamRefused, "access_refused"),
    ("status", {"status": 404}, UpstreamRefused, "model_not_found"),
    ("status", {"status": 413}, UpstreamRefused, "prompt_too_large"),
    ("status", {"status": 504}, UpstreamUnavailable, "server_error"),
]
REFUSAL_NAMES = [f"{kind}-{more['status']}" if "status" in more else kind for kind, more, _, _ in REFUSALS]


class TestTroubleBeforeTheAnswer:
    @pytest.mark.parametrize("is_warm_up", [True, False], ids=["warm-up", "stream"])
    @pytest.mark.parametrize(("kind", "more", "error_class", "code"), REFUSALS, ids=REFUSAL_NAMES)
    async def test_it_is_told_as_what_it_is_and_the_call_is_made_once(
        self,
        side: Simulated,
        deaf_side: Simulated,
        is_warm_up: bool,
        kind: str,
        more: dict[str, Any],
        error_class: type[UpstreamError],
        code: str,
    ) -> None:
        side = deaf_side if kind == "stall" else side
        side.next_fault(kind, **more)

        error = await failure_of(side.provider.prewarm(WARM_UP) if is_warm_up else read(side.provider))

        assert (type(error), error.code) == (error_class, code)
        assert error.message.endswith(".")
        assert "req_" in error.request_id or kind in ("reset", "stall")
        # Who is short of time may give up before the call has arrived.
        assert len(side.exchanges) == 1 or (kind == "stall" and not side.exchanges)

    async def test_retry_after_is_handed_on(self, side: Simulated) -> None:
        side.next_fault("rate_limited", retry_after=7)

        assert (await failure_of(read(side.provider))).retry_after_seconds == 7

    async def test_nobody_listens(self, unused_port: int) -> None:
        provider = MessagesProvider(Config(api_key="k", base_url=f"http://127.0.0.1:{unused_port}"))
        try:
            first = await failure_of(provider.prewarm(WARM_UP))
            second = await failure_of(read(provider))
        finally:
            await provider.aclose()

        assert [(type(error), error.code) for error in (first, second)] == [(UpstreamUnavailable, "unreachable")] * 2

    async def test_no_key_at_all_is_told_as_a_refused_key(self) -> None:
        async with simulated(api_key="") as side:
            error = await failure_of(side.provider.prewarm(WARM_UP))

        assert error.code == "key_refused"

    async def test_a_character_that_cannot_be_sent_is_refused_here(self, side: Simulated) -> None:
        request = build_request(make_prompt(), make_turn("half of a pair: \ud83d"), KEY)

        error = await failure_of(read(side.provider, request))

        assert error.code == "request_refused"

    async def test_zero_counters_are_reported_as_they_are(self, side: Simulated) -> None:
        side.next_fault("zero_counters", times=2)

        answer = await side.provider.prewarm(WARM_UP)
        began = (await read(side.provider))[0]

        assert isinstance(began, StreamBegan)
        assert (answer.usage.cached_tokens, began.usage.cached_tokens) == (0, 0)


class TestTroubleInTheMiddle:
    @pytest.mark.parametrize(
        ("kind", "code"),
        [
            ("stall", "stream_stalled"),
            ("cut", "stream_cut"),
            ("error_event", "overloaded"),
            ("malformed", "stream_malformed"),
            ("end_early", "stream_ended_early"),
        ],
    )
    @pytest.mark.parametrize("where", ["before_first_token", "after_first_token"])
    async def test_what_has_come_stays_and_the_end_is_no_success(self, kind: str, code: str, where: str) -> None:
        impatience = SILENT if where == "before_first_token" else SILENT_AFTER_TEXT
        events: list[StreamEvent] = []

        async def collect(side: Simulated) -> None:
            async with side.provider.stream(REQUEST, max_tokens=300) as stream:
                async for together in stream:
                    events.extend(together)

        async with simulated(**impatience if kind == "stall" else {}) as side:
            side.next_fault(kind, where=where)
            side.next_replies("A reply that is long enough to be broken in its middle, by a sentence or two. " * 5)
            error = await failure_of(collect(side))

        assert (type(error), error.code) == (StreamBroken, code)
        assert error.is_retryable
        assert kinds(events)[0] == "StreamBegan"
        assert ("BlockDelta" in kinds(events)) == (where == "after_first_token")
        assert "StreamEnded" not in kinds(events)

    @pytest.mark.parametrize(
        ("kind", "more", "code"),
        [
            ("stall", {"where": "after_first_token"}, "timed_out"),
            ("cut", {}, "unreachable"),
            ("malformed", {}, "stream_malformed"),
            ("error_event", {}, "overloaded"),
        ],
    )
    async def test_a_warm_up_that_breaks_off_says_so(
        self, side: Simulated, silent_side: Simulated, kind: str, more: dict[str, Any], code: str
    ) -> None:
        side = silent_side if kind == "stall" else side
        side.next_fault(kind, **more)

        assert (await failure_of(side.provider.prewarm(WARM_UP))).code == code

    async def test_pings_do_not_keep_a_stalled_stream_alive(self, silent_side: Simulated) -> None:
        silent_side.next_fault("stall", where="after_first_token", ping_seconds=0.05)
        silent_side.next_replies("A reply that is long enough to be broken in its middle. " * 9)

        assert (await failure_of(read(silent_side.provider))).code == "stream_stalled"

    async def test_a_reply_that_never_ends_is_ended(self, side: Simulated, monkeypatch: pytest.MonkeyPatch) -> None:
        moments = itertools.chain([0.0], itertools.count(590.0))
        monkeypatch.setattr("warmcache.upstream.anthropic._monotonic", lambda: next(moments))
        side.next_replies("On and on. " * 500, tokens_per_second=100)

        error = await failure_of(read(side.provider))

        assert (type(error), error.code) == (StreamBroken, "timed_out")

    async def test_after_the_trouble_the_next_call_goes_well(self, side: Simulated) -> None:
        for kind in ("cut", "malformed", "end_early", "error_event"):
            side.next_fault(kind)
            side.next_replies("Long enough to break in the middle of it all, one would think. " * 5)
            await failure_of(read(side.provider))
        side.next_replies("Well.")

        assert kinds(await read(side.provider))[-1] == "StreamEnded"


class TestLeaving:
    async def test_leaving_the_stream_hangs_up_at_once(self) -> None:
        async with simulated(profile="haiku") as side:
            side.next_replies("Word by word by word. " * 500, tokens_per_second=50)
            async with side.provider.stream(REQUEST, max_tokens=3000) as arriving:
                async for events in arriving:
                    if any(isinstance(event, BlockDelta) for event in events):
                        break

            await eventually(lambda: side.exchanges[0].hung_up)

    async def test_a_cancelled_warm_up_hangs_up_at_once(self) -> None:
        async with simulated(profile="2024") as side:
            warming = asyncio.create_task(side.provider.prewarm(WARM_UP))
            await eventually(lambda: len(side.exchanges) == 1)

            warming.cancel()
            with pytest.raises(asyncio.CancelledError):
                await warming

            await eventually(lambda: side.exchanges[0].hung_up)

    async def test_two_hundred_cancelled_streams_leave_the_pool_as_good_as_new(self) -> None:
        async with simulated() as side:
            side.next_replies("Word by word by word. " * 50, times=200, tokens_per_second=20)

            async def leave_in_the_middle(number: int) -> None:
                has_begun = asyncio.Event()

                async def consume() -> None:
                    async with side.provider.stream(REQUEST, max_tokens=500) as events:
                        async for _ in events:
                            has_begun.set()

                reading = asyncio.create_task(consume())
                if number % 2:
                    await has_begun.wait()
                else:
                    await asyncio.sleep(0)
                reading.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await reading

            for first in range(0, 200, 50):
                await asyncio.gather(*(leave_in_the_middle(number) for number in range(first, first + 50)))
            await eventually(lambda: side.open_connections() <= 1)
            side.simulator.reset()
            side.next_replies("Well.")

            assert kinds(await read(side.provider))[-1] == "StreamEnded"
            assert side.open_connections() <= 1


def _script(**data: Any) -> Any:
    from warmcache.simulator.scripts import read_script

    return read_script(data)


@pytest.fixture
def unused_port() -> Iterator[int]:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


PACKED = (
    b'event: message_start\ndata: {"type":"message_start","message":{"id":"msg_1","usage":{}}}\n\n'
    b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
)


@asynccontextmanager
async def packed_server(encoding: str) -> AsyncIterator[str]:
    """A whole answer, packed as `encoding` says."""

    async def answer(request: web.Request) -> web.Response:
        data = gzip.compress(PACKED) if encoding == "gzip" else PACKED
        return web.Response(body=data, content_type="text/event-stream", headers={"content-encoding": encoding})

    async with serving(answer) as url:
        yield url
