"""Our events are the SDK's own, however the bytes were spelled and cut; and what neither of us knows comes whole."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any, get_args

import anthropic
import httpx2
import pytest
from anthropic import AsyncAnthropic, AsyncStream
from anthropic.types.raw_content_block_delta import RawContentBlockDelta
from anthropic.types.raw_content_block_start_event import ContentBlock
from hypothesis import given, settings
from hypothesis import strategies as st

from warmcache.core.errors import StreamBroken
from warmcache.core.ports import (
    BlockBegan,
    BlockDelta,
    BlockEnded,
    BlockExtended,
    BlockSigned,
    OtherEvent,
    StreamBegan,
    StreamEnded,
    StreamEvent,
)
from warmcache.upstream import event_stream
from warmcache.upstream.event_stream import ErrorReported, EventStream, usage_of

Payload = dict[str, Any]

START: Payload = {
    "type": "message_start",
    "message": {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-sonnet-5-5",
        "content": [],
        "stop_reason": None,
        "usage": {"input_tokens": 3, "cache_read_input_tokens": 5, "output_tokens": 1, "cache_creation": None},
        "diagnostics": {"cache_miss_reason": {"type": "tools_changed"}},
    },
}
END: list[Payload] = [
    {
        "type": "message_delta",
        "delta": {"stop_reason": "end_turn", "stop_sequence": None, "container": {"id": "c_1"}},
        "usage": {"output_tokens": 9, "input_tokens": None, "server_tool_use": {"web_search_requests": 2}},
    },
    {"type": "message_stop"},
]
KINDS = {"text": "text", "thinking": "thinking", "tool_use": "tool_input", "server_tool_use": "tool_input"}
TEXTS = {
    "text_delta": ("text", "text"),
    "thinking_delta": ("thinking", "thinking"),
    "input_json_delta": ("tool_input", "partial_json"),
}
CITATION = {"type": "char_location", "cited_text": "sixty", "document_index": 0}


def begin(index: int, block: Payload) -> Payload:
    return {"type": "content_block_start", "index": index, "content_block": block}


def delta(index: int, kind: str, **members: Any) -> Payload:
    return {"type": "content_block_delta", "index": index, "delta": {"type": kind, **members}}


def end(index: int) -> Payload:
    return {"type": "content_block_stop", "index": index}


def encoded(payload: Payload, *, newline: str = "\n", indent: int | None = None, ascii_only: bool = True) -> bytes:
    """One event as a server may spell it; with `indent` its data has several lines."""
    separators = (",", ":") if indent is None else None
    text = json.dumps(payload, indent=indent, ensure_ascii=ascii_only, separators=separators)
    lines = [f"event: {payload['type']}", *(f"data: {line}" for line in text.split("\n")), "", ""]
    return newline.join(lines).encode()


def wire(payloads: Sequence[Payload]) -> bytes:
    return b"".join(encoded(payload) for payload in payloads)


def ours(body: bytes, cuts: Sequence[int] = ()) -> tuple[list[StreamEvent], str]:
    """The events, and how it ended."""
    stream = EventStream()
    events: list[StreamEvent] = []
    for first, last in itertools.pairwise([0, *cuts, len(body)]):
        events += stream.feed(body[first:last])
    return events, _ending(stream.failure, has_ended=stream.has_ended)


def _ending(failure: Exception | None, *, has_ended: bool) -> str:
    if isinstance(failure, ErrorReported):
        return f"reported {failure.body}"
    if isinstance(failure, StreamBroken):
        return failure.code
    return "ended" if has_ended else "cut"


CLIENT = AsyncAnthropic(api_key="k", http_client=httpx2.AsyncClient())


class _Body(httpx2.AsyncByteStream):
    def __init__(self, body: bytes) -> None:
        self._body = body

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._body


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    yield loop
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()


async def sdks_raw(body: bytes) -> tuple[list[Payload], str]:
    """What the SDK itself reads from that body."""
    request = httpx2.Request("POST", "http://fake/v1/messages")
    response = httpx2.Response(200, request=request, stream=_Body(body))
    found: list[Payload] = []
    ending = "cut"
    try:
        async for event in AsyncStream[Any](cast_to=object, response=response, client=CLIENT):
            found.append(event)
            if event["type"] == "message_stop":
                ending = "ended"
                break
    except anthropic.APIStatusError as error:
        ending = f"reported {error.body}"
    except ValueError:
        ending = "stream_malformed"
    return found, ending


class Translator:
    """The SDK's events in our words, by rules that share no code with the product."""

    def __init__(self) -> None:
        self._kinds: dict[int, Any] = {}
        self._untouched: dict[int, Any] = {}
        self._message: Payload = {}
        self._usage: Payload = {}

    def translate(self, event: Payload) -> Iterator[StreamEvent]:
        yield from getattr(self, event["type"], self._other)(event)

    def _other(self, event: Payload) -> Iterator[StreamEvent]:
        yield OtherEvent(event=event)

    def message_start(self, event: Payload) -> Iterator[StreamEvent]:
        message = self._message = dict(event["message"])
        self._usage = message.pop("usage")
        del message["content"]
        reason = message["diagnostics"]["cache_miss_reason"]["type"]
        usage = usage_of(self._usage)
        yield StreamBegan(usage=usage, request_id="", response_id=message["id"], miss_reason=reason)

    def content_block_start(self, event: Payload) -> Iterator[StreamEvent]:
        index, block = event["index"], event["content_block"]
        kind = self._kinds[index] = KINDS.get(block["type"], "other")
        if kind == "tool_input" and block["input"]:
            self._untouched[index] = block["input"]
        yield BlockBegan(index=index, kind=kind, name=block.get("name", ""), block=block)

    def content_block_delta(self, event: Payload) -> Iterator[StreamEvent]:
        index, change = event["index"], event["delta"]
        kind, member = TEXTS.get(change["type"], ("", ""))
        if kind == self._kinds[index]:
            if change[member]:
                self._untouched.pop(index, None)
                yield BlockDelta(index=index, kind=self._kinds[index], text=change[member])
        elif change["type"] == "signature_delta":
            yield BlockSigned(index=index, signature=change["signature"])
        else:
            yield BlockExtended(index=index, delta=change)

    def content_block_stop(self, event: Payload) -> Iterator[StreamEvent]:
        if whole := self._untouched.get(event["index"]):
            written = json.dumps(whole, ensure_ascii=False, separators=(",", ":"))
            yield BlockDelta(index=event["index"], kind="tool_input", text=written)
        yield BlockEnded(index=event["index"])

    def message_delta(self, event: Payload) -> Iterator[StreamEvent]:
        self._usage |= {name: value for name, value in event["usage"].items() if value is not None}
        self._message |= {name: value for name, value in event["delta"].items() if value is not None}
        yield from ()

    def message_stop(self, event: Payload) -> Iterator[StreamEvent]:
        message = {**self._message, "usage": self._usage}
        yield StreamEnded(stop_reason=message["stop_reason"] or "", usage=usage_of(self._usage), message=message)


