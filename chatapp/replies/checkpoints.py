"""How much of a running reply its row has: so much at least that a crash costs no more than a second or 2 KiB."""

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
    """Of one reply. `on_lost` is called where the row is gone or somebody else's: nobody will read the rest."""

    def __init__(self, claim: Claim, writer: ReplyWriter, *, on_lost: Callable[[], None]) -> None:
        self._claim = claim
        self._writer = writer
        self._on_lost = on_lost
        self._tasks = TaskOwner(f"reply {claim.reply_id}")
        self._timer: asyncio.TimerHandle | None = None
        self._stored_bytes = 0

    def note(self) -> None:
        """The writer may have taken more. By a timer, so that text before a silence is stored in time too."""
        new_bytes = self._writer.bytes_received - self._stored_bytes
        if new_bytes >= CHECKPOINT_BYTES and not len(self._tasks):
            self._store()
        elif new_bytes and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(CHECKPOINT_SECONDS, self._store)

    def end(self) -> None:
        """No more of them: the end of the reply is stored next."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    async def close(self) -> None:
        """Waits for the one under way, which the end of the row makes harmless, though not for long."""
        self.end()
        await self._tasks.join(timeout_seconds=CHECKPOINT_SECONDS)

    def _store(self) -> None:
        self.end()
        if len(self._tasks):
            # One at a time, or the older text might win; the next is due as soon as before.
            self.note()
            return
        # What is stored ends with a frame, so that a reader can go on from there.
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
