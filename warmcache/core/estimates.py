"""Size estimates for blocks that nobody has counted yet: characters of text, and tokens of non-text content."""

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

IMAGE_TOKENS = 1500
"""One picture of ordinary size; the real count depends on its pixels, never on its bytes."""

PDF_PAGE_TOKENS = 2500
"""One page, which the model reads as text and as a picture."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockSize:
    """`characters` must still be divided by the model's characters per token."""

    characters: int = 0
    tokens: int = 0

    def __add__(self, other: "BlockSize") -> "BlockSize":
        return BlockSize(characters=self.characters + other.characters, tokens=self.tokens + other.tokens)


def block_size(block: Mapping[str, Any]) -> BlockSize:
    """The estimated size of one content block or tool definition. Bytes of pictures and files do not count as text."""
    match block.get("type"):
        case "text":
            return BlockSize(characters=len(str(block.get("text", ""))))
        case "image":
            return BlockSize(tokens=IMAGE_TOKENS)
        case "document":
            return _document_size(block)
        case "thinking":
            # Its signature is no text that the model reads.
            return BlockSize(characters=len(str(block.get("thinking", ""))))
        case "tool_result":
            return BlockSize(characters=len(str(block.get("tool_use_id", "")))) + _parts_size(block.get("content"))
        case _:
            return BlockSize(characters=len(json.dumps(block, ensure_ascii=False, separators=(",", ":"))))


def _document_size(block: Mapping[str, Any]) -> BlockSize:
    about = BlockSize(characters=len(f"{block.get('title') or ''}{block.get('context') or ''}"))
    source = block.get("source") or {}
    match source.get("type"):
        case "text":
            return about + BlockSize(characters=len(str(source.get("data", ""))))
        case "content":
            return about + _parts_size(source.get("content"))
        case "base64":
            return about + BlockSize(tokens=PDF_PAGE_TOKENS * _pdf_pages(str(source.get("data", ""))))
        case _:
            return about + BlockSize(tokens=PDF_PAGE_TOKENS)


def _parts_size(content: Any) -> BlockSize:
    if isinstance(content, str):
        return BlockSize(characters=len(content))
    return sum((block_size(part) for part in content or ()), start=BlockSize())


def _pdf_pages(data: str) -> int:
    try:
        raw = base64.b64decode(data)
    except (binascii.Error, ValueError):
        return 1
    return max(1, raw.count(b"/Type /Page") - raw.count(b"/Type /Pages"))
