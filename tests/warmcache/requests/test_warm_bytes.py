"""Warm bytes equal sent bytes, on the wire: through the official client, to a provider that shares no code with us."""

import asyncio
import json
from collections.abc import Coroutine, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.warmcache.requests.raw_json import elements, members
from tests.warmcache.simulated import Simulated, simulated
from warmcache.core.catalog import facts_for
from warmcache.core.ports import StreamBegan, StreamEnded
from warmcache.core.prefix import LOOK_BACK_POSITIONS, Json, Layer, Prompt, Request, Turn, answer_turn, build_request
from warmcache.core.usage import Usage

EXAMPLES = 250
MODELS = {
    "claude-sonnet-5-5": [None, {"type": "adaptive", "display": "summarized"}, {"type": "between_tools"}],
    "claude-opus-5-5": [None, {"type": "adaptive"}],
    "claude-haiku-5-5": [None, {"type": "adaptive"}, {"type": "disabled"}],
    "claude-sonnet-5": [None, {"type": "disabled"}],
    "claude-haiku-4-5": [None, {"type": "disabled"}],
}
IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}}

words = st.text(min_size=1, max_size=30).filter(lambda value: bool(value.strip()))
passage = st.builds(lambda value, times: (value + " ") * times, words, st.integers(1, 300))


def text(value: str) -> Json:
    return {"type": "text", "text": value}


def document(value: str, title: str, is_cited: bool) -> Json:
    source = {"type": "text", "media_type": "text/plain", "data": value}
    return {
        "type": "document",
        "title": title,
        "source": source,
        **({"citations": {"enabled": True}} if is_cited else {}),
    }


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-99, 99) | words,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(words, inner, max_size=3),
    max_leaves=5,
)
tool = st.builds(
    lambda number, description, properties: {
        "name": f"tool_{number}",
        "description": description,
        "input_schema": {"type": "object", "properties": {name: {"description": name} for name in properties}},
    },
    st.integers(0, 99),
    words,
    st.lists(words, max_size=4),
)
thought = st.builds(lambda value: {"type": "thinking", "thinking": value, "signature": "c2ln"}, words)
answer = st.lists(words.map(text), min_size=1, max_size=2)
long_answer = st.lists(words.map(text), min_size=20, max_size=24)
question = st.lists(
    st.one_of(passage.map(text), st.just(IMAGE), st.builds(document, passage, words, st.booleans())),
    min_size=1,
    max_size=2,
)


def _plain(asked: list[Json], said: list[Json]) -> list[Turn]:
    return [Turn(role="user", blocks=tuple(asked)), Turn(role="assistant", blocks=tuple(said))]


def _stopped(asked: list[Json]) -> list[Turn]:
    return [Turn(role="user", blocks=tuple(asked))]


def _with_tool(asked: list[Json], call: Json, found: str, thinking: Json, said: list[Json]) -> list[Turn]:
    use = {"type": "tool_use", "id": "toolu_1", "name": "tool_0", "input": call}
    result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": [text(found)]}
    return [
        Turn(role="user", blocks=tuple(asked)),
        Turn(role="assistant", blocks=(thinking, use)),
        Turn(role="user", blocks=(result,)),
        Turn(role="assistant", blocks=(thinking, *said)),
    ]


def _searched(number: int) -> list[Json]:
    id_ = f"srvtoolu_{number}"
    call = {"type": "server_tool_use", "id": id_, "name": "web_search", "input": {"query": "x"}, "caller": None}
    result = {"type": "web_search_result", "url": "https://a.example", "title": "A", "encrypted_content": "RW5j"}
    return [call, {"type": "web_search_tool_result", "tool_use_id": id_, "content": [result]}]


def _cited(value: str) -> Json:
    place = {"document_index": 0, "document_title": None, "start_char_index": 0, "end_char_index": 1}
    return {**text(value), "citations": [{"type": "char_location", "cited_text": value, "file_id": None, **place}]}


piece: st.SearchStrategy[list[Json]] = st.one_of(
    words.map(lambda value: [text(value)]),
    words.map(lambda value: [_cited(value)]),
    thought.map(lambda block: [block]),
    st.just([{"type": "thinking", "thinking": "Hm", "signature": ""}]),
    st.just([{"type": "redacted_thinking", "data": "eHl6"}]),
    st.just([text("\n\n")]),
    st.just([{"type": "hologram", "beam": None}]),
    st.just([{"type": "tool_use", "id": "toolu_9", "name": "tool_0", "input": {}}]),
    st.integers(1, 3).map(_searched),
    st.integers(4, 6).map(lambda number: _searched(number)[:1]),
)


