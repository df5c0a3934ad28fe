import asyncio
import contextlib
from typing import Any

import anthropic
import httpx2
import pytest

from tests.servers import PATIENCE_SECONDS
from warmcache.simulator.faults import KINDS, BadFaultError, FaultQueue, read_fault

CALL: dict[str, Any] = {
    "model": "claude-sonnet-5-5",
    "max_tokens": 500,
    "messages": [{"role": "user", "content": "Hello"}],
}
WARM_UP = {**CALL, "max_tokens": 0}


async def streamed(client: anthropic.AsyncAnthropic) -> tuple[str, str | None]:
    """The text and the stop reason of a stream, as far as it came."""
    text, stop_reason = "", None
    async for event in await client.messages.create(**CALL, stream=True):
        if event.type == "content_block_delta":
            text += event.delta.text
        elif event.type == "message_delta":
            stop_reason = event.delta.stop_reason
    return text, stop_reason


@pytest.mark.parametrize(
    ("kind", "error", "error_type"),
    [
        ("unauthorized", anthropic.AuthenticationError, "authentication_error"),
        ("rate_limited", anthropic.RateLimitError, "rate_limit_error"),
        ("spend_limit", anthropic.RateLimitError, "rate_limit_error"),
        ("own_spend_limit", anthropic.BadRequestError, "invalid_request_error"),
        ("server_error", anthropic.InternalServerError, "api_error"),
        ("overloaded", anthropic.InternalServerError, "overloaded_error"),
    ],
)
@pytest.mark.parametrize("call", [CALL, WARM_UP], ids=["reply", "warm_up"])
async def test_each_refusal_reaches_the_sdk_as_its_class(
    served, kind: str, error: type[anthropic.APIStatusError], error_type: str, call: dict[str, Any]
):
    await served.control("POST", "faults", {"kind": kind})
    client = served.client()

    with pytest.raises(error) as caught:
        await client.messages.create(**call)

    assert caught.value.type == error_type
    assert caught.value.request_id is not None
    assert caught.value.response.headers["x-simulator"] == "warmcache"
    assert await client.messages.create(**call), "the next call goes well"


async def test_any_documented_status_can_be_asked_for(served):
    await served.control("POST", "faults", {"kind": "status", "status": 504, "message": "took too long"})

    with pytest.raises(anthropic.APIStatusError, match="took too long") as caught:
        await served.client().messages.create(**CALL)

    assert (caught.value.status_code, caught.value.type) == (504, "timeout_error")


async def test_a_rate_limit_tells_when_to_come_back_only_if_asked_to(served):
    await served.control(
        "POST", "faults", {"faults": [{"kind": "rate_limited", "retry_after": 7}, {"kind": "rate_limited"}]}
    )
    told = []

    for _ in range(2):
        with pytest.raises(anthropic.RateLimitError) as caught:
            await served.client().messages.create(**CALL)
        told.append(caught.value.response.headers.get("retry-after"))

    assert told == ["7", None]


async def test_a_reached_spend_limit_has_its_code_and_no_retry_after(served):
    await served.control("POST", "faults", {"kind": "spend_limit"})

    with pytest.raises(anthropic.RateLimitError) as caught:
        await served.client().messages.create(**CALL)

    assert caught.value.error_code == "enforced_spend_limit_reached"
    assert "retry-after" not in caught.value.response.headers


async def test_a_fault_waits_for_the_kind_of_call_it_is_meant_for(served):
    await served.control("POST", "faults", {"kind": "overloaded", "match": "warm_up", "times": 2})
    client = served.client()

    assert await client.messages.create(**CALL)
    for _ in range(2):
        with pytest.raises(anthropic.InternalServerError):
            await client.messages.create(**WARM_UP)
    assert await client.messages.create(**WARM_UP)


@pytest.mark.parametrize("call", [CALL, WARM_UP, {**CALL, "stream": True}], ids=["reply", "warm_up", "stream"])
async def test_a_reset_before_the_headers_is_a_connection_error(served, call: dict[str, Any]):
    await served.control("POST", "faults", {"kind": "reset"})

    with pytest.raises(anthropic.APIConnectionError):
        await served.client().messages.create(**call)


