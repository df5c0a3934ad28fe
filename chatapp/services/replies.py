"""Send a message, now or when its turn comes; stop its reply, try again.

A message is acked after its row is committed.
"""

import asyncio
import logging
import time
from collections.abc import Coroutine
from functools import partial
from typing import Any, TypeVar
from uuid import UUID

from chatapp import access, events
from chatapp.models import Conversation, Message, QueuedMessage, User
from chatapp.protocol import FrameError, MessageSend, MessageWithdrawn, ReplyFinished
from chatapp.services import branches, queue, reply_states, running_replies, sent_messages
from chatapp.services.reply_run import ReplyRun
from chatapp.services.sent_messages import Taken
from warmcache.database import in_database_thread

logger = logging.getLogger(__name__)
T = TypeVar("T")
_is_leaving = asyncio.Event()


async def send_message(user: User, frame: MessageSend, *, origin: str) -> Taken:
    """Stores the message with its reply's row and launches the reply; while another one runs, the message waits.

    Returns as soon as the rows are committed. A resend with the same `client_message_id` gives what became of the
    first. Raises `access.NotFound` for what is not the user's and `FrameError` for what cannot be done now. `origin`
    is the sender's channel name: that socket gets its ack from the return value, all others by an event.
    """
    return await _whatever_the_caller_does(_send(user, frame, origin, time.monotonic()), name="send")


async def _send(user: User, frame: MessageSend, origin: str, received_at: float) -> Taken:
    taken = await in_database_thread(sent_messages.store, user, frame)
    if isinstance(taken, QueuedMessage):
        # Where no reply runs, those before it are on their way, or were left behind by a process that died.
        if not await _send_next(taken.conversation_id):
            await events.announce_conversation(user.pk, taken.conversation_id)
    elif not taken.is_resend:
        _launch(taken.reply, received_at=received_at, message=taken.message, origin=origin)
    return taken


async def regenerate(user: User, reply_id: UUID) -> None:
    """Answers the same message once more; the earlier reply stays, as a sibling."""
    await _whatever_the_caller_does(_regenerate(user, reply_id, time.monotonic()), name="regenerate")


async def _regenerate(user: User, reply_id: UUID, received_at: float) -> None:
    reply = await in_database_thread(sent_messages.store_version, user, reply_id)
    _launch(reply, received_at=received_at)


async def send_queued(user: User, message_id: UUID) -> None:
    """Sends a held message: now, or where a reply runs after its end. Raises `access.NotFound`."""
    await _whatever_the_caller_does(_send_queued(user, message_id), name="send queued")


async def _send_queued(user: User, message_id: UUID) -> None:
    queued = await in_database_thread(queue.release, user, message_id)
    if not await _send_next(queued.conversation_id):
        await events.announce_conversation(user.pk, queued.conversation_id)


async def select_branch(user: User, conversation_id: UUID, message_id: UUID) -> None:
    """Shows another branch on every device; raises `access.NotFound`."""
    await in_database_thread(branches.select, user, conversation_id, message_id)
    await events.announce_conversation(user.pk, conversation_id)


async def withdraw(user: User, message_id: UUID) -> MessageWithdrawn:
    """Takes a waiting message back; raises `access.NotFound` where it is sent already."""
    withdrawn = await in_database_thread(queue.withdraw, user, message_id)
    await events.announce_conversation(user.pk, withdrawn.conversation_id)
    return withdrawn


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
        before_told=partial(_hold_queue_behind, reply.conversation_id),
        after_end=_after_end,
    )


async def _hold_queue_behind(conversation_id: UUID, finished: ReplyFinished) -> None:
    """What waits is offered to its sender unless the reply is whole: before he hears of the end, and may answer."""
    if not reply_states.consequence_of(finished.status).sends_next:
        await in_database_thread(queue.hold_all, conversation_id)


async def _after_end(run: ReplyRun) -> None:
    """The next message in the queue has its turn if this reply is whole."""
    end = run.log.finished
    try:
        if end is not None and reply_states.consequence_of(end.status).sends_next and not _is_leaving.is_set():
            await _send_next(run.conversation_id)
    except Exception:
        logger.exception("What waits behind reply %s could not be sent", run.reply_id)
    await events.announce_conversation(run.user_id, run.conversation_id)


async def offer_queue_behind(reply: Message) -> None:
    """A reply was ended for a process that died: what waits behind it is offered to its sender."""
    await in_database_thread(sent_messages.may_go_on, reply.pk, reply.conversation_id)


async def tell_of_end(reply: Message) -> None:
    """After the end of a reply that another process had begun."""
    await events.announce_conversation(reply.conversation.user_id, reply.conversation_id)


async def go_on(conversation_id: UUID) -> None:
    """Sends what waits for no reply any more: the process that should have sent it has ended. Its sender is back."""
    await _whatever_the_caller_does(_send_next(conversation_id), name="go on")


def leave_the_queue() -> None:
    """This process is about to end: what waits is sent by the one that its sender's page comes to next."""
    _is_leaving.set()


async def _send_next(conversation_id: UUID) -> bool:
    """Whether a waiting message was sent: not where none waits, or a reply runs."""
    sent = await in_database_thread(sent_messages.store_next, conversation_id)
    if sent is not None:
        _launch(sent.reply, received_at=time.monotonic(), message=sent.message)
    return sent is not None


async def _tell_others(run: ReplyRun, *, conversation: Conversation, message: Message | None, origin: str) -> None:
    """A channel layer that is down costs other sockets the news, never the sender the reply."""
    try:
        if message is not None:
            await events.announce_message(conversation.pk, message.pk, origin=origin)
        await events.announce_conversation(conversation.user_id, conversation.pk)
        await run.log.warmth_is_known.wait()
        await events.announce_reply(conversation.pk, run.reply_id)
    except Exception:
        logger.exception("Other sockets could not be told of reply %s", run.reply_id)


def _store_seen(user: User, reply_id: UUID, ttft_ms: int) -> None:
    Message.objects.filter(
        pk=reply_id, role=Message.Role.ASSISTANT, conversation__user=user, browser_ttft_ms=None
    ).update(browser_ttft_ms=ttft_ms)
