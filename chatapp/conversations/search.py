"""Looks for words in a person's own messages and titles. Called in a database thread."""

from collections.abc import Sequence

from chatapp.conversations import access, search_index
from chatapp.conversations.conversations import with_marks
from chatapp.conversations.lists import listed_view
from chatapp.conversations.search_terms import Query, query_of, spans_in
from chatapp.models import SearchEntry, User
from chatapp.protocol import SearchAsk, SearchResults
from chatapp.protocol.views import ConversationView, HitView

PAGE_HITS = 20
PAGE_TITLES = 5
CANDIDATES = 30
"""Entries looked at together: of a word without spaces, the index knows only pairs of characters."""
MOST_LOOKS = 4
"""A page may be empty, but never slow; its `next` goes on."""
SNIPPET_CHARS = 160
LEAD_CHARS = 48
MAX_WORDS = 16


def look(user: User, frame: SearchAsk) -> SearchResults:
    query = query_of(frame.query)
    hits, following = _hits(user, query, frame.before) if query.words else ([], None)
    titles = _titles(user, frame.query) if frame.before is None and query.words else []
    return SearchResults(query=frame.query, before=frame.before, conversations=titles, hits=hits, next=following)


def _hits(user: User, query: Query, before: int | None) -> tuple[list[HitView], int | None]:
    hits: list[HitView] = []
    for _ in range(MOST_LOOKS):
        ids = search_index.matching(user.pk, query.terms, before=before, limit=CANDIDATES)
        entries = _entries(user, ids)
        for entry_id in ids:
            before = entry_id
            hit = _hit(entries[entry_id], query) if entry_id in entries else None
            if hit is not None:
                hits.append(hit)
            if len(hits) == PAGE_HITS:
                return hits, before
        if len(ids) < CANDIDATES:
            return hits, None
    return hits, before


def _entries(user: User, ids: Sequence[int]) -> dict[int, SearchEntry]:
    own = SearchEntry.objects.filter(message__conversation__user=user, message__conversation__deleted_at=None)
    needed = own.select_related("message__conversation").only(
        *(f"message__{name}" for name in ("role", "text", "created_at", "conversation__title"))
    )
    return needed.in_bulk(list(ids))


def _hit(entry: SearchEntry, query: Query) -> HitView | None:
    message = entry.message
    spans = spans_in(message.text, query)
    if not spans:
        return None
    words = dict.fromkeys(message.text[start:end] for start, end in spans)
    return HitView(
        message_id=message.pk,
        conversation_id=message.conversation_id,
        title=message.conversation.title,
        role="assistant" if message.role == message.Role.ASSISTANT else "user",
        created_at=message.created_at,
        pieces=_pieces(message.text, spans),
        words=list(words)[:MAX_WORDS],
    )


def _pieces(text: str, spans: Sequence[tuple[int, int]]) -> list[str]:
    """The part of the text around the first word, on one line."""
    begin = max(0, spans[0][0] - LEAD_CHARS)
    if begin:
        space = text.find(" ", begin, spans[0][0])
        begin = space + 1 if space >= 0 else begin
    end = min(len(text), max(begin + SNIPPET_CHARS, spans[0][1]))
    pieces, at = [], begin
    for start, stop in spans:
        if stop > end:
            break
        pieces += [text[at:start], text[start:stop]]
        at = stop
    pieces.append(text[at:end])
    pieces[0] = ("…" if begin else "") + pieces[0].lstrip()
    pieces[-1] = pieces[-1].rstrip() + ("…" if end < len(text) else "")
    return [_on_one_line(piece) for piece in pieces]


def _on_one_line(piece: str) -> str:
    words = " ".join(piece.split())
    before, after = piece[:1].isspace(), piece[-1:].isspace()
    return f"{' ' * before}{words}{' ' * (after and bool(words))}"


def _titles(user: User, asked: str) -> list[ConversationView]:
    found = access.listed_conversations_of(user)
    for word in asked.split():
        found = found.filter(title__icontains=word)
    return [listed_view(each) for each in with_marks(found)[:PAGE_TITLES]]
