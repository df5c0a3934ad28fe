"""Documents made from the language reference that every CPython ships, in `pydoc_data.topics`.

The topics overlap (a fifth of their paragraphs repeat) and differ between versions of Python. So this module groups
related topics, removes repetition, and cuts the result to a size whose first warm-up stays affordable.
"""

import re
import sys
from collections.abc import Iterator, Mapping

MAX_CHARACTERS = 150_000  # about 60,000 tokens at 2.5 characters each
# A shorter paragraph may be one line of an example, and examples must stay whole.
MIN_REPEATED_CHARACTERS = 60

# The topics that people ask for most come first: what does not fit is left out at the end.
GROUPS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("Conditions and loops", ("if", "while", "for", "break", "continue", "pass")),
    ("Functions and calls", ("function", "calls", "lambda", "return", "yield")),
    ("Classes", ("class",)),
    ("Exceptions and context managers", ("exceptions", "try", "raise", "assert", "with", "context-managers")),
    ("Coroutines", ("async", "await")),
    ("Names, scopes and the execution model", ("execmodel", "global", "nonlocal")),
    ("Imports", ("import",)),
    ("Lists, tuples and ranges", ("typesseq", "slicings")),
    ("Dictionaries", ("typesmapping", "dict")),
    ("String methods", ("string-methods",)),
    ("Assignment", ("assignment", "augassign", "del")),
    ("Comparisons and truth", ("comparisons", "booleans", "truth")),
    ("Objects, values and types", ("objects",)),
    ("Basic customisation", ("customization",)),
    ("Operators", ("operator-summary", "binary", "shifting", "power")),
    ("Literals", ("strings", "integers", "floating", "identifiers")),
    ("Attribute access and descriptors", ("attribute-access",)),
    ("Format strings", ("formatstrings",)),
)


def documents(topics: Mapping[str, str] | None = None) -> list[tuple[str, str]]:
    """Titles and texts, about twenty of them and at most `MAX_CHARACTERS` of text in all."""
    if topics is None:
        # A third of a megabyte: loaded only when needed.
        from pydoc_data.topics import topics as shipped

        topics = shipped
    version = "Python {}.{} reference".format(*sys.version_info)
    made: list[tuple[str, str]] = []
    seen: set[str] = set()
    left = MAX_CHARACTERS
    for title, names in GROUPS:
        text = _cut("\n\n".join(_new_paragraphs(topics, names, seen)), left)
        if text:
            made.append((f"{version}: {title}", text))
            left -= len(text)
    return made


def _new_paragraphs(topics: Mapping[str, str], names: tuple[str, ...], seen: set[str]) -> Iterator[str]:
    for name in names:
        for paragraph in re.split(r"\n[ \t]*\n", topics.get(name, "").strip("\n")):
            if paragraph.strip() and paragraph not in seen:
                if len(paragraph) >= MIN_REPEATED_CHARACTERS:
                    seen.add(paragraph)
                yield paragraph


def _cut(text: str, characters: int) -> str:
    """The text up to the last whole paragraph that fits."""
    return text if len(text) <= characters else text[:characters].rpartition("\n\n")[0]
