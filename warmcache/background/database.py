"""The one way from async code to the ORM: a bounded number of our own threads, each with persistent connections.

`sync_to_async` would run every query of a process on one shared thread, where a slow query delays all sockets. A hop
here costs about a third of one to a `ThreadPoolExecutor`. A connection is closed after an error and checked after idle
time, not before each call; a transaction that a call leaves open is rolled back.
"""

import asyncio
import atexit
import contextlib
import contextvars
import functools
import logging
import os
import select
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Any, ParamSpec, TypeVar

from django.db import DEFAULT_DB_ALIAS, connection, connections
from django.db.backends.base.base import BaseDatabaseWrapper

logger = logging.getLogger(__name__)
P = ParamSpec("P")
T = TypeVar("T")

DATABASE_THREADS = 8
"""Fewer than the default PostgreSQL pool's 10 connections, so that views always find one."""

SQLITE_THREADS = 4
"""SQLite has one writer at a time, and waiting writers sleep and poll: a queue is faster."""

SILENCE_SECONDS = 30.0
"""After this idle time a connection is checked, so that a server that vanished silently does not fail a call."""

CLOSE_PATIENCE_SECONDS = 5.0


async def in_database_thread(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Runs a synchronous function that uses the ORM, outside the event loop. If the caller is cancelled after the
    function began, the function still runs to its end."""
    return await begun_in_database_thread(function, *args, **kwargs)


def begun_in_database_thread(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> "asyncio.Future[T]":
    """The same, begun now: for a caller that leaves the waiting to a task, which runs only in the loop's next round."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()
    bound = functools.partial(function, *args, **kwargs) if args or kwargs else function
    _threads.submit(_Call(function=bound, context=contextvars.copy_context(), loop=loop, done=done))
    return done


def ping(alias: str = DEFAULT_DB_ALIAS) -> None:
    """Raises an error if the database does not answer."""
    with connections[alias].cursor() as cursor:
        cursor.execute("SELECT 1")


@dataclass(slots=True, kw_only=True)
class _Call:
    function: Callable[[], Any]
    context: contextvars.Context
    loop: asyncio.AbstractEventLoop
    done: asyncio.Future[Any]
    result: Any = None
    error: BaseException | None = None

    def run(self, kept: "_KeptConnections") -> None:
        if self.done.cancelled():
            return
        try:
            kept.check()
            self.result = self.context.run(self.function)
        except BaseException as error:  # noqa: BLE001 - it belongs to whoever waits
            self.error = error
        try:
            kept.tidy()
        except Exception:  # the result is valid, and the thread goes on
            logger.exception("A connection to the database could not be closed")

    def tell(self) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed, and nobody waits
            self.loop.call_soon_threadsafe(self._end)

    def _end(self) -> None:
        if self.done.done():
            return
        if self.error is not None:
            self.done.set_exception(self.error)
        else:
            self.done.set_result(self.result)


class _KeptConnections:
    """The connections of one thread."""

    def __init__(self) -> None:
        self._all: Sequence[BaseDatabaseWrapper] = []
        self._used_at = 0.0

    def check(self) -> None:
        """Before a call: closes connections that the server has closed, or may have closed during idle time."""
        was_silent = time.monotonic() - self._used_at > SILENCE_SECONDS
        for kept in self._all:
            if kept.connection is not None and (was_silent or _is_readable(kept)) and not kept.is_usable():
                kept.close()

    def tidy(self) -> None:
        """After a call: closes a connection that had an error or is left in a transaction."""
        self._all = connections.all(initialized_only=True)
        self._used_at = time.monotonic()
        for kept in self._all:
            is_left_open = kept.autocommit != kept.settings_dict["AUTOCOMMIT"]
            if kept.connection is not None and (kept.errors_occurred or is_left_open):
                kept.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class ThreadLoad:
    """How many database threads work, how many there may be, and how many calls wait for one."""

    busy: int
    most: int
    waiting: int


@dataclass(eq=False, slots=True)
class _Worker:
    inbox: SimpleQueue[_Call | None] = field(default_factory=SimpleQueue)
    """None ends the worker."""
    thread: threading.Thread | None = None
    kept: _KeptConnections = field(default_factory=_KeptConnections)


class DatabaseThreads:
    """Takes calls from any event loop. The thread that became idle last takes the next call, so that a quiet process
    needs few threads and few connections."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._workers: list[_Worker] = []
        self._resting: list[_Worker] = []
        self._waiting: deque[_Call] = deque()
        self._is_closed = False

    def submit(self, call: _Call) -> None:
        with self._lock:
            if self._is_closed:
                raise RuntimeError("The database threads have ended with their process.")
            if self._resting:
                worker = self._resting.pop()
            elif len(self._workers) < most_threads():
                worker = self._hire()
            else:
                self._waiting.append(call)
                return
        worker.inbox.put(call)

    def load(self) -> ThreadLoad:
        with self._lock:
            busy = len(self._workers) - len(self._resting)
            return ThreadLoad(busy=busy, most=most_threads(), waiting=len(self._waiting))

    def close(self) -> None:
        """Finishes waiting calls, then ends the threads, which close their connections."""
        with self._lock:
            self._is_closed = True
            resting, self._resting = self._resting, []
        for worker in resting:
            worker.inbox.put(None)
        for worker in self._workers:
            if worker.thread is not None:
                worker.thread.join(CLOSE_PATIENCE_SECONDS)

    def _hire(self) -> _Worker:
        worker = _Worker()
        self._workers.append(worker)
        name = f"database {len(self._workers)}"
        worker.thread = threading.Thread(target=self._work, args=(worker,), name=name, daemon=True)
        worker.thread.start()
        return worker

    def _work(self, worker: _Worker) -> None:
        call = worker.inbox.get()
        while call is not None:
            call = self._do(call, worker) or worker.inbox.get()
        connections.close_all()

    def _do(self, call: _Call, worker: _Worker) -> _Call | None:
        """Returns the call that has waited longest, if there is one. The result is delivered only after this worker is
        free, so that a caller who asks again at once gets this same thread."""
        call.run(worker.kept)
        with self._lock:
            following = self._waiting.popleft() if self._waiting else None
            if following is None and self._is_closed:
                worker.inbox.put(None)
            elif following is None:
                self._resting.append(worker)
        call.tell()
        return following


def most_threads() -> int:
    return SQLITE_THREADS if connection.vendor == "sqlite" else DATABASE_THREADS


def _is_readable(kept: BaseDatabaseWrapper) -> bool:
    """Whether the server has sent something unrequested: most likely that it closes the connection."""
    fileno = getattr(kept.connection, "fileno", None)
    if fileno is None:
        return False
    try:
        poll = select.poll()
        poll.register(fileno(), select.POLLIN)
        return bool(poll.poll(0))
    except Exception:  # the driver's own error: the connection is closed already
        return True


_threads = DatabaseThreads()
_left_to_the_parent: list[DatabaseThreads] = []
"""Used in a forked child: closing the parent's connections here would affect the parent."""


def _after_fork() -> None:
    """Starts anew in a forked child: the threads stayed in the parent."""
    global _threads
    _left_to_the_parent.append(_threads)
    _threads = DatabaseThreads()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def thread_load() -> ThreadLoad:
    """Of this process, now."""
    return _threads.load()


def close_database_threads() -> None:
    """Ends the threads and closes their connections. The interpreter does this at its own end. A process that ends
    without it must call this, or SQLite leaves the newest rows beside its file, where a copy of the file misses
    them."""
    _threads.close()


# `atexit` runs too late: by then the interpreter has already ended some of what a thread needs.
getattr(threading, "_register_atexit", atexit.register)(close_database_threads)
