"""Writes the ledger off the hot path: in order, bounded, flushed on close."""

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Callable
from typing import Any, TypeVar

from warmcache import records
from warmcache.core.errors import LedgerClosed
from warmcache.core.ports import Clock
from warmcache.database import in_database_thread

logger = logging.getLogger(__name__)
T = TypeVar("T")

MAX_PENDING_WRITES = 1000
MAX_SKIP_COUNTERS = 1000
SECONDS_PER_MINUTE = 60


class Ledger:
    """One writer task per event loop takes the writes in the order in which they were posted."""

    def __init__(self, *, clock: Clock) -> None:
        self._clock = clock
        self._queue: asyncio.Queue[tuple[Callable[[], Any], asyncio.Future[Any] | None]] = asyncio.Queue(
            MAX_PENDING_WRITES
        )
        self._skips: Counter[tuple[float, str, str, str]] = Counter()
        self._is_closed = False
        self.dropped_writes = 0

    def post(self, write: Callable[[], Any]) -> None:
        """Queues a write and returns at once. With a full queue it is dropped, counted and logged."""
        if self._is_closed or self._queue.full():
            self.dropped_writes += 1
            why = "is closed" if self._is_closed else "has a full queue"
            logger.error("The ledger %s; %d writes dropped so far", why, self.dropped_writes)
            return
        self._queue.put_nowait((write, None))

    async def perform(self, write: Callable[[], T]) -> T:
        """Queues a write behind the others and waits for its result; its exception is raised here."""
        if self._is_closed:
            raise LedgerClosed("The ledger is closed.")
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        await self._queue.put((write, done))
        if self._is_closed:
            # There was no room before the end, and nobody reads the queue after it: make room for the next in line.
            self.close()
        return await done

    def count_skip(self, *, label: str, intent: str, reason: str) -> None:
        """Counts in memory; the row is written by the next `flush`."""
        minute = self._clock.now() // SECONDS_PER_MINUTE * SECONDS_PER_MINUTE
        key = (minute, label, intent, reason)
        if key in self._skips or len(self._skips) < MAX_SKIP_COUNTERS:
            self._skips[key] += 1

    async def flush(self) -> None:
        """Returns when everything posted or counted so far is in the database, and what time has ended is settled."""
        skips, self._skips = self._skips, Counter()
        if skips:
            self.post(lambda: records.add_skip_counts(skips))
        now = self._clock.now()
        with contextlib.suppress(Exception):  # logged by the writer
            await self.perform(lambda: records.sweep(now))

    async def write_forever(self) -> None:
        """The writer; runs as a task of the runtime until it is cancelled."""
        while True:
            write, done = await self._queue.get()
            try:
                result = await in_database_thread(write)
            except asyncio.CancelledError:
                _end(done, LedgerClosed("The ledger was closed during this write."))
                raise
            except Exception as error:
                logger.exception("A write to the ledger failed")
                _end(done, error)
            else:
                if done is not None and not done.done():
                    done.set_result(result)

    def close(self) -> None:
        """Nobody waits any longer: what is still queued is given up, and later writes are refused."""
        self._is_closed = True
        while not self._queue.empty():
            _, done = self._queue.get_nowait()
            self.dropped_writes += 1
            _end(done, LedgerClosed("The ledger was closed before this write."))


def _end(done: asyncio.Future[Any] | None, error: Exception) -> None:
    if done is not None and not done.done():
        done.set_exception(error)
