"""Passages of documents as a reply quotes them: in Markdown, and with the citations that the request asked for."""

import re
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from warmcache.simulator.passages import Passage
from warmcache.simulator.prompt import as_blocks

_EMPHASISED = r"\*{1,2}[^\s*][^*\n]*(?<=\S)\*{1,2}"
_BULLET = r"^\s*\*\s"
_MARKS = r"(?<!\w)_+|_+(?!\w)|[*`<\[]+"
_READ_BY_MARKDOWN = re.compile(f"({_BULLET}|{_EMPHASISED})|({_MARKS})")
_GAP = "\n\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class CitableDocument:
    """A `document` block with citations switched on, and its text as `documents_of` reads it."""

    index: int
    """Its number among all document blocks of the request."""
    title: str | None
    parts: tuple[tuple[int, str], ...]
    """Its texts with their numbers in the source's `content`; a single one if the source is plain text."""
    is_plain_text: bool

    def citation(self, quoted: str) -> dict[str, Any] | None:
        """Where `quoted` stands in it; None if it does not."""
        first = _GAP.join(text for _, text in self.parts).find(quoted)
        if first < 0:
            return None
        where = self._characters(quoted, first) if self.is_plain_text else self._blocks(first, first + len(quoted))
        return {**where, "document_index": self.index, "document_title": self.title, "file_id": None}

    def _characters(self, quoted: str, first: int) -> dict[str, Any]:
        return {
            "type": "char_location",
            "cited_text": quoted,
            "start_char_index": first,
            "end_char_index": first + len(quoted),
        }

    def _blocks(self, first: int, end: int) -> dict[str, Any]:
        covered: list[tuple[int, str]] = []
        at = 0
        for number, text in self.parts:
            if at < end and first < at + len(text):
                covered.append((number, text))
            at += len(text) + len(_GAP)
        return {
            "type": "content_block_location",
            "cited_text": "".join(text for _, text in covered),
            "start_block_index": covered[0][0],
            "end_block_index": covered[-1][0] + 1,
        }


def citable_documents(body: dict[str, Any]) -> list[CitableDocument]:
    """The documents of a request that its answer may cite."""
    blocks = [block for message in body["messages"] for block in as_blocks(message["content"])]
    documents = [block for block in blocks if block.get("type") == "document"]
    return [
        CitableDocument(
            index=index,
            title=block.get("title"),
            parts=tuple(_parts(block["source"])),
            is_plain_text=block["source"]["type"] == "text",
        )
        for index, block in enumerate(documents)
        if (block.get("citations") or {}).get("enabled") and block["source"]["type"] in ("text", "content")
    ]


def cited_texts(
    opening: str, passages: Sequence[Passage], documents: Sequence[CitableDocument]
) -> list[tuple[str, list[dict[str, Any]]]]:
    """The texts of an answer and their citations: words that are cited are a text of their own, all others run on."""
    texts: list[tuple[str, list[dict[str, Any]]]] = []
    running = opening
    for passage in passages:
        citation = _citation(passage, documents)
        running += _GAP + _heading(passage)
        if citation is not None:
            texts += [(running + _GAP, []), (_quoted(passage), [citation])]
            running = ""
        elif passage.text:
            running += _GAP + _quoted(passage)
        if passage.code:
            running += _GAP + _code(passage)
    return [*texts, (running, [])] if running else texts


def _parts(source: dict[str, Any]) -> Iterator[tuple[int, str]]:
    if source["type"] == "text":
        yield 0, source["data"]
        return
    for number, part in enumerate(as_blocks(source["content"])):
        if "text" in part:
            yield number, part["text"]


def _citation(passage: Passage, documents: Sequence[CitableDocument]) -> dict[str, Any] | None:
    if not passage.text:
        return None
    found = (document.citation(passage.text) for document in documents)
    return next((citation for citation in found if citation is not None), None)


def _heading(passage: Passage) -> str:
    return f"**{_literal(passage.title)}**"


def _quoted(passage: Passage) -> str:
    lines = [_literal(line) for line in textwrap.dedent(passage.text).split("\n")]
    return "\n".join(f"> {line}".rstrip() for line in lines)


def _code(passage: Passage) -> str:
    fence = "````" if "```" in passage.code else "```"
    return f"{fence}python\n{passage.code}\n{fence}"


def _literal(line: str) -> str:
    """A line with its stray Markdown marks escaped. Emphasis and bullets are kept: they mean the same in both."""
    return _READ_BY_MARKDOWN.sub(lambda match: match[1] or "".join(f"\\{mark}" for mark in match[2]), line)
