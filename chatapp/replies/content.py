"""What a reply has said so far, as API blocks for the row; and stored blocks as a page shows them."""

from collections.abc import Iterable, Sequence
from typing import Any

from chatapp.protocol.views import BlockView
from warmcache.core.ports import BlockBegan, BlockSigned


class ReplyContent:
    """Collects the provider's blocks as the API will want them back."""

    def __init__(self) -> None:
        self._began: dict[int, BlockBegan] = {}
        self._pieces: dict[int, list[str]] = {}
        self._signatures: dict[int, str] = {}
        self.bytes_received = 0

    def begin(self, event: BlockBegan) -> None:
        self._began[event.index] = event
        self._pieces[event.index] = []

    def add(self, index: int, text: str) -> None:
        """`text` is `storable`."""
        self._pieces[index].append(text)
        self.bytes_received += len(text.encode())

    def sign(self, event: BlockSigned) -> None:
        self._signatures[event.index] = event.signature

    def text(self) -> str:
        """All text blocks, joined: what a person reads."""
        return "".join(self._text(index) for index, began in self._began.items() if began.kind == "text")

    def api_blocks(self) -> list[dict[str, Any]]:
        """As the row stores them. A tool's input stays the text that came, parsed by whoever runs the tool."""
        return [self._api_block(index, began) for index, began in self._began.items()]

    def _api_block(self, index: int, began: BlockBegan) -> dict[str, Any]:
        text = self._text(index)
        match began.kind:
            case "text":
                return {"type": "text", "text": text}
            case "thinking":
                return {"type": "thinking", "thinking": text, "signature": self._signatures.get(index, "")}
            case _:
                return {"type": "tool_use", "id": began.block.get("id", ""), "name": began.name, "input_json": text}

    def _text(self, index: int) -> str:
        return "".join(self._pieces[index])


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


def _api_block_of(view: BlockView, stored: dict[str, Any]) -> dict[str, Any]:
    match view.kind:
        case "text":
            return {"type": "text", "text": view.text}
        case "thinking":
            return {"type": "thinking", "thinking": view.text, "signature": stored.get("signature", "")}
        case _:
            return {"type": "tool_use", "id": stored.get("id", ""), "name": view.name, "input_json": view.text}
