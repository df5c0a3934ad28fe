"""What a reply has said so far, as API blocks for the row; and stored blocks as a page shows them.

The text itself is kept once, in the reply's log. Here is what the row needs beyond it.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from chatapp.protocol.views import BlockView
from warmcache.core.ports import BlockBegan, BlockSigned


class BlockFacts:
    """What the log of a reply does not know of its blocks: tool ids, and signatures of thinking."""

    def __init__(self) -> None:
        self._by_block: dict[int, dict[str, Any]] = {}

    def begin(self, event: BlockBegan) -> None:
        self._by_block[event.index] = {"id": event.block["id"]} if event.block.get("id") else {}

    def sign(self, event: BlockSigned) -> None:
        self._by_block[event.index]["signature"] = event.signature

    def api_blocks(self, views: Iterable[BlockView]) -> list[dict[str, Any]]:
        """As the row stores them. A tool's input stays the text that came, parsed by whoever runs the tool."""
        return [_api_block_of(view, self._by_block.get(view.block, {})) for view in views]


def storable(text: str) -> str:
    """What no database and no frame can carry, NUL and lone surrogates, becomes the replacement character."""
    return text.replace("\0", "\ufffd").encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def block_views(content: list[dict[str, Any]]) -> list[BlockView]:
    """Stored API blocks as the page shows them."""
    views = []
    for index, block in enumerate(content):
        kind = {"thinking": "thinking", "tool_use": "tool_input"}.get(block.get("type", ""), "text")
        text = block.get("text") or block.get("thinking") or block.get("input_json") or ""
        views.append(BlockView(block=index, kind=kind, name=block.get("name", ""), text=text, state="stop"))
    return views


def api_blocks_of(views: Iterable[BlockView], *, stored: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The content of a reply whose process is gone, as the row stores it.

    Signatures and tool ids never left that process but with a checkpoint, so they come from what is `stored`.
    """
    return [_api_block_of(view, stored[view.block] if view.block < len(stored) else {}) for view in views]


def _api_block_of(view: BlockView, facts: Mapping[str, Any]) -> dict[str, Any]:
    match view.kind:
        case "text":
            return {"type": "text", "text": view.text}
        case "thinking":
            return {"type": "thinking", "thinking": view.text, "signature": facts.get("signature", "")}
        case _:
            return {"type": "tool_use", "id": facts.get("id", ""), "name": view.name, "input_json": view.text}
