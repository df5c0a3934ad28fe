"""Send a message, stop its reply, try again. A message is acked after its row is committed."""

import asyncio
import logging
import time
from collections.abc import Coroutine
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar
from uuid import UUID

from django.db import IntegrityError, transaction

from chatapp import access, events
from chatapp.models import Attachment, Conversation, Message, User
from chatapp.protocol import FrameError, MessageSend
from chatapp.services import conversations, prompts, running_replies
from chatapp.services.reply_run import ReplyRun, parent_of
from warmcache.database import in_database_thread

logger = logging.getLogger(__name__)
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """A stored message of a person, and the reply that answers it, at a resend the earlier one."""

    message: Message
    conversation: Conversation
    reply: Message
    is_resend: bool


async def send_message(user: User, frame: MessageSend, *, origin: str) -> Sent:
    """Stores the message with its reply's row and launches the reply. Returns as soon as the rows are committed.

    A resend with the same `client_message_id` gives the first one's message again. Raises `access.NotFound` for what
    is not the user's and `FrameError` for what cannot be done now. `origin` is the sender's channel name: that socket
    gets its ack from the return value, all others by an event.
    """
    return await _whatever_the_caller_does(_send(user, frame, origin, time.monotonic()), name="send")


async def _send(user: User, frame: MessageSend, origin: str, received_at: float) -> Sent:
    sent = await in_database_thread(_store_message, user, frame)
    if not sent.is_resend:
        _launch(sent.reply, received_at=received_at, message=sent.message, origin=origin)
    return sent


async def regenerate(user: User, reply_id: UUID) -> None:
    """Answers the same message once more; the earlier reply stays, as a sibling."""
    await _whatever_the_caller_does(_regenerate(user, reply_id, time.monotonic()), name="regenerate")


async def _regenerate(user: User, reply_id: UUID, received_at: float) -> None:
    reply = await in_database_thread(_store_sibling, user, reply_id)
    _launch(reply, received_at=received_at)


async def stop(user: User, reply_id: UUID) -> None:
    """Closes the upstream call; the text so far is kept. An ended reply is left as it is."""
    await running_replies.stop(await in_database_thread(access.reply_for_user, user, reply_id))


async def note_seen(user: User, reply_id: UUID, *, browser_ttft_ms: float | None) -> None:
    """Stores the first-token time that the person felt; only the first report counts."""
    if browser_ttft_ms is not None:
        await in_database_thread(_store_seen, user, reply_id, round(browser_ttft_ms))


async def _whatever_the_caller_does(work: Coroutine[Any, Any, T], *, name: str) -> T:
    """Runs it to its end: a socket that dies meanwhile must not leave a stored message without its reply."""
    outcome = await asyncio.shield(running_replies.tasks.spawn(_result_or_refusal(work), name=name))
    if isinstance(outcome, FrameError | access.NotFound):
        raise outcome
    return outcome


async def _result_or_refusal(work: Coroutine[Any, Any, T]) -> T | FrameError | access.NotFound:
    """A refusal is an answer to the sender, not a failure of the task."""
    try:
        return await work
    except (FrameError, access.NotFound) as refusal:
        return refusal


def _launch(reply: Message, *, received_at: float, message: Message | None = None, origin: str = "") -> None:
    """Others hear of the message, then of the reply, and at its end of the conversation's new state."""
    running_replies.launch(
        reply,
        received_at=received_at,
        while_written=partial(_tell_others, conversation=reply.conversation, message=message, origin=origin),
        after_end=_after_end,
    )


async def _after_end(run: ReplyRun) -> None:
    await events.announce_conversation(run.user_id, run.conversation_id)


async def _tell_others(run: ReplyRun, *, conversation: Conversation, message: Message | None, origin: str) -> None:
    """A channel layer that is down costs other sockets the news, never the sender the reply."""
    try:
        if message is not None:
            await events.announce_message(conversation.pk, message.pk, origin=origin)
        await events.announce_conversation(conversation.user_id, conversation.pk)
        await run.warmth_is_known.wait()
        await events.announce_reply(conversation.pk, run.reply_id)
    except Exception:
        logger.exception("Other sockets could not be told of reply %s", run.reply_id)


