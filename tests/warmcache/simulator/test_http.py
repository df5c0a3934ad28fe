import asyncio
import json
from io import BytesIO
from typing import Any

import aiohttp
import anthropic
import pytest
from anthropic import DefaultAioHttpClient, beta_async_tool

from warmcache.simulator.scripts import read_script

MODEL = "claude-sonnet-5-5"
MARK = {"type": "ephemeral"}
DOCUMENT = "Slugs avoid copper. A ring of copper tape keeps them away.\n\n" * 60
SYSTEM = [{"type": "text", "text": f'<document title="Garden">\n{DOCUMENT}</document>', "cache_control": MARK}]
QUESTION = [{"role": "user", "content": "What keeps slugs away?"}]
PLACEHOLDER = [{"role": "user", "content": "warmup"}]
CALL: dict[str, Any] = {"model": MODEL, "system": SYSTEM, "max_tokens": 1000}
HEADERS = {"anthropic-version": "2026-10-21", "x-api-key": "key"}


async def post(url: str, payload: Any = None, data: Any = None, **headers: str) -> tuple[int, Any, Any]:
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{url}/v1/messages", json=payload, data=data, headers={**HEADERS, **headers}) as response,
    ):
        return response.status, await response.json(), response.headers


@pytest.mark.parametrize("transport", ["plain", "aiohttp"])
async def test_a_warm_up_writes_and_the_streamed_reply_reads_the_same_tokens(served, transport: str):
    options = {"http_client": DefaultAioHttpClient()} if transport == "aiohttp" else {}
    client = served.client(**options)

    warm_up = await client.messages.create(**{**CALL, "max_tokens": 0}, messages=PLACEHOLDER)
    async with client.messages.stream(**CALL, messages=QUESTION) as stream:
        text = "".join([part async for part in stream.text_stream])
        reply = await stream.get_final_message()

    assert (warm_up.content, warm_up.stop_reason, warm_up.usage.output_tokens) == ([], "max_tokens", 0)
    assert warm_up.usage.cache_creation_input_tokens > 512
    assert reply.usage.cache_read_input_tokens == warm_up.usage.cache_creation_input_tokens
    assert reply.usage.cache_creation_input_tokens == 0
    assert reply.stop_reason == "end_turn"
    assert reply.content[-1].text == text
    assert "> Slugs avoid copper." in text


async def test_a_second_warm_up_only_reads(served):
    client = served.client()

    await client.messages.create(**{**CALL, "max_tokens": 0}, messages=PLACEHOLDER)
    again = await client.messages.create(**{**CALL, "max_tokens": 0}, messages=PLACEHOLDER)

    assert again.usage.cache_creation_input_tokens == 0
    assert again.usage.cache_read_input_tokens > 512
    assert again.usage.model_extra is not None
    assert again.usage.model_extra["iterations"][0]["type"] == "message"


async def test_a_reply_without_streaming_is_the_streamed_one_in_one_piece(served):
    client = served.client()

    whole = await client.messages.create(**CALL, messages=QUESTION)
    async with client.messages.stream(**CALL, messages=QUESTION) as stream:
        streamed = await stream.get_final_message()

    assert whole.content[0].text == streamed.content[0].text
    assert whole.usage.output_tokens == streamed.usage.output_tokens
    assert whole.usage.cache_creation.ephemeral_5m_input_tokens == whole.usage.cache_creation_input_tokens


async def test_a_stream_has_the_documented_events_in_order(served):
    async with (
        aiohttp.ClientSession() as session,
        session.post(
            f"{served.url}/v1/messages", json={**CALL, "messages": QUESTION, "stream": True}, headers=HEADERS
        ) as response,
    ):
        raw = await response.text()
    events = [chunk.split("\n") for chunk in raw.strip().split("\n\n")]
    names = [lines[0].removeprefix("event: ") for lines in events]
    payloads = [json.loads(lines[1].removeprefix("data: ")) for lines in events]

    assert response.content_type == "text/event-stream"
    assert names == [payload["type"] for payload in payloads]
    assert names[:3] == ["message_start", "content_block_start", "ping"]
    assert set(names[3:-3]) == {"content_block_delta"}
    assert names[-3:] == ["content_block_stop", "message_delta", "message_stop"]
    assert payloads[0]["message"]["stop_reason"] is None
    assert payloads[0]["message"]["diagnostics"] is None
    assert payloads[-2]["usage"]["cache_creation_input_tokens"] > 512
    assert payloads[1]["content_block"] == {"type": "text", "text": ""}


