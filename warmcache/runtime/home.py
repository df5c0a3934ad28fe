"""Where a process's runtime lives: a server's event loop, or one in a background thread for code without a lasting one.

That is synchronous code, and an async view under WSGI: asgiref makes a loop for one request, which would take every
warm-up, the ledger's queue and the connections with it when the request ends.
"""

import asyncio
import atexit
import contextlib
import os
import threading
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Protocol, TypeVar

from asgiref.sync import AsyncToSync

from warmcache.runtime import wiring as runtimes

T = TypeVar("T")

CLOSE_PATIENCE_SECONDS = 15.0


class Stoppable(Protocol):
    """A response that is read on the loop for a reader elsewhere. Both methods are called in the loop."""

    def stop(self) -> None: ...

    async def wait(self) -> None: ...


class LoopThread:
    """An event loop that runs in a thread until `stop`."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        # A daemon thread: the interpreter would wait for any other thread before it lets us close this one.
        self._thread = threading.Thread(target=self.loop.run_forever, name="warmcache", daemon=True)
        self._thread.start()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result()

    def stop(self) -> None:
        ending = asyncio.run_coroutine_threadsafe(_end(), self.loop)
        try:
            ending.result(CLOSE_PATIENCE_SECONDS)
        finally:
            self.loop.call_soon_threadsafe(self.loop.stop)
            self._thread.join(CLOSE_PATIENCE_SECONDS)
            if not self._thread.is_alive():
                self.loop.close()


async def _end() -> None:
    being_read = _being_read.pop(asyncio.get_running_loop(), set())
    for each in set(being_read):
        each.stop()
    for each in set(being_read):
        await each.wait()
    await runtimes.close_runtime()


_being_read: dict[asyncio.AbstractEventLoop, set[Stoppable]] = {}


def own(stoppable: Stoppable, task: "asyncio.Task[None]") -> None:
    """Ends the work of `task` with the running loop's thread, if that ends first."""
    being_read = _being_read.setdefault(asyncio.get_running_loop(), set())
    being_read.add(stoppable)
    task.add_done_callback(lambda _: being_read.discard(stoppable))


_lock = threading.Lock()
_current: LoopThread | None = None
_left_to_the_parent: list[LoopThread] = []
"""Used in a forked child: closing them here would affect the parent's selector."""


def loop_thread() -> LoopThread:
    """The loop thread of this process, started on first use."""
    global _current
    with _lock:
        if _current is None:
            _current = LoopThread()
        return _current


def close_loop_thread() -> None:
    """Flushes the ledger, ends warm-ups in flight and closes connections. The next use starts anew."""
    global _current
    with _lock:
        running, _current = _current, None
    if running is not None:
        running.stop()


def _after_fork() -> None:
    """Starts anew in a forked child: the thread stayed in the parent, and another thread there may hold the lock."""
    global _current, _lock
    _lock = threading.Lock()
    _being_read.clear()
    if _current is not None:
        _left_to_the_parent.append(_current)
        _current = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)

# `atexit` runs too late: by then no thread pool accepts work, and the last rows could not be written.
getattr(threading, "_register_atexit", atexit.register)(close_loop_thread)


def home_loop() -> asyncio.AbstractEventLoop:
    """The loop that an async server has adopted, otherwise that of the background thread."""
    return runtimes.adopted_loop() or loop_thread().loop


def is_passing() -> bool:
    """Whether the running loop was made for one call of `async_to_sync` and ends with it. One that somebody has given
    a runtime, as tests do, counts as lasting."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return False
    return loop in AsyncToSync.loop_thread_executors and not runtimes.has_runtime(loop)


async def at_home(awaitable: Awaitable[T]) -> T:
    """The result of what runs on the home loop. Cancelling the caller cancels it too."""

    async def call() -> T:
        return await awaitable

    return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(call(), home_loop()))


def briefly_at_home(function: Callable[[], T]) -> T:
    """The result of a function that does not wait. The caller's loop waits: it has one request to serve, this one."""

    async def call() -> T:
        return function()

    return asyncio.run_coroutine_threadsafe(call(), home_loop()).result()


def call_soon_at(loop: asyncio.AbstractEventLoop, function: Callable[[], object]) -> None:
    """Runs `function` soon in `loop`; not at all once that is closed."""
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(function)
