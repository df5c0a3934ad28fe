"""The content of a reply so far as API blocks for the row, and stored blocks as a page shows them.

The text itself is kept once, in the reply's log. This module keeps what the row needs beyond it.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from chatapp.conversations.storable import storable_json
from chatapp.protocol.views import BlockView
from warmcache import BlockKind
from warmcache.core.answers import STREAMED, AnswerContent
from warmcache.core.ports import BlockBegan, BlockExtended, BlockSigned, OtherEvent, StreamEnded

MAX_SHOWN_BYTES = 32 * 1024
"""A page gets no larger data of one block: it is shown, never sent back."""

MAX_SHOWN_CHARS = 2000
"""The same for each text in it."""

_OF_THE_VIEW: Mapping[BlockKind, frozenset[str]] = {
    BlockKind.TEXT: frozenset({"type", "text"}),
    BlockKind.THINKING: frozenset({"type", "thinking"}),
    BlockKind.TOOL_INPUT: frozenset({"name", "input_json"}),
    BlockKind.OTHER: frozenset(),
}
"""Keyed by kind: members that a view has as fields of its own."""

_OPAQUE = frozenset({"signature", "encrypted_content", "encrypted_index", "encrypted_stdout"})
"""Only the provider can read them."""


class ReplyContent:
    """Facts about blocks that the reply's log lacks, so that blocks go back to the API exactly as they came.

    Blocks are counted through all rounds of the reply, from 0: within the first answer that is the API's own index.
    """

    def __init__(self) -> None:
        self.bytes_received = 0
        self._rounds = [AnswerContent()]
        self._firsts = [0]
        """For each round, the number of its first block."""
        self._numbers: dict[int, int] = {}
        """By the API's index: the numbers of this round's blocks."""
        self._places: list[tuple[AnswerContent, BlockBegan]] = []
        self._ended: dict[int, dict[str, Any]] = {}
        """Blocks that have ended as they are stored, without their text: results may be large, and are cleaned once."""

    @property
    def message(self) -> Mapping[str, Any]:
        """The API's message of the last round without its content, once it has ended."""
        return self._rounds[-1].message

    @property
    def stop_reason(self) -> str | None:
        """Of the last round; None until it has ended."""
        return self.message.get("stop_reason")

    @property
    def first_of_round(self) -> int:
        """The number of the first block of the last round."""
        return self._firsts[-1]

    @property
    def is_paused(self) -> bool:
        """Whether the provider has paused the answer and would go on with it."""
        return self.stop_reason == "pause_turn"

    @property
    def container_id(self) -> str | None:
        """The provider's container that the answer's tools ran in last."""
        containers = [content.message.get("container") for content in self._rounds]
        return next((each["id"] for each in reversed(containers) if each), None)

    def begin_round(self) -> None:
        """The answer goes on in a further request; its indexes begin again at 0."""
        self._rounds.append(AnswerContent())
        self._firsts.append(len(self._places))
        self._numbers.clear()

    def begin(self, event: BlockBegan) -> int:
        """Returns the number of the block."""
        number = self._numbers[event.index] = len(self._places)
        self._rounds[-1].take(event)
        self._places.append((self._rounds[-1], event))
        if event.kind == BlockKind.OTHER:
            self.bytes_received += len(msgspec.json.encode(storable_json(event.block)))
        return number

    def begin_own(self, block: Mapping[str, Any]) -> int:
        """As `begin`, for a block that the chat adds itself: the API has no index for it."""
        return self.begin(BlockBegan(index=-1 - len(self._places), kind=BlockKind.OTHER, name="", block=block))

    def add(self, event: BlockSigned | BlockExtended | OtherEvent | StreamEnded) -> None:
        """Takes everything else but text, which the log keeps."""
        self._rounds[-1].take(event)
        if isinstance(event, BlockExtended):
            self.bytes_received += len(msgspec.json.encode(storable_json(event.delta)))

    def end(self, number: int) -> dict[str, Any] | None:
        """The block has ended. Returns what a page is told of it beside its text."""
        self._ended[number] = self._stored(number, "")
        return shown_data(self._ended[number])

    def api_blocks(self, views: Iterable[BlockView]) -> list[dict[str, Any]]:
        """Blocks as the row stores them: the API's block, with the text from the log. A tool's input stays unparsed
        text: it may have broken off."""
        texts = {view.block: view.text for view in views}
        return [self._stored(number, texts.get(number, "")) for number in range(len(self._places))]

    def rounds(self) -> list[dict[str, Any]]:
        """For each request: the number of its first block, its message without content, and unknown events."""
        return [
            {
                "first_block": first,
                **({"message": storable_json(content.message)} if content.message else {}),
                **({"events": storable_json(content.other_events)} if content.other_events else {}),
            }
            for first, content in zip(self._firsts, self._rounds, strict=True)
        ]

    def _stored(self, number: int, text: str) -> dict[str, Any]:
        content, began = self._places[number]
        kind = began.kind
        block = self._ended.get(number) or storable_json(content.block(began.index))
        if kind == BlockKind.OTHER:
            return block
        member = "input_json" if kind == BlockKind.TOOL_INPUT else STREAMED[kind]
        kept = {name: value for name, value in block.items() if value is not None and name != "input"}
        return {**kept, member: text}


