"""The registry of the replies that this process writes: finds them, stops them, and ends them with the process.

It also gives access to the logs of all replies, in any process.
"""

from collections.abc import Awaitable, Callable, Sequence
from uuid import UUID

from django.conf import settings
from django.utils import timezone

from chatapp import events
from chatapp.conversations import prepared_conversations
from chatapp.conversations.places import place_of
from chatapp.conversations.reply_states import STREAMING, Cause
from chatapp.models import Message
from chatapp.quotas.policy import watch as limits
from chatapp.replies import process_events, rows
from chatapp.replies.logs import MemoryReplyLogs, ReplyLogs
from chatapp.replies.process_events import Hearers
from chatapp.replies.redis_logs import RedisReplyLogs
from chatapp.replies.run import ReplyRun
from chatapp.replies.takeover import ReplyWatch
from warmcache import services as warmcache
from warmcache.background.database import in_database_thread
from warmcache.background.tasks import TaskOwner

tasks = TaskOwner("replies")
"""Tasks that must finish before the process may end: runs, and messages that are being stored."""

_housekeepers = TaskOwner("replies")
_runs: dict[UUID, ReplyRun] = {}
_logs: ReplyLogs | None = None


def logs() -> ReplyLogs:
    """The logs that this process can reach: through Redis if it is configured."""
    global _logs
    if _logs is None:
        _logs = RedisReplyLogs(settings.REDIS_URL) if settings.REDIS_URL else MemoryReplyLogs()
    return _logs


async def begin(*, after_end: Callable[[Message], Awaitable[None]]) -> None:
    """Called at the start of a server: starts the heartbeat of this process and the takeover of replies of dead ones.
    `after_end` is called for each reply that it ended for a dead owner."""
    watch = ReplyWatch(written=_runs, logs=logs(), after_end=after_end, lease_seconds=settings.REPLY_LEASE_SECONDS)
    if not settings.REDIS_URL:
        await watch.end_all()
    _housekeepers.spawn(watch.look_forever(), name="watch")
    _housekeepers.spawn(limits.watch_forever(), name="limits")

    def look_if_concerned(user_id: int) -> None:
        if any(run.user_id == user_id for run in _runs.values()):
            watch.look_soon()

    def forget_soon(user_id: int, conversation_ids: Sequence[UUID]) -> None:
        _housekeepers.spawn(forget_person(user_id, conversation_ids), name="erasure")

    hearers = Hearers(on_stop=stop_here, on_sign_out=look_if_concerned, on_erasure=forget_soon)
    _housekeepers.spawn(process_events.listen_forever(rows.PROCESS, hearers), name="events")


def add(run: ReplyRun) -> None:
    """Adds a reply that is about to be written here: from now on it can be read and stopped."""
    _runs[run.reply_id] = run
    logs().publish(run.log)


def remove(run: ReplyRun) -> None:
    """Removes an ended reply."""
    del _runs[run.reply_id]


def count() -> int:
    """How many replies are being written here."""
    return len(_runs)


def is_writing_in(conversation_id: UUID) -> bool:
    """Whether this process is writing a reply in this conversation."""
    return any(run.conversation_id == conversation_id for run in _runs.values())


async def forget_person(user_id: int, conversation_ids: Sequence[UUID] = ()) -> None:
    """Drops what this process has in memory of an erased person: frames of replies, prepared conversations, visits,
    planned refreshes; and from the store what the person had earned."""
    logs().forget(user_id)
    prepared_conversations.store.evict_user(user_id)
    for conversation_id in conversation_ids:
        prepared_conversations.store.evict(conversation_id)
    await warmcache.forget(f"user {user_id}", places=[place_of(each) for each in conversation_ids])


async def stop(reply: Message) -> None:
    """Closes the upstream call, in whatever process; the text so far is kept. Does nothing to an ended reply."""
    if stop_here(reply.pk) or reply.status != STREAMING:
        return
    await in_database_thread(rows.request_stop, reply.pk, now=timezone.now())
    await events.announce_stop(reply.owner, reply.pk)


def stop_here(reply_id: UUID) -> bool:
    """Stops the reply if this process writes it; returns whether it does."""
    run = _runs.get(reply_id)
    if run is not None:
        run.stop()
    return run is not None


def stop_in(conversation_id: UUID) -> None:
    """Closes the upstream call of a deleted conversation: nobody will read the rest."""
    for run in [run for run in _runs.values() if run.conversation_id == conversation_id]:
        run.stop()


async def interrupt_all() -> None:
    """At shutdown: ends every running reply as `interrupted`, with its text stored. Call it with a time limit."""
    for run in list(_runs.values()):
        run.stop(Cause.SHUTDOWN)
    await tasks.join()


async def close() -> None:
    """Cancels what is left and closes the logs. Call it with a time limit too."""
    global _logs
    await tasks.close()
    await _housekeepers.close()
    open_logs, _logs = _logs, None
    if open_logs is not None:
        await open_logs.aclose()
    prepared_conversations.store.clear()