def translated(raw: Sequence[Payload]) -> list[StreamEvent]:
    translator = Translator()
    return [event for payload in raw for event in translator.translate(payload)]


def settled(events: Sequence[StreamEvent]) -> list[StreamEvent]:
    """With neighbouring deltas of a block as one, and the halves of surrogate pairs that meet joined."""
    found: list[StreamEvent] = []
    for event in events:
        before = found[-1] if found else None
        if isinstance(event, BlockDelta) and isinstance(before, BlockDelta) and event.index == before.index:
            joined = (before.text + event.text).encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
            found[-1] = BlockDelta(index=event.index, kind=event.kind, text=joined)
        else:
            found.append(event)
    return found


texts = st.lists(
    st.one_of(
        st.text(max_size=6), st.sampled_from(["", "\n\n", "data: x", "\r", "\0", "\ud83d", "\ude00", "a\ud83d", '"}'])
    ),
    max_size=5,
)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)


@st.composite
def blocks(draw: st.DrawFn) -> tuple[Payload, list[Payload]]:
    """A block as it begins, and its deltas."""
    match draw(st.sampled_from(["text", "thinking", "tool", "result", "unknown"])):
        case "text":
            block = {"type": "text", "text": draw(st.sampled_from(["", "So"])), "citations": None}
            deltas = [{"type": "text_delta", "text": text} for text in draw(texts)]
            if draw(st.booleans()):
                deltas.append({"type": "citations_delta", "citation": CITATION})
        case "thinking":
            block = {"type": "thinking", "thinking": "", "signature": ""}
            deltas = [{"type": "thinking_delta", "thinking": text} for text in draw(texts)]
            deltas.append({"type": "signature_delta", "signature": "c2ln"})
        case "tool":
            kind = draw(st.sampled_from(["tool_use", "server_tool_use"]))
            whole = draw(st.sampled_from([{}, {"query": "é", "n": [1]}]))
            block = {"type": kind, "id": "toolu_1", "name": "web_search", "input": whole}
            deltas = [{"type": "input_json_delta", "partial_json": text} for text in draw(texts)]
        case "result":
            found = draw(st.lists(st.dictionaries(st.text(max_size=3), values, max_size=2), max_size=2))
            block = {"type": "web_search_tool_result", "tool_use_id": "toolu_1", "content": found}
            deltas = []
        case _:
            block = {"type": "hologram", "beam": draw(values)}
            deltas = [{"type": "beam_delta", "beam": draw(values)}] * draw(st.integers(0, 2))
    return block, deltas