async def test_citations_reach_the_reader_of_a_stream(served):
    garden = "Slugs avoid copper. A ring of copper tape around the bed keeps slugs away for years."
    source = {"type": "text", "media_type": "text/plain", "data": garden}
    document = {"type": "document", "source": source, "citations": {"enabled": True}}
    asked = {"type": "text", "text": "How do I keep slugs away?"}
    call = {"model": MODEL, "max_tokens": 500, "messages": [{"role": "user", "content": [document, asked]}]}

    async with served.client().messages.stream(**call) as stream:
        kinds = [event.type async for event in stream]
        message = await stream.get_final_message()

    assert kinds.count("citation") == 1
    assert message.content[0].citations is None
    assert message.content[1].citations[0].cited_text == garden


async def test_the_place_that_a_request_asks_for_is_named_in_its_usage(served):
    client = served.client()

    here = await client.messages.create(**CALL, messages=QUESTION, inference_geo="us")
    anywhere = await client.messages.create(**CALL, messages=QUESTION)
    warmed = await client.messages.create(**{**CALL, "max_tokens": 0}, messages=QUESTION, inference_geo="us")

    assert [each.usage.inference_geo for each in (here, anywhere, warmed)] == ["us", "global", "us"]


async def test_a_format_goes_by_its_old_name_with_the_header_of_its_beta(served):
    schema = {"type": "object", "properties": {"title": {"type": "string"}}}
    payload = {**CALL, "messages": QUESTION, "output_format": {"type": "json_schema", "schema": schema}}

    status, answer, _ = await post(served.url, payload, **{"anthropic-beta": "structured-outputs-2025-11-13"})
    refused, error, _ = await post(served.url, payload)

    assert (status, json.loads(answer["content"][-1]["text"])) == (200, {"title": QUESTION[0]["content"]})
    assert (refused, error["error"]["message"]) == (400, "output_format: Extra inputs are not permitted")


@beta_async_tool
async def weather(place: str) -> str:
    """The weather at a place."""
    return f"sunny in {place}"


async def test_the_clients_own_tool_loop_goes_on_without_a_thread(served):
    called = {"type": "tool_use", "name": "weather", "input": {"place": "Rome"}}
    served.simulator.scripts.add(read_script({"blocks": [called]}))

    runner = served.client().beta.messages.tool_runner(
        model=MODEL, max_tokens=500, tools=[weather], messages=[{"role": "user", "content": "How is Rome?"}]
    )
    message = await runner.until_done()

    statuses = [exchange.status for exchange in served.simulator.journal.newest()]
    assert statuses == [400, 200, 200]
    assert message.stop_reason == "end_turn"


async def test_thinking_that_is_not_shown_is_a_block_with_a_signature_only(served):
    kinds = []
    stream = await served.client().messages.create(
        **{**CALL, "model": "claude-opus-5-5"}, messages=QUESTION, stream=True
    )
    async for event in stream:
        kinds.append(event.delta.type if event.type == "content_block_delta" else event.type)

    assert kinds[:5] == [
        "message_start",
        "content_block_start",
        "signature_delta",
        "content_block_stop",
        "content_block_start",
    ]
    assert "thinking_delta" not in kinds


async def test_a_thinking_block_is_bound_to_the_conversation_before_it(served):
    client = served.client()
    fields = {**CALL, "thinking": {"type": "adaptive", "display": "summarized"}}
    first = await client.messages.create(**fields, messages=QUESTION)
    more = {"role": "user", "content": "And snails?"}

    kept = await client.messages.create(**fields, messages=[*QUESTION, first.to_param(), more])
    with pytest.raises(anthropic.BadRequestError, match="bound to a different conversation"):
        changed = [{"role": "user", "content": "What keeps birds away?"}]
        await client.messages.create(**fields, messages=[*changed, first.to_param(), more])

    assert kept.content[0].type == "thinking"


async def test_every_response_tells_who_answered(served):
    client = served.client()

    response = await client.messages.with_raw_response.create(**CALL, messages=QUESTION)
    message = await response.parse()

    assert response.headers["x-simulator"] == "warmcache"
    assert response.headers["anthropic-organization-id"]
    assert response.headers["anthropic-ratelimit-requests-limit"] == "1000"
    assert message._request_id.startswith("req_")
    assert response.workspace_id.startswith("wrkspc_")


async def test_the_simulated_time_to_first_token_is_told_in_a_header(serve):
    served = await serve(profile="haiku")
    client = served.client()

    warm_up = await client.messages.with_raw_response.create(**{**CALL, "max_tokens": 0}, messages=PLACEHOLDER)
    reply = await client.messages.with_raw_response.create(**{**CALL, "max_tokens": 1}, messages=QUESTION)

    cold, warm = [response.headers["x-simulated-ttft-ms"] for response in (warm_up, reply)]
    usage = (await warm_up.parse()).usage
    written = usage.cache_creation_input_tokens
    assert float(cold) == pytest.approx(400 + (written + usage.input_tokens) * 0.01, abs=0.001)
    asked = (await reply.parse()).usage.input_tokens
    assert float(warm) == pytest.approx(400 + asked * 0.01 + written * 0.0005, abs=0.001)