def shown_data(stored: Mapping[str, Any]) -> dict[str, Any] | None:
    """A stored block as a page is told of it: without what views have as fields and what only the provider can read."""
    left_out = _OF_THE_VIEW[_kind_of(stored)] | _OPAQUE
    data = {name: _shown(value) for name, value in stored.items() if name not in left_out and value is not None}
    if data.get("type") == "redacted_thinking":
        data = {"type": "redacted_thinking"}
    if data and len(msgspec.json.encode(data)) > MAX_SHOWN_BYTES:
        ids = ("type", "id", "tool_use_id")
        return {**{name: value for name, value in data.items() if name in ids}, "is_cut": True}
    return data or None


def _shown(value: Any) -> Any:
    if isinstance(value, str):
        return value if len(value) <= MAX_SHOWN_CHARS else f"{value[:MAX_SHOWN_CHARS]}…"
    if isinstance(value, Mapping):
        return {name: _shown(inner) for name, inner in value.items() if name not in _OPAQUE}
    if isinstance(value, list | tuple):
        return [_shown(inner) for inner in value]
    return value


def block_views(content: list[dict[str, Any]]) -> list[BlockView]:
    """Stored API blocks as the page shows them."""
    views = []
    for number, block in enumerate(content):
        kind = _kind_of(block)
        text = (
            ""
            if kind is BlockKind.OTHER
            else block.get("text") or block.get("thinking") or block.get("input_json") or ""
        )
        name = block.get("name", "") if kind is BlockKind.TOOL_INPUT else ""
        views.append(
            BlockView(block=number, kind=kind, name=name, text=text, state="stop", data=shown_data(block)),
        )
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

    What frames lack (signatures, encrypted results) left that process only with a checkpoint, so it is taken from
    `stored`. A block that no checkpoint has is stored as the page was told of it, with `is_cut`: it keeps its place, so
    that the blocks behind it keep their numbers, and the provider does not get it back.
    """
    blocks = (_api_block_of(view, stored[view.block] if view.block < len(stored) else {}) for view in views)
    return [block for block in blocks if block]


def _api_block_of(view: BlockView, stored: dict[str, Any]) -> dict[str, Any]:
    match view.kind:
        case BlockKind.TEXT:
            return {**(stored or _as_told(view)), "type": "text", "text": view.text}
        case BlockKind.THINKING:
            return {"signature": "", **stored, "type": "thinking", "thinking": view.text}
        case BlockKind.TOOL_INPUT:
            known = stored or view.data or {}
            return {"type": "tool_use", "id": "", **known, "name": view.name, "input_json": view.text}
        case _:
            return stored or _as_told(view)


def _as_told(view: BlockView) -> dict[str, Any]:
    return {**view.data, "is_cut": True} if view.data else {}
