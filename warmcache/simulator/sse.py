"""A reply as server-sent events, each with the number of tokens that must be generated before it is due."""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from warmcache.simulator.replies import Reply, ReplyBlock

_SECONDS_PER_DELTA = 0.03
_TOKENS_PER_DELTA_UNPACED = 16
_SHOWN_AS_DELTAS = ("text", "thinking", "tool_use")


@dataclass(frozen=True, slots=True, kw_only=True)
class TimedEvent:
    """One event on the wire. It is due once `after_tokens` tokens have been generated since the response began."""

    after_tokens: int
    data: bytes
    is_content: bool = False
    """Whether it shows the person something: a delta of text, thinking or tool input."""


def encode(name: str, payload: dict[str, Any]) -> bytes:
    """The bytes of one event; the payload's `type` is the event's name."""
    return f"event: {name}\ndata: {json.dumps({'type': name, **payload}, separators=(',', ':'))}\n\n".encode()


PING = encode("ping", {})


def tokens_per_delta(tokens_per_second: float) -> int:
    """How many tokens one delta carries: one at a slow rate, several at a fast rate to avoid a flood of events."""
    if math.isinf(tokens_per_second):
        return _TOKENS_PER_DELTA_UNPACED
    return max(1, round(tokens_per_second * _SECONDS_PER_DELTA))


def events_of(
    message: dict[str, Any], reply: Reply, *, chars_per_token: float, tokens_per_second: float
) -> Iterator[TimedEvent]:
    """The whole stream. `message` is the response as `message_start` shows it, with the input usage."""
    step = tokens_per_delta(tokens_per_second)
    yield TimedEvent(after_tokens=0, data=encode("message_start", {"message": message}))
    done = 0
    for index, block in enumerate(reply.blocks):
        started = _block_start(block)
        yield TimedEvent(
            after_tokens=done, data=encode("content_block_start", {"index": index, "content_block": started})
        )
        if index == 0:
            yield TimedEvent(after_tokens=done, data=PING)
        for after, delta in _deltas(block, chars_per_token, step):
            yield TimedEvent(
                after_tokens=done + after,
                data=encode("content_block_delta", {"index": index, "delta": delta}),
                is_content=delta["type"] not in ("signature_delta", "citations_delta"),
            )
        done += block.tokens
        yield TimedEvent(after_tokens=done, data=encode("content_block_stop", {"index": index}))
    yield TimedEvent(after_tokens=done, data=encode("message_delta", _message_delta(message, reply)))
    yield TimedEvent(after_tokens=done, data=encode("message_stop", {}))


def _block_start(block: ReplyBlock) -> dict[str, Any]:
    if block.kind == "text":
        return {"type": "text", "text": "", **({"citations": []} if block.data.get("citations") else {})}
    if block.kind == "thinking":
        return {"type": "thinking", "thinking": "", "signature": ""}
    if block.kind == "tool_use":
        return {"type": "tool_use", **block.data, "input": {}}
    return block.data


def _deltas(block: ReplyBlock, chars_per_token: float, step: int) -> Iterator[tuple[int, dict[str, Any]]]:
    if block.kind not in _SHOWN_AS_DELTAS:
        return
    field, kind = {
        "text": ("text", "text_delta"),
        "thinking": ("thinking", "thinking_delta"),
        "tool_use": ("partial_json", "input_json_delta"),
    }[block.kind]
    if block.kind == "tool_use":
        yield 0, {"type": kind, field: ""}
    for first in range(0, math.ceil(len(block.text) / chars_per_token), step):
        text = block.text[int(first * chars_per_token) : int((first + step) * chars_per_token)]
        if text:
            yield first, {"type": kind, field: text}
    for citation in block.data.get("citations") or ():
        yield block.tokens, {"type": "citations_delta", "citation": citation}
    if block.kind == "thinking":
        yield block.tokens, {"type": "signature_delta", "signature": block.data.get("signature", "")}


def _message_delta(message: dict[str, Any], reply: Reply) -> dict[str, Any]:
    usage = message["usage"]
    cumulative = {key: usage[key] for key in ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")}
    cumulative["output_tokens"] = reply.output_tokens
    if reply.thinking_tokens:
        cumulative["output_tokens_details"] = {"thinking_tokens": reply.thinking_tokens}
    cumulative |= reply.more_usage
    delta: dict[str, Any] = {
        "stop_reason": reply.stop_reason,
        "stop_sequence": reply.stop_sequence,
        "stop_details": reply.stop_details,
    }
    if reply.container is not None:
        delta["container"] = reply.container
    return {"delta": delta, "usage": cumulative}
