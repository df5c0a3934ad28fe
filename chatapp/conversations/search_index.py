"""The index of the search: which messages have which terms. Written in the background, so that no message waits for it.

PostgreSQL has the terms in a column of `SearchEntry` with a GIN index, SQLite in an FTS5 table whose `rowid` is the
entry's id. Both also have a term that names the owner, so that the words of others cost a search nothing. A deleted
message takes its entry and its terms along. Called in a database thread.
"""

from collections.abc import Sequence
from typing import Any

from django.db import connection, transaction

from chatapp.conversations.search_terms import terms_of
from chatapp.models import Message, SearchEntry
from chatapp.protocol.words import ReplyStatus

MESSAGES_AT_ONCE = 50
CHARACTERS_AT_ONCE = 400_000
"""One step, so that no other writer waits for long. A single longer message is a step of its own."""


def owner_term(user_id: int) -> str:
    """No word begins like it."""
    return f"_{user_id}"


def index_some() -> int:
    """One step: indexes the oldest messages that are not indexed yet. Returns how many there were to do."""
    waiting = list(_waiting()[:MESSAGES_AT_ONCE])
    taken, characters = waiting[:1], len(waiting[0].text) if waiting else 0
    for message in waiting[1:]:
        characters += len(message.text)
        if characters > CHARACTERS_AT_ONCE:
            break
        taken.append(message)
    # Before the transaction: on SQLite, it keeps all other writers waiting.
    terms = {message.pk: _terms(message) for message in taken}
    if terms:
        _write(terms)
    return len(waiting)


def matching(user_id: int, terms: Sequence[str], *, before: int | None, limit: int) -> list[int]:
    """The newest entries of the person's own messages that have all these terms, as beginnings of words; `before`: only
    entries that are older than this one."""
    sql, parameters = statement(user_id, terms, before=before, limit=limit)
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return [entry_id for (entry_id,) in cursor.fetchall()]


def statement(user_id: int, terms: Sequence[str], *, before: int | None, limit: int) -> tuple[str, list[Any]]:
    """The search as SQL with its parameters."""
    own = owner_term(user_id)
    if connection.vendor == "postgresql":
        sql, newest = _POSTGRES, "entry.id"
        condition = " & ".join([f"'{own}'", *(f"'{term}':*" for term in terms)])
    else:
        sql, newest = _SQLITE, "words.rowid"
        condition = " AND ".join([f'"{own}"', *(f'"{term}"*' for term in terms)])
    older = "" if before is None else f" AND {newest} < %s"
    bound = [] if before is None else [before]
    return f"{sql}{older} ORDER BY {newest} DESC LIMIT %s", [condition, user_id, *bound, limit]


# MATERIALIZED: otherwise, it may read entry after entry from the newest on, in the hope that the words are common.
_POSTGRES = """
    WITH entry AS MATERIALIZED (SELECT id, message_id FROM chatapp_searchentry WHERE terms @@ %s::tsquery)
    SELECT entry.id FROM entry
    JOIN chatapp_message AS message ON message.id = entry.message_id
    JOIN chatapp_conversation AS conversation ON conversation.id = message.conversation_id
    WHERE conversation.user_id = %s AND conversation.deleted_at IS NULL
"""
# CROSS JOIN keeps the order of the tables: SQLite cannot know how few rows the words leave.
_SQLITE = """
    SELECT entry.id FROM chatapp_searchwords AS words
    CROSS JOIN chatapp_searchentry AS entry ON entry.id = words.rowid
    JOIN chatapp_message AS message ON message.id = entry.message_id
    JOIN chatapp_conversation AS conversation ON conversation.id = message.conversation_id
    WHERE words.terms MATCH %s AND conversation.user_id = %s AND conversation.deleted_at IS NULL
"""


def _waiting() -> Any:
    """Without a reply that is being written: its text is not complete."""
    found = Message.objects.filter(is_indexed=False).exclude(status=ReplyStatus.STREAMING)
    return (
        found.order_by("created_at")
        .select_related("conversation")
        .only("text", "conversation__user_id", "conversation__is_temporary")
    )


def _terms(message: Message) -> list[str] | None:
    """None for a message that the search must not find."""
    if message.conversation.is_temporary:
        return None
    return [owner_term(message.conversation.user_id), *terms_of(message.text)]


def _write(terms: dict[Any, list[str] | None]) -> None:
    with transaction.atomic():
        # Two processes may have found the same messages. The second one leaves them to the first.
        ours = Message.objects.select_for_update(skip_locked=True, of=("self",)).filter(pk__in=terms, is_indexed=False)
        ids = list(ours.order_by("created_at").values_list("pk", flat=True))
        SearchEntry.objects.filter(message__in=ids).delete()
        _insert([(message_id, found) for message_id in ids if (found := terms[message_id]) is not None])
        Message.objects.filter(pk__in=ids).update(is_indexed=True)


def _insert(indexed: Sequence[tuple[Any, list[str]]]) -> None:
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.executemany(
                "INSERT INTO chatapp_searchentry (message_id, terms) VALUES (%s, array_to_tsvector(%s::text[]))",
                indexed,
            )
            return
        entries = SearchEntry.objects.bulk_create(SearchEntry(message_id=message_id) for message_id, _ in indexed)
        words = [(entry.pk, " ".join(terms)) for entry, (_, terms) in zip(entries, indexed, strict=True)]
        cursor.executemany("INSERT INTO chatapp_searchwords (rowid, terms) VALUES (%s, %s)", words)
