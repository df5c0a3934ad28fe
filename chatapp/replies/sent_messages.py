"""Stores what a person sends: a message with its reply's row, another version of either, or a queued message.

Called in a database thread. Everything happens under the lock of the conversation's row, so that two processes decide
one after the other: whether a reply runs, which message is next, where it goes in the tree. The guards against a second
reply are queried in a separate statement after the lock: a subquery of the locking statement would not see what the
lock has waited for. The last statement charges the person's accounts, or refuses and thereby undoes everything.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import Exists, Q, QuerySet
from django.utils import timezone

from chatapp.conversations import (
    access,
    attached_texts,
    branches,
    conversations,
    prepared_conversations,
    prompts,
    question_passages,
)
from chatapp.conversations.attachments import to_send
from chatapp.conversations.conversations import News
from chatapp.conversations.prepared_conversations import PreparedConversation
from chatapp.conversations.waiting import views_of, waiting_in
from chatapp.models import Attachment, Conversation, Message, QueuedMessage, User
from chatapp.protocol import FrameError, MessageSend
from chatapp.protocol.views import QueuedView, QuotaView
from chatapp.protocol.words import ErrorCode
from chatapp.quotas import charges
from chatapp.quotas.measures import Amount, units_of
from chatapp.replies import estimates, pending, rows
from chatapp.replies.rows import parent_of
from warmcache.background.statements import Select, Slot
from warmcache.core.prefix import Json


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """A stored message of a person, and the reply that answers it."""

    message: Message
    conversation: Conversation
    reply: Message
    content: Sequence[Json]
    """The message's blocks with the texts of its files."""
    before: PreparedConversation
    """The prompt that the message follows."""
    news: News
    is_version: bool = False
    """True if the message was sent before and only the reply is new."""
    nearly_met: Sequence[QuotaView] = ()
    """The person's limits of which little is left."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resent:
    """A message that was stored before, and the reply that answers it."""

    message: Message
    reply: Message


Taken = Sent | Resent | QueuedMessage
"""The outcome of a send: the message has its reply, had it already, waits, or was withdrawn while it waited."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Position:
    """The position of a message in the tree: what it follows, and of which message it is another version."""

    parent_id: UUID | None = None
    edit_of: Message | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Guards:
    """The obstacles to a new message. `is_queued` and `is_sent` concern this very message."""

    is_sent: bool
    is_queued: bool
    is_behind_others: bool
    are_others_waiting: bool
    is_reply_running: bool


def store(user: User, frame: MessageSend) -> Taken:
    """Stores a message with its reply's row, or in the queue while a reply runs; a resend returns the first outcome.

    Raises `access.NotFound` and `FrameError`.
    """
    try:
        with transaction.atomic():
            taken: _Stored | Resent | QueuedMessage
            if frame.conversation_id is None:
                taken = _earlier(user, frame.client_message_id) or _store_first(user, frame)
            else:
                # One writer at a time: of two tabs that send at once, only one may find that no reply runs.
                conversation = access.conversation_for_user(user, frame.conversation_id, to_write=True)
                taken = _store_in(conversation, user, frame)
    except (IntegrityError, FrameError, access.NotFound):
        # Two sockets sent the same client_message_id at once and the other one was first: the conflict is with the
        # message's own row or its own use of the attachments. Or the resend differs from the first send.
        earlier = _earlier(user, frame.client_message_id) or pending.earlier(user, frame.client_message_id)
        if earlier is None:
            raise
        return earlier
    return _with_what_it_follows(taken) if isinstance(taken, _Stored) else taken


def store_next(conversation_id: UUID) -> Sent | None:
    """Sends the first waiting message that is not held, if no reply runs: gives it its position and its reply.

    If several processes try at once, one finds it; the others find a running reply, or the next message. If a limit
    is reached, all that waits is held, and says why.
    """
    waiting = pending.next_in(conversation_id)
    if waiting is None or not waiting.sender.is_active:
        return None
    try:
        return _store_next(waiting, conversation_id)
    except FrameError as refusal:
        pending.hold_all(conversation_id, because=refusal.message)
        return None


def _store_next(waiting: QueuedMessage, conversation_id: UUID) -> Sent | None:
    with transaction.atomic():
        conversation = access.conversation_for_user(waiting.sender, conversation_id, to_write=True)
        if rows.is_streaming_in(conversation_id):
            return None
        queued = pending.next_in(conversation_id)
        stored = None if queued is None else _store_queued(conversation, queued)
    return None if stored is None else _with_what_it_follows(stored)


