"""The queue of messages that were sent while a reply ran, in order of sending. Called in a database thread."""

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
"""The time allowed from the end of a reply to the start of the next one."""

STALE_AFTER = timedelta(minutes=10)
"""An older unsent message is not sent without its sender's consent."""

FORGET_WITHDRAWN = timedelta(days=1)
"""Pages do not resend a message after this time."""


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
    """Appends to the queue, under the lock of the conversation's row; raises `FrameError` if too many wait."""
    limit = LIMITS["queued_messages"]
    if waiting_in(conversation.pk).count() >= limit:
        words = f"{limit} messages wait here already. Take one back, or wait for the reply."
        raise FrameError(ErrorCode.QUEUE_FULL, words, str(frame.client_message_id))
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
        file_order=[str(each.pk) for each in attachments],
    )
    if attachments:
        Attachment.objects.filter(pk__in=[a.pk for a in attachments]).update(queued=queued)
    return queued


def files_of(queued: QueuedMessage) -> list[Attachment]:
    """In the order in which its sender attached them."""
    order = queued.file_order or []
    return sorted(queued.attachments.all(), key=lambda each: order.index(str(each.pk)) if str(each.pk) in order else -1)


def earlier(user: User, client_message_id: UUID) -> QueuedMessage | None:
    """The row of an earlier send of the same message, withdrawn or not."""
    return QueuedMessage.objects.filter(sender=user, client_message_id=client_message_id).first()


def next_in(conversation_id: UUID) -> QueuedMessage | None:
    """The message that is sent when the running reply is complete."""
    of_living = waiting_in(conversation_id).filter(is_held=False, conversation__deleted_at=None)
    return of_living.select_related("sender").first()


def hold_all(conversation_id: UUID, *, because: str = "") -> int:
    """After a reply that ended badly, or because of a limit: waiting messages are sent only when their sender asks."""
    return waiting_in(conversation_id).filter(is_held=False).update(is_held=True, held_because=because)


def hold_left_behind(conversation_id: UUID) -> int:
    """If no reply runs: holds messages that should have been sent long ago; a process that died has left them."""
    now = timezone.now()
    stale = waiting_in(conversation_id).filter(is_held=False, created_at__lt=now - STALE_AFTER)
    has_just_ended = Message.objects.filter(conversation=conversation_id, finished_at__gt=now - LONGEST_TURN)
    return 0 if not stale.exists() or has_just_ended.exists() else stale.update(is_held=True)


def release(user: User, message_id: UUID) -> QueuedMessage:
    """Releases a held message for sending; raises `access.NotFound`, also if it is sent or withdrawn already."""
    with transaction.atomic():
        queued = access.queued_for_user(user, message_id, to_write=True)
        if queued.withdrawn_at is not None:
            raise access.NotFound("waiting message")
        queued.is_held, queued.held_because = False, ""
        queued.save(update_fields=["is_held", "held_because"])
    return queued


def withdraw(user: User, message_id: UUID) -> MessageWithdrawn:
    """Withdraws a waiting message and returns its text. A message that is being sent cannot be withdrawn any more:
    that raises `access.NotFound`, as for a message that is not the user's."""
    with transaction.atomic():
        queued = access.queued_for_user(user, message_id, to_write=True)
        attachments = files_of(queued)
        if queued.withdrawn_at is None:
            queued.withdrawn_at = timezone.now()
            queued.save(update_fields=["withdrawn_at"])
            queued.attachments.update(queued=None)
    return message_withdrawn(queued, attachments)


def answer_to(queued: QueuedMessage) -> MessageQueued | MessageWithdrawn:
    """The answer to its sender, the same for every resend."""
    return message_queued(queued) if queued.withdrawn_at is None else message_withdrawn(queued)


def message_withdrawn(queued: QueuedMessage, attachments: Sequence[Attachment] = ()) -> MessageWithdrawn:
    """The answer to the person who withdraws it, with the files that return to the draft; and the answer to a late
    resend, the same each time."""
    return MessageWithdrawn(
        client_message_id=queued.client_message_id,
        message_id=queued.message_id,
        conversation_id=queued.conversation_id,
        text=queued.text,
        attachments=[
            AttachmentView(id=each.pk, name=each.name, width=each.width, height=each.height) for each in attachments
        ],
    )


def message_queued(queued: QueuedMessage) -> MessageQueued:
    """The ack of a waiting message, the same for every resend."""
    return MessageQueued(
        client_message_id=queued.client_message_id,
        message_id=queued.message_id,
        conversation_id=queued.conversation_id,
        text=queued.text,
        created_at=queued.created_at,
    )
