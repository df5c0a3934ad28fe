"""Stores what a person asks: a message with its reply's row, another version of either, or a message that waits.

Called in a database thread. All of it happens under the lock of the conversation's row, so that of two processes one
decides first: whether a reply runs, which message is the next, where it goes in the tree.
"""

from dataclasses import dataclass
from uuid import UUID

from django.db import IntegrityError, transaction
from django.utils import timezone

from chatapp.conversations import access, branches, conversations, prompts
from chatapp.models import Attachment, Conversation, Message, QueuedMessage, User
from chatapp.protocol import FrameError, MessageSend
from chatapp.protocol.words import ErrorCode
from chatapp.replies import pending, registry, rows
from chatapp.replies.run import parent_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """A stored message of a person, and the reply that answers it, at a resend the earlier one."""

    message: Message
    conversation: Conversation
    reply: Message
    is_resend: bool


Taken = Sent | QueuedMessage
"""What became of a message: it has its reply, or it waits, or it waited and was withdrawn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """Where a message goes in the tree: what it follows, and whose other version it is."""

    parent_id: UUID | None = None
    edit_of: Message | None = None


def store(user: User, frame: MessageSend) -> Taken:
    """Stores a message with its reply's row, or in the queue while a reply runs; a resend gives the first one's.

    Raises `access.NotFound` and `FrameError`.
    """
    try:
        with transaction.atomic():
            if frame.conversation_id is None:
                return _earlier_sent(user, frame.client_message_id) or _store_first(user, frame)
            # One writer at a time: two tabs that send at once must not both find no reply running.
            conversation = access.conversation_for_user(user, frame.conversation_id, to_write=True)
            return _earlier_sent(user, frame.client_message_id) or _store_in(conversation, user, frame)
    except (IntegrityError, FrameError, access.NotFound):
        # Two sockets sent the same client_message_id at once and the other one was first: what stood in the way is
        # its own row, or its own use of the attachments. Or the resend says something else than the first did.
        earlier = _earlier_sent(user, frame.client_message_id) or pending.earlier(user, frame.client_message_id)
        if earlier is None:
            raise
        return earlier


def store_next(conversation_id: UUID) -> Sent | None:
    """Gives the first waiting message that is not held its place and its reply, where no reply runs.

    Of several processes that try at once one finds it: the others find a reply that runs, or the next message.
    """
    waiting = pending.next_in(conversation_id)
    if waiting is None:
        return None
    with transaction.atomic():
        conversation = access.conversation_for_user(waiting.sender, conversation_id, to_write=True)
        if registry.is_written(conversation_id):
            return None
        queued = pending.next_in(conversation_id)
        return None if queued is None else _store_queued(conversation, queued)


def may_go_on(reply_id: UUID, conversation_id: UUID) -> bool:
    """Whether what waits behind this reply may be sent: only if it is whole. Else it is held for its sender's word."""
    if pending.next_in(conversation_id) is None:
        return False
    if Message.objects.filter(pk=reply_id, status=Message.Status.COMPLETE).exists():
        return True
    pending.hold_all(conversation_id)
    return False


def store_version(user: User, reply_id: UUID) -> Message:
    """The row of another reply to the same message, which becomes the shown one; raises as `store`."""
    with transaction.atomic():
        earlier = access.reply_for_user(user, reply_id)
        conversation = access.conversation_for_user(user, earlier.conversation_id, to_write=True)
        if registry.is_written(conversation.pk):
            words = "A reply is still being written here. Stop it, or wait for its end."
            raise FrameError(ErrorCode.REPLY_RUNNING, words, str(reply_id), retryable=True)
        question = access.message_in(conversation, parent_of(earlier))
        conversations.touch(conversation, branch=question)
        return _new_reply(conversation, question)


def _earlier_sent(user: User, client_message_id: UUID) -> Sent | None:
    message = (
        Message.objects.filter(sender=user, client_message_id=client_message_id).select_related("conversation").first()
    )
    if message is None:
        return None
    reply = message.children.filter(role=Message.Role.ASSISTANT).order_by("created_at").last()
    if reply is None:
        raise LookupError(f"Message {message.pk} was stored without its reply.")
    return Sent(message=message, conversation=message.conversation, reply=reply, is_resend=True)


