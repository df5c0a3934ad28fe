"""Deletes people in the background, some conversations at a time, so that nobody waits for it.

A request only asks for it: the person is signed out everywhere, and the name is free again. The process's housekeeping
does the rest; if several processes try, one holds the person's row and the others leave it alone.
"""

from dataclasses import dataclass
from uuid import UUID, uuid4

from django.db import transaction
from django.utils import timezone

from chatapp.models import Attachment, Conversation, Message, User
from chatapp.protocol.words import ReplyStatus

CONVERSATIONS_AT_ONCE = 20
ATTACHMENTS_AT_ONCE = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Deleted:
    """What one step has deleted. `stopped`: replies that were being written, with the process that writes each."""

    is_done: bool
    stopped: tuple[tuple[str, UUID], ...] = ()


def ask(person: User) -> None:
    """From now on the person does not exist for anybody; everything of theirs is deleted soon."""
    person.username = f"deleted-{uuid4().hex}"
    person.is_active = False
    person.deletion_asked_at = timezone.now()
    person.save(update_fields=["username", "is_active", "deletion_asked_at"])


def asked() -> list[int]:
    """Whom to delete. Called in a database thread, as `delete_some`."""
    return list(User.objects.exclude(deletion_asked_at=None).order_by("pk").values_list("pk", flat=True))


def delete_some(user_id: int) -> Deleted:
    """One step, in a transaction of its own. Done if nothing is left, or another process is at it."""
    with transaction.atomic():
        found = User.objects.select_for_update(skip_locked=True).filter(pk=user_id)
        person = found.exclude(deletion_asked_at=None).first()
        if person is None:
            return Deleted(is_done=True)
        conversations = person.conversations.order_by().values_list("pk", flat=True)
        if ids := list(conversations[:CONVERSATIONS_AT_ONCE]):
            return Deleted(is_done=False, stopped=_delete_conversations(ids))
        attachments = Attachment.objects.filter(user=person).order_by().values_list("pk", flat=True)
        if ids := list(attachments[:ATTACHMENTS_AT_ONCE]):
            Attachment.objects.filter(pk__in=ids).delete()
            return Deleted(is_done=False)
        person.delete()
        return Deleted(is_done=True)


def _delete_conversations(ids: list[UUID]) -> tuple[tuple[str, UUID], ...]:
    written = Message.objects.filter(conversation__in=ids, status=ReplyStatus.STREAMING).exclude(owner="")
    stopped = tuple(written.values_list("owner", "pk"))
    Conversation.objects.filter(pk__in=ids).delete()
    return stopped