async def test_time_spent_on_thinking_that_is_not_shown_counts_into_the_first_token(serve):
    served = await serve(profile="2024")
    await served.control("POST", "script", {"text": "ok", "ttft_seconds": 0, "tokens_per_second": 1000})
    blocks = [{"type": "thinking", "thinking": "", "tokens": 50}, {"type": "text", "text": "ok"}]
    await served.control("POST", "script", {"blocks": blocks, "ttft_seconds": 0, "tokens_per_second": 1000})
    client = served.client()

    plain = await client.messages.with_raw_response.create(**CALL, messages=QUESTION)
    thinking = await client.messages.with_raw_response.create(**CALL, messages=QUESTION)

    assert plain.headers["x-simulated-ttft-ms"] == "0.000"
    assert thinking.headers["x-simulated-ttft-ms"] == "50.000"


async def test_an_entry_expires_on_the_cache_clock(served):
    client = served.client()

    await client.messages.create(**{**CALL, "max_tokens": 0}, messages=PLACEHOLDER)
    served.clock.advance(301)
    late = await client.messages.create(**CALL, messages=QUESTION)

    assert late.usage.cache_read_input_tokens == 0


async def test_two_warm_ups_at_once_both_pay_for_the_write(serve):
    served = await serve(profile="haiku")
    client = served.client()

    one, two = await asyncio.gather(
        *(client.messages.create(**{**CALL, "max_tokens": 0}, messages=PLACEHOLDER) for _ in range(2))
    )

    assert one.usage.cache_creation_input_tokens == two.usage.cache_creation_input_tokens > 0


async def test_keys_are_workspaces_of_their_own_and_a_named_workspace_is_shared(served):
    one, two = served.client(api_key="one"), served.client(api_key="two")
    named = {"anthropic-workspace-id": "wrkspc_shared"}
    warm = {**CALL, "max_tokens": 0, "messages": PLACEHOLDER}

    await one.messages.create(**warm)
    other = await two.messages.create(**warm)
    await one.messages.create(**warm, extra_headers=named)
    shared = await two.messages.create(**warm, extra_headers=named)

    assert other.usage.cache_read_input_tokens == 0
    assert shared.usage.cache_read_input_tokens > 0


async def test_both_ways_to_send_a_key_lead_to_the_same_workspace(served):
    payload = {**CALL, "max_tokens": 0, "messages": PLACEHOLDER}

    await served.client(api_key="key").messages.create(**payload)
    status, body, _ = await post(served.url, payload)

    assert status == 200
    assert body["usage"]["cache_read_input_tokens"] > 0


@pytest.mark.parametrize("key", ["invalid", "sk-invalid-1"])
async def test_an_invalid_key_is_a_401(served, key: str):
    with pytest.raises(anthropic.AuthenticationError) as caught:
        await served.client(api_key=key).messages.create(**CALL, messages=QUESTION)

    assert caught.value.type == "authentication_error"
    assert caught.value.request_id is not None


async def test_no_key_is_a_401_and_no_version_a_400(served):
    async with aiohttp.ClientSession() as session:
        without_key = await session.post(f"{served.url}/v1/messages", json={}, headers={"anthropic-version": "x"})
        without_version = await session.post(f"{served.url}/v1/messages", json={}, headers={"x-api-key": "k"})

    assert (without_key.status, without_version.status) == (401, 400)
    assert without_key.headers["x-simulator"] == "warmcache"


async def test_only_the_given_keys_are_accepted_where_keys_are_given(serve):
    served = await serve(api_keys=frozenset({"right"}))

    assert await served.client(api_key="right").messages.create(**CALL, messages=QUESTION)
    with pytest.raises(anthropic.AuthenticationError):
        await served.client(api_key="wrong").messages.create(**CALL, messages=QUESTION)


async def test_an_unknown_model_is_a_404_and_a_bad_field_a_400(served):
    client = served.client()

    with pytest.raises(anthropic.NotFoundError):
        await client.messages.create(**{**CALL, "model": "claude-next"}, messages=QUESTION)
    with pytest.raises(anthropic.BadRequestError, match="at least one message"):
        await client.messages.create(**CALL, messages=[])


async def test_a_body_over_32_mb_is_a_413(served):
    status, body, _ = await post(served.url, data=BytesIO(b" " * (32 * 1024 * 1024 + 1)))

    assert (status, body["error"]["type"]) == (413, "request_too_large")


