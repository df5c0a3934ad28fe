"""Closed sets of words, each with a text for people.

The texts are English and also translation ids: the code that shows them translates them (`words.py`, `models.py`).
"""

from enum import StrEnum
from typing import Self


def gettext_noop(words: str) -> str:
    """Marks words for `makemessages`, which recognises this name. The core translates nothing."""
    return words


class Worded(StrEnum):
    """A member is `NAME = value, words, reader_words, reader_detail`; the value is what is stored and sent."""

    words: str
    """For the operator: admin, reports, README."""
    reader_words: str
    """For the person at the page; the operator's words if there are no others."""
    reader_detail: str
    """One more sentence for that person, or nothing."""

    def __new__(cls, value: str, words: str = "", reader_words: str = "", reader_detail: str = "") -> Self:
        """Raises `TypeError` for a member without words."""
        return cls._worded(value, words, reader_words, reader_detail)

    @classmethod
    def _worded(cls, value: str, words: str, reader_words: str, reader_detail: str = "") -> Self:
        if not words:
            raise TypeError(f"{cls.__name__}: {value!r} has no words.")
        member = str.__new__(cls, value)
        member._value_ = value
        member.words = words
        member.reader_words = reader_words or words
        member.reader_detail = reader_detail
        return member


FINAL, RETRYABLE = False, True


class Coded(Worded):
    """Codes of errors. A member is `NAME = value, FINAL or RETRYABLE, words, reader_words`."""

    is_retryable: bool
    """Whether the same may succeed later."""

    def __new__(cls, value: str, is_retryable: bool = FINAL, words: str = "", reader_words: str = "") -> Self:
        """As `Worded`; an enumeration takes `super().__new__` away."""
        member = cls._worded(value, words, reader_words)
        member.is_retryable = is_retryable
        return member
