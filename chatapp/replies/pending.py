"""Messages that were sent while a reply ran: rows that wait, in the order of sending. Called in a database thread."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from chatapp.conversations import access
from chatapp.conversations.waiting import waiting_in
from chatapp.models import Attachment, Conversation, Message, QueuedMessage, User
from chatapp.protocol import FrameError, MessageQueued, MessageSend, MessageWithdrawn
from chatapp.protocol.limits import LIMITS
from chatapp.protocol.views import AttachmentView
from chatapp.protocol.words import ErrorCode

LONGEST_TURN = timedelta(seconds=10)
"""From the end of a reply to the beginning of the next one."""

STALE_AFTER = timedelta(minutes=10)
"""What nobody has sent for so long is not sent behind its sender's back."""

FORGET_WITHDRAWN = timedelta(days=1)
"""No page sends a message again for so long."""


def add(
    conversation: Conversation,
    user: User,
    frame: MessageSend,
    attachments: Sequence[Attachment],
    *,
    behind: Message | None,
    parent_id: UUID | None,
    edit_of: Message | None,
) -> QueuedMessage:
    """Behind all others, under the lock of the conversation's row; raises `FrameError` where too many wait."""
    limit = LIMITS["queued_messages"]
    if waiting_in(conversation.pk).count() >= limit:
        words = f"{limit} messages wait here already. Take one back, or wait for the reply."
        raise FrameError(ErrorCode.QUEUE_FULL, words, str(frame.client_message_id), retryable=True)
    old = timezone.now() - FORGET_WITHDRAWN
    QueuedMessage.objects.filter(conversation=conversation, withdrawn_at__lt=old).delete()
    queued = QueuedMessage.objects.create(
        conversation=conversation,
        sender=user,
        client_message_id=frame.client_message_id,
        text=frame.text,
        behind=behind,
        parent_id=parent_id,
        edit_of=edit_of,
    )
    if attachments:
        Attachment.objects.filter(pk__in=[a.pk for a in attachments]).update(queued=queued)
    return queued


def earlier(user: User, client_message_id: UUID) -> QueuedMessage | None:
    """The row of an earlier sending, withdrawn or not."""
    return QueuedMessage.objects.filter(sender=user, client_message_id=client_message_id).first()


def next_in(conversation_id: UUID) -> QueuedMessage | None:
    """The one that is sent when the running reply is complete."""
    return waiting_in(conversation_id).filter(is_held=False).select_related("sender").first()


def hold_all(conversation_id: UUID) -> int:
    """After a reply that ended badly: what waits is sent only at its sender's word."""
    return waiting_in(conversation_id).filter(is_held=False).update(is_held=True)


def hold_left_behind(conversation_id: UUID) -> int:
    """Where no reply runs: what should have been sent by itself long ago was left by a process that died."""
    now = timezone.now()
    stale = waiting_in(conversation_id).filter(is_held=False, created_at__lt=now - STALE_AFTER)
    has_just_ended = Message.objects.filter(conversation=conversation_id, finished_at__gt=now - LONGEST_TURN)
    return 0 if not stale.exists() or has_just_ended.exists() else stale.update(is_held=True)


def release(user: User, message_id: UUID) -> QueuedMessage:
    """A held message is to be sent after all; raises `access.NotFound`, also where it is sent or withdrawn already."""
    with transaction.atomic():
        queued = access.queued_for_user(user, message_id, to_write=True)
        if queued.withdrawn_at is not None:
            raise access.NotFound("waiting message")
        queued.is_held = False
        queued.save(update_fields=["is_held"])
    return queued


def withdraw(user: User, message_id: UUID) -> MessageWithdrawn:
    """Takes a waiting message back and gives its text. A message that is being sent cannot be taken back any more:
    that raises `access.NotFound`, as for one that is not the user's."""
    with transaction.atomic():
        queued = access.queued_for_user(user, message_id, to_write=True)
        attachments = list(queued.attachments.all())
        if queued.withdrawn_at is None:
            queued.withdrawn_at = timezone.now()
            queued.save(update_fields=["withdrawn_at"])
            queued.attachments.update(queued=None)
    return message_withdrawn(queued, attachments)


def answer_to(queued: QueuedMessage) -> MessageQueued | MessageWithdrawn:
    """What its sender hears, however often the message is sent."""
    return message_queued(queued) if queued.withdrawn_at is None else message_withdrawn(queued)


def message_withdrawn(queued: QueuedMessage, attachments: Sequence[Attachment] = ()) -> MessageWithdrawn:
    """The answer to whoever takes it back, with the files that are his draft's again; and to a resend that comes too
    late, the same each time."""
    return MessageWithdrawn(
        client_message_id=queued.client_message_id,
        message_id=queued.message_id,
        conversation_id=queued.conversation_id,
        text=queued.text,
        attachments=[AttachmentView(id=each.pk, name=each.name) for each in attachments],
    )


def message_queued(queued: QueuedMessage) -> MessageQueued:
    """The ack of a message that waits, the same at every resend."""
    return MessageQueued(
        client_message_id=queued.client_message_id,
        message_id=queued.message_id,
        conversation_id=queued.conversation_id,
        text=queued.text,
        created_at=queued.created_at,
    )