def _store_first(user: User, frame: MessageSend) -> Sent:
    attachments = access.unsent_attachments(user, frame.attachment_ids)
    assistant_id = int(frame.assistant_id) if frame.assistant_id is not None else None
    assistant = access.assistant_for_user(user, assistant_id)
    # A message without a text has files: `protocol.decode` sees to that.
    conversation = conversations.create(user, assistant, first_text=frame.text.strip() or attachments[0].name)
    if frame.parent_id or frame.edit_of:
        # Of another conversation, since this one has none yet.
        raise access.NotFound("message")
    return _store(conversation, _message_of(user, frame), attachments, _Place())


def _store_in(conversation: Conversation, user: User, frame: MessageSend) -> Taken:
    others = pending.standing_in_the_way(conversation, user, frame.client_message_id)
    earlier = next((queued for queued in others if queued.client_message_id == frame.client_message_id), None)
    if earlier is not None:
        return earlier
    edit_of = access.question_in(conversation, frame.edit_of) if frame.edit_of else None
    parent = access.message_in(conversation, frame.parent_id) if frame.parent_id and edit_of is None else None
    attachments = access.unsent_attachments(user, frame.attachment_ids)
    if registry.is_written(conversation.pk) or others:
        behind = _running_in(conversation)
        if parent == behind:
            parent = None
        return pending.add(conversation, user, frame, attachments, behind=behind, parent=parent, edit_of=edit_of)
    place = _place(conversation, parent=parent, edit_of=edit_of)
    sent = _store(conversation, _message_of(user, frame), attachments, place)
    conversations.touch(conversation, branch=sent.message)
    return sent


def _store_queued(conversation: Conversation, queued: QueuedMessage) -> Sent:
    message = Message(
        pk=queued.message_id,
        sender=queued.sender,
        client_message_id=queued.client_message_id,
        text=queued.text,
    )
    place = _place(conversation, parent=queued.parent, edit_of=queued.edit_of, behind=queued.behind)
    attachments = list(queued.attachments.all())
    Attachment.objects.filter(queued=queued).update(queued=None)
    queued.delete()
    sent = _store(conversation, message, attachments, place)
    conversations.touch(conversation, branch=sent.message)
    return sent


def _message_of(user: User, frame: MessageSend) -> Message:
    return Message(sender=user, client_message_id=frame.client_message_id, text=frame.text)


def _running_in(conversation: Conversation) -> Message | None:
    return conversation.messages.filter(status=Message.Status.STREAMING).order_by("created_at").last()


def _place(
    conversation: Conversation, *, parent: Message | None, edit_of: Message | None, behind: Message | None = None
) -> _Place:
    """Beside the message that is edited; behind the named one; else at the end of the branch: of the one that the
    message was written on, where it had to wait, or of the one that is shown."""
    if edit_of is not None:
        return _Place(parent_id=branches.tree_of(conversation.pk).parent_of(edit_of.pk), edit_of=edit_of)
    if parent is not None:
        return _Place(parent_id=parent.pk)
    through = conversation.branch_id if behind is None else behind.pk
    return _Place(parent_id=branches.end_of(conversation.pk, through=through))


def _store(conversation: Conversation, message: Message, attachments: list[Attachment], place: _Place) -> Sent:
    message.conversation = conversation
    message.role = Message.Role.USER
    message.parent_id = place.parent_id
    message.edit_of = place.edit_of
    message.content = prompts.message_content(message.text, attachments, edit_of=place.edit_of)
    message.save(force_insert=True)
    Attachment.objects.filter(pk__in=[a.pk for a in attachments]).update(message=message)
    return Sent(message=message, conversation=conversation, reply=_new_reply(conversation, message), is_resend=False)


def _new_reply(conversation: Conversation, question: Message) -> Message:
    return rows.begin(conversation, question, owner=rows.PROCESS, now=timezone.now())
