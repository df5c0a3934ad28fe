"""Erases people, some rows at a time, so that nobody waits for it: chats, files, sign-ins, and their ledger's subject.

A request only asks for it: the person is signed out everywhere, and the name is free again. The process's housekeeping
does the rest, or `manage.py erase_person` at once; if several processes try, one holds the person's row and the others
leave it alone. The ledger keeps its sums, and an `Erasure` says what was done, without a name.

Every process is told to drop what it has in memory, and the frames of replies are deleted in Redis: `forget_person` in
`replies/registry.py`. A process that missed it does so at its next sweep. What is left lapses: keyed digests of layers
that a request was expected to read, buckets that refill within minutes.
"""

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID, uuid4

from axes.models import AccessAttempt, AccessFailureLog, AccessLog
from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from chatapp.models import Attachment, Conversation, Erasure, Identity, Message, UsageAccount, User
from chatapp.protocol.words import ReplyStatus
from warmcache.ledger.erasure import erase_some

CONVERSATIONS_AT_ONCE = 20
ATTACHMENTS_AT_ONCE = 100
FRAMES_FROM = timedelta(hours=3)
"""Frames stay for a quarter of an hour after a reply's end, and no reply runs for hours."""

LATE = timedelta(hours=3)
"""How long the ledger is looked at again: longer than any request runs, and than a database is away as a rule."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deleted:
    """What one step has deleted. `stopped`: replies that were being written, with the process that writes each.
    `replies`: those whose frames may still be in Redis."""

    is_done: bool
    stopped: tuple[tuple[str, UUID], ...] = ()
    conversations: tuple[UUID, ...] = ()
    replies: tuple[UUID, ...] = ()


def ask(person: User) -> None:
    """From now on the person does not exist for anybody; everything of theirs is deleted soon."""
    name = person.username
    with transaction.atomic():
        person.username = f"deleted-{uuid4().hex}"
        person.first_name = person.last_name = person.email = person.instructions = ""
        person.is_active = False
        person.deletion_asked_at = timezone.now()
        named = ("username", "first_name", "last_name", "email", "instructions")
        person.save(update_fields=[*named, "is_active", "deletion_asked_at"])
        Erasure.objects.get_or_create(person=person.pk)
        Identity.objects.filter(user=person).delete()
        _forget_name(person, name)


def _forget_name(person: User, name: str) -> None:
    """Where the name itself was written down: failed and good sign-ins, and what the admin has logged."""
    for model in (AccessAttempt, AccessFailureLog, AccessLog):
        model.objects.filter(username=name).delete()
    about = LogEntry.objects.filter(content_type=ContentType.objects.get_for_model(User), object_id=str(person.pk))
    about.update(object_repr=subject_of(person.pk))


def subject_of(user_id: int) -> str:
    """The person in the ledger."""
    return f"user {user_id}"


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
            _note(user_id, conversations=len(ids))
            return _delete_conversations(ids)
        attachments = Attachment.objects.filter(user=person).order_by().values_list("pk", flat=True)
        if ids := list(attachments[:ATTACHMENTS_AT_ONCE]):
            Attachment.objects.filter(pk__in=ids).delete()
            _note(user_id, files=len(ids))
            return Deleted(is_done=False)
        if rows := erase_some(subject_of(user_id)):
            _note(user_id, ledger_rows=rows)
            return Deleted(is_done=False)
        UsageAccount.objects.filter(name=UsageAccount.name_of(user_id)).delete()
        person.delete()
        Erasure.objects.filter(person=user_id).update(finished_at=timezone.now())
        return Deleted(is_done=True)


def erase_what_came_late() -> list[int]:
    """What a stopped reply was billed is written after its person is gone. Returns who was erased lately. Called in a
    database thread."""
    recent = Erasure.objects.filter(finished_at__gt=timezone.now() - LATE)
    people = list(recent.values_list("person", flat=True))
    for user_id in people:
        while rows := erase_some(subject_of(user_id)):
            _note(user_id, ledger_rows=rows)
    return people


def _note(user_id: int, **counts: int) -> None:
    """Adds to the log of this erasure."""
    Erasure.objects.filter(person=user_id).update(**{name: F(name) + count for name, count in counts.items()})


def _delete_conversations(ids: list[UUID]) -> Deleted:
    messages = Message.objects.filter(conversation__in=ids).order_by()
    written = messages.filter(status=ReplyStatus.STREAMING).exclude(owner="")
    recent = messages.filter(role=Message.Role.ASSISTANT, created_at__gt=timezone.now() - FRAMES_FROM)
    deleted = Deleted(
        is_done=False,
        stopped=tuple(written.values_list("owner", "pk")),
        conversations=tuple(ids),
        replies=tuple(recent.values_list("pk", flat=True)),
    )
    Conversation.objects.filter(pk__in=ids).delete()
    return deleted
