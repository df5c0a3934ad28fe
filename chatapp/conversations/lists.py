"""A person's conversations in parts, newest first: the list, which begins with the pinned ones, and the archive.

Called in a database thread, or by a view.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Q, QuerySet

from chatapp.conversations import access
from chatapp.conversations.conversations import conversation_view, has_news, with_marks
from chatapp.models import Conversation, User
from chatapp.protocol import ConversationsLoad, ConversationsPage, FrameError
from chatapp.protocol.frames import Shelf
from chatapp.protocol.views import ConversationView
from chatapp.protocol.words import ErrorCode

PAGE_CONVERSATIONS = 50


def first_page(user: User) -> ConversationsPage:
    """The beginning of the list: all that are pinned, and the newest others."""
    return page(user, ConversationsLoad())


def page(user: User, frame: ConversationsLoad) -> ConversationsPage:
    """Raises `FrameError` for a place that is none."""
    shelved = _on(access.listed_conversations_of(user), frame.shelf)
    older = shelved if frame.before is None else shelved.filter(_before(frame.before))
    found = list(with_marks(older.order_by("-updated_at", "-pk"))[: PAGE_CONVERSATIONS + 1])
    listed = found[:PAGE_CONVERSATIONS]
    is_more = len(found) > len(listed)
    return ConversationsPage(
        shelf=frame.shelf,
        before=frame.before,
        conversations=[*_pinned(user, frame), *map(listed_view, listed)],
        next=_place_of(listed[-1]) if is_more else None,
    )


def listed_view(conversation: Any) -> ConversationView:
    """Of a row with its marks."""
    is_unread = has_news(conversation, conversation.ended_at)
    return conversation_view(conversation, is_running=conversation.is_running, is_unread=is_unread)


def _on(conversations: QuerySet[Conversation], shelf: Shelf) -> QuerySet[Conversation]:
    if shelf == "archive":
        return conversations.exclude(archived_at=None)
    return conversations.filter(archived_at=None, pinned_at=None)


def _pinned(user: User, frame: ConversationsLoad) -> list[ConversationView]:
    if frame.shelf != "list" or frame.before is not None:
        return []
    pinned = access.listed_conversations_of(user).exclude(pinned_at=None)
    return [listed_view(each) for each in with_marks(pinned.order_by("-pinned_at"))]


def _place_of(conversation: Conversation) -> str:
    """By the values themselves, so that the place stays where it is when this conversation moves up."""
    return f"{conversation.updated_at.isoformat()}~{conversation.pk}"


def _before(place: str) -> Q:
    at, _, conversation_id = place.partition("~")
    try:
        updated_at, pk = datetime.fromisoformat(at), UUID(conversation_id)
        if updated_at.tzinfo is None:
            raise ValueError(at)
    except ValueError:
        raise FrameError(ErrorCode.BAD_FIELD, "`before` is the `next` of a page.") from None
    # The first condition is one that an index knows.
    return Q(updated_at__lte=updated_at) & (Q(updated_at__lt=updated_at) | Q(pk__lt=pk))
