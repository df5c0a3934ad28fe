"""The content of a reply so far as API blocks for the row, and stored blocks as a page shows them.

The text itself is kept once, in the reply's log. This module keeps what the row needs beyond it.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from chatapp.conversations.storable import storable_json
from chatapp.protocol.views import BlockView
from warmcache import BlockKind
from warmcache.core.ports import BlockBegan, BlockExtended, BlockSigned

_STREAMED = {BlockKind.TEXT: "text", BlockKind.THINKING: "thinking", BlockKind.TOOL_INPUT: "input"}
"""Keyed by kind: the member of the API's block that comes in deltas."""


class BlockFacts:
    """Facts about blocks that the reply's log lacks, so that blocks go back to the API exactly as they came."""

    def __init__(self) -> None:
        self._began: dict[int, BlockBegan] = {}
        self._signatures: dict[int, str] = {}
        self._additions: dict[int, list[Mapping[str, Any]]] = {}
        self.bytes_received = 0

    def begin(self, event: BlockBegan) -> None:
        self._began[event.index] = event
        if event.kind == BlockKind.OTHER:
            self.bytes_received += len(json.dumps(event.block))

    def sign(self, event: BlockSigned) -> None:
        self._signatures[event.index] = event.signature

    def extend(self, event: BlockExtended) -> None:
        self._additions.setdefault(event.index, []).append(event.delta)
        self.bytes_received += len(json.dumps(event.delta))

    def api_blocks(self, views: Iterable[BlockView]) -> list[dict[str, Any]]:
        """Blocks as the row stores them: the start of the API's block, its deltas, even of unknown kinds, and the text
        from the log. A tool's input stays unparsed text; the code that runs the tool parses it."""
        texts = {view.block: view.text for view in views}
        return [self._api_block(index, began, texts.get(index, "")) for index, began in self._began.items()]

    def _api_block(self, index: int, began: BlockBegan, text: str) -> dict[str, Any]:
        streamed = _STREAMED.get(began.kind)
        block = {name: value for name, value in began.block.items() if value is not None and name != streamed}
        for delta in self._additions.get(index, ()):
            _extend(block, delta)
        return {**storable_json(block), **self._streamed(index, began, text)}

    def _streamed(self, index: int, began: BlockBegan, text: str) -> dict[str, Any]:
        match began.kind:
            case BlockKind.TEXT:
                return {"type": "text", "text": text}
            case BlockKind.THINKING:
                return {"type": "thinking", "thinking": text, "signature": self._signatures.get(index, "")}
            case BlockKind.TOOL_INPUT:
                kind, id_ = began.block.get("type", "tool_use"), began.block.get("id", "")
                return {"type": kind, "id": id_, "name": began.name, "input_json": text}
            case _:
                return {}


def _extend(block: dict[str, Any], delta: Mapping[str, Any]) -> None:
    """Merges a delta into the block: appends a citation to the list of citations and text to text, and sets anything
    else unchanged."""
    for name, value in delta.items():
        if name == "type":
            continue
        if name == "citation":
            block["citations"] = [*block.get("citations", ()), value]
        elif isinstance(value, str) and isinstance(block.get(name), str):
            block[name] += value
        else:
            block[name] = value


def block_views(content: list[dict[str, Any]]) -> list[BlockView]:
    """Stored API blocks as the page shows them."""
    views = []
    for index, block in enumerate(content):
        kind = _kind_of(block)
        text = (
            ""
            if kind is BlockKind.OTHER
            else block.get("text") or block.get("thinking") or block.get("input_json") or ""
        )
        name = block.get("name", "") if kind is BlockKind.TOOL_INPUT else ""
        views.append(BlockView(block=index, kind=kind, name=name, text=text, state="stop"))
    return views


def _kind_of(stored: Mapping[str, Any]) -> BlockKind:
    if "input_json" in stored:
        return BlockKind.TOOL_INPUT
    match stored.get("type"):
        case "text":
            return BlockKind.TEXT
        case "thinking":
            return BlockKind.THINKING
        case _:
            return BlockKind.OTHER


def api_blocks_of(views: Iterable[BlockView], *, stored: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The content of a reply whose process has died, as the row stores it.

    What frames lack (signatures, tool ids, citations, blocks without text) left that process only with a checkpoint,
    so it is taken from `stored`.
    """
    blocks = (_api_block_of(view, stored[view.block] if view.block < len(stored) else {}) for view in views)
    return [block for block in blocks if block]


def _api_block_of(view: BlockView, stored: dict[str, Any]) -> dict[str, Any]:
    match view.kind:
        case BlockKind.TEXT:
            return {**stored, "type": "text", "text": view.text}
        case BlockKind.THINKING:
            return {"signature": "", **stored, "type": "thinking", "thinking": view.text}
        case BlockKind.TOOL_INPUT:
            return {"type": "tool_use", "id": "", **stored, "name": view.name, "input_json": view.text}
        case _:
            return stored