def _whole(asked: list[Json], pieces: list[list[Json]]) -> list[Turn]:
    """An answer as the API gave it, or a part of one, made fit to be sent back."""
    said = answer_turn([block for blocks in pieces for block in blocks])
    return [Turn(role="user", blocks=tuple(asked)), *([said] if said else [])]


exchange = st.one_of(
    st.builds(_whole, question, st.lists(piece, max_size=6)),
    st.builds(_plain, question, answer),
    st.builds(_plain, question, long_answer),
    st.builds(_stopped, question),
    st.builds(_with_tool, question, st.dictionaries(words, json_values, max_size=3), words, thought, answer),
)
attachments = st.lists(st.one_of(st.builds(document, passage, words, st.booleans()), st.just(IMAGE)), max_size=2)


@st.composite
def prompts(draw: st.DrawFn) -> Prompt:
    model = draw(st.sampled_from(sorted(MODELS)))
    return Prompt(
        model=model,
        system=tuple(text(value) for value in draw(st.lists(passage, max_size=3))),
        tools=tuple(draw(st.lists(tool, max_size=2, unique_by=lambda item: item["name"]))),
        history=tuple(turn for turns in draw(st.lists(exchange, max_size=3)) for turn in turns),
        draft=tuple(draw(attachments)),
        shared_ttl=draw(st.sampled_from(["5m", "1h"])),
        conversation_ttl=draw(st.sampled_from(["5m", "1h"])),
        thinking=draw(st.sampled_from(MODELS[model])),
        effort=draw(st.sampled_from([None, *sorted(facts_for(model).efforts & {"low", "medium", "high"})])),
        betas=tuple(draw(st.lists(st.sampled_from(["some-beta", "other-beta"]), max_size=2, unique=True))),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A warm-up and the real request after it: as built, as the provider received and billed them."""

    warm_up: Request
    request: Request
    warm_body: bytes
    sent_body: bytes
    left: Usage
    found: Usage


async def warm_then_send(side: Simulated, prompt: Prompt, words_typed: str) -> Pair:
    side.simulator.reset()
    side.next_replies("Yes.")
    warm_up = build_request(prompt, None, side.config.prefix_key)
    request = build_request(prompt, (text(words_typed),), side.config.prefix_key)
    answer = await side.provider.prewarm(warm_up)
    found = ended = None
    async with side.provider.stream(request, max_tokens=50) as arriving:
        for event in [event async for events in arriving for event in events]:
            found = event.usage if isinstance(event, StreamBegan) else found
            ended = event if isinstance(event, StreamEnded) else ended
    assert found is not None
    assert ended is not None
    first, second = side.exchanges
    return Pair(
        warm_up=warm_up,
        request=request,
        warm_body=first.body,
        sent_body=second.body,
        left=answer.usage,
        found=found,
    )


def wire_blocks(body: bytes) -> list[tuple[str, str]]:
    """(level and role, the block's own characters) in the order in which the provider hashes them."""
    found = members(body.decode())
    blocks = [(level, raw) for level in ("tools", "system") for raw in elements(found.get(level, "[]"))]
    for raw_message in elements(found["messages"]):
        message = members(raw_message)
        blocks += [(message["role"], raw) for raw in elements(message["content"])]
    return blocks


def is_marked(raw: str) -> bool:
    return "cache_control" in json.loads(raw)


def require_equal_bytes(pair: Pair) -> None:
    warm, sent = members(pair.warm_body.decode()), members(pair.sent_body.decode())
    for name in (warm.keys() | sent.keys()) - {"messages", "max_tokens", "stream", "tools", "system"}:
        assert warm.get(name) == sent.get(name), name
    assert (warm["max_tokens"], sent["stream"]) == ("0", "true")
    warm_blocks, sent_blocks = wire_blocks(pair.warm_body), wire_blocks(pair.sent_body)
    assert warm_blocks[:-1] == sent_blocks[: len(warm_blocks) - 1]
    assert not is_marked(warm_blocks[-1][1])
    breakpoints = pair.request.prefix.breakpoints
    bridges = sum(len(point.look_back) > LOOK_BACK_POSITIONS for point in breakpoints)
    assert sum(is_marked(raw) for _, raw in sent_blocks) == len(breakpoints) + bridges <= 4


UNMARKED_TOKENS = 50
"""More than the block behind the last mark takes, and what the provider adds by itself."""


def require_full_read(pair: Pair) -> None:
    left = pair.left.cached_tokens
    assert pair.found.cache_read_tokens >= 0.99 * left
    minimum = facts_for(pair.warm_up.prefix.model).min_prefix_tokens
    # By the provider's count: what text takes is only estimated before the first bill.
    if pair.left.total_input_tokens > 1.1 * minimum + UNMARKED_TOKENS:
        assert left > 0, "a prefix above the minimum was not cached"


class Bench:
    """One event loop and one simulator for all examples: making them costs more than using them."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._stack = AsyncExitStack()
        self.side = self.run(self._stack.enter_async_context(simulated()))
        self.cached_examples = 0

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self._loop.run_until_complete(work)

    def close(self) -> None:
        self.run(self._stack.aclose())
        self.run(self._loop.shutdown_asyncgens())
        self.run(self._loop.shutdown_default_executor())
        self._loop.close()


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    bench = Bench()
    yield bench
    bench.close()


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],
    suppress_health_check=[HealthCheck.too_slow],
)
@given(prompt=prompts(), words_typed=words)
def test_a_warm_up_and_the_request_after_it_are_the_same_bytes_and_the_request_reads_them(
    bench: Bench, prompt: Prompt, words_typed: str
) -> None:
    pair = bench.run(warm_then_send(bench.side, prompt, words_typed))

    require_equal_bytes(pair)
    require_full_read(pair)
    bench.cached_examples += pair.left.cached_tokens > 0


def test_enough_of_those_examples_had_something_to_read(bench: Bench) -> None:
    assert bench.cached_examples == 0 or bench.cached_examples >= EXAMPLES / 4


LONG = Prompt(
    model="claude-sonnet-5-5",
    system=(text("You know this. " * 800),),
    history=(Turn(role="user", blocks=(text("Hi. " * 400),)), Turn(role="assistant", blocks=(text("Hello."),))),
)


@pytest.mark.parametrize(
    "draft", [(), (IMAGE,), (document("attached " * 900, "t", False),)], ids=["none", "image", "text"]
)
def test_our_estimate_is_near_what_the_provider_counts(bench: Bench, draft: tuple[Json, ...]) -> None:
    pair = bench.run(warm_then_send(bench.side, replace(LONG, draft=draft), "x"))

    assert pair.left.cached_tokens == pytest.approx(pair.warm_up.prefix.prefix_tokens, rel=0.01)


def test_the_next_warm_up_reads_what_the_request_before_it_wrote(bench: Bench) -> None:
    async def converse() -> tuple[Usage, Usage]:
        pair = await warm_then_send(bench.side, LONG, "What do you know? " * 100)
        grown = (*LONG.history, Turn(role="user", blocks=(text("What do you know? " * 100),)))
        grown += (Turn(role="assistant", blocks=(text("Yes."),)),)
        prompt = Prompt(model=LONG.model, system=LONG.system, history=grown)
        answer = await bench.side.provider.prewarm(build_request(prompt, None, bench.side.config.prefix_key))
        return pair.found, answer.usage

    first, second = bench.run(converse())

    assert second.cache_read_tokens == first.cached_tokens
    assert second.cache_write_tokens < 50


@pytest.mark.parametrize(
    ("change", "read_layers"),
    [
        ({"draft": (document("attached", "t", False),)}, [Layer.SHARED, Layer.CONVERSATION]),
        ({"draft": (IMAGE,)}, [Layer.SHARED]),
        ({"draft": (document("attached", "t", True),)}, []),
        ({"betas": ("other-beta",)}, []),
        ({"model": "claude-opus-5-5"}, []),
    ],
    ids=["document", "image", "citations", "beta", "model"],
)
def test_what_we_believe_is_still_warm_after_a_change_is_what_the_provider_still_reads(
    bench: Bench, change: dict[str, Any], read_layers: list[Layer]
) -> None:
    async def change_after_warming() -> tuple[Pair, Request, Usage]:
        pair = await warm_then_send(bench.side, LONG, "x")
        changed = build_request(replace(LONG, **change), None, bench.side.config.prefix_key)
        return pair, changed, (await bench.side.provider.prewarm(changed)).usage

    pair, changed, usage = bench.run(change_after_warming())

    known = {point.prefix_hash: point for point in pair.request.prefix.breakpoints}
    believed = [point for point in changed.prefix.breakpoints if point.prefix_hash in known]
    assert [point.layer for point in believed] == read_layers
    expected = believed[-1].prefix_tokens if believed else 0
    assert usage.cache_read_tokens == pytest.approx(expected, abs=20)
