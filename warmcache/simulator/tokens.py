"""Token counts of blocks: their text as a tokenizer counts it, plus the documented scaffolding."""

import base64
import binascii
import json
import math
from typing import Any

from warmcache.core.pictures import USUAL_TOKENS, picture_tokens
from warmcache.simulator.tokenizers import CountText

REQUEST_TOKENS = 3
"""Scaffolding after the last block: the opening of the answer."""
TURN_TOKENS = 4
"""Scaffolding in front of each turn."""
PDF_PAGE_TOKENS = 2500
"""One PDF page, read as text and as a picture."""


def text_tokens(text: str, chars_per_token: float) -> int:
    """Tokens of a text; 0 only for the empty text."""
    return math.ceil(len(text) / chars_per_token)


def canonical_json(value: Any) -> str:
    """Compact JSON in the original key order: the API hashes tool input as it was sent."""
    return json.dumps(value, separators=(",", ":"))


def block_tokens(block: dict[str, Any], count: CountText) -> int:
    """Tokens of one content block or tool definition, without its scaffolding."""
    kind = block.get("type")
    if kind == "text":
        return count(block["text"])
    if kind == "image":
        tokens = picture_tokens(block)
        return USUAL_TOKENS if tokens is None else tokens
    if kind == "document":
        return _document_tokens(block, count)
    if kind == "tool_result":
        return count(block["tool_use_id"]) + _content_tokens(block.get("content") or "", count)
    if kind == "thinking":
        return count(block.get("thinking", ""))
    return max(1, count(canonical_json(block)))


def _content_tokens(content: str | list[dict[str, Any]], count: CountText) -> int:
    if isinstance(content, str):
        return count(content)
    return sum(block_tokens(part, count) for part in content)


def _document_tokens(block: dict[str, Any], count: CountText) -> int:
    source = block["source"]
    about = count(f"{block.get('title') or ''}{block.get('context') or ''}")
    if source["type"] == "text":
        return about + count(source["data"])
    if source["type"] == "content":
        return about + _content_tokens(source["content"], count)
    if source["type"] == "base64":
        return about + PDF_PAGE_TOKENS * _pdf_pages(source["data"])
    return about + PDF_PAGE_TOKENS


def _pdf_pages(data: str) -> int:
    try:
        raw = base64.b64decode(data)
    except (binascii.Error, ValueError):
        return 1
    return max(1, raw.count(b"/Type /Page") - raw.count(b"/Type /Pages"))
