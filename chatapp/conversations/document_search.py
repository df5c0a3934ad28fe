"""Search in an assistant's documents: passages ranked by how many telling words they share with a query.

Without an index: the texts are cut into passages and the words are counted in each. What a search reads is bounded by
the size of an assistant's documents. Called in a database thread: for the tool that a model calls, and where documents
are cut per question (`question_passages`).
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from chatapp.conversations.search_terms import fold, query_of
from chatapp.models import Document

PASSAGE_CHARS = 1200
MAX_PASSAGES = 5
MAX_TITLE_CHARS = 200
MAX_QUERY_CHARS = 500
_SATURATION = 1.2
"""How soon further occurrences of a word in one passage stop to count."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    title: str
    text: str
    place: int = 0
    """Which of all passages of the documents it is."""


def search(assistant_id: int, query: str) -> list[Passage]:
    """The best ones first; none if no word of the query is anywhere."""
    return best(documents_of(assistant_id), query)


def documents_of(assistant_id: int) -> list[tuple[str, str]]:
    """Titles and texts, in the order of the prompt."""
    return list(Document.objects.filter(assistant_id=assistant_id).values_list("title", "text"))


def best(documents: Sequence[tuple[str, str]], query: str) -> list[Passage]:
    """`documents`: titles and texts."""
    return ranked(documents, query)[:MAX_PASSAGES]


def ranked(documents: Sequence[tuple[str, str]], query: str) -> list[Passage]:
    """All passages with a word of the query, the best ones first; equal scores in the order of the documents."""
    terms = query_of(query[:MAX_QUERY_CHARS]).terms
    counted: list[tuple[Passage, list[int]]] = []
    in_passages = [0] * len(terms)
    passages = 0
    for title, text in documents:
        for passage in passages_of(text):
            place, passages = passages, passages + 1
            folded = fold(passage)
            counts = [folded.count(term) for term in terms]
            if any(counts):
                counted.append((Passage(title=title[:MAX_TITLE_CHARS], text=passage, place=place), counts))
                for number, count in enumerate(counts):
                    in_passages[number] += count > 0
    weights = [math.log(1 + passages / (found or 1)) for found in in_passages]
    scored = [
        (sum(weight * count / (count + _SATURATION) for weight, count in zip(weights, counts, strict=True)), passage)
        for passage, counts in counted
    ]
    return [passage for _, passage in sorted(scored, key=lambda each: -each[0])]


def passages_of(text: str) -> Iterator[str]:
    """Pieces of at most `PASSAGE_CHARS`, cut after a paragraph if there is one in the second half, else after a line or
    a word."""
    place = 0
    while place < len(text):
        end = place + PASSAGE_CHARS
        if end < len(text):
            middle = place + PASSAGE_CHARS // 2
            cuts = (text.rfind(mark, middle, end) for mark in ("\n\n", "\n", " "))
            end = next((cut for cut in cuts if cut >= 0), end)
        piece = text[place:end].strip()
        if piece:
            yield piece
        place = end
