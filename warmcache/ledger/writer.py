"""Writes the ledger off the hot path: in order, bounded, retried while the database is down, flushed on close."""

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, TypeVar

from django.db import IntegrityError, InterfaceError, OperationalError

from warmcache.background.database import in_database_thread
from warmcache.core.errors import LedgerBehind, LedgerClosed
from warmcache.core.guards import Spent
from warmcache.core.intents import Intent
from warmcache.core.ports import Clock
from warmcache.core.reasons import Reason
from warmcache.ledger import rows
from warmcache.signals import skipped

logger = logging.getLogger(__name__)
T = TypeVar("T")

MAX_PENDING_WRITES = 5000
"""Queue limit while the database is down: some minutes of a busy process, a kilobyte or two each."""

MAX_SKIP_COUNTERS = 1000
SECONDS_PER_MINUTE = 60

FIRST_BACKOFF_SECONDS = 0.1
MAX_BACKOFF_SECONDS = 2.0

FLUSH_PATIENCE_SECONDS = 2.0
"""How long a flush waits for a database that does not answer."""

MAX_FAILURES_WHILE_UP = 10
"""Failures in a row of one write while the database answers others: the write itself is broken, and others wait."""

BEHIND = "The database does not answer; the ledger is written later."

DATABASE_FAILURES = (OperationalError, InterfaceError)
"""Down, locked, full, restarted: the same write may succeed later. Any other error is the write's own fault."""


@dataclass(slots=True, kw_only=True)
class _Write:
    """A queued write. Unless it `is_kept`, it is given up when the database fails: its caller retries it."""

    call: Callable[[], Any]
    done: asyncio.Future[Any] | None = None
    is_kept: bool = True
    tries: int = 0
    failures_while_up: int = 0