@st.composite
def streams(draw: st.DrawFn) -> bytes:
    payloads = [START]
    for index, (block, deltas) in enumerate(draw(st.lists(blocks(), max_size=4))):
        changes = [{"type": "content_block_delta", "index": index, "delta": change} for change in deltas]
        payloads += [begin(index, block), *changes, end(index)]
    payloads += END
    rare: list[Payload] = [{"type": "error", "error": {"type": "overloaded_error"}}, {"type": "weather", "sky": "blue"}]
    for payload in draw(st.lists(st.sampled_from([*rare, {"type": "ping"}]), max_size=2)):
        # Not between two halves of a character: we hold the first back, the SDK does not.
        places = [at for at in range(len(payloads) + 1) if not at or "delta" not in payloads[at - 1]]
        payloads.insert(draw(st.sampled_from(places)), payload)
    newline = draw(st.sampled_from(["\n", "\n", "\r\n", "\r"]))
    pieces = []
    for payload in payloads:
        if draw(st.integers(0, 9)) == 0:
            pieces.append(f": a comment{newline}{newline}id: 7{newline}".encode())
        is_utf8 = not any("\ud800" <= character <= "\udfff" for character in _strings(payload))
        ascii_only = not is_utf8 or draw(st.booleans())
        pieces.append(
            encoded(payload, newline=newline, indent=draw(st.sampled_from([None, None, 1])), ascii_only=ascii_only)
        )
    body = b"".join(pieces)
    return body[: draw(st.integers(0, len(body)))] if draw(st.integers(0, 5)) == 0 else body


def _strings(value: Any) -> str:
    return json.loads(
        '"' + json.dumps(value, ensure_ascii=False).replace("\\", "").replace('"', "") + '"', strict=False
    )


def without_last_half(events: list[StreamEvent]) -> list[StreamEvent]:
    """Half a character that a broken stream ends with is nothing to show."""
    last = events[-1] if events else None
    if not isinstance(last, BlockDelta) or not "\ud800" <= last.text[-1] <= "\udbff":
        return events
    rest = last.text[:-1]
    return [*events[:-1], *([BlockDelta(index=last.index, kind=last.kind, text=rest)] if rest else [])]


@settings(max_examples=100, deadline=None)
@given(body=streams(), data=st.data())
def test_our_events_are_the_sdks_own_however_the_bytes_are_cut(
    loop: asyncio.AbstractEventLoop, body: bytes, data: st.DataObject
) -> None:
    raw, ending = loop.run_until_complete(sdks_raw(body))
    expected = settled(translated(raw))

    some_cuts = sorted(data.draw(st.sets(st.integers(0, len(body)), max_size=8)))
    for cuts in ([], some_cuts, range(1, len(body))):
        found, our_ending = ours(body, cuts)
        assert without_last_half(settled(found)) == without_last_half(expected)
        assert our_ending == ending


