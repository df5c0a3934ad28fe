"""Links by which everybody who has one may read a conversation, as it was shown when it was shared.

A link is the last message of the shown branch: what stands before a message never changes, so nothing is copied, and
what is deleted or erased is gone from its page too. It ends when its owner or an operator revokes it, when its time is
over, and with its conversation or its owner: for good, also where the deletion is undone. What its page shows is in
`read`: no files and not their names, no thinking, no tools, no costs, nobody's name, no other version, and nothing that
is said later. Called in a database thread.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import QuerySet, Sum
from django.utils import timezone
from django.utils.formats import number_format
from django.utils.translation import gettext

from chatapp.conversations import access
from chatapp.conversations.branches import outline_of
from chatapp.conversations.exports import text_of
from chatapp.conversations.stored_bytes import ByteLength
from chatapp.models import Conversation, Message, SharedLink, User
from chatapp.protocol.limits import LIMITS
from chatapp.protocol.words import ReplyStatus
from chatapp.tokens import hash_of

DAYS = (1, 7, 30, 365)
DEFAULT_DAYS = 30
MAX_BYTES = 2 * 1024 * 1024
"""Of text in one page. A longer conversation is refused, not cut."""


class ShareRefused(Exception):
    """Why there is no link, in one sentence for the person; `status` is the HTTP status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    is_reply: bool
    author: str
    """The assistant's name, for a reply."""
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedPage:
    title: str
    shared_at: datetime
    messages: Sequence[Said]


def create(user: User, conversation: Conversation, *, days: int) -> tuple[SharedLink, str]:
    """The link, and its token, which is stored nowhere. Raises `ShareRefused`, and `access.NotFound` for a temporary
    conversation, which promises to be nowhere else."""
    if conversation.is_temporary:
        raise access.NotFound("conversation")
    if of(user).count() >= LIMITS["shared_links"]:
        told = gettext("You have %(count)d shared links. Revoke one of them in your account first.")
        raise ShareRefused(409, told % {"count": LIMITS["shared_links"]})
    branch = [each for each in outline_of(conversation.pk).branch_through(conversation.branch_id) if _is_told(each)]
    told_ids = [each.pk for each in branch]
    size_bytes = Message.objects.filter(pk__in=told_ids).order_by().aggregate(in_all=Sum(ByteLength("text")))["in_all"]
    if not size_bytes:
        raise ShareRefused(409, gettext("There is nothing to share here yet."))
    if size_bytes > MAX_BYTES:
        told = gettext("This conversation is too long to share: it holds %(mb)s MB of text, of at most 2.")
        raise ShareRefused(413, told % {"mb": number_format(size_bytes / 1024**2, decimal_pos=1)})
    token = secrets.token_urlsafe(24)
    now = timezone.now()
    link = SharedLink.objects.create(
        token_hash=hash_of(token),
        conversation=conversation,
        tip_id=told_ids[-1],
        title=conversation.title,
        created_at=now,
        expires_at=now + timedelta(days=days),
    )
    return link, token


def read(token: str) -> SharedPage | None:
    """What the page shows; None where there is no such link, or no longer."""
    link = _living().filter(token_hash=hash_of(token)).select_related("conversation__assistant").first()
    if link is None:
        return None
    path = outline_of(link.conversation_id).path_to(link.tip_id)
    columns = ("pk", "role", "text", "content", "status", "assistant_name")
    rows = Message.objects.filter(conversation=link.conversation_id).only(*columns).in_bulk([each.pk for each in path])
    assistant = link.conversation.assistant.name
    messages = [_said(rows[each.pk], assistant) for each in path if each.pk in rows and _is_told(rows[each.pk])]
    return SharedPage(title=link.title, shared_at=link.created_at, messages=messages)


def of(user: User) -> QuerySet[SharedLink]:
    """Those of a person that can still be read, the newest first."""
    return _living().filter(conversation__user=user)


def revoke(user: User, link_id: int) -> bool:
    """Whether there was one."""
    return bool(SharedLink.objects.filter(pk=link_id, conversation__user=user).delete()[0])


def revoke_all_to(conversation_id: UUID) -> None:
    """For good."""
    SharedLink.objects.filter(conversation=conversation_id).delete()


def forget_expired() -> None:
    SharedLink.objects.filter(expires_at__lte=timezone.now()).delete()


def _living() -> QuerySet[SharedLink]:
    of_people = SharedLink.objects.filter(conversation__deleted_at=None, conversation__user__is_active=True)
    return of_people.filter(expires_at__gt=timezone.now())


def _is_told(message: Message) -> bool:
    """A reply that is still being written is not."""
    return message.status != ReplyStatus.STREAMING


def _said(message: Message, assistant: str) -> Said:
    is_reply = message.role == Message.Role.ASSISTANT
    author = message.assistant_name or assistant if is_reply else ""
    return Said(is_reply=is_reply, author=author, text=text_of(message))
