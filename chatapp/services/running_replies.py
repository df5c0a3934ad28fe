"""The replies that this process writes: their launch, the way to each of them, their end with the process.

And the way to the logs of all replies, whoever writes them.
"""

import asyncio
from collections.abc import Awaitable, Callable
from uuid import UUID

from django.conf import settings
from django.utils import timezone

from chatapp import events
from chatapp.models import Message
from chatapp.protocol import ReplyFinished
from chatapp.services import reply_rows, stop_requests
from chatapp.services.redis_reply_logs import RedisReplyLogs
from chatapp.services.reply_logs import MemoryReplyLogs, ReplyLogs
from chatapp.services.reply_run import ReplyRun
from chatapp.services.reply_states import Cause
from chatapp.services.reply_watch import ReplyWatch
from warmcache.database import in_database_thread
from warmcache.tasks import TaskOwner

SHUTDOWN_PATIENCE_SECONDS = 5.0

tasks = TaskOwner("replies")
"""Everything that must be done before the process may end: runs, and messages on their way into the database."""

_housekeepers = TaskOwner("replies")
_runs: dict[UUID, ReplyRun] = {}
_logs: ReplyLogs | None = None


def logs() -> ReplyLogs:
    """The logs that this process can reach: through Redis where there is one."""
    global _logs
    if _logs is None:
        _logs = RedisReplyLogs(settings.REDIS_URL) if settings.REDIS_URL else MemoryReplyLogs()
    return _logs


async def begin(
    *, before_told: Callable[[Message], Awaitable[None]], after_end: Callable[[Message], Awaitable[None]]
) -> None:
    """At the start of a server: from now on this process says that it lives, and looks after the replies of those
    that do not. Both are called for each reply that it ended for a dead owner, as in `launch`."""
    watch = ReplyWatch(
        written=_runs,
        logs=logs(),
        before_told=before_told,
        after_end=after_end,
        lease_seconds=settings.REPLY_LEASE_SECONDS,
    )
    if not settings.REDIS_URL:
        await watch.end_all()
    _housekeepers.spawn(watch.look_forever(), name="watch")
    _housekeepers.spawn(stop_requests.listen_forever(reply_rows.PROCESS, stop_here), name="stop requests")


def launch(
    reply: Message,
    *,
    received_at: float,
    while_written: Callable[[ReplyRun], Awaitable[None]],
    before_told: Callable[[ReplyFinished], Awaitable[None]],
    after_end: Callable[[ReplyRun], Awaitable[None]],
) -> None:
    """Begins to write a reply whose row is committed.

    `before_told` is called when its end is stored and nobody has heard of it, `after_end` when everybody may have.
    """
    run = ReplyRun(reply, received_at=received_at, before_told=before_told)
    _runs[reply.pk] = run
    logs().publish(run.log)
    tasks.spawn(_run(run, while_written, after_end), name=f"reply {reply.pk}")


async def _run(
    run: ReplyRun,
    while_written: Callable[[ReplyRun], Awaitable[None]],
    after_end: Callable[[ReplyRun], Awaitable[None]],
) -> None:
    writing = asyncio.get_running_loop().create_task(run.run(), name=f"writing {run.reply_id}")
    try:
        await while_written(run)
        await writing
    finally:
        writing.cancel()
        await asyncio.wait({writing})
        del _runs[run.reply_id]
        await after_end(run)


def is_written_here(reply_id: UUID) -> bool:
    """Whether this process is writing that reply."""
    return reply_id in _runs


def count() -> int:
    """How many replies are being written here."""
    return len(_runs)


def is_writing_in(conversation_id: UUID) -> bool:
    """Whether this process is writing a reply there."""
    return any(run.conversation_id == conversation_id for run in _runs.values())


async def stop(reply: Message) -> None:
    """Closes the upstream call, in whatever process; the text so far is kept. An ended reply is left as it is."""
    if stop_here(reply.pk) or reply.status != Message.Status.STREAMING:
        return
    await in_database_thread(reply_rows.request_stop, reply.pk, now=timezone.now())
    await events.announce_stop(reply.owner, reply.pk)


def stop_here(reply_id: UUID) -> bool:
    """Whether this process writes it, and so has stopped it."""
    run = _runs.get(reply_id)
    if run is not None:
        run.stop()
    return run is not None


def stop_in(conversation_id: UUID) -> None:
    """Closes the upstream call of a conversation that was deleted: nobody will read the rest."""
    for run in [run for run in _runs.values() if run.conversation_id == conversation_id]:
        run.stop()


async def interrupt_all() -> None:
    """At shutdown: every running reply ends as `interrupted`, with its text stored."""
    global _logs
    for run in list(_runs.values()):
        run.stop(Cause.SHUTDOWN)
    await tasks.join(timeout_seconds=SHUTDOWN_PATIENCE_SECONDS)
    await tasks.close()
    await _housekeepers.close()
    open_logs, _logs = _logs, None
    if open_logs is not None:
        await open_logs.aclose()


def is_written(conversation_id: UUID) -> bool:
    """Whether a reply is being written there, by whomever. In a database thread."""
    return reply_rows.is_streaming_in(conversation_id)
