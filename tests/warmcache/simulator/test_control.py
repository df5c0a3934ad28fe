import asyncio
import base64
from typing import Any

import aiohttp
import pytest

from warmcache.simulator.journal import Journal

MARKED = [{"type": "text", "text": "word " * 2000, "cache_control": {"type": "ephemeral"}}]
CALL: dict[str, Any] = {
    "model": "claude-sonnet-5-5",
    "max_tokens": 500,
    "system": MARKED,
    "messages": [{"role": "user", "content": "Hello"}],
}


async def test_the_journal_holds_the_bytes_as_they_were_sent_and_no_key(served):
    sent = b'{ "model":"claude-sonnet-5-5","max_tokens":0,"messages":[{"role":"user","content":"hi"}] }'
    headers = {"x-api-key": "secret", "anthropic-version": "2026-10-21", "x-mine": "kept"}
    async with aiohttp.ClientSession() as session:
        await session.post(f"{served.url}/v1/messages", data=sent, headers=headers)

    (exchange,) = await served.journal()

    assert base64.b64decode(exchange["body_base64"]) == sent
    assert exchange["parsed"]["max_tokens"] == 0
    assert exchange["headers"]["x-mine"] == "kept"
    assert "secret" not in str(exchange)
    assert exchange["is_warm_up"]
    assert exchange["status"] == 200
    assert exchange["usage"]["output_tokens"] == 0
    assert exchange["simulated_ttft_ms"] == 0
    assert {"began", "finished"} <= set(exchange["timings_ms"])
    assert not exchange["hung_up"]


async def test_the_journal_notes_refusals_too(served):
    client = served.client(api_key="invalid")
    with pytest.raises(Exception, match="invalid x-api-key"):
        await client.messages.create(**CALL)

    (exchange,) = await served.journal()

    assert exchange["status"] == 401
    assert exchange["error"]["type"] == "authentication_error"


async def test_the_journal_can_be_read_in_parts_and_emptied(served):
    client = served.client()
    for _ in range(3):
        await client.messages.create(**CALL)

    newest = await served.control("GET", "requests?limit=1&bodies=0")
    later = await served.control("GET", "requests?after=1")
    await served.control("DELETE", "requests")

    assert [exchange["number"] for exchange in newest["requests"]] == [3]
    assert "body_base64" not in newest["requests"][0]
    assert [exchange["number"] for exchange in later["requests"]] == [2, 3]
    assert await served.journal() == []


def test_the_journal_is_bounded_in_number_and_in_bytes():
    journal = Journal(wall_clock=lambda: 0.0, max_exchanges=3, max_body_bytes=100)
    for _ in range(5):
        journal.keep_body(journal.open("POST", "/", {}), b"x" * 10)
    few = len(journal.newest())
    for _ in range(3):
        journal.keep_body(journal.open("POST", "/", {}), b"x" * 60)

    assert few == 3
    assert [len(exchange.body) for exchange in journal.newest()] == [60]


async def test_scripts_dictate_the_next_replies_and_then_end(served):
    tool_use = {"type": "tool_use", "name": "look_up", "input": {"word": "list", "deep": {"a": [1, 2]}}}
    thinking = {"type": "thinking", "thinking": "Let me see."}
    replies = [
        {"text": "First."},
        {"blocks": [thinking, {"type": "text", "text": "Looking."}, tool_use]},
        {"blocks": []},
        {"text": "", "stop_reason": "refusal", "stop_details": {"type": "refusal", "category": "cyber"}},
        {"tokens": 300},
    ]
    await served.control("POST", "script", {"replies": replies})
    client = served.client()

    got = []
    for _ in range(6):
        async with client.messages.stream(**CALL) as stream:
            got.append(await stream.get_final_message())

    first, tool, empty, refusal, long, composed = got
    assert first.content[0].text == "First."
    assert [block.type for block in tool.content] == ["thinking", "text", "tool_use"]
    assert tool.content[0].signature
    assert tool.content[2].input == tool_use["input"]
    assert tool.content[2].id.startswith("toolu_")
    assert tool.stop_reason == "tool_use"
    assert (empty.content, empty.stop_reason) == ([], "end_turn")
    assert (refusal.stop_reason, refusal.stop_details.category) == ("refusal", "cyber")
    assert long.usage.output_tokens == 300
    assert "simulated reply" in composed.content[0].text


