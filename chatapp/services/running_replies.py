"""The replies that this process writes: their launch, the way to each of them, their end with the process."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.utils import timezone

from chatapp.models import Message
from chatapp.services.reply_run import RESTARTED, ReplyRun
from warmcache.database import in_database_thread
from warmcache.tasks import TaskOwner

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

tasks = TaskOwner("replies")
"""Everything that must be done before the process may end: runs, and messages on their way into the database."""

_runs: dict[UUID, ReplyRun] = {}
_ended: OrderedDict[UUID, ReplyRun] = OrderedDict()


def launch(
    reply: Message,
    *,
    received_at: float,
    while_written: Callable[[ReplyRun], Awaitable[None]],
    after_end: Callable[[ReplyRun], Awaitable[None]],
) -> None:
    """Begins to write a reply whose row is committed. `after_end` is called once its row has its end."""
    run = ReplyRun(reply, received_at=received_at)
    _runs[reply.pk] = run
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
        _ended[run.reply_id] = run
        while len(_ended) > MAX_ENDED_RUNS:
            _ended.popitem(last=False)
        await after_end(run)


def running(reply_id: UUID) -> ReplyRun | None:
    """The run of a reply that this process owns."""
    return _runs.get(reply_id)


def run_of(reply_id: UUID) -> ReplyRun | None:
    """The run of a reply that is being written here, or was a moment ago."""
    return _runs.get(reply_id) or _ended.get(reply_id)


def is_writing_in(conversation_id: UUID) -> bool:
    """Whether this process is writing a reply there."""
    return any(run.conversation_id == conversation_id for run in _runs.values())


async def stop(reply: Message) -> None:
    """Closes the upstream call; the text so far is kept. An ended reply is left as it is."""
    run = _runs.get(reply.pk)
    if run is not None:
        run.stop()
    else:
        await in_database_thread(_end_abandoned, reply)


def stop_in(conversation_id: UUID) -> None:
    """Closes the upstream call of a conversation that was deleted: nobody will read the rest."""
    for run in [run for run in _runs.values() if run.conversation_id == conversation_id]:
        run.stop()


async def interrupt_all() -> None:
    """At shutdown: every running reply ends as `interrupted`, with its text stored."""
    for run in list(_runs.values()):
        run.stop("interrupted")
    await tasks.join(timeout_seconds=SHUTDOWN_PATIENCE_SECONDS)
    await tasks.close()


# Rows that nobody writes any more. Called in a database thread.


def interrupt_orphans() -> int:
    """Ends the replies that a process left behind when it died. Only for a server that is the only process."""
    return Message.objects.filter(status=Message.Status.STREAMING).update(finished_at=timezone.now(), **ABANDONED)


def is_written(conversation_id: UUID) -> bool:
    """Whether a reply is being written there. A row that nobody writes any more ends here, and locks nothing."""
    streaming = Message.objects.filter(conversation=conversation_id, status=Message.Status.STREAMING)
    rows = list(streaming.values_list("pk", "created_at"))
    abandoned = [pk for pk, created_at in rows if _is_abandoned(pk, created_at)]
    if abandoned:
        streaming.filter(pk__in=abandoned).update(**ABANDONED)
    return len(abandoned) < len(rows)


def _is_abandoned(reply_id: UUID, created_at: datetime) -> bool:
    """No other process could be writing it, or none could for so long. A row is committed just before its run."""
    if reply_id in _runs:
        return False
    return timezone.now() - created_at > (LONGEST_REPLY if settings.REDIS_URL else LONGEST_LAUNCH)


def _end_abandoned(reply: Message) -> None:
    if reply.status == Message.Status.STREAMING and _is_abandoned(reply.pk, reply.created_at):
        Message.objects.filter(pk=reply.pk, status=Message.Status.STREAMING).update(**ABANDONED)