RICH = wire(
    [
        START,
        begin(0, {"type": "thinking", "thinking": "", "signature": ""}),
        {"type": "ping"},
        delta(0, "thinking_delta", thinking="Hm, 😀"),
        delta(0, "signature_delta", signature="c2ln"),
        end(0),
        begin(1, {"type": "text", "text": "", "citations": None}),
        delta(1, "text_delta", text="It is "),
        delta(1, "text_delta", text="\ud83d"),
        delta(1, "text_delta", text="\ude00."),
        delta(1, "citations_delta", citation=CITATION),
        end(1),
        begin(2, {"type": "tool_use", "id": "t", "name": "look", "input": {"a": 1}}),
        end(2),
        *END,
    ]
)


@pytest.mark.parametrize("newline", [b"\n", b"\r\n", b"\r"], ids=["LF", "CRLF", "CR"])
def test_one_cut_anywhere_changes_nothing(newline: bytes) -> None:
    body = RICH.replace(b"\n", newline)
    expected = settled(ours(body)[0])
    assert len(expected) == 13

    for cut in range(1, len(body)):
        found, ending = ours(body, [cut])
        assert (settled(found), ending) == (expected, "ended"), cut


class TestDeltas:
    def test_a_usual_one_is_decoded_once_and_without_a_dict(self, monkeypatch: pytest.MonkeyPatch) -> None:
        stream = EventStream()
        stream.feed(wire([START, begin(0, {"type": "text", "text": ""})]))
        monkeypatch.setattr(event_stream.json, "loads", None)

        events = [event for _ in range(3) for event in stream.feed(wire([delta(0, "text_delta", text="a\u2028é")]))]

        assert events == [BlockDelta(index=0, kind="text", text="a\u2028é")] * 3

    def test_an_emoji_that_is_cut_in_two_deltas_is_shown_whole(self) -> None:
        stream = EventStream()
        stream.feed(wire([START, begin(0, {"type": "text", "text": ""})]))

        first = stream.feed(wire([delta(0, "text_delta", text="Oh \ud83d")]))
        second = stream.feed(wire([delta(0, "text_delta", text="\ude00!")]))

        assert first == [BlockDelta(index=0, kind="text", text="Oh ")]
        assert second == [BlockDelta(index=0, kind="text", text="😀!")]

    def test_half_an_emoji_that_nothing_follows_comes_with_the_end_of_its_block(self) -> None:
        opened = [START, begin(0, {"type": "text", "text": ""})]

        events, _ = ours(wire([*opened, delta(0, "text_delta", text="\ud83d"), end(0)]))

        assert events[2:] == [BlockDelta(index=0, kind="text", text="\ud83d"), BlockEnded(index=0)]

    def test_half_an_emoji_replaces_input_too(self) -> None:
        block = {"type": "tool_use", "id": "t", "name": "look", "input": {"a": 1}}

        events, _ = ours(wire([START, begin(0, block), delta(0, "input_json_delta", partial_json="\ud83d"), end(0)]))

        assert [e.text for e in events if isinstance(e, BlockDelta)] == ["\ud83d"]

    def test_tool_input_that_comes_with_the_start_is_told_once(self) -> None:
        block = {"type": "tool_use", "id": "t", "name": "look", "input": {"city": "Zürich"}}

        alone, _ = ours(wire([START, begin(0, block), delta(0, "input_json_delta", partial_json=""), end(0)]))
        replaced, _ = ours(wire([START, begin(0, block), delta(0, "input_json_delta", partial_json="{}"), end(0)]))

        assert [e.text for e in alone if isinstance(e, BlockDelta)] == ['{"city":"Zürich"}']
        assert [e.text for e in replaced if isinstance(e, BlockDelta)] == ["{}"]


