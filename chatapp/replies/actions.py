"""A person's actions on replies: send a message, now or when its turn comes; stop its reply; try again.

A message is acked after its row is committed.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, TypeVar
from uuid import UUID

from chatapp import events, protocol
from chatapp.conversations import access, branches, conversations
from chatapp.conversations.acks import message_created
from chatapp.models import Conversation, McpAnswer, Message, QueuedMessage, User
from chatapp.protocol import FrameError, MessageSend, MessageWithdrawn, ToolAnswer
from chatapp.replies import pending, registry, rows, sent_messages, summarising, titles
from chatapp.replies.patient_writes import DATABASE_TROUBLE, briefly, briefly_from
from chatapp.replies.run import ReplyRun
from chatapp.replies.sent_messages import Sent, Taken
from chatapp.replies.tools import consents
from warmcache.background.database import begun_in_database_thread, in_database_thread
from warmcache.background.statements import Slot, Update

logger = logging.getLogger(__name__)
T = TypeVar("T")
Tell = Callable[[T], None]
_is_leaving = asyncio.Event()


async def begin() -> None:
    """Called once at the start of a server."""
    await registry.begin(after_end=_tell_of_takeover)


async def send_message(user: User, frame: MessageSend, *, origin: str) -> Taken:
    """Stores the message with its reply's row and begins the reply; while another reply runs, the message waits.

    Returns as soon as the rows are committed. For a resend with the same `client_message_id` it returns what
    became of the first. Raises `access.NotFound` for what is not the user's and `FrameError` for what cannot be done
    now. `origin` is the sender's channel name: that socket gets its ack from the return value, others by an event.
    """
    storing = begun_in_database_thread(sent_messages.store, user, frame)
    return await _whatever_the_caller_does(partial(_send, storing, user, frame, origin, time.monotonic()), name="send")


async def _send(
    storing: "asyncio.Future[Taken]", user: User, frame: MessageSend, origin: str, received_at: float, tell: Tell[Taken]
) -> None:
    taken = await briefly_from(storing, sent_messages.store, user, frame)
    tell(taken)
    match taken:
        case Sent():
            await _answer(taken, received_at=received_at, origin=origin)
        case QueuedMessage():
            # If no reply runs, the earlier ones are being sent, or a process that died left them behind.
            await _send_next_or_tell(taken.conversation_id)


async def regenerate(user: User, reply_id: UUID) -> None:
    """Answers the same message once more; the earlier reply stays as a sibling."""
    await _whatever_the_caller_does(partial(_regenerate, user, reply_id, time.monotonic()), name="regenerate")


async def _regenerate(user: User, reply_id: UUID, received_at: float, tell: Tell[None]) -> None:
    sent = await briefly(sent_messages.store_version, user, reply_id)
    tell(None)
    await _answer(sent, received_at=received_at)


async def send_queued(user: User, message_id: UUID) -> None:
    """Sends a held message: now, or after the end of the running reply. Raises `access.NotFound`."""
    await _whatever_the_caller_does(partial(_send_queued, user, message_id), name="send queued")


async def _send_queued(user: User, message_id: UUID, tell: Tell[None]) -> None:
    queued = await in_database_thread(pending.release, user, message_id)
    tell(None)
    await _send_next_or_tell(queued.conversation_id)


async def select_branch(user: User, conversation_id: UUID, message_id: UUID) -> None:
    """Shows another branch on every device; raises `access.NotFound`."""
    await in_database_thread(branches.select, user, conversation_id, message_id)
    await _tell_of(conversation_id)


async def withdraw(user: User, message_id: UUID) -> MessageWithdrawn:
    """Withdraws a waiting message; raises `access.NotFound` if it is sent already."""
    withdrawn = await in_database_thread(pending.withdraw, user, message_id)
    await _tell_of(withdrawn.conversation_id)
    return withdrawn


async def stop(user: User, reply_id: UUID) -> None:
    """Closes the upstream call; the text so far is kept. Does nothing to an ended reply."""
    await registry.stop(await in_database_thread(access.reply_for_user, user, reply_id))


async def answer_tool(user: User, frame: ToolAnswer) -> None:
    """What the person says to a call that waits: the process that writes the reply goes on. Raises `access.NotFound`;
    does nothing to a call that was answered before."""
    reply = await in_database_thread(consents.answer, user, frame.reply_id, frame.call_id, McpAnswer(frame.answer))
    consents.wake(reply.pk)
    if reply.owner != rows.PROCESS:
        await events.announce_answer(reply.owner, reply.pk)


async def note_seen(user: User, reply_id: UUID, *, browser_ttft_ms: float | None) -> None:
    """Stores the time to first token that the browser measured; only the first report counts."""
    if browser_ttft_ms is not None:
        await in_database_thread(_store_seen, user, reply_id, round(browser_ttft_ms))


async def go_on(conversation_id: UUID) -> None:
    """Sends messages that a process left in the queue when it ended. Called when their sender is back."""
    await _whatever_the_caller_does(partial(_go_on, conversation_id), name="go on")


async def _go_on(conversation_id: UUID, tell: Tell[None]) -> None:
    sent = await in_database_thread(sent_messages.store_next, conversation_id)
    tell(None)
    if sent is None:
        await _tell_of(conversation_id)
    else:
        await _answer(sent, received_at=time.monotonic())


def leave_the_queue() -> None:
    """Stops sending from the queue, because this process is about to end: the sender's next process sends them."""
    _is_leaving.set()


