"""Collects an answer's content blocks from its events: the same blocks that a call without streaming would return.

answer = AnswerContent()
async for event in response:
    answer.take(event)
history.append(answer_turn(answer.blocks()))
"""

import json
from collections.abc import Mapping
from typing import Any

from warmcache.core.blocks import BlockKind
from warmcache.core.ports import (
    BlockBegan,
    BlockDelta,
    BlockExtended,
    BlockSigned,
    OtherEvent,
    StreamEnded,
    StreamEvent,
)

STREAMED: Mapping[BlockKind, str] = {
    BlockKind.TEXT: "text",
    BlockKind.THINKING: "thinking",
    BlockKind.TOOL_INPUT: "input",
}
"""Keyed by kind: the member of the API's block that arrives in deltas."""


class AnswerContent:
    """One answer, filled as its events arrive. Text that the caller keeps itself need not be told (`BlockDelta`)."""

    def __init__(self) -> None:
        self.message: Mapping[str, Any] = {}
        """The API's message without its content, once it has ended."""
        self.other_events: list[Mapping[str, Any]] = []
        """Events of unknown kinds, raw and complete."""
        self._began: dict[int, BlockBegan] = {}
        self._texts: dict[int, list[str]] = {}
        self._additions: dict[int, list[Mapping[str, Any]]] = {}

    def __len__(self) -> int:
        """How many blocks have begun."""
        return len(self._began)

    def take(self, event: StreamEvent) -> None:
        match event:
            case BlockDelta():
                self._texts.setdefault(event.index, []).append(event.text)
            case BlockBegan():
                self._began[event.index] = event
            case BlockSigned():
                self._additions.setdefault(event.index, []).append({"signature": event.signature})
            case BlockExtended():
                self._additions.setdefault(event.index, []).append(event.delta)
            case StreamEnded():
                self.message = event.message
            case OtherEvent():
                self.other_events.append(event.event)

    def blocks(self) -> list[dict[str, Any]]:
        """All blocks so far, in order. The input of a tool call that has not arrived whole is as it began."""
        return [self.block(index) for index in self._began]

    def block(self, index: int) -> dict[str, Any]:
        """The block with the API's index."""
        began, text = self._began[index], "".join(self._texts.get(index, ()))
        block = dict(began.block)
        if began.kind == BlockKind.TOOL_INPUT:
            whole = parsed_input(text)
            block |= {"input": block["input"] if whole is None else whole}
        elif began.kind != BlockKind.OTHER:
            member = STREAMED[began.kind]
            block[member] = f"{block.get(member) or ''}{text}"
        for delta in self._additions.get(index, ()):
            _extend(block, delta)
        return block


def parsed_input(text: str) -> dict[str, Any] | None:
    """A tool call's streamed input; None if it is not a whole JSON object. A call without any text has no input."""
    if not text.strip():
        return None
    try:
        found = json.loads(text, parse_constant=_refuse)
        json.dumps(found, allow_nan=False)  # 1e999 is read as infinity
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON.")


def _extend(block: dict[str, Any], delta: Mapping[str, Any]) -> None:
    """Merges a delta into the block: appends a citation to the list of citations and text to text, and sets anything
    else unchanged."""
    for name, value in delta.items():
        if name == "type":
            continue
        if name == "citation":
            block["citations"] = [*(block.get("citations") or ()), value]
        elif name == "signature":
            block[name] = value
        elif isinstance(value, str) and isinstance(block.get(name), str):
            block[name] += value
        else:
            block[name] = value
