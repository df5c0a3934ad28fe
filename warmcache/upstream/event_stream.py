"""Decodes a streamed answer: bytes in, events out (sans-IO). Knows no network and no clock.

This is the hottest loop of the product. Deltas of text, thinking and tool input make up nearly all of a stream, so
only the used parts of them are decoded. Anything unknown to this code (an event, a block, a delta) is passed on raw and
complete.
"""

import json
from dataclasses import fields
from typing import Any, ClassVar

import msgspec

from warmcache.core.blocks import BlockKind, DeltaKind
from warmcache.core.errors import StreamBroken
from warmcache.core.failures import Failure
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
from warmcache.core.prefix import is_tool_call
from warmcache.core.usage import Usage

MAX_EVENT_BYTES = 64 * 1024 * 1024
"""No event of the API is nearly as long; an event that a server never ends must not fill the memory."""

_DELTA = b"content_block_delta"
_DELTA_LINES = b"event: content_block_delta\ndata: "
_KINDS: dict[str, BlockKind] = {"text": BlockKind.TEXT, "thinking": BlockKind.THINKING}
_DELTAS: dict[str, tuple[DeltaKind, str]] = {
    "text_delta": (BlockKind.TEXT, "text"),
    "thinking_delta": (BlockKind.THINKING, "thinking"),
    "input_json_delta": (BlockKind.TOOL_INPUT, "partial_json"),
}


class _TextDelta(msgspec.Struct, tag_field="type", tag="text_delta", gc=False):
    kind: ClassVar[DeltaKind] = BlockKind.TEXT
    text: str


class _ThinkingDelta(msgspec.Struct, tag_field="type", tag="thinking_delta", rename={"text": "thinking"}, gc=False):
    kind: ClassVar[DeltaKind] = BlockKind.THINKING
    text: str


class _InputDelta(msgspec.Struct, tag_field="type", tag="input_json_delta", rename={"text": "partial_json"}, gc=False):
    kind: ClassVar[DeltaKind] = BlockKind.TOOL_INPUT
    text: str


class _Delta(msgspec.Struct, tag_field="type", tag="content_block_delta", gc=False):
    index: int
    delta: _TextDelta | _ThinkingDelta | _InputDelta


_decode_delta = msgspec.json.Decoder(_Delta).decode


class ErrorReported(Exception):
    """The provider sent an `error` event. `body` is its JSON, or its text if it is not JSON."""

    def __init__(self, body: Any) -> None:
        super().__init__(str(body))
        self.body = body