async def test_a_cut_in_the_middle_loses_the_rest_of_the_stream(served):
    await served.control("POST", "faults", {"kind": "cut", "after_tokens": 20})
    text = ""

    with pytest.raises(httpx2.TransportError):
        async for event in await served.client().messages.create(**CALL, stream=True):
            text += event.delta.text if event.type == "content_block_delta" else ""

    assert text.startswith("This is a simulated reply")
    assert len(text) < 120


async def test_a_cut_in_the_middle_of_json_is_a_transport_error(served):
    await served.control("POST", "faults", {"kind": "cut"})

    with pytest.raises((httpx2.TransportError, anthropic.APIConnectionError)):
        await served.client().messages.create(**CALL)


async def test_an_error_event_raises_with_its_type_after_some_text(served):
    await served.control("POST", "faults", {"kind": "error_event", "after_tokens": 20})
    text = ""

    with pytest.raises(anthropic.APIStatusError) as caught:
        async for event in await served.client().messages.create(**CALL, stream=True):
            text += event.delta.text if event.type == "content_block_delta" else ""

    assert (caught.value.status_code, caught.value.type) == (200, "overloaded_error")
    assert text


@pytest.mark.parametrize("kind", ["error_event", "cut", "malformed", "end_early"])
async def test_a_stream_can_break_before_its_first_token(served, kind: str):
    await served.control("POST", "faults", {"kind": kind, "where": "before_first_token"})
    names = []

    with contextlib.suppress(anthropic.APIStatusError, httpx2.TransportError, ValueError):
        async for event in await served.client().messages.create(**CALL, stream=True):
            names.append(event.type)

    assert names == ["message_start", "content_block_start"]


async def test_malformed_json_in_the_stream_is_a_decoding_error(served):
    await served.control("POST", "faults", {"kind": "malformed"})

    with pytest.raises(ValueError, match="JSON|Expecting|delimiter"):
        await streamed(served.client())


async def test_a_stream_can_end_cleanly_without_message_stop(served):
    await served.control("POST", "faults", {"kind": "end_early"})

    text, stop_reason = await streamed(served.client())

    assert text
    assert stop_reason is None


@pytest.mark.parametrize("where", ["before_headers", "before_first_token", "after_first_token"])
async def test_a_stall_lasts_until_the_reader_gives_up(served, eventually, where: str):
    await served.control("POST", "faults", {"kind": "stall", "where": where})
    reading = asyncio.create_task(streamed(served.client()))
    await eventually(lambda: [exchange.fault for exchange in served.simulator.journal.newest()] == ["stall"])
    (exchange,) = served.simulator.journal.newest()
    is_after_text = where == "after_first_token"
    await eventually(lambda: "first_token" in exchange.timings_ms or not is_after_text)
    await asyncio.wait({reading}, timeout=0.05)
    was_waiting = not reading.done()

    reading.cancel()

    await eventually(lambda: exchange.hung_up)
    assert was_waiting
    assert ("first_token" in exchange.timings_ms) is is_after_text


async def test_a_stall_is_a_time_out_to_the_sdk(served):
    await served.control("POST", "faults", {"kind": "stall"})
    client = served.client(timeout=httpx2.Timeout(PATIENCE_SECONDS, read=0.05))

    with pytest.raises((httpx2.ReadTimeout, anthropic.APITimeoutError)):
        await streamed(client)


async def test_a_stall_that_ends_lets_the_reply_go_on(served):
    faults = [
        {"kind": "stall", "seconds": 0.02, "where": where} for where in ("before_first_token", "after_first_token")
    ]
    await served.control("POST", "faults", {"faults": faults})

    first, second = [await streamed(served.client()) for _ in range(2)]

    assert first == second == await streamed(served.client())


