"""Finds in an assistant's texts what silently breaks prompt caching: one changed byte makes everything behind it cold.

A fixed date in a document is harmless, one that something writes anew each day is not; a page cannot know which it is,
so this warns, with the line, and refuses nothing.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from django.utils.translation import gettext, gettext_noop

from chatapp.models import Assistant, User

MAX_FINDINGS = 50
MAX_EXCERPT_CHARS = 80
MAX_NAMES = 500
"""Words of the instructions that are looked up among the names of people."""

_MONTHS = "January|February|March|April|May|June|July|August|September|October|November|December"
PATTERNS = (
    (
        gettext_noop("a place where something is put in"),
        re.compile(r"\{\{.*?\}\}|\{%.*?%\}|\$\{\w+\}|<%.*?%>|\{[a-z_]+\}"),
    ),
    (
        gettext_noop("a UUID"),
        re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b", re.IGNORECASE),
    ),
    (gettext_noop("a moment"), re.compile(r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d|\b\d\d?:\d\d:\d\d\b")),
    (
        gettext_noop("a date"),
        re.compile(rf"\b\d{{4}}-\d\d-\d\d\b|\b\d\d?[./]\d\d?[./]\d{{4}}\b|\b(?:{_MONTHS}) \d\d?, \d{{4}}\b"),
    ),
    (
        gettext_noop("talk of the present day"),
        re.compile(r"\b(?:today(?:'s date)? is|current (?:date|time)|right now it is)\b", re.I),
    ),
)
_WORD = re.compile(r"[\w.@+-]{3,150}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """`where`: the instructions, a document's title, or the tools, whose `line` is which of them."""

    where: str
    line: int
    what: str
    excerpt: str


def findings_in(assistant: Assistant) -> list[Finding]:
    """At most `MAX_FINDINGS`, in the order of the prompt."""
    return list(islice(_all(assistant), MAX_FINDINGS))


def _all(assistant: Assistant) -> Iterator[Finding]:
    documents = list(assistant.documents.all())
    yield from _in_text(gettext("the instructions"), assistant.system_prompt)
    yield from _names_in(assistant.system_prompt)
    for document in documents:
        yield from _in_text(document.title, document.text)
    yield from _doubtful_order([document.position for document in documents])
    yield from _in_tools(assistant.tools if isinstance(assistant.tools, list) else [])


def _in_text(where: str, text: str) -> Iterator[Finding]:
    for number, line in enumerate(text.splitlines(), start=1):
        for what, pattern in PATTERNS:
            found = pattern.search(line)
            if found is not None:
                yield Finding(where=where, line=number, what=gettext(what), excerpt=_excerpt(line, found.start()))
                break


def _in_tools(tools: list[Any]) -> Iterator[Finding]:
    """Tools are the beginning of the prompt. Their order is safe as it stands here; a program that writes them from a
    set, or from modules as it finds them, may write another one tomorrow. `line`: which tool."""
    names = [str(tool.get("name", "")) if isinstance(tool, dict) else "" for tool in tools]
    for number, (tool, name) in enumerate(zip(tools, names, strict=True), start=1):
        for found in _in_text(
            gettext("the tool %(name)s") % {"name": name}, json.dumps(tool, indent=1, ensure_ascii=False)
        ):
            yield replace(found, line=number)
    for number, (name, following) in enumerate(zip(names, names[1:], strict=False), start=2):
        if following and following < name:
            told = gettext("%(following)s after %(name)s: if a program writes the tools, let it sort them by name")
            words = told % {"following": following, "name": name}
            what = gettext("an order that may change")
            yield Finding(where=gettext("the tools"), line=number, what=what, excerpt=words)
            return


def _names_in(text: str) -> Iterator[Finding]:
    lines = text.splitlines()
    words = dict.fromkeys(word for line in lines for word in _WORD.findall(line))
    names = set(User.objects.filter(username__in=list(words)[:MAX_NAMES]).values_list("username", flat=True))
    for number, line in enumerate(lines, start=1):
        name = next((word for word in _WORD.findall(line) if word in names), None)
        if name is not None:
            excerpt = _excerpt(line, line.index(name))
            where, what = gettext("the instructions"), gettext("the name of a person")
            yield Finding(where=where, line=number, what=what, excerpt=excerpt)


def _doubtful_order(positions: list[int]) -> Iterator[Finding]:
    """Documents of one position follow each other as they were made: a copy of the site may have them otherwise."""
    for index, (position, following) in enumerate(zip(positions, positions[1:], strict=False), start=2):
        if position == following:
            words = gettext("position %(position)d twice, so that their order is chance") % {"position": position}
            where, what = gettext("the documents"), gettext("an order that may change")
            yield Finding(where=where, line=index, what=what, excerpt=words)


def _excerpt(line: str, begin: int) -> str:
    first = max(0, begin - MAX_EXCERPT_CHARS // 4)
    return line[first : first + MAX_EXCERPT_CHARS].strip()