def store_version(user: User, reply_id: UUID) -> Sent:
    """Stores the row of another reply to the same message, which becomes the shown one; raises as `store`."""
    with transaction.atomic():
        earlier = access.reply_for_user(user, reply_id)
        conversation = access.conversation_for_user(user, earlier.conversation_id, to_write=True)
        if rows.is_streaming_in(conversation.pk):
            words = "A reply is still being written here. Stop it, or wait for its end."
            raise FrameError(ErrorCode.REPLY_RUNNING, words, str(reply_id))
        question = access.message_in(conversation, parent_of(earlier))
        whole = attached_texts.put_in([question.content])[0]
        usd = estimates.usd_of_reply(conversation, whole, None)
        reply = rows.begin(conversation, question, owner=rows.PROCESS, now=timezone.now(), reserved_usd=usd)
        conversations.touch(conversation, branch=question)
        waiting = views_of(conversation.pk)
        nearly_met = _charge(user.pk, reply, messages=1, ref=str(reply_id))
    stored = _Stored(message=question, conversation=conversation, reply=reply, waiting=waiting, nearly_met=nearly_met)
    return replace(_with_what_it_follows(stored), is_version=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stored:
    """What the transaction has written; the rest is read after the transaction, when the lock is released."""

    message: Message
    conversation: Conversation
    reply: Message
    attachments: Sequence[Attachment] = ()
    """Those that were read already."""
    waiting: Sequence[QueuedView] = ()
    ready: PreparedConversation | None = None
    nearly_met: Sequence[QuotaView] = ()


def _with_what_it_follows(stored: _Stored) -> Sent:
    conversation, parent_id = stored.conversation, stored.message.parent_id
    before = stored.ready
    if before is None or before.tip_id != parent_id:
        before = prepared_conversations.before(conversation, parent_id)
    question_passages.put_into(stored.message, conversation.assistant)
    return Sent(
        message=stored.message,
        conversation=conversation,
        reply=stored.reply,
        content=attached_texts.put_in([stored.message.content], known=stored.attachments)[0],
        before=before,
        news=conversations.news_after_message(conversation, stored.waiting),
        nearly_met=stored.nearly_met,
    )


def _earlier(user: User, client_message_id: UUID) -> Resent | None:
    message = Message.objects.filter(sender=user, client_message_id=client_message_id).first()
    if message is None:
        return None
    reply = message.children.filter(role=Message.Role.ASSISTANT).order_by("created_at").last()
    if reply is None:
        raise LookupError(f"Message {message.pk} was stored without its reply.")
    return Resent(message=message, reply=reply)


def _store_first(user: User, frame: MessageSend) -> _Stored:
    attachments = to_send(user, frame.attachment_ids)
    assistant_id = int(frame.assistant_id) if frame.assistant_id is not None else None
    assistant = access.assistant_for_user(user, assistant_id)
    if frame.parent_id or frame.edit_of:
        # It belongs to another conversation, since this one has no messages yet.
        raise access.NotFound("message")
    # A message without text has files: `protocol.decode` ensures that.
    first_text = frame.text.strip() or attachments[0].name
    conversation = conversations.create(user, assistant, first_text=first_text, is_temporary=frame.temporary)
    stored = _store(conversation, _message_of(user, frame), attachments, _Position(), None)
    return replace(stored, nearly_met=_charge(user.pk, stored.reply, messages=1, ref=str(frame.client_message_id)))


def _store_in(conversation: Conversation, user: User, frame: MessageSend) -> _Stored | Resent | QueuedMessage:
    guards = _look(conversation, user, frame.client_message_id)
    if guards.is_sent or guards.is_queued:
        earlier = _earlier(user, frame.client_message_id) or pending.earlier(user, frame.client_message_id)
        if earlier is not None:
            return earlier
    ready = prepared_conversations.current(conversation)
    edit_of = access.question_in(conversation, frame.edit_of) if frame.edit_of else None
    parent_id = frame.parent_id if edit_of is None else None
    if parent_id and not (ready is not None and ready.tip_id == parent_id):
        access.message_in(conversation, parent_id)
    attachments = to_send(user, frame.attachment_ids, edit_of=edit_of)
    if guards.is_reply_running or guards.is_behind_others:
        behind = rows.streaming_in(conversation.pk)
        if behind is not None and parent_id == behind.pk:
            parent_id = None
        queued = pending.add(
            conversation, user, frame, attachments, behind=behind, parent_id=parent_id, edit_of=edit_of
        )
        charges.charge(user.pk, Amount(messages=1), ref=str(frame.client_message_id))
        return queued
    position = _position(conversation, ready, parent_id=parent_id, edit_of=edit_of)
    stored = _store(conversation, _message_of(user, frame), attachments, position, ready)
    conversations.touch(conversation, branch=stored.message)
    waiting = views_of(conversation.pk) if guards.are_others_waiting else ()
    nearly_met = _charge(user.pk, stored.reply, messages=1, ref=str(frame.client_message_id))
    return replace(stored, ready=ready, waiting=waiting, nearly_met=nearly_met)


def _look(conversation: Conversation, user: User, client_message_id: UUID) -> _Guards:
    """Queries the guards in one statement after the lock."""
    [[is_sent, is_queued, is_behind_others, are_others_waiting, is_reply_running]] = _GUARDS.rows(
        conversation=conversation.pk, sender=user.pk, client_message_id=client_message_id
    )
    return _Guards(
        is_sent=is_sent,
        is_queued=is_queued,
        is_behind_others=is_behind_others,
        are_others_waiting=are_others_waiting,
        is_reply_running=is_reply_running,
    )


def _guards() -> QuerySet[Conversation, tuple[bool, ...]]:
    conversation_id = Slot("conversation", Message)
    own = Q(sender=Slot("sender", Message), client_message_id=Slot("client_message_id", Message))
    waiting = waiting_in(conversation_id)
    return Conversation.objects.filter(pk=conversation_id).values_list(
        Exists(Message.objects.filter(own)),
        Exists(QueuedMessage.objects.filter(own)),
        Exists(waiting.filter(is_held=False)),
        Exists(waiting),
        Exists(rows.running_in(conversation_id)),
    )


_GUARDS = Select(_guards)


def _store_queued(conversation: Conversation, queued: QueuedMessage) -> _Stored:
    message = Message(
        pk=queued.message_id,
        sender=queued.sender,
        client_message_id=queued.client_message_id,
        text=queued.text,
    )
    ready = prepared_conversations.current(conversation)
    position = _position(
        conversation, ready, parent_id=queued.parent_id, edit_of=queued.edit_of, behind_id=queued.behind_id
    )
    attachments = pending.files_of(queued)
    if attachments:
        Attachment.objects.filter(queued=queued).update(queued=None)
    queued.delete()
    stored = _store(conversation, message, attachments, position, ready)
    conversations.touch(conversation, branch=stored.message)
    waiting = views_of(conversation.pk)
    # It was counted as a message when it was accepted.
    _charge(queued.sender_id, stored.reply, messages=0, ref=str(queued.client_message_id))
    return replace(stored, ready=ready, waiting=waiting)


def _message_of(user: User, frame: MessageSend) -> Message:
    return Message(sender=user, client_message_id=frame.client_message_id, text=frame.text)


def _position(
    conversation: Conversation,
    ready: PreparedConversation | None,
    *,
    parent_id: UUID | None,
    edit_of: Message | None,
    behind_id: UUID | None = None,
) -> _Position:
    """Beside the message that it edits; after the named parent; else at the end of a branch: the one that a queued
    message was written on, or the shown one."""
    if edit_of is not None:
        return _Position(parent_id=branches.tree_of(conversation.pk).parent_of(edit_of.pk), edit_of=edit_of)
    if parent_id is not None:
        return _Position(parent_id=parent_id)
    if ready is not None and behind_id in (None, ready.tip_id):
        return _Position(parent_id=ready.tip_id)
    through = conversation.branch_id if behind_id is None else behind_id
    return _Position(parent_id=branches.end_of(conversation.pk, through=through))


def _charge(user_id: int, reply: Message, *, messages: int, ref: str) -> Sequence[QuotaView]:
    """Takes what the reply needs from the person's accounts: the last statement, because it locks them."""
    amount = Amount(messages=messages, replies=1, units=units_of(reply.reserved_usd or Decimal(0)))
    return charges.charge(user_id, amount, ref=ref, now=reply.created_at.timestamp())


def _store(
    conversation: Conversation,
    message: Message,
    attachments: list[Attachment],
    position: _Position,
    ready: PreparedConversation | None,
) -> _Stored:
    message.conversation = conversation
    message.role = Message.Role.USER
    message.parent_id = position.parent_id
    message.edit_of = position.edit_of
    message.content = prompts.message_content(message.text, attachments, edit_of=position.edit_of)
    whole = attached_texts.put_in([message.content], known=attachments)[0]
    usd = estimates.usd_of_reply(conversation, whole, ready)
    reply = rows.new(conversation, message, owner=rows.PROCESS, now=timezone.now(), reserved_usd=usd)
    rows.insert(message, reply)
    if attachments:
        Attachment.objects.filter(pk__in=[a.pk for a in attachments]).update(message=message)
    return _Stored(message=message, conversation=conversation, reply=reply, attachments=attachments)
