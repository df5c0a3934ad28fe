"""Finds the passages in the prompt's own documents that share the most significant words with a question."""

import math
import re
import textwrap
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from threading import Lock
from typing import Any

from warmcache.simulator.prompt import as_blocks

MIN_DOCUMENT_CHARS = 1200
"""From this length on, a system block without a title counts as a document, not as instructions."""
MAX_PASSAGE_CHARS = 700
MAX_CODE_CHARS = 900
_MIN_PASSAGE_CHARS = 60
_MIN_SHARE = 0.34
"""The share of the question's weight that a passage must cover; below it, "nothing found" is the honest answer."""
_TERM_SATURATION = 1.2
_LENGTH_WEIGHT = 0.4
_TITLE_WEIGHT = 2

_WRAPPED = re.compile(r"<document\b([^>]*)>(.*?)</document>", re.DOTALL | re.IGNORECASE)
_TITLE_ATTRIBUTE = re.compile(r"""\b(?:title|name|source)\s*=\s*(?:"([^"]*)"|'([^']*)')""", re.IGNORECASE)
_TITLE_TAG = re.compile(r"<(title|source)>(.*?)</\1>", re.DOTALL | re.IGNORECASE)
_TITLE_LINE = re.compile(r"\A\s*(?:#{1,3}\s+|(?:document|title)\s*:\s*)(\S[^\n]*)\n", re.IGNORECASE)
_CONTENT_TAG = re.compile(r"</?(?:document_contents?|documents?|contents?)\b[^>]*>", re.IGNORECASE)
_UNDERLINE = re.compile(r"\A([^\n]+)\n([*=\-~^#\"'+])\2{2,}\s*\Z")
_HEADING = re.compile(r"\A#{1,6}\s+([^\n]+)\Z")
_LIST_ITEM = re.compile(r"\s*(?:[*+-]|\d+\.|\[\w+\])\s")
_CODE_LIKE = re.compile(r">>>|::=|\w\(|\w =[= ]|:\s*$|<\w+>|[{};]", re.MULTILINE)
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+")
_WORD = re.compile(r"[^\W_]\w*|_\w+")
_NAMED = re.compile(
    r"""[`'"](\w+)[`'"]|\b(\w+) (?:statement|keyword|loop|operator|clause|block|expression)s?\b""", re.IGNORECASE
)
STOP_WORDS = frozenset(
    """a about all also am an and any are as at be been but by can could did do does for from get give had has have
    he her hers him his how i if in into is it its just let like may me might more most much my no not of on one or
    other our out please she should show so some such tell than that the their them then there these they this those
    to up us use used using very was we were what when where which who whom why will with without would you your
    explain describe mean means work works say says know want need make makes question answer example""".split()  # noqa: SIM905
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One titled text of a prompt."""

    title: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """A paragraph, and the code that follows it, if any."""

    title: str
    text: str
    code: str = ""


@lru_cache(maxsize=65536)
def _stem(word: str) -> str:
    for ending in ("ing", "ies", "es", "ed", "s"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word[: -len(ending)]
    return word[:-1] if word.endswith("e") and len(word) > 4 else word


def terms_of(text: str) -> list[str]:
    """The significant words of a text, lower-cased and reduced to their stem."""
    words = (word.strip("_") for word in _WORD.findall(text.lower()))
    return [_stem(word) for word in words if len(word) > 1 and word not in STOP_WORDS]


def asked_terms(question: str) -> set[str]:
    """The significant words of a question; a common word counts if it is named: `with`, "the in operator"."""
    named = {next(group for group in match.groups() if group).lower() for match in _NAMED.finditer(question)}
    return set(terms_of(question)) | named


def documents_of(body: dict[str, Any]) -> list[Document]:
    """The documents of a request: system blocks that look like documents, and `document` blocks of the messages."""
    documents = [document for block in as_blocks(body.get("system") or []) for document in _in_text(block["text"])]
    for message in body["messages"]:
        for block in as_blocks(message["content"]):
            if block.get("type") == "document":
                documents += _in_document_block(block)
    return documents


@lru_cache(maxsize=128)
def _in_text(text: str) -> tuple[Document, ...]:
    wrapped = tuple(_unwrapped(match) for match in _WRAPPED.finditer(text))
    if wrapped:
        return wrapped
    heading = _TITLE_LINE.match(text)
    if heading:
        return (Document(title=heading.group(1).strip(), text=text[heading.end() :]),)
    return (_untagged(text, ""),) if len(text) >= MIN_DOCUMENT_CHARS else ()


def _unwrapped(match: re.Match[str]) -> Document:
    attribute = _TITLE_ATTRIBUTE.search(match.group(1))
    title = next((group for group in attribute.groups() if group), "") if attribute else ""
    return _untagged(match.group(2), title)


def _untagged(text: str, title: str) -> Document:
    tag = _TITLE_TAG.search(text[:500])
    if tag:
        title = title or tag.group(2).strip()
        text = text[: tag.start()] + text[tag.end() :]
    return Document(title=title or "Untitled document", text=_CONTENT_TAG.sub("", text))


def _in_document_block(block: dict[str, Any]) -> Iterator[Document]:
    source = block["source"]
    title = str(block.get("title") or "Attached document")
    if source["type"] == "text":
        yield Document(title=title, text=source["data"])
    elif source["type"] == "content":
        parts = as_blocks(source["content"])
        yield Document(title=title, text="\n\n".join(part["text"] for part in parts if "text" in part))


def passages_of(document: Document) -> Iterator[Passage]:
    """The paragraphs of a document: long ones are cut at sentence ends, and code stays with the text before it."""
    section = ""
    waiting = ""
    for paragraph in re.split(r"\n[ \t]*\n", document.text.replace("\r\n", "\n")):
        heading = _UNDERLINE.match(paragraph.strip()) or _HEADING.match(paragraph.strip())
        if heading:
            yield from _cut(document, section, waiting)
            section, waiting = heading.group(1).strip(), ""
        elif _is_code(paragraph, waiting):
            *earlier, introduction = _groups(waiting)
            for group in earlier:
                yield Passage(title=_title(document, section), text=group)
            code = textwrap.dedent(paragraph).strip("\n")
            yield Passage(title=_title(document, section), text=introduction, code=code)
            waiting = ""
        elif waiting and len(waiting) < _MIN_PASSAGE_CHARS:
            waiting += "\n\n" + paragraph.strip("\n")
        else:
            yield from _cut(document, section, waiting)
            waiting = paragraph.strip("\n")
    yield from _cut(document, section, waiting)


def _title(document: Document, section: str) -> str:
    if not section or section.lower() == document.title.lower():
        return document.title
    return f"{document.title}: {section}"


def _is_code(paragraph: str, introduction: str) -> bool:
    lines = [line for line in paragraph.split("\n") if line.strip()]
    if not lines or len(paragraph) > MAX_CODE_CHARS or paragraph.rstrip().endswith("."):
        return False
    if not all(line.startswith(("   ", "\t")) for line in lines) or _LIST_ITEM.match(lines[0]):
        return False
    return introduction.rstrip().endswith(":") or bool(_CODE_LIKE.search(paragraph))


def _cut(document: Document, section: str, text: str) -> Iterator[Passage]:
    if text.strip():
        for group in _groups(text):
            yield Passage(title=_title(document, section), text=group)


def _groups(text: str) -> list[str]:
    """The text in groups of whole sentences of at most `MAX_PASSAGE_CHARS`, if the sentences allow it."""
    if len(text) <= MAX_PASSAGE_CHARS:
        return [text]
    groups: list[str] = []
    start = end = 0
    for match in _SENTENCE_END.finditer(text):
        if match.start() - start > MAX_PASSAGE_CHARS and end > start:
            groups.append(text[start:end].rstrip())
            start = end
        end = match.end()
    if len(text) - start > MAX_PASSAGE_CHARS and end > start:
        groups.append(text[start:end].rstrip())
        start = end
    return [*groups, text[start:]] if text[start:].strip() else groups


class PassageIndex:
    """An inverted index over the passages of some documents; building it is expensive, querying it is cheap."""

    def __init__(self, documents: Iterable[Document]) -> None:
        self.passages = [passage for document in documents for passage in passages_of(document)]
        self._postings: dict[str, list[tuple[int, float]]] = defaultdict(list)
        self._lengths: list[int] = []
        for number, passage in enumerate(self.passages):
            self._add(number, passage)
        self._mean_length = max(1.0, sum(self._lengths) / max(1, len(self._lengths)))

    def _add(self, number: int, passage: Passage) -> None:
        counts: Counter[str] = Counter(terms_of(passage.text))
        counts.update(terms_of(passage.code))
        self._lengths.append(sum(counts.values()))
        for term in set(terms_of(passage.title)) | set(_WORD.findall(passage.title.lower())):
            counts[term] += _TITLE_WEIGHT
        for term, count in counts.items():
            self._postings[term].append((number, count))

    def best(self, question: str, limit: int) -> list[Passage]:
        """Up to `limit` passages that cover enough of the question, best first; ties by position."""
        weights = {term: self._weight(term) for term in asked_terms(question)}
        scores: dict[int, float] = defaultdict(float)
        covered: dict[int, float] = defaultdict(float)
        for term, weight in sorted(weights.items()):
            for number, count in self._postings.get(term, ()):
                length = 1 - _LENGTH_WEIGHT + _LENGTH_WEIGHT * self._lengths[number] / self._mean_length
                scores[number] += weight * count * (_TERM_SATURATION + 1) / (count + _TERM_SATURATION * length)
                covered[number] += weight
        needed = _MIN_SHARE * sum(weights.values())
        fitting = [number for number in scores if covered[number] >= needed > 0]
        fitting.sort(key=lambda number: (-scores[number] * covered[number], number))
        # The same paragraph may appear in two documents.
        distinct = {self.passages[number].text: self.passages[number] for number in reversed(fitting[: limit * 3])}
        return list(reversed(distinct.values()))[:limit]

    def _weight(self, term: str) -> float:
        having = len(self._postings.get(term, ()))
        return math.log(1 + (len(self.passages) - having + 0.5) / (having + 0.5))


class Library:
    """The indexes of the last few sets of documents: a conversation asks about the same ones again and again."""

    def __init__(self, *, capacity: int = 8) -> None:
        self._capacity = capacity
        self._indexes: OrderedDict[tuple[Document, ...], PassageIndex] = OrderedDict()
        self._lock = Lock()

    def index(self, documents: Sequence[Document]) -> PassageIndex:
        """The index over `documents`, built on first use. Safe to call from several threads."""
        key = tuple(documents)
        with self._lock:
            index = self._indexes.pop(key, None) or PassageIndex(key)
            self._indexes[key] = index
            while len(self._indexes) > self._capacity:
                self._indexes.popitem(last=False)
            return index
