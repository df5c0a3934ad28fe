"""The bytes of a request body as they went over the wire, taken apart without spelling them anew."""

import json
from collections.abc import Iterator

_DECODER = json.JSONDecoder()
_SPACE = " \t\r\n"


def members(text: str) -> dict[str, str]:
    """The members of a JSON object: name -> the value's own characters."""
    return dict(_members(text))


def elements(text: str) -> list[str]:
    """The elements of a JSON array, each in its own characters."""
    found, at = [], _skip(text, 1)
    while text[at] != "]":
        _, end = _DECODER.raw_decode(text, at)
        found.append(text[at:end])
        at = _skip(text, end, ",")
    return found


def _members(text: str) -> Iterator[tuple[str, str]]:
    at = _skip(text, 1)
    while text[at] != "}":
        name, at = _DECODER.raw_decode(text, at)
        start = _skip(text, at, ":")
        _, at = _DECODER.raw_decode(text, start)
        yield name, text[start:at]
        at = _skip(text, at, ",")


def _skip(text: str, at: int, also: str = "") -> int:
    while text[at] in _SPACE + also:
        at += 1
    return at
