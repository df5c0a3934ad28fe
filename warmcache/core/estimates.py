"""Sizes of blocks that nobody has counted yet: how much of each kind of text, and what else takes tokens.

A size says what there is, not how many tokens it takes: that differs by model, and is learned from bills
(`core/forecast/sizes.py`). Until then the ratios of `prior_tokens` apply.
"""

import base64
import binascii
import json
import re
from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import Any

from warmcache.core.catalog import ModelFacts
from warmcache.core.pictures import USUAL_TOKENS, picture_tokens


class Kind(IntEnum):
    """What takes tokens, by script and kind of text. Beside English prose, programs have symbols and indentation, data
    has symbols and digits; so a kind is a kind of character, and no text has to be called the one or the other."""

    WORDS = 0
    """Characters of English prose, with its spaces and its punctuation."""
    SYMBOLS = 1
    DIGITS = 2
    GAPS = 3
    """Line ends and indentation, of which a token takes many."""
    HAN = 4
    """Chinese, Japanese and Korean characters."""
    FOREIGN = 5
    """Every other character beyond ASCII."""
    IMAGES = 6
    """Pictures whose pixels are not known: of the others the tokens are."""
    PDF_PAGES = 7
    """Pages that the model reads as text and as a picture."""
    TOKENS = 8
    """Tokens that are known: scaffolding."""


TEXT_KINDS = tuple(kind for kind in Kind if kind < Kind.IMAGES)

Size = tuple[int, ...]
"""How much of each `Kind`, in its order."""

NO_SIZE: Size = (0,) * len(Kind)

_ROUNDING = 1e-6
"""A whole number of tokens stays one, whatever the last digit of a product is."""

PDF_PAGE_TOKENS = 2500

_TOKENS_OF_A_LETTER: dict[Kind, float] = {
    Kind.WORDS: 1.0,
    Kind.SYMBOLS: 1.5,
    Kind.DIGITS: 1.5,
    Kind.GAPS: 0.7,
    Kind.HAN: 2.5,
    Kind.FOREIGN: 1.5,
}
"""Tokens of one character, as a multiple of those of a character of English prose. Assumed, from what is published of
tokenisers in general; bills correct it."""

_SYMBOLS = b'"#$%&*+/<=>@[\\]^_`{|}~'
"""Those that prose has few of; the others count as its punctuation."""

_HAN = re.compile("[\u1100-\u11ff\u2e80-\u9fff\uac00-\ud7ff\uf900-\ufaff\uff00-\uffef\U00020000-\U0003ffff]+")


def prior_tokens(facts: ModelFacts) -> tuple[float, ...]:
    """Tokens per unit of each kind for this model, before anything was billed."""
    letter = 1 / facts.chars_per_token
    texts = (letter * _TOKENS_OF_A_LETTER[kind] for kind in TEXT_KINDS)
    return (*texts, float(USUAL_TOKENS), float(PDF_PAGE_TOKENS), 1.0)


def tokens_of(size: Size, tokens_per_unit: Sequence[float]) -> int:
    """The estimated tokens of this size."""
    return int(_ROUNDING + sum(count * each for count, each in zip(size, tokens_per_unit, strict=True)))


def sum_of(*sizes: Size) -> Size:
    return tuple(map(sum, zip(*sizes, strict=True))) if sizes else NO_SIZE


def text_size(text: str) -> Size:
    """The size of a text. Costs little: each count is one pass in C."""
    han = 0 if text.isascii() else sum(map(len, _HAN.findall(text)))
    plain = text.encode("ascii", "ignore")
    digits = len(plain) - len(plain.translate(None, b"0123456789"))
    symbols = len(plain) - len(plain.translate(None, _SYMBOLS))
    gaps = plain.count(b"\n") + plain.count(b"\t") + 2 * plain.count(b"  ")
    words = len(plain) - digits - symbols - gaps
    return (words, symbols, digits, gaps, han, len(text) - len(plain) - han, 0, 0, 0)


def _units(kind: Kind, count: int) -> Size:
    return tuple(count if other is kind else 0 for other in Kind)


def known_tokens(count: int) -> Size:
    """So many tokens, which need no estimate."""
    return _units(Kind.TOKENS, count)


def block_size(block: Mapping[str, Any]) -> Size:
    """The size of one content block or tool definition. Bytes of pictures and files do not count as text."""
    match block.get("type"):
        case "text":
            return text_size(str(block.get("text", "")))
        case "image":
            tokens = picture_tokens(block)
            return _units(Kind.IMAGES, 1) if tokens is None else known_tokens(tokens)
        case "document":
            return _document_size(block)
        case "thinking":
            # Its signature is no text that the model reads.
            return text_size(str(block.get("thinking", "")))
        case "tool_result":
            return sum_of(text_size(str(block.get("tool_use_id", ""))), _parts_size(block.get("content")))
        case _:
            return text_size(json.dumps(block, ensure_ascii=False, separators=(",", ":")))


def _document_size(block: Mapping[str, Any]) -> Size:
    about = text_size(f"{block.get('title') or ''}{block.get('context') or ''}")
    source = block.get("source") or {}
    match source.get("type"):
        case "text":
            return sum_of(about, text_size(str(source.get("data", ""))))
        case "content":
            return sum_of(about, _parts_size(source.get("content")))
        case "base64":
            return sum_of(about, _units(Kind.PDF_PAGES, _pdf_pages(str(source.get("data", "")))))
        case _:
            return sum_of(about, _units(Kind.PDF_PAGES, 1))


def _parts_size(content: Any) -> Size:
    if isinstance(content, str):
        return text_size(content)
    return sum_of(NO_SIZE, *(block_size(part) for part in content or ()))


def _pdf_pages(data: str) -> int:
    try:
        raw = base64.b64decode(data)
    except (binascii.Error, ValueError):
        return 1
    return max(1, raw.count(b"/Type /Page") - raw.count(b"/Type /Pages"))