class Ledger:
    """One writer task per event loop performs the writes in the order in which they were posted.

    A failing database loses nothing while the queue has room: the write is retried, and the writes behind it wait, so
    that no row is finished before it is begun. Callers that wait for a result are not delayed by that."""

    def __init__(self, *, clock: Clock, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        self._clock = clock
        self._sleep = sleep
        self._queue: asyncio.Queue[_Write] = asyncio.Queue(MAX_PENDING_WRITES)
        self._skips: Counter[tuple[float, str, str, str]] = Counter()
        self._is_closed = False
        self._current: _Write | None = None
        self._caught_up = asyncio.Event()
        self._caught_up.set()
        self.dropped_writes = 0
        """Since the start: writes that found a full queue, that failed for good, or that were left at the end."""
        self._told_lost = 0

    @property
    def is_behind(self) -> bool:
        """Whether a write failed because of the database and is being retried; those behind it wait."""
        return not self._caught_up.is_set()

    @property
    def waiting_writes(self) -> int:
        return self._queue.qsize() + (self._current is not None)

    async def spent_on_warm_ups(self, subject: str, since: float, *, upstream: str, unknown_usd: Decimal) -> Spent:
        """What warm-ups have cost since this moment, by rows that are written already."""
        return await in_database_thread(rows.spent_since, subject, since, upstream=upstream, unknown_usd=unknown_usd)

    def post(self, write: Callable[[], Any]) -> None:
        """Queues a write and returns at once. If the queue is full, the write is dropped, counted and logged."""
        if self._is_closed:
            self._drop("is closed")
        elif self._queue.full():
            self._drop("has a full queue")
        else:
            self._queue.put_nowait(_Write(call=write))

    async def perform(self, write: Callable[[], T], *, is_kept: bool = False) -> T:
        """Queues a write behind the others and waits for its result; raises the write's exception.

        While the database is down `LedgerBehind` is raised at once. A write that `is_kept` is then done later, like a
        posted one; otherwise it is given up, and the caller may retry it.
        """
        if self._is_closed:
            raise LedgerClosed("The ledger is closed.")
        if self.is_behind:
            if is_kept:
                self.post(write)
            raise LedgerBehind(BEHIND)
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        try:
            await self._queue.put(_Write(call=write, done=done, is_kept=is_kept))
        except asyncio.CancelledError:
            if is_kept:
                self._drop("has a full queue")
            raise
        if self._is_closed:
            # There was no room before the ledger closed, and nobody reads the queue now: let the next waiter in.
            self.close()
        return await done

    def count_skip(self, *, label: str, intent: Intent, reason: Reason) -> None:
        """Counts in memory; the next `flush` writes the row."""
        skipped.send_robust(Ledger, label=label, intent=intent, reason=reason)
        key = (_minute(self._clock.now()), label, intent, reason)
        if key in self._skips or len(self._skips) < MAX_SKIP_COUNTERS:
            self._skips[key] += 1

    async def flush(self) -> bool:
        """Returns when everything posted or counted so far is in the database, and expired lines are settled.

        Returns False if the database does not answer within a short wait; nothing is lost by that.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FLUSH_PATIENCE_SECONDS):
                await self._caught_up.wait()
        if self.is_behind:
            return False
        skips, self._skips = self._skips, Counter()
        if skips:
            self.post(lambda: rows.add_skip_counts(skips))
        now = self._clock.now()
        lost = self.dropped_writes - self._told_lost
        if lost:
            self._told_lost += lost
            self.post(lambda: rows.add_lost_writes(_minute(now), lost))
        try:
            await self.perform(lambda: rows.sweep(now))
        except LedgerClosed:
            return True  # nothing is left that could be written
        except Exception:
            return False
        return True

    async def drain(self) -> None:
        """Flushes, however long the database is down. Set a time limit around it."""
        while not await self.flush():
            await self._sleep(FIRST_BACKOFF_SECONDS)

    async def write_forever(self) -> None:
        """The writer; runs as a task of the runtime until it is cancelled."""
        while True:
            self._current = await self._queue.get()
            try:
                await self._write(self._current)
            except asyncio.CancelledError:
                self._lose(self._current, LedgerClosed("The ledger was closed during this write."))
                raise
            finally:
                self._current = None
                self._caught_up.set()

    def close(self) -> None:
        """Gives up what is still queued and refuses later writes: nobody waits any longer."""
        self._is_closed = True
        while not self._queue.empty():
            self._lose(self._queue.get_nowait(), LedgerClosed("The ledger was closed before this write."))

    async def _write(self, write: _Write) -> None:
        """Returns when the write is done, or is given up."""
        while True:
            write.tries += 1
            try:
                result = await in_database_thread(write.call)
            except DATABASE_FAILURES as error:
                if not write.is_kept:
                    logger.error("The ledger cannot be written: %s", error)
                    _fail(write, error)
                    return
                write.failures_while_up = write.failures_while_up + 1 if await _is_up() else 0
                if write.failures_while_up >= MAX_FAILURES_WHILE_UP:
                    self._lose(write, error)
                    return
                await self._wait_for_database(write, error)
            except Exception as error:
                if isinstance(error, IntegrityError) and write.tries > 1:
                    return  # the earlier attempt succeeded, and only its answer was lost
                self._lose(write, error)
                return
            else:
                _end(write, result)
                return

    async def _wait_for_database(self, write: _Write, error: Exception) -> None:
        """Tells the waiting caller now; the write itself is not given up."""
        if not self.is_behind:
            logger.error("The ledger cannot be written, and is tried again until it can: %s", error)
        self._caught_up.clear()
        _fail(write, LedgerBehind(BEHIND))
        await self._sleep(min(MAX_BACKOFF_SECONDS, FIRST_BACKOFF_SECONDS * 2.0 ** min(write.tries - 1, 10)))

    def _lose(self, write: _Write, error: Exception) -> None:
        self.dropped_writes += 1
        if not isinstance(error, LedgerClosed):
            logger.error("A write to the ledger failed; %d dropped so far", self.dropped_writes, exc_info=error)
        _fail(write, error)

    def _drop(self, why: str) -> None:
        self.dropped_writes += 1
        logger.error("The ledger %s; %d writes dropped so far", why, self.dropped_writes)


def _minute(now: float) -> float:
    return now // SECONDS_PER_MINUTE * SECONDS_PER_MINUTE


async def _is_up() -> bool:
    try:
        await in_database_thread(rows.ping)
    except Exception:
        return False
    return True


def _end(write: _Write, result: Any) -> None:
    if write.done is not None and not write.done.done():
        write.done.set_result(result)


def _fail(write: _Write, error: Exception) -> None:
    if write.done is not None and not write.done.done():
        write.done.set_exception(error)