async def test_pings_can_drip_through_a_stall(served):
    await served.control("POST", "faults", {"kind": "stall", "ping_seconds": 0.01})
    client = served.client()
    lines: list[str] = []

    async with client.messages.with_streaming_response.create(**CALL, stream=True) as response:
        async for line in response.iter_lines():
            lines.append(line)
            if lines.count("event: ping") == 3:
                served.simulator.faults.release()

    assert lines[: lines.index("event: content_block_delta")].count("event: ping") >= 3
    assert "event: message_stop" in lines


async def test_a_stalled_warm_up_keeps_its_caller_waiting(served, eventually):
    await served.control("POST", "faults", {"kind": "stall", "match": "warm_up"})
    client = served.client()
    warming = asyncio.create_task(client.messages.create(**WARM_UP))
    await eventually(lambda: [exchange.fault for exchange in served.simulator.journal.newest()] == ["stall"])

    await asyncio.wait({warming}, timeout=0.05)

    assert not warming.done()
    warming.cancel()
    assert await client.messages.create(**WARM_UP)


async def test_zero_counters_are_reported_where_the_cache_is_said_to_be_out(served):
    await served.control("POST", "faults", {"kind": "zero_counters"})
    system = [{"type": "text", "text": "word " * 2000, "cache_control": {"type": "ephemeral"}}]
    client = served.client()

    out = (await client.messages.create(**WARM_UP, system=system)).usage
    back = (await client.messages.create(**WARM_UP, system=system)).usage

    assert (out.cache_creation_input_tokens, out.cache_read_input_tokens) == (0, 0)
    assert out.input_tokens == back.input_tokens + back.cache_creation_input_tokens


async def test_an_eviction_just_before_the_call_makes_it_cold(served):
    system = [{"type": "text", "text": "word " * 2000, "cache_control": {"type": "ephemeral"}}]
    client = served.client()
    await client.messages.create(**WARM_UP, system=system)
    await served.control("POST", "faults", {"kind": "evict"})

    usage = (await client.messages.create(**CALL, system=system)).usage

    assert usage.cache_read_input_tokens == 0
    assert usage.cache_creation_input_tokens > 512


async def test_a_warm_up_that_is_refused_for_overload_leaves_no_entry(served):
    await served.control("POST", "faults", {"kind": "error_event"})
    system = [{"type": "text", "text": "word " * 2000, "cache_control": {"type": "ephemeral"}}]

    with pytest.raises(anthropic.InternalServerError) as caught:
        await served.client().messages.create(**WARM_UP, system=system)

    assert caught.value.type == "overloaded_error"
    assert served.simulator.engine.entries() == []


@pytest.mark.parametrize("kind", KINDS)
async def test_every_fault_passes_and_the_call_after_it_goes_well(served, kind: str):
    client = served.client()
    await served.control("POST", "faults", {"kind": kind, "seconds": 0.01})

    with contextlib.suppress(anthropic.APIError, httpx2.TransportError, ValueError):
        await streamed(client)
    text, stop_reason = await streamed(client)

    assert "simulated reply" in text
    assert stop_reason == "end_turn"
    assert served.simulator.journal.newest()[0].fault == kind


@pytest.mark.parametrize(
    "data",
    [
        None,
        {},
        {"kind": "meteor"},
        {"kind": "cut", "where": "before_headers"},
        {"kind": "cut", "when": "now"},
        {"kind": "cut", "times": -1},
        {"kind": "cut", "match": "title"},
        {"kind": "stall", "seconds": "long"},
        {"kind": "status", "status": 418},
    ],
)
def test_a_fault_that_cannot_happen_is_refused_with_a_reason(data: Any):
    with pytest.raises(BadFaultError, match=r"\w"):
        read_fault(data)


def test_faults_strike_in_the_order_in_which_they_were_queued():
    queue = FaultQueue()
    for kind, times in (("overloaded", 2), ("cut", 1), ("reset", 0)):
        queue.add(read_fault({"kind": kind, "times": times}))

    taken = [queue.take(is_warm_up=False) for _ in range(4)]

    assert [fault.kind if fault else None for fault in taken] == ["overloaded", "overloaded", "cut", None]
