"""Deletes conversations, with a moment for Undo: hidden at once from everybody, and soon deleted with all messages.

A temporary one has no such moment, and the ledger keeps no word of which conversation it was."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from asgiref.sync import async_to_sync
from django.db.models import Q
from django.utils import timezone

from chatapp import events
from chatapp.conversations import access, conversations, places, prepared_conversations, shared_links
from chatapp.models import Conversation, User
from chatapp.protocol.limits import TIMINGS
from chatapp.protocol.words import ReplyStatus

UNDO = timedelta(milliseconds=TIMINGS["undo_ms"])
LATENESS = timedelta(seconds=10)
"""More than the button on the page says, for a press in its last moment."""
CONVERSATIONS_AT_ONCE = 10


def delete(conversation: Conversation) -> None:
    """Hides it from its owner and stops the reply that is written in it; notifies every socket. Synchronous: for
    views."""
    conversation_id, user_id = conversation.pk, conversation.user_id
    conversation.deleted_at = timezone.now()
    conversation.save(update_fields=["deleted_at"])
    # Undo brings the conversation back, but nobody who had a link to it: that would be silent.
    shared_links.revoke_all_to(conversation_id)
    prepared_conversations.store.evict(conversation_id)
    written = conversation.messages.filter(status=ReplyStatus.STREAMING).exclude(owner="")
    owners = list(written.values_list("owner", "pk"))
    async_to_sync(_tell)(user_id, conversation_id, owners)


def restore(user: User, conversation_id: UUID) -> None:
    """Undoes a deletion; raises `access.NotFound` once it is too late. Synchronous: for views."""
    undone = Conversation.objects.filter(pk=conversation_id, user=user, is_temporary=False).update(deleted_at=None)
    if not undone:
        raise access.NotFound("conversation")
    news = conversations.news_of(conversation_id)
    if news is not None:
        async_to_sync(conversations.tell)(news)


def purge_some() -> bool:
    """One step of what cannot be undone any more. Returns whether there may be more. Called in a database thread."""
    now = timezone.now()
    # Those that nobody can bring back wait for the last words of the reply that ran, which the ledger writes too.
    is_late = Q(deleted_at__lt=now - UNDO - LATENESS) | Q(is_temporary=True, deleted_at__lt=now - LATENESS)
    late = Conversation.objects.filter(is_late).order_by("deleted_at")
    found = list(late.values_list("pk", "is_temporary")[:CONVERSATIONS_AT_ONCE])
    places.forget([pk for pk, is_temporary in found if is_temporary])
    # Again with the condition: some may have been restored since.
    late.order_by().filter(pk__in=[pk for pk, _ in found]).delete()
    return len(found) == CONVERSATIONS_AT_ONCE


async def _tell(user_id: int, conversation_id: UUID, owners: Sequence[tuple[str, UUID]]) -> None:
    for owner, reply_id in owners:
        await events.announce_stop(owner, reply_id)
    await events.announce_deletion(user_id, conversation_id)
