"""Deletes conversations that nobody has written in for as long as the operator keeps them."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.db.models import Exists, OuterRef
from django.utils import timezone

from chatapp.models import Conversation, Message
from chatapp.protocol.words import ReplyStatus

CONVERSATIONS_AT_ONCE = 10


def expire_some() -> Sequence[tuple[int, UUID]]:
    """One step: those that were deleted, with their owners, for the pages that show them. Called in a database
    thread."""
    if not settings.KEEP_CHATS_DAYS:
        return ()
    last = timezone.now() - timedelta(days=settings.KEEP_CHATS_DAYS)
    running = Message.objects.filter(conversation=OuterRef("pk"), status=ReplyStatus.STREAMING)
    old = Conversation.objects.filter(~Exists(running), updated_at__lt=last).order_by("updated_at")
    found = list(old.values_list("user_id", "pk")[:CONVERSATIONS_AT_ONCE])
    # Again with the condition: somebody may have written in one since.
    old.order_by().filter(pk__in=[pk for _, pk in found]).delete()
    return found
