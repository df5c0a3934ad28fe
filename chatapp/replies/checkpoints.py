"""Stores a running reply in its row from time to time, so that a crash loses at most a second or 2 KiB of text."""

import asyncio
import logging
from collections.abc import Callable

from django.utils import timezone

from chatapp.replies import rows
from chatapp.replies.patient_writes import DATABASE_TROUBLE
from chatapp.replies.rows import Claim
from chatapp.replies.writer import ReplyWriter
from warmcache.background.database import in_database_thread
from warmcache.background.tasks import TaskOwner

logger = logging.getLogger(__name__)

CHECKPOINT_SECONDS = 1.0
CHECKPOINT_BYTES = 2048


class Checkpoints:
    """The checkpoints of one reply. `on_lost` is called if the row is gone or has another owner."""

    def __init__(self, claim: Claim, writer: ReplyWriter, *, on_lost: Callable[[], None]) -> None:
        self._claim = claim
        self._writer = writer
        self._on_lost = on_lost
        self._tasks = TaskOwner(f"reply {claim.reply_id}")
        self._timer: asyncio.TimerHandle | None = None
        self._stored_bytes = 0

    def note(self) -> None:
        """The writer may have more text. A timer stores it, so that text before a pause is stored in time too."""
        new_bytes = self._writer.bytes_received - self._stored_bytes
        if new_bytes >= CHECKPOINT_BYTES and not len(self._tasks):
            self._store()
        elif new_bytes and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(CHECKPOINT_SECONDS, self._store)

    def end(self) -> None:
        """Makes no more checkpoints: the end of the reply is stored next."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    async def close(self) -> None:
        """Waits a short time for a running checkpoint; a later one is harmless, because the row then has its end."""
        self.end()
        await self._tasks.join(timeout_seconds=CHECKPOINT_SECONDS)

    def _store(self) -> None:
        self.end()
        if len(self._tasks):
            # One at a time, or an older text might win; the next one is due after the usual time.
            self.note()
            return
        # Stored text must end where a frame ends, so that a reader can continue from there.
        self._writer.flush()
        before, self._stored_bytes = self._stored_bytes, self._writer.bytes_received
        self._tasks.spawn(self._write(self._writer.content_columns(), bytes_before=before), name="checkpoint")

    async def _write(self, columns: dict[str, object], *, bytes_before: int) -> None:
        try:
            is_ours = await in_database_thread(rows.checkpoint, self._claim, columns, now=timezone.now())
        except DATABASE_TROUBLE as error:
            logger.warning("Reply %s goes on, its text is stored later: %s", self._claim.reply_id, error)
            self._stored_bytes = bytes_before
            return
        if not is_ours:
            self._on_lost()
