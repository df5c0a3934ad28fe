"""Words that a host gives with its calls. What no column could hold is refused at the call, not lost with its row."""

from enum import StrEnum
from typing import TypeVar

MAX_WORD_CHARS = 80
"""Limit for `label`, `subject` and `place`; longer values are cut off."""

Member = TypeVar("Member", bound=StrEnum)


def word_of(name: str, word: str) -> str:
    """As much of a host's word as the ledger's columns hold."""
    if not isinstance(word, str):
        raise TypeError(f"`{name}` is a text, not {type(word).__name__}: {name}=str({word!r}), for example.")
    if "\0" in word or not _is_utf8(word):
        raise ValueError(f"`{name}` has a character that no database stores: {word[:MAX_WORD_CHARS]!r}.")
    return word[:MAX_WORD_CHARS]


def member_of(kind: type[Member], name: str, word: str) -> Member:
    """The member of a closed set."""
    try:
        return kind(word)
    except ValueError:
        raise ValueError(f"{word!r} is no {name}. There are {', '.join(kind)}.") from None


def _is_utf8(word: str) -> bool:
    """Python can hold half of a surrogate pair."""
    try:
        word.encode()
    except UnicodeEncodeError:
        return False
    return True