@pytest.mark.parametrize("data", [b"{", b"[]", b'"x"', b"\xff", b'{"a":"\\ud800"}', b"[" * 100_000])
async def test_a_body_that_is_no_json_object_is_a_400(served, data: bytes):
    status, body, _ = await post(served.url, data=data)

    assert (status, body["error"]["type"]) == (400, "invalid_request_error")


async def test_an_unknown_path_is_answered_in_the_apis_words(served):
    async with aiohttp.ClientSession() as session, session.get(f"{served.url}/v1/nothing") as response:
        body = await response.json()

    assert response.status == 404
    assert body["error"]["type"] == "not_found_error"
    assert response.headers["x-simulator"] == "warmcache"


async def test_counting_tokens_agrees_with_the_usage_of_the_call(served):
    client = served.client()

    counted = await client.messages.count_tokens(model=MODEL, system=SYSTEM, messages=QUESTION)
    usage = (await client.messages.create(**CALL, messages=QUESTION)).usage

    assert counted.input_tokens == usage.input_tokens + usage.cache_creation_input_tokens
    assert served.simulator.journal.newest()[0].path == "/v1/messages/count_tokens"


async def test_models_are_listed_page_by_page_and_found_by_id(served):
    client = served.client()

    listed = [model async for model in client.models.list(limit=5)]
    one = await client.models.retrieve("claude-haiku-5-5")

    assert len({model.id for model in listed}) == len(listed) > 15
    assert one.max_input_tokens == 1_000_000
    assert one.line == "haiku"
    assert one.capabilities.thinking.types.adaptive.supported
    assert one.capabilities.effort.xhigh.supported
    older = await client.models.retrieve("claude-haiku-4-5")
    assert not older.capabilities.effort.supported
    with pytest.raises(anthropic.NotFoundError):
        await client.models.retrieve("claude-next")


async def test_max_tokens_and_stop_sequences_end_a_reply(served):
    client = served.client()

    short = await client.messages.create(**{**CALL, "max_tokens": 5}, messages=QUESTION)
    stopped = await client.messages.create(**CALL, messages=QUESTION, stop_sequences=["copper"])

    assert (short.stop_reason, short.usage.output_tokens) == ("max_tokens", 5)
    assert (stopped.stop_reason, stopped.stop_sequence) == ("stop_sequence", "copper")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"model": "claude-opus-5-5"}, "model_changed"),
        ({"tools": [{"name": "t", "input_schema": {"type": "object"}}]}, "tools_changed"),
        ({"system": "Another."}, "system_changed"),
        ({"messages": [{"role": "user", "content": "Another."}]}, "messages_changed"),
        ({"output_config": {"effort": "low"}}, "unavailable"),
        ({}, None),
    ],
)
async def test_diagnostics_name_the_earliest_divergence(served, change: dict[str, Any], reason: str | None):
    client = served.client()
    request = {**CALL, "messages": QUESTION}

    first = await client.messages.create(**request, diagnostics={"previous_message_id": None})
    second = await client.messages.create(**{**request, **change}, diagnostics={"previous_message_id": first.id})

    assert first.diagnostics is None
    if reason is None:
        assert second.diagnostics is None
    else:
        assert second.diagnostics.cache_miss_reason.type == reason
    if reason in ("model_changed", "tools_changed", "system_changed"):
        assert second.diagnostics.cache_miss_reason.cache_missed_input_tokens > 512


async def test_diagnostics_do_not_know_a_message_that_did_not_ask_for_them(served):
    client = served.client()

    silent = await client.messages.create(**CALL, messages=QUESTION)
    asked = await client.messages.create(**CALL, messages=QUESTION, diagnostics={"previous_message_id": silent.id})

    assert asked.diagnostics.cache_miss_reason.type == "previous_message_not_found"


async def test_a_client_that_hangs_up_stops_its_stream_at_once(served, eventually):
    await served.control("POST", "script", {"tokens": 1000, "tokens_per_second": 20})
    stream = await served.client().messages.create(**CALL, messages=QUESTION, stream=True)
    async for event in stream:
        if event.type == "content_block_delta":
            break

    await stream.close()

    (exchange,) = served.simulator.journal.newest()
    await eventually(lambda: exchange.hung_up)
    assert "first_token" in exchange.timings_ms
    assert "finished" not in exchange.timings_ms


async def test_a_warm_up_that_is_dropped_leaves_no_entry(served, eventually):
    await served.control("POST", "faults", {"kind": "slow", "seconds": 30})
    client = served.client()
    task = asyncio.create_task(client.messages.create(**{**CALL, "max_tokens": 0}, messages=PLACEHOLDER))
    await eventually(lambda: bool(served.simulator.journal.newest()))
    (exchange,) = served.simulator.journal.newest()
    await eventually(lambda: exchange.message_id is not None)

    task.cancel()

    await eventually(lambda: exchange.hung_up)
    assert served.simulator.engine.entries() == []