class EventStream:
    """Decodes one answer. After each `feed`: check `failure` and `has_ended`."""

    def __init__(self, *, request_id: str = "") -> None:
        self.failure: StreamBroken | ErrorReported | None = None
        """What went wrong after the last returned event; then nothing more is read."""
        self.has_begun = False
        self.has_ended = False
        self.events_read = 0
        """All events except pings."""
        self.open_kinds: dict[int, BlockKind] = {}
        """The kinds of the blocks that have begun and not ended."""
        self._frames = _Frames()
        self._request_id = request_id
        self._message: dict[str, Any] = {}
        self._usage: dict[str, Any] = {}
        self._halves: dict[int, str] = {}
        """By block: the first half of a surrogate pair, whose second half comes with the next delta."""
        self._whole_inputs: dict[int, Any] = {}
        """By block: tool input that came with the block's start, until a delta brings some."""

    def feed(self, chunk: bytes) -> list[StreamEvent]:
        """The events that these bytes complete."""
        events: list[StreamEvent] = []
        try:
            for frame in self._frames.feed(chunk):
                if self.has_ended or self.failure is not None:
                    break
                self._take(frame, events)
        except (ValueError, TypeError, AttributeError, LookupError, RecursionError):
            # Not JSON, or not the shape of the API.
            self.failure = StreamBroken(
                Failure.STREAM_MALFORMED, "Claude's answer could not be read.", request_id=self._request_id
            )
        return events

    def _take(self, frame: bytes, events: list[StreamEvent]) -> None:
        if frame.startswith(_DELTA_LINES) and frame.find(b"\n", len(_DELTA_LINES)) < 0:
            name, data = _DELTA, frame[len(_DELTA_LINES) :]
        else:
            name, data = _fields(frame)
            if name == b"error":
                self.failure = ErrorReported(_body(data))
                return
            if not name or name == b"ping" or not data:
                return
        self.events_read += 1
        if name == _DELTA:
            try:
                event = _decode_delta(data)
            except msgspec.DecodeError:
                pass  # another delta, or half of a surrogate pair
            else:
                delta = event.delta
                if self.open_kinds[event.index] is delta.kind:
                    self._add_text(event.index, delta.kind, delta.text, events)
                    return
        self._take_slowly(json.loads(data.decode()), events)

    def _add_text(
        self, index: int, kind: DeltaKind, text: str, events: list[StreamEvent], *, may_be_torn: bool = False
    ) -> None:
        if not text:
            return
        if kind is BlockKind.TOOL_INPUT:
            self._whole_inputs.pop(index, None)
        if self._halves or may_be_torn:
            text = self._without_halves(index, text)
        if text:
            events.append(BlockDelta(index=index, kind=kind, text=text))

    def _without_halves(self, index: int, text: str) -> str:
        """`text` after the half that was held back, and without a half at its own end."""
        half = self._halves.pop(index, "")
        if half:
            # Two matching halves become the one character that they encode.
            text = (half + text).encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
        if not "\ud800" <= text[-1:] <= "\udbff":
            return text
        self._halves[index] = text[-1]
        return text[:-1]

    def _take_slowly(self, payload: Any, events: list[StreamEvent]) -> None:
        match payload["type"]:
            case "content_block_delta":
                self._delta(payload["index"], payload["delta"], events)
            case "content_block_stop":
                self._block_ended(payload["index"], events)
            case "message_start":
                events.append(self._began(payload["message"]))
            case "content_block_start":
                events.append(self._block_began(payload["index"], payload["content_block"]))
            case "message_delta":
                self._usage |= _given(payload.get("usage"))
                self._message |= _given(payload["delta"])
                self._message |= {name: payload[name] for name in payload.keys() - {"type", "delta", "usage"}}
            case "message_stop":
                self.has_ended = True
                events.append(self._ended())
            case str():
                events.append(OtherEvent(event=payload))
            case _:
                raise TypeError("An event without a type.")

    def _began(self, message: dict[str, Any]) -> StreamBegan:
        if self.has_begun:
            raise ValueError("One answer begins once.")
        self.has_begun = True
        self._message = {name: value for name, value in message.items() if name not in ("content", "usage")}
        self._usage = dict(message.get("usage") or {})
        return StreamBegan(
            usage=usage_of(self._usage),
            request_id=self._request_id,
            response_id=message.get("id") or "",
            miss_reason=_miss_reason(message),
        )

    def _ended(self) -> StreamEnded:
        return StreamEnded(
            stop_reason=self._message.get("stop_reason") or "",
            usage=usage_of(self._usage),
            message={**self._message, "usage": self._usage},
        )

    def _block_began(self, index: int, block: dict[str, Any]) -> BlockBegan:
        kind = self.open_kinds[index] = kind_of(block)
        if kind is BlockKind.TOOL_INPUT and block["input"]:
            self._whole_inputs[index] = block["input"]
        name = block.get("name") or ""
        return BlockBegan(index=index, kind=kind, name=name if kind is BlockKind.TOOL_INPUT else "", block=block)

    def _delta(self, index: int, delta: dict[str, Any], events: list[StreamEvent]) -> None:
        block_kind = self.open_kinds[index]
        delta_kind, member = _DELTAS.get(delta["type"], (None, ""))
        if delta_kind is not None and delta_kind is block_kind:
            self._add_text(index, delta_kind, delta[member], events, may_be_torn=True)
            return
        self._let_half_go(index, block_kind, events)
        if delta["type"] == "signature_delta" and block_kind is BlockKind.THINKING:
            events.append(BlockSigned(index=index, signature=delta["signature"]))
        else:
            events.append(BlockExtended(index=index, delta=delta))

    def _block_ended(self, index: int, events: list[StreamEvent]) -> None:
        kind = self.open_kinds.pop(index, None)
        if kind is None:
            return
        if (whole := self._whole_inputs.pop(index, None)) is not None:
            written = json.dumps(whole, ensure_ascii=False, separators=(",", ":"))
            events.append(BlockDelta(index=index, kind=BlockKind.TOOL_INPUT, text=written))
        self._let_half_go(index, kind, events)
        events.append(BlockEnded(index=index))

    def _let_half_go(self, index: int, kind: BlockKind, events: list[StreamEvent]) -> None:
        """Emits a held half whose other half will not come any more."""
        if (half := self._halves.pop(index, "")) and kind is not BlockKind.OTHER:
            events.append(BlockDelta(index=index, kind=kind, text=half))