async def _whatever_the_caller_does(work: Callable[[Tell[T]], Coroutine[Any, Any, None]], *, name: str) -> T:
    """Runs the work to its end in a task of the process and returns what it tells on its way: a socket that dies
    meanwhile must not leave a stored message without its reply. A refusal is an answer to the sender, not a failure."""
    told: asyncio.Future[T | FrameError | access.NotFound] = asyncio.get_running_loop().create_future()
    registry.tasks.spawn(_work(work, told), name=name)
    outcome = await asyncio.shield(told)
    if isinstance(outcome, FrameError | access.NotFound):
        raise outcome
    return outcome


async def _work(
    work: Callable[[Tell[T]], Coroutine[Any, Any, None]], told: "asyncio.Future[T | FrameError | access.NotFound]"
) -> None:
    try:
        await work(told.set_result)
    except (FrameError, access.NotFound) as refusal:
        # What waited behind a message that is stored may be gone meanwhile, with its sender.
        if not told.done():
            told.set_result(refusal)
    except asyncio.CancelledError:
        told.cancel()
        raise
    except Exception as error:
        if not told.done():
            told.set_exception(error)
        elif isinstance(error, DATABASE_TROUBLE):
            logger.warning("What follows a message waits for its sender: %s", error)
        else:
            raise


async def _answer(sent: Sent | None, *, received_at: float, origin: str = "") -> None:
    """Writes the reply, and then the replies to the messages that waited for its end."""
    while sent is not None:
        run = ReplyRun(sent, received_at=received_at)
        registry.add(run)
        telling = registry.tasks.spawn(_tell_others(run, sent, origin), name=f"news of reply {run.reply_id}")
        try:
            ended = await run.run()
        finally:
            registry.remove(run)
        await asyncio.wait({telling})
        is_next = ended.has_next and not _is_leaving.is_set()
        following = await _following(run) if is_next else None
        if following is None and is_next:
            await _tell_of(run.conversation_id)  # what waits may be held now
        elif following is None and ended.news is not None:
            await conversations.tell(ended.news)
        titles.begin(sent, ended)
        if following is None:
            summarising.begin(sent, ended)
        sent, received_at, origin = following, time.monotonic(), ""


async def _following(run: ReplyRun) -> Sent | None:
    try:
        return await briefly(sent_messages.store_next, run.conversation_id)
    except DATABASE_TROUBLE as error:
        logger.warning("What waits behind reply %s is not sent yet: %s", run.reply_id, error)
        return None
    except Exception:
        logger.exception("What waits behind reply %s could not be sent", run.reply_id)
        return None


async def _send_next_or_tell(conversation_id: UUID) -> None:
    """Sends the next waiting message; if a reply runs or nothing waits, it announces the state of the queue."""
    sent = await in_database_thread(sent_messages.store_next, conversation_id)
    if sent is None:
        await _tell_of(conversation_id)
    else:
        await _answer(sent, received_at=time.monotonic())


async def _tell_others(run: ReplyRun, sent: Sent, origin: str) -> None:
    """Announces the message, the conversation and the reply, in one event, while the request is on its way.

    If the channel layer is down, other sockets miss it, but the sender still gets the reply.
    """
    try:
        await run.log.warmth_known()
        # Sockets that get the event look for the log.
        await registry.logs().shared(run.log)
        frame = "" if sent.is_version else protocol.encode(message_created(sent.message))
        begun = events.Begun(frame=frame, origin=origin, reply_id=str(run.reply_id))
        await conversations.tell(sent.news, begun=begun)
    except Exception:
        logger.exception("Other sockets could not be told of reply %s", run.reply_id)


async def _tell_of_takeover(reply: Message) -> None:
    """Called after this process has ended a reply that another one had begun."""
    await _tell_of(reply.conversation_id)


async def _tell_of(conversation_id: UUID) -> None:
    news = await in_database_thread(conversations.news_of, conversation_id)
    if news is not None:
        await conversations.tell(news)


def _store_seen(user: User, reply_id: UUID, ttft_ms: int) -> None:
    _SEEN.run(id=reply_id, user=user.pk, browser_ttft_ms=ttft_ms)


_SEEN = Update(
    lambda: Message.objects.filter(
        pk=Slot("id", Message),
        role=Message.Role.ASSISTANT,
        conversation__user=Slot("user", Conversation),
        browser_ttft_ms=None,
    ),
    lambda: {"browser_ttft_ms": Slot("browser_ttft_ms", Message)},
)
