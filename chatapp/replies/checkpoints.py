"""Stores running replies in their rows from time to time, so that a crash loses at most a second or 2 KiB of text.

The replies that are due together are stored together: a thread and a commit cost more than the rows.
"""

import asyncio
import logging
import weakref
from collections.abc import Callable, Mapping, Sequence
from uuid import UUID

from django.utils import timezone

from chatapp.replies import rows
from chatapp.replies.patient_writes import DATABASE_TROUBLE
from chatapp.replies.rows import Claim, Progress
from chatapp.replies.writer import ReplyWriter
from warmcache.background.database import in_database_thread
from warmcache.background.tasks import TaskOwner

logger = logging.getLogger(__name__)

CHECKPOINT_SECONDS = 1.0
CHECKPOINT_BYTES = 2048
MOST_TOGETHER = 25
"""Rows of one transaction. Messages wait for it on SQLite, which has one writer at a time."""


class Checkpoints:
    """The checkpoints of one reply. `on_lost` is called if the row is gone or has another owner."""

    def __init__(self, claim: Claim, writer: ReplyWriter, *, on_lost: Callable[[], None]) -> None:
        self.reply_id = claim.reply_id
        self.on_lost = on_lost
        self._claim = claim
        self._writer = writer
        self._rounds = _rounds_here()
        self._stored_bytes = 0
        self._bytes_before = 0
        self.has_ended = False

    def note(self) -> None:
        """The writer may have more text. A timer stores it, so that text before a pause is stored in time too."""
        new_bytes = self._writer.bytes_received - self._stored_bytes
        if new_bytes and not self.has_ended:
            self._rounds.add(self, is_urgent=new_bytes >= CHECKPOINT_BYTES)

    def end(self) -> None:
        """Makes no more checkpoints: the end of the reply is stored next."""
        self.has_ended = True
        self._rounds.drop(self)

    async def close(self) -> None:
        """Waits a short time for a running checkpoint; a later one is harmless, because the row then has its end."""
        self.end()
        await self._rounds.join(self)

    def progress(self) -> Progress:
        """What is stored now."""
        self._bytes_before, self._stored_bytes = self._stored_bytes, self._writer.bytes_received
        return Progress(claim=self._claim, columns=self._writer.content_columns())

    def failed(self) -> None:
        """What was to be stored is still due."""
        self._stored_bytes = self._bytes_before
        self.note()


class _Rounds:
    """The rounds in which one event loop stores its replies: one each second if there is something to store, and one at
    once for those with much new text. One at a time, or an older text might win."""

    def __init__(self) -> None:
        self._tasks = TaskOwner("checkpoints")
        self._due: dict[Checkpoints, bool] = {}
        """Whether it is urgent."""
        self._stored: Sequence[Checkpoints] = ()
        self._timer: asyncio.TimerHandle | None = None
        self._is_time = False
        self._is_running = False

    def add(self, reply: Checkpoints, *, is_urgent: bool) -> None:
        self._due[reply] = is_urgent or self._due.get(reply, False)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(CHECKPOINT_SECONDS, self._time_is_up)
        if is_urgent:
            self._begin()

    def drop(self, reply: Checkpoints) -> None:
        self._due.pop(reply, None)
        if not self._due and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    async def join(self, reply: Checkpoints) -> None:
        if reply in self._stored:
            await self._tasks.join(timeout_seconds=CHECKPOINT_SECONDS)

    def _time_is_up(self) -> None:
        self._timer, self._is_time = None, True
        self._begin()

    def _begin(self) -> None:
        if not self._is_running:
            self._is_running = True
            self._tasks.spawn(self._run(), name="round")

    async def _run(self) -> None:
        try:
            while due := self._take():
                for start in range(0, len(due), MOST_TOGETHER):
                    self._stored = [reply for reply in due[start : start + MOST_TOGETHER] if not reply.has_ended]
                    await self._store(self._stored)
        finally:
            # Not when the task is done, which is later: what is added in between would wait for the next second.
            self._is_running, self._stored = False, ()

    def _take(self) -> list[Checkpoints]:
        takes_all, self._is_time = self._is_time, False
        taken = [reply for reply, is_urgent in self._due.items() if takes_all or is_urgent]
        for reply in taken:
            self.drop(reply)
        return taken

    async def _store(self, replies: Sequence[Checkpoints]) -> None:
        progress = [reply.progress() for reply in replies]
        outcomes: Mapping[UUID, bool | Exception]
        try:
            outcomes = await in_database_thread(rows.checkpoint_all, progress, now=timezone.now())
        except DATABASE_TROUBLE as error:
            outcomes = dict.fromkeys([reply.reply_id for reply in replies], error)
        for reply in replies:
            outcome = outcomes[reply.reply_id]
            if isinstance(outcome, Exception):
                logger.warning("Reply %s goes on, its text is stored later: %s", reply.reply_id, outcome)
                reply.failed()
            elif not outcome:
                reply.on_lost()


_by_loop: "weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Rounds]" = weakref.WeakKeyDictionary()


def _rounds_here() -> _Rounds:
    loop = asyncio.get_running_loop()
    if loop not in _by_loop:
        _by_loop[loop] = _Rounds()
    return _by_loop[loop]
