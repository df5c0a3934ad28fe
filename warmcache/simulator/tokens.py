"""Token counts of blocks: characters over the model's rule of thumb, plus the documented scaffolding."""

import base64
import binascii
import json
import math
from typing import Any

REQUEST_TOKENS = 3
"""Scaffolding after the last block: the opening of the answer."""
TURN_TOKENS = 4
"""Scaffolding in front of each turn."""
IMAGE_TOKENS = 1500
"""One picture of ordinary size; the real count depends on its pixels."""
PDF_PAGE_TOKENS = 2500
"""One PDF page, read as text and as a picture."""


def text_tokens(text: str, chars_per_token: float) -> int:
    """Tokens of a text; 0 only for the empty text."""
    return math.ceil(len(text) / chars_per_token)


def canonical_json(value: Any) -> str:
    """Compact JSON in the original key order: the API hashes tool input as it was sent."""
    return json.dumps(value, separators=(",", ":"))


def block_tokens(block: dict[str, Any], chars_per_token: float) -> int:
    """Tokens of one content block or tool definition, without its scaffolding."""
    kind = block.get("type")
    if kind == "text":
        return text_tokens(block["text"], chars_per_token)
    if kind == "image":
        return IMAGE_TOKENS
    if kind == "document":
        return _document_tokens(block, chars_per_token)
    if kind == "tool_result":
        return text_tokens(block["tool_use_id"], chars_per_token) + _content_tokens(
            block.get("content") or "", chars_per_token
        )
    if kind == "thinking":
        return text_tokens(block.get("thinking", ""), chars_per_token)
    return max(1, text_tokens(canonical_json(block), chars_per_token))


def _content_tokens(content: str | list[dict[str, Any]], chars_per_token: float) -> int:
    if isinstance(content, str):
        return text_tokens(content, chars_per_token)
    return sum(block_tokens(part, chars_per_token) for part in content)


def _document_tokens(block: dict[str, Any], chars_per_token: float) -> int:
    source = block["source"]
    about = text_tokens(f"{block.get('title') or ''}{block.get('context') or ''}", chars_per_token)
    if source["type"] == "text":
        return about + text_tokens(source["data"], chars_per_token)
    if source["type"] == "content":
        return about + _content_tokens(source["content"], chars_per_token)
    if source["type"] == "base64":
        return about + PDF_PAGE_TOKENS * _pdf_pages(source["data"])
    return about + PDF_PAGE_TOKENS


def _pdf_pages(data: str) -> int:
    try:
        raw = base64.b64decode(data)
    except (binascii.Error, ValueError):
        return 1
    return max(1, raw.count(b"/Type /Page") - raw.count(b"/Type /Pages"))