class TestWhatIsUnknown:
    def test_every_block_that_the_sdk_knows_comes_whole(self) -> None:
        types = [get_args(model.model_fields["type"].annotation)[0] for model in get_args(get_args(ContentBlock)[0])]
        assert len(types) == 12, "the SDK knows another number of blocks: look at the new ones"
        sent = [{"type": kind, "id": "x", "extra": {"kept": [1]}} for kind in [*types, "hologram"]]

        events, _ = ours(wire([START, *(begin(index, block) for index, block in enumerate(sent))]))

        assert [event.block for event in events if isinstance(event, BlockBegan)] == sent

    def test_every_delta_that_the_sdk_knows_comes_as_what_it_is(self) -> None:
        models = get_args(get_args(RawContentBlockDelta)[0])
        types = [get_args(model.model_fields["type"].annotation)[0] for model in models]

        assert sorted(types) == [
            "citations_delta",
            "input_json_delta",
            "signature_delta",
            "text_delta",
            "thinking_delta",
        ], "the SDK knows other deltas: look at the new ones"

    def test_a_text_delta_of_an_unknown_block_is_no_text_of_the_reply(self) -> None:
        opened = [START, begin(0, {"type": "hologram"})]

        events, _ = ours(wire([*opened, delta(0, "text_delta", text="beam")]))

        assert events[2:] == [BlockExtended(index=0, delta={"type": "text_delta", "text": "beam"})]

    def test_an_unknown_event_comes_whole(self) -> None:
        events, ending = ours(wire([START, {"type": "weather", "sky": ["blue"]}, *END]))

        assert events[1] == OtherEvent(event={"type": "weather", "sky": ["blue"]})
        assert ending == "ended"

    def test_what_the_message_says_of_itself_comes_with_the_end(self) -> None:
        events, _ = ours(wire([START, *END]))

        ended = events[-1]
        assert isinstance(ended, StreamEnded)
        assert ended.message["container"] == {"id": "c_1"}
        assert ended.message["usage"]["server_tool_use"] == {"web_search_requests": 2}


BROKEN: dict[str, list[Payload] | bytes] = {
    "begins twice": [START, START],
    "a delta of no block": [START, delta(0, "text_delta", text="a")],
    "no index": [START, {"type": "content_block_start", "content_block": {"type": "text"}}],
    "no delta": [START, begin(0, {"type": "text", "text": ""}), {"type": "content_block_delta", "index": 0}],
    "no type": b'event: message_start\ndata: {"message": {}}\n\n',
    "a list": b"event: message_start\ndata: []\n\n",
    "half a JSON": b'event: message_start\ndata: {"type":\n\n',
    "no UTF-8": b'event: content_block_delta\ndata: {"type":"\xff"}\n\n',
    "nested without end": b"event: x\ndata: " + b"[" * 200_000 + b"\n\n",
}


class TestWhatIsBroken:
    @pytest.mark.parametrize("sent", BROKEN.values(), ids=BROKEN.keys())
    def test_it_ends_as_malformed_and_nothing_is_read_any_more(self, sent: list[Payload] | bytes) -> None:
        stream = EventStream(request_id="req_1")
        stream.feed(sent if isinstance(sent, bytes) else wire(sent))

        assert isinstance(stream.failure, StreamBroken)
        assert (stream.failure.code, stream.failure.request_id) == ("stream_malformed", "req_1")
        assert stream.feed(wire([START, *END])) == []

    def test_what_came_before_in_the_same_read_is_given_first(self) -> None:
        body = wire([START, begin(0, {"type": "text", "text": ""}), delta(0, "text_delta", text="Well,")])

        events, ending = ours(body + b"event: message_stop\ndata: {\n\n")

        assert (events[-1], ending) == (BlockDelta(index=0, kind="text", text="Well,"), "stream_malformed")

    def test_an_error_that_is_no_json_is_kept_as_text(self) -> None:
        assert ours(b"event: error\ndata: out of order\n\n")[1] == "reported out of order"

    def test_what_comes_after_the_end_is_not_read(self) -> None:
        assert len(ours(wire([START, *END, START]))[0]) == 2

    def test_an_event_without_end_is_given_up(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(event_stream, "MAX_EVENT_BYTES", 100)

        assert ours(b"data: " + b"x" * 200, range(20, 200, 20))[1] == "stream_malformed"
