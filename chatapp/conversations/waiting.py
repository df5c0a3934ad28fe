"""The queued messages of a conversation, as rows and as a page shows them."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from chatapp.models import QueuedMessage
from chatapp.protocol import MAX_QUEUED_TEXT_CHARS
from chatapp.protocol.views import QueuedView
from warmcache.background.statements import Slot

VIEW_COLUMNS = ("id", "message_id", "client_message_id", "text", "edit_of_id", "is_held", "held_because", "created_at")
"""The columns of a row that a page shows."""


def waiting_in(conversation_id: UUID | Slot) -> QuerySet[QueuedMessage]:
    """Held or not, in order."""
    return QueuedMessage.objects.filter(conversation=conversation_id, withdrawn_at=None)


def views_of(conversation_id: UUID) -> Sequence[QueuedView]:
    """The queued messages of a conversation as the page shows them: long texts are cut."""
    return [view_of(columns) for columns in waiting_in(conversation_id).values(*VIEW_COLUMNS)]


def view_of(columns: Mapping[str, Any]) -> QueuedView:
    """One queued message, from its row's `VIEW_COLUMNS`."""
    text = columns["text"]
    return QueuedView(
        message_id=columns["message_id"],
        client_message_id=columns["client_message_id"],
        text=text[:MAX_QUEUED_TEXT_CHARS],
        chars=len(text),
        edit_of=columns["edit_of_id"],
        is_held=columns["is_held"],
        held_because=columns["held_because"],
        created_at=columns["created_at"],
    )
