"""Blocks as bytes: encoded once, for the digest and for the wire alike."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from warmcache.core.estimates import Size, block_size, known_tokens, sum_of
from warmcache.core.prompt.answers import is_blank_text
from warmcache.core.prompt.forms import blocks_of, last_turn_of, tools_of, turn_of
from warmcache.core.prompt.values import Json, LastTurn, Message, Prompt

TOKENS_PER_TURN = 4

MARKABLE = frozenset(
    {
        "text",
        "image",
        "document",
        "search_result",
        "tool_use",
        "tool_result",
        "server_tool_use",
        "web_search_tool_result",
        "web_fetch_tool_result",
        "code_execution_tool_result",
        "bash_code_execution_tool_result",
        "text_editor_code_execution_tool_result",
        "tool_search_tool_result",
        "container_upload",
        "advisor_tool_result",
        "mcp_tool_use",
        "mcp_tool_result",
        "compaction",
        "tool_addition",
        "tool_removal",
    }
)
"""Types of content blocks that can carry a breakpoint. An unknown type gets none: the API might refuse it."""

BLOCK_OVERHEAD_BYTES = 300
"""Memory overhead of an encoded block, beside its bytes."""


def canonical_bytes(value: Any) -> bytes:
    """One spelling of a JSON value: sorted keys, no spaces, UTF-8. These bytes are hashed and sent."""
    return _written(value, sort_keys=True).encode("utf-8", "surrogatepass")


def _written(value: Any, *, sort_keys: bool) -> str:
    return json.dumps(value, sort_keys=sort_keys, separators=(",", ":"), ensure_ascii=False, default=_plain)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is no JSON value")


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One block as it is hashed and sent. `level`: `tools`, `system` or the role of its message."""

    level: str
    data: bytes
    size: Size
    """With the scaffolding of the message that the block opens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """The encoded blocks of one layer. They depend on nothing before them except the role that they continue."""

    blocks: tuple[Block, ...] = ()
    pieces: tuple[bytes, ...] = ()
    """The bytes as sent; in messages, alternating: what stands before a block, and the block."""
    marked_block: int | None = None
    """The index of the last block that can carry a breakpoint."""
    marked_piece: int = 0
    asked_block: int | None = None
    """The same among what the person, or the client's tool, said: an earlier request ended there with a breakpoint."""
    asked_piece: int = 0
    role: str = ""
    """The role of the message that is open at its end; empty before the first one."""
    has_images: bool = False
    has_citations: bool = False
    is_sendable: bool = True

    size_bytes: int = 0


