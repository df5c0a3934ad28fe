"""What the search compares: the words of a text, folded, so that `Café` is found as `cafe`.

Where a script has no spaces between its words (Chinese, Japanese, Thai ...), each character is indexed with the next
one: any two neighbours are a term, and so every part of such a text can be found. Pure, for both databases alike.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

MAX_TERM_CHARS = 64
"""A longer word is indexed by its beginning."""
MAX_TERMS = 20_000
"""Of one message, and so at most about 1 MB, which is what PostgreSQL takes."""
MAX_TERM_BYTES = 600_000
MAX_WORDS_ASKED = 12

# Han, kana, Thai, Lao, Myanmar, Khmer and Hangul, whose words carry endings.
_SPACELESS = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff"
)
# Vowel signs and accents, which `\\w` leaves out: without them, words of Hindi or Tamil would fall into letters.
_JOINED = "".join(chr(code) for code in range(0x300, 0x10000) if unicodedata.category(chr(code)).startswith("M"))
_WORD = re.compile(rf"[{_SPACELESS}]+|[^\W_{_SPACELESS}](?:[^\W_{_SPACELESS}]|(?![{_SPACELESS}])[{_JOINED}])*")
_IS_SPACELESS = re.compile(f"[{_SPACELESS}]")
_MARKS = re.compile("[\u0300-\u036f]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """A word of a text: where it is, and folded."""

    start: int
    end: int
    folded: str
    is_spaceless: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """What a person looks for: all these words, each of them the beginning of a word or, without spaces, anywhere."""

    words: Sequence[Word]

    @property
    def terms(self) -> list[str]:
        """What the index must have; of a word without spaces all pairs."""
        found = [term for word in self.words for term in _asked_of(word)]
        return list(dict.fromkeys(found))


def query_of(text: str) -> Query:
    found = list(words_of(text))
    # The person is still writing a word of one letter, unless there is nothing else.
    telling = [word for word in found if len(word.folded) > 1 or word.is_spaceless]
    return Query(words=(telling or found)[:MAX_WORDS_ASKED])


def words_of(text: str) -> Iterator[Word]:
    for match in _WORD.finditer(text):
        word = match[0]
        is_spaceless = _IS_SPACELESS.match(word) is not None
        folded = fold(word)
        if folded:
            yield Word(start=match.start(), end=match.end(), folded=folded, is_spaceless=is_spaceless)


def fold(text: str) -> str:
    """Without case, accents and variants of width; the accents of other scripts than Latin, Greek and Cyrillic stay."""
    if text.isascii():
        return text.lower()
    plain = _MARKS.sub("", unicodedata.normalize("NFKD", text).casefold())
    return unicodedata.normalize("NFC", plain)


def terms_of(text: str) -> list[str]:
    """The terms under which the index has a text, each once."""
    found: dict[str, None] = {}
    size = 0
    for word in words_of(text):
        for term in _indexed_of(word):
            if term in found:
                continue
            size += len(term.encode()) + 8
            if len(found) >= MAX_TERMS or size > MAX_TERM_BYTES:
                return list(found)
            found[term] = None
    return list(found)


def spans_in(text: str, query: Query) -> list[tuple[int, int]]:
    """Where the words of a query are in a text, in order; empty unless all of them are there."""
    found: list[tuple[int, int]] = []
    missing = set(range(len(query.words)))
    for word in words_of(text):
        for number, asked in enumerate(query.words):
            span = _span(word, asked)
            if span is not None:
                missing.discard(number)
                found.append(span)
    return [] if missing else merged(found)


def merged(spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """In order, and without overlaps."""
    found: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if found and start < found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((start, end))
    return found


def _span(word: Word, asked: Word) -> tuple[int, int] | None:
    if word.is_spaceless != asked.is_spaceless:
        return None
    if not asked.is_spaceless:
        if not word.folded.startswith(asked.folded):
            return None
        # An accent may be a character of its own: then the folded word is shorter, and all of it is marked.
        is_as_long = len(word.folded) == word.end - word.start
        return word.start, word.start + len(asked.folded) if is_as_long else word.end
    place = word.folded.find(asked.folded)
    if place < 0:
        return None
    if len(word.folded) != word.end - word.start:
        return word.start, word.end
    return word.start + place, word.start + place + len(asked.folded)


def _indexed_of(word: Word) -> Iterator[str]:
    if not word.is_spaceless:
        yield word.folded[:MAX_TERM_CHARS]
        return
    for start in range(len(word.folded)):
        yield word.folded[start : start + 2]


def _asked_of(word: Word) -> Iterator[str]:
    if not word.is_spaceless or len(word.folded) < 2:
        yield word.folded[:MAX_TERM_CHARS]
        return
    for start in range(len(word.folded) - 1):
        yield word.folded[start : start + 2]