async def test_a_scripted_reply_is_the_same_without_streaming(served):
    blocks = [{"type": "text", "text": "Looking."}, {"type": "tool_use", "name": "look_up", "input": {"word": "a"}}]
    await served.control("POST", "script", {"blocks": blocks, "times": 2})
    client = served.client()

    whole = await client.messages.create(**CALL)
    async with client.messages.stream(**CALL) as stream:
        streamed = await stream.get_final_message()

    assert whole.content[1].input == streamed.content[1].input == {"word": "a"}
    assert whole.usage.output_tokens == streamed.usage.output_tokens


async def test_a_warm_up_does_not_use_up_a_script(served):
    await served.control("POST", "script", {"text": "Scripted."})
    client = served.client()

    await client.messages.create(**{**CALL, "max_tokens": 0})
    reply = await client.messages.create(**CALL)

    assert reply.content[0].text == "Scripted."


async def test_advancing_the_cache_clock_ages_entries(served):
    client = served.client()
    await client.messages.create(**CALL)

    before = (await served.control("GET", "entries"))["entries"]
    await served.control("POST", "advance", {"seconds": 299})
    still = (await client.messages.create(**CALL)).usage.cache_read_input_tokens
    await served.control("POST", "advance", {"seconds": 301})

    assert (before[0]["level"], before[0]["expires_in_seconds"]) == ("system", 300)
    assert still > 512
    assert (await served.control("GET", "entries"))["entries"] == []


async def test_entries_can_be_evicted_and_everything_reset(served):
    client = served.client()
    await client.messages.create(**CALL)
    await served.control("POST", "faults", {"kind": "overloaded"})

    evicted = await served.control("POST", "evict")
    await served.control("POST", "reset")

    assert evicted == {"evicted": 1}
    assert await served.control("GET", "faults") == {"faults": []}
    assert await served.journal() == []


@pytest.mark.parametrize(
    ("path", "payload"),
    [
        ("faults", {"kind": "meteor"}),
        ("faults", {"faults": "all"}),
        ("script", {"text": "a", "tokens": 3}),
        ("script", {"blocks": ["a"]}),
        ("advance", {"seconds": -1}),
        ("advance", {}),
        ("evict", {"share": 2}),
        ("requests?limit=some", None),
    ],
)
async def test_a_wrong_order_is_refused_with_a_reason(served, path: str, payload: Any):
    method = "GET" if payload is None else "POST"
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, f"{served.url}/simulator/{path}", json=payload) as response,
    ):
        body = await response.json()

    assert response.status == 400
    assert body["error"]["message"]


@pytest.mark.parametrize("headers", [{"Origin": "https://example.com"}, {"Host": "example.com"}])
async def test_a_web_page_cannot_reach_the_control_endpoints(served, headers: dict[str, str]):
    async with aiohttp.ClientSession() as session:
        response = await session.get(f"{served.url}/simulator/requests", headers=headers)

    assert response.status == 403


async def test_what_stalls_goes_on_when_it_is_released_and_what_stalls_later_does_not(served, eventually):
    client = served.client()
    for _ in range(2):
        await served.control("POST", "faults", {"kind": "stall", "where": "before_headers"})
    held = asyncio.create_task(client.messages.create(**CALL))
    await eventually(lambda: len(served.simulator.journal.newest(None)) == 1)

    await served.control("POST", "release", {})
    answer = await held
    later = asyncio.create_task(client.messages.create(**CALL))
    await eventually(lambda: len(served.simulator.journal.newest(None)) == 2)
    await asyncio.wait({later}, timeout=0.1)

    assert answer.stop_reason == "end_turn"
    assert not later.done()
    await served.control("POST", "release", {})
    assert (await later).stop_reason == "end_turn"