class _Frames:
    """Splits bytes into server-sent events: the lines between two blank ones, ended by LF, CR or both."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        """The pieces of the incomplete event."""
        self._held_bytes = 0
        self._ended_in_cr = False

    def feed(self, chunk: bytes) -> list[bytes]:
        """Raises ValueError for an event that does not end."""
        if b"\r" in chunk or self._ended_in_cr:
            chunk = self._with_lf(chunk)
        if not chunk:
            return []
        is_split_here = chunk.startswith(b"\n") and self._pieces and self._pieces[-1].endswith(b"\n")
        if not is_split_here and b"\n\n" not in chunk:
            self._hold(chunk)
            return []
        whole = b"".join((*self._pieces, chunk)) if self._pieces else chunk
        cut = whole.rfind(b"\n\n")
        self._pieces.clear()
        self._held_bytes = 0
        if cut + 2 < len(whole):
            self._hold(whole[cut + 2 :])
        return whole[:cut].split(b"\n\n")

    def _hold(self, piece: bytes) -> None:
        self._held_bytes += len(piece)
        if self._held_bytes > MAX_EVENT_BYTES:
            raise ValueError("An event without end.")
        self._pieces.append(piece)

    def _with_lf(self, chunk: bytes) -> bytes:
        if self._ended_in_cr and chunk.startswith(b"\n"):
            chunk = chunk[1:]
            self._ended_in_cr = False
        if chunk:
            self._ended_in_cr = chunk.endswith(b"\r")
        return chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def _fields(frame: bytes) -> tuple[bytes, bytes]:
    """An event's name and its data; comments and other fields mean nothing here."""
    name, data = b"", []
    for line in frame.split(b"\n"):
        field, _, value = line.partition(b":")
        if field == b"event":
            name = value.removeprefix(b" ")
        elif field == b"data":
            data.append(value.removeprefix(b" "))
    return name, b"\n".join(data)


def _body(data: bytes) -> Any:
    try:
        return json.loads(data)
    except ValueError:
        return data.decode(errors="replace")


def kind_of(block: dict[str, Any]) -> BlockKind:
    """The kind of a block."""
    kind = _KINDS.get(block["type"])
    if kind is None:
        return BlockKind.TOOL_INPUT if is_tool_call(block) else BlockKind.OTHER
    return kind


def usage_of(found: dict[str, Any]) -> Usage:
    """The API's usage as our `Usage`. A missing or null counter is 0.

    An answer that took several iterations bills all of them, and the counters at the top may leave some out, such as a
    compaction. An iteration of another model is priced as the request's own.
    """
    counted = _counters(found)
    iterations = [_counters(each) for each in found.get("iterations") or () if isinstance(each, dict)]
    if not iterations:
        return counted
    billed = sum(iterations, start=Usage())
    names = [each.name for each in fields(Usage)]
    return Usage(**{name: max(getattr(counted, name), getattr(billed, name)) for name in names})


def _counters(found: dict[str, Any]) -> Usage:
    by_ttl = found.get("cache_creation") or {}
    tools = found.get("server_tool_use") or {}
    return Usage(
        input_tokens=found.get("input_tokens") or 0,
        cache_read_tokens=found.get("cache_read_input_tokens") or 0,
        cache_write_tokens=found.get("cache_creation_input_tokens") or 0,
        cache_write_1h_tokens=by_ttl.get("ephemeral_1h_input_tokens") or 0,
        output_tokens=found.get("output_tokens") or 0,
        web_searches=tools.get("web_search_requests") or 0,
        web_fetches=tools.get("web_fetch_requests") or 0,
    )


def _given(values: dict[str, Any] | None) -> dict[str, Any]:
    """The non-null values only: a counter or field that a later event omits keeps its earlier value."""
    return {name: value for name, value in (values or {}).items() if value is not None}


def _miss_reason(message: dict[str, Any]) -> str:
    """Empty if diagnostics were not requested, if nothing diverged, and while the comparison still runs."""
    found = (message.get("diagnostics") or {}).get("cache_miss_reason") or {}
    return str(found.get("type") or "")