def _store_message(user: User, frame: MessageSend) -> Sent:
    try:
        with transaction.atomic():
            return _earlier(user, frame) or _store_new(user, frame)
    except (IntegrityError, FrameError, access.NotFound):
        # Two sockets sent the same client_message_id at once and the other one was first: what stood in the way is
        # its own row, its own running reply, or its own use of the attachments.
        earlier = _earlier(user, frame)
        if earlier is None:
            raise
        return earlier


def _earlier(user: User, frame: MessageSend) -> Sent | None:
    message = (
        Message.objects.filter(sender=user, client_message_id=frame.client_message_id)
        .select_related("conversation")
        .first()
    )
    if message is None:
        return None
    reply = message.children.filter(role=Message.Role.ASSISTANT).order_by("created_at").last()
    if reply is None:
        raise LookupError(f"Message {message.pk} was stored without its reply.")
    return Sent(message=message, conversation=message.conversation, reply=reply, is_resend=True)


def _store_new(user: User, frame: MessageSend) -> Sent:
    attachments = access.unsent_attachments(user, frame.attachment_ids)
    conversation = _conversation(user, frame)
    message = Message.objects.create(
        conversation=conversation,
        parent=_parent(conversation, frame),
        role=Message.Role.USER,
        text=frame.text,
        content=prompts.message_content(frame.text, attachments),
        sender=user,
        client_message_id=frame.client_message_id,
    )
    Attachment.objects.filter(pk__in=[a.pk for a in attachments]).update(message=message)
    return Sent(
        message=message,
        conversation=conversation,
        reply=_new_reply(conversation, message),
        is_resend=False,
    )


def _conversation(user: User, frame: MessageSend) -> Conversation:
    if frame.conversation_id is None:
        assistant_id = int(frame.assistant_id) if frame.assistant_id is not None else None
        assistant = access.assistant_for_user(user, assistant_id)
        return conversations.create(user, assistant, first_text=frame.text)
    # One writer at a time: two tabs that send at once must not both find no reply running.
    conversation = access.conversation_for_user(user, frame.conversation_id, to_write=True)
    _refuse_while_running(conversation, ref=str(frame.client_message_id))
    conversations.touch(conversation)
    return conversation


def _parent(conversation: Conversation, frame: MessageSend) -> Message | None:
    """The named message, or the leaf of the branch that the page shows: see `conversations.branch_of`."""
    if frame.parent_id is not None:
        return access.message_in(conversation, frame.parent_id)
    if frame.conversation_id is None:
        return None
    return conversation.messages.only("conversation_id").order_by("created_at", "id").last()


def _store_sibling(user: User, reply_id: UUID) -> Message:
    with transaction.atomic():
        earlier = access.reply_for_user(user, reply_id)
        conversation = access.conversation_for_user(user, earlier.conversation_id, to_write=True)
        _refuse_while_running(conversation, ref=str(reply_id))
        conversations.touch(conversation)
        return _new_reply(conversation, access.message_in(conversation, parent_of(earlier)))


def _new_reply(conversation: Conversation, question: Message) -> Message:
    return Message.objects.create(
        conversation=conversation,
        parent=question,
        role=Message.Role.ASSISTANT,
        status=Message.Status.STREAMING,
        model=conversation.assistant.model,
    )


def _refuse_while_running(conversation: Conversation, *, ref: str) -> None:
    if running_replies.is_written(conversation.pk):
        raise FrameError(
            "reply_running", "A reply is still being written here. Stop it, or wait for its end.", ref, retryable=True
        )


def _store_seen(user: User, reply_id: UUID, ttft_ms: int) -> None:
    Message.objects.filter(
        pk=reply_id, role=Message.Role.ASSISTANT, conversation__user=user, browser_ttft_ms=None
    ).update(browser_ttft_ms=ttft_ms)
