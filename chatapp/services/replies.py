"""Send a message, run its reply, stop it, try again. A message is acked after its row is committed."""

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Coroutine
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone

from chatapp import access, events
from chatapp.models import Attachment, Conversation, Message, User
from chatapp.protocol import FrameError, MessageSend
from chatapp.services import conversations, prompts
from chatapp.services.reply_run import RESTARTED, ReplyRun, parent_of
from warmcache.database import in_database_thread
from warmcache.tasks import TaskOwner

logger = logging.getLogger(__name__)
T = TypeVar("T")

MAX_ENDED_RUNS = 200
"""Kept for readers that come back within moments; the row has the text for everybody else."""

LONGEST_LAUNCH = timedelta(seconds=10)
"""From the commit of a reply's row to its run."""

LONGEST_REPLY = timedelta(minutes=15)
"""No reply is written for longer: the provider's own clock ends it before."""

ABANDONED = {
    "status": Message.Status.INTERRUPTED,
    "error_code": RESTARTED.code,
    "error_message": RESTARTED.message,
    "error_is_retryable": RESTARTED.retryable,
}

SHUTDOWN_PATIENCE_SECONDS = 5.0

_runs: dict[UUID, ReplyRun] = {}
_ended: OrderedDict[UUID, ReplyRun] = OrderedDict()
_tasks = TaskOwner("replies")


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
    reply = await in_database_thread(access.reply_for_user, user, reply_id)
    run = _runs.get(reply_id)
    if run is not None:
        run.stop()
    else:
        await in_database_thread(_end_abandoned, reply)


def stop_in(conversation_id: UUID) -> None:
    """Closes the upstream call of a conversation that was deleted: nobody will read the rest."""
    for run in [run for run in _runs.values() if run.conversation_id == conversation_id]:
        run.stop()


async def note_seen(user: User, reply_id: UUID, *, browser_ttft_ms: float | None) -> None:
    """Stores the first-token time that the person felt; only the first report counts."""
    if browser_ttft_ms is not None:
        await in_database_thread(_store_seen, user, reply_id, round(browser_ttft_ms))


def running(reply_id: UUID) -> ReplyRun | None:
    """The run of a reply that this process owns."""
    return _runs.get(reply_id)


def run_of(reply_id: UUID) -> ReplyRun | None:
    """The run of a reply that is being written here, or was a moment ago."""
    return _runs.get(reply_id) or _ended.get(reply_id)


def is_writing_in(conversation_id: UUID) -> bool:
    """Whether this process is writing a reply there."""
    return any(run.conversation_id == conversation_id for run in _runs.values())


def interrupt_orphans() -> int:
    """Ends the replies that a process left behind when it died. Only for a server that is the only process."""
    return Message.objects.filter(status=Message.Status.STREAMING).update(finished_at=timezone.now(), **ABANDONED)


async def interrupt_all() -> None:
    """At shutdown: every running reply ends as `interrupted`, with its text stored."""
    for run in list(_runs.values()):
        run.stop("interrupted")
    await _tasks.join(timeout_seconds=SHUTDOWN_PATIENCE_SECONDS)
    await _tasks.close()


async def _whatever_the_caller_does(work: Coroutine[Any, Any, T], *, name: str) -> T:
    """Runs it to its end: a socket that dies meanwhile must not leave a stored message without its reply."""
    outcome = await asyncio.shield(_tasks.spawn(_result_or_refusal(work), name=name))
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
    run = ReplyRun(reply, received_at=received_at)
    _runs[reply.pk] = run
    _tasks.spawn(_run(run, reply.conversation, message, origin), name=f"reply {reply.pk}")


async def _run(run: ReplyRun, conversation: Conversation, message: Message | None, origin: str) -> None:
    """The reply and what others hear of it: the message, then the reply, at its end the conversation's new state."""
    writing = asyncio.get_running_loop().create_task(run.run(), name=f"writing {run.reply_id}")
    try:
        await _tell_others(run, conversation, message, origin)
        await writing
    finally:
        writing.cancel()
        await asyncio.wait({writing})
        del _runs[run.reply_id]
        _ended[run.reply_id] = run
        while len(_ended) > MAX_ENDED_RUNS:
            _ended.popitem(last=False)
        await events.announce_conversation(conversation.user_id, conversation.pk)


async def _tell_others(run: ReplyRun, conversation: Conversation, message: Message | None, origin: str) -> None:
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
    """A row that nobody writes any more ends here: it must not lock its conversation for good."""
    streaming = Message.objects.filter(conversation=conversation, status=Message.Status.STREAMING)
    rows = list(streaming.values_list("pk", "created_at"))
    abandoned = [pk for pk, created_at in rows if _is_abandoned(pk, created_at)]
    if abandoned:
        streaming.filter(pk__in=abandoned).update(**ABANDONED)
    if len(abandoned) < len(rows):
        raise FrameError(
            "reply_running", "A reply is still being written here. Stop it, or wait for its end.", ref, retryable=True
        )


def _is_abandoned(reply_id: UUID, created_at: datetime) -> bool:
    """No other process could be writing it, or none could for so long. A row is committed just before its run."""
    if reply_id in _runs:
        return False
    return timezone.now() - created_at > (LONGEST_REPLY if settings.REDIS_URL else LONGEST_LAUNCH)


def _end_abandoned(reply: Message) -> None:
    if reply.status == Message.Status.STREAMING and _is_abandoned(reply.pk, reply.created_at):
        Message.objects.filter(pk=reply.pk, status=Message.Status.STREAMING).update(**ABANDONED)


def _store_seen(user: User, reply_id: UUID, ttft_ms: int) -> None:
    Message.objects.filter(
        pk=reply_id, role=Message.Role.ASSISTANT, conversation__user=user, browser_ttft_ms=None
    ).update(browser_ttft_ms=ttft_ms)
