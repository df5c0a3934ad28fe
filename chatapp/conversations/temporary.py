"""Temporary conversations: a person begins one with the switch of a new chat. It is in no list and no search, has no
title of its own, and is deleted without Undo when its owner leaves it, or once it has been idle for a day.

Leaving it is a `deletions.delete` like any other; this is the clock for a page that was closed.
"""

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from django.db.models import Exists, OuterRef
from django.utils import timezone

from chatapp.models import Conversation, Message
from chatapp.protocol.words import ReplyStatus

IDLE = timedelta(hours=24)
CONVERSATIONS_AT_ONCE = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """One that is hidden from now on, and whose owner's sockets and all processes must hear of it."""

    conversation_id: UUID
    user_id: int


def leave_idle() -> list[Left]:
    """One step: hides those that have been idle for a day. Called in a database thread."""
    written = Message.objects.filter(conversation=OuterRef("pk"), status=ReplyStatus.STREAMING)
    idle = Conversation.objects.filter(is_temporary=True, deleted_at=None, updated_at__lt=timezone.now() - IDLE)
    idle = idle.exclude(Exists(written)).order_by()
    rows = idle.values_list("pk", "user")[:CONVERSATIONS_AT_ONCE]
    found = [Left(conversation_id=conversation_id, user_id=user_id) for conversation_id, user_id in rows]
    # Again with the condition: somebody may have written since.
    idle.filter(pk__in=[each.conversation_id for each in found]).update(deleted_at=timezone.now())
    return found