class PassageWriter:
    """Adds blocks to a passage."""

    def __init__(self, passage: Passage) -> None:
        self._blocks = list(passage.blocks)
        self._pieces = list(passage.pieces)
        self._marked_block, self._marked_piece = passage.marked_block, passage.marked_piece
        self._asked_block, self._asked_piece = passage.asked_block, passage.asked_piece
        self._role = passage.role
        self._has_images, self._has_citations = passage.has_images, passage.has_citations
        self._is_sendable = passage.is_sendable
        self._size_bytes = passage.size_bytes

    def add_level(self, level: str, blocks: Iterable[Json]) -> None:
        """Adds the array of tools or of system blocks, with its name; nothing if there are none."""
        opening = f'"{level}":['.encode()
        for block in blocks:
            self._add(level, block, opening, tokens=0)
            opening = b","
        if opening == b",":
            self._pieces.append(b"],")

    def add_turn(self, message: Message, *, may_be_marked: bool = True) -> None:
        """Adds a turn, merging neighbours of one role as the API does (a stopped reply leaves two user turns)."""
        turn = turn_of(message)
        role = turn.role
        marked, asked = (self._marked_block, self._marked_piece), (self._asked_block, self._asked_piece)
        for block in blocks_of(turn.blocks, where="a turn"):
            if role == self._role:
                self._add(role, block, b",", tokens=0)
                continue
            closing = "]}," if self._role else ""
            self._add(role, block, f'{closing}{{"role":"{role}","content":['.encode(), tokens=TOKENS_PER_TURN)
            self._role = role
        if not may_be_marked:
            self._marked_block, self._marked_piece = marked
            self._asked_block, self._asked_piece = asked

    def add_piece(self, piece: bytes) -> None:
        self._pieces.append(piece)

    def finish(self) -> Passage:
        return Passage(
            blocks=tuple(self._blocks),
            pieces=tuple(self._pieces),
            marked_block=self._marked_block,
            marked_piece=self._marked_piece,
            asked_block=self._asked_block,
            asked_piece=self._asked_piece,
            role=self._role,
            has_images=self._has_images,
            has_citations=self._has_citations,
            is_sendable=self._is_sendable,
            size_bytes=self._size_bytes,
        )

    def _add(self, level: str, block: Json, before: bytes, *, tokens: int) -> None:
        if "cache_control" in block:
            # With the host's own breakpoints there would be more than the four that the API accepts.
            block = {name: value for name, value in block.items() if name != "cache_control"}
        data, size = canonical_bytes(block), block_size(block)
        if tokens:
            size = sum_of(size, known_tokens(tokens))
        if _can_carry_breakpoint(level, block):
            self._marked_block, self._marked_piece = len(self._blocks), len(self._pieces) + 1
            if level == "user":
                self._asked_block, self._asked_piece = self._marked_block, self._marked_piece
        self._pieces += (before, data)
        self._blocks.append(Block(level=level, data=data, size=size))
        self._size_bytes += len(data) + BLOCK_OVERHEAD_BYTES
        self._has_images = self._has_images or _is_image(block)
        self._has_citations = self._has_citations or _is_cited_document(block)
        self._is_sendable = self._is_sendable and _is_utf8(data)


def shared_passage(prompt: Prompt) -> Passage:
    """Tools and system blocks, with everything that stands before the messages."""
    output_config = {
        name: value for name, value in (("effort", prompt.effort), ("format", prompt.output_format)) if value
    }
    writer = PassageWriter(Passage())
    writer.add_piece(b'{"model":' + canonical_bytes(prompt.model) + b",")
    writer.add_level("tools", tools_of(prompt.tools))
    writer.add_level("system", blocks_of(prompt.system, where="system"))
    if prompt.thinking:
        writer.add_piece(b'"thinking":' + canonical_bytes(prompt.thinking) + b",")
    if output_config:
        # In the host's own order: the model writes a structured answer in the order of its schema.
        written = _written(output_config, sort_keys=False).encode("utf-8", "surrogatepass")
        writer.add_piece(b'"output_config":' + written + b",")
    if prompt.tool_choice:
        writer.add_piece(b'"tool_choice":' + canonical_bytes(prompt.tool_choice) + b",")
    if prompt.speed:
        writer.add_piece(b'"speed":' + canonical_bytes(prompt.speed) + b",")
    for name, value in (prompt.extra_body or {}).items():
        writer.add_piece(canonical_bytes(name) + b":" + canonical_bytes(value) + b",")
    writer.add_piece(b'"messages":[')
    return writer.finish()


def passage_after(before: Passage, last: LastTurn) -> Passage:
    """The last turn, or a part of it, as a continuation of `before`."""
    writer = PassageWriter(Passage(role=before.role))
    writer.add_turn(last_turn_of(last))
    return writer.finish()


def _is_utf8(data: bytes) -> bool:
    """False if `data` contains half of a surrogate pair; few other characters begin with its first byte."""
    if b"\xed" not in data:
        return True
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _can_carry_breakpoint(level: str, block: Json) -> bool:
    if level == "tools":
        return bool(block)
    return block.get("type") in MARKABLE and not is_blank_text(block)


def _is_image(block: Json) -> bool:
    if block.get("type") == "tool_result" and isinstance(block.get("content"), list | tuple):
        return any(_is_image(part) for part in block["content"])
    return block.get("type") == "image"


def _is_cited_document(block: Json) -> bool:
    return block.get("type") == "document" and bool((block.get("citations") or {}).get("enabled"))
