"""The title of a conversation from its first message: words, not the signs of Markdown around them."""

import re
from collections.abc import Iterator

from chatapp.protocol.limits import LIMITS

MAX_TITLE_CHARACTERS = LIMITS["title_chars"]

_FENCE = re.compile(r"\s*(```|~~~)")
_BEGINNING = re.compile(r"\s*(?:(?:>|#{1,6}|[-*+]|\d{1,3}[.)])\s+)*")
_LINK = re.compile(r"!?\[([^\]\n]*)\]\([^)\n]*\)")
_MARKS = re.compile(r"(\*\*|__|`+)(\S(?:[^\n]*?\S)?)\1")
_HAS_WORDS = re.compile(r"\w")


def title_from(text: str) -> str:
    """The beginning of the first line that has words outside of code, cut at the end of a word."""
    line = " ".join((_first_line(text) or "").split())
    if len(line) <= MAX_TITLE_CHARACTERS:
        return line
    cut = line[:MAX_TITLE_CHARACTERS]
    return (cut.rsplit(" ", 1)[0] if " " in cut[20:] else cut) + "…"


def _first_line(text: str) -> str | None:
    of_code: str | None = None
    for line, is_code in _lines(text):
        if not is_code and _HAS_WORDS.search(line):
            return _MARKS.sub(r"\2", _LINK.sub(r"\1", _BEGINNING.sub("", line, count=1)))
        if line.strip() and of_code is None:
            of_code = line
    return of_code


def _lines(text: str) -> Iterator[tuple[str, bool]]:
    fence = ""
    for line in text.splitlines():
        found = _FENCE.match(line)
        if fence:
            if found and found[1] == fence:
                fence = ""
            else:
                yield line, True
        elif found:
            fence = found[1]
        else:
            yield line, False
