"""How many tokens a picture takes: that depends on its pixels, which its first bytes tell."""

import base64
import binascii
import math
from collections.abc import Mapping
from typing import Any

USUAL_TOKENS = 1500
"""Of a picture of ordinary size, where its pixels are not known."""

PIXELS_OF_A_TOKEN = 750
MOST_TOKENS = 1600
"""The provider makes a larger picture smaller before the model sees it."""

HEAD_CHARS = 64 * 1024
_SIZE_AT_START = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""The segments of a JPEG that begin with its size."""


def picture_tokens(block: Mapping[str, Any]) -> int | None:
    """The tokens of an `image` block; None if its size is not known."""
    source = block.get("source") or {}
    size = _size_of(str(source.get("data", ""))) if source.get("type") == "base64" else None
    if size is None or not all(size):
        return None
    return min(MOST_TOKENS, math.ceil(size[0] * size[1] / PIXELS_OF_A_TOKEN))


def _size_of(data: str) -> tuple[int, int] | None:
    try:
        head = base64.b64decode(data[:HEAD_CHARS])
    except (binascii.Error, ValueError):
        return None
    if head.startswith(b"\x89PNG\r\n\x1a\n") and len(head) >= 24:
        return int.from_bytes(head[16:20]), int.from_bytes(head[20:24])
    return _jpeg_size(head) if head.startswith(b"\xff\xd8") else None


def _jpeg_size(head: bytes) -> tuple[int, int] | None:
    at = 2
    while at + 9 <= len(head) and head[at] == 0xFF:
        if head[at + 1] in _SIZE_AT_START:
            return int.from_bytes(head[at + 7 : at + 9]), int.from_bytes(head[at + 5 : at + 7])
        at += 2 + int.from_bytes(head[at + 2 : at + 4])
    return None
