"""The public API for code without an event loop: WSGI views, Celery tasks, management commands.

    attempt = prewarm_prefix(prompt, intent=Intent.TYPING, label="helpdesk", subject="user 7")
    with stream_response(prompt, turn, max_tokens=4096, label="helpdesk") as response:
        for event in response: ...

The same functions as in `warmcache.services`, with the same arguments. They run on one event loop in a background
thread, which the first call of a process starts and which owns connections, warm-ups in flight and the ledger. A forked
process gets its own; the interpreter flushes and closes it at exit, so nobody has to call `close`.
"""

import asyncio
import atexit
import contextlib
import functools
import os
import queue
import threading
from collections.abc import Callable, Coroutine, Iterator
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar

from warmcache import services
from warmcache.core.ports import StreamEvent
from warmcache.requests.ending import Result
from warmcache.requests.stream import ResponseStream

__all__ = [
    "BlockingStream",
    "cancel_refresh",
    "close",
    "consider_prefix",
    "finished",
    "flush",
    "holder_of",
    "outline",
    "prepare_prompt",
    "prewarm_prefix",
    "register_shared_layers",
    "run",
    "schedule_refresh",
    "start",
    "stream_response",
    "warm_now",
    "warmth_of",
]

P = ParamSpec("P")
T = TypeVar("T")

EVENTS_AHEAD = 256
"""How far a stream may run ahead of a slow reader."""

CLOSE_PATIENCE_SECONDS = 15.0


class _LoopThread:
    """An event loop that runs in a thread until `stop`."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.streams: set[BlockingStream] = set()
        # A daemon thread: the interpreter would wait for any other thread before it lets us close this one.
        self._thread = threading.Thread(target=self.loop.run_forever, name="warmcache", daemon=True)
        self._thread.start()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result()

    def call(self, function: Callable[[], object]) -> None:
        """Runs `function` soon in the loop; not at all once the loop is closed."""
        with contextlib.suppress(RuntimeError):
            self.loop.call_soon_threadsafe(function)

    def stop(self) -> None:
        ending = asyncio.run_coroutine_threadsafe(self._end(), self.loop)
        try:
            ending.result(CLOSE_PATIENCE_SECONDS)
        finally:
            self.loop.call_soon_threadsafe(self.loop.stop)
            self._thread.join(CLOSE_PATIENCE_SECONDS)
            if not self._thread.is_alive():
                self.loop.close()

    async def _end(self) -> None:
        streams = set(self.streams)
        for stream in streams:
            stream.stop()
        for stream in streams:
            await stream.wait()
        await services.close()


_lock = threading.Lock()
_current: _LoopThread | None = None
_left_to_the_parent: list[_LoopThread] = []
"""Used in a forked child: closing them here would affect the parent's selector."""


def _loop_thread() -> _LoopThread:
    """The loop thread of this process, started on first use."""
    global _current
    with _lock:
        if _current is None:
            _current = _LoopThread()
        return _current


def close() -> None:
    """Flushes the ledger, ends warm-ups in flight and closes connections. The next call of any function starts anew."""
    global _current
    with _lock:
        running, _current = _current, None
    if running is not None:
        running.stop()


def _after_fork() -> None:
    """Starts anew in a forked child: the thread stayed in the parent, and another thread there may hold the lock."""
    global _current, _lock
    _lock = threading.Lock()
    if _current is not None:
        _left_to_the_parent.append(_current)
        _current = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)

# `atexit` runs too late: by then no thread pool accepts work, and the last rows could not be written.
getattr(threading, "_register_atexit", atexit.register)(close)


def refuse_in_event_loop() -> None:
    """Raises `RuntimeError` in a thread with a running event loop: blocking there would block the whole loop."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise RuntimeError("warmcache.sync would block this event loop; use warmcache.services in async code.")


def _blocking(function: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, T]:
    """The same function for a thread without an event loop."""

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        refuse_in_event_loop()
        return _loop_thread().run(function(*args, **kwargs))

    return call


def _in_loop(function: Callable[P, T]) -> Callable[P, T]:
    """The same for a function that does not wait, but needs the loop's runtime."""

    @functools.wraps(function)
    async def call(*args: P.args, **kwargs: P.kwargs) -> T:
        return function(*args, **kwargs)

    return _blocking(call)


def run(function: Callable[P, Coroutine[Any, Any, T]], *args: P.args, **kwargs: P.kwargs) -> T:
    """Runs any async function of the API on this process's own loop."""
    return _blocking(function)(*args, **kwargs)


async def _finished(attempt: services.Attempt) -> services.Warmth:
    return await attempt.finished() if attempt.finished is not None else attempt.warmth


prewarm_prefix = _blocking(services.prewarm_prefix)
"""Decides, and starts the warm-up if it pays; returns without waiting for it."""

consider_prefix = _blocking(services.consider_prefix)
warmth_of = _blocking(services.warmth_of)
outline = _in_loop(services.outline)
flush = _blocking(services.flush)
warm_now = _blocking(services.warm_now)
schedule_refresh = _in_loop(services.schedule_refresh)
cancel_refresh = _in_loop(services.cancel_refresh)
register_shared_layers = services.register_shared_layers
prepare_prompt = services.prepare_prompt
holder_of = _blocking(services.holder_of)
start = _blocking(services.start)

finished = _blocking(_finished)
"""Waits for the end of an attempt's warm-up, ours or another caller's, and returns the warmth then."""


class BlockingStream:
    """One streamed request, as a context manager that is iterated once. See `warmcache.services.stream_response`.

    The request is sent when the iteration begins. Leaving the context, at its end or before, closes the upstream
    connection and writes the ledger; afterwards `result` is available.
    """

    def __init__(self, make: Callable[[], ResponseStream]) -> None:
        self._make = make
        self._events: queue.SimpleQueue[StreamEvent | None] = queue.SimpleQueue()
        """None always comes last."""
        self._room = asyncio.Semaphore(EVENTS_AHEAD)
        self._stream: ResponseStream | None = None
        self._runner: _LoopThread | None = None
        self._task: asyncio.Task[None] | None = None
        self._is_reading = True
        """False once only the writing of its row is left, which must not be cancelled."""
        self._is_over = False

    @property
    def result(self) -> Result | None:
        return self._stream.result if self._stream is not None else None

    def __enter__(self) -> Self:
        refuse_in_event_loop()
        return self

    def __iter__(self) -> Iterator[StreamEvent]:
        refuse_in_event_loop()
        if self._runner is not None:
            raise RuntimeError("A response can be iterated once.")
        self._runner = _loop_thread()
        task = self._runner.run(self._begin(self._runner.streams))
        while (event := self._events.get()) is not None:
            yield event
            self._runner.call(self._room.release)
        self._is_over = True
        if task.cancelled():
            raise RuntimeError("warmcache.sync was closed during this response.")
        task.result()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._runner is None or self._is_over:
            return
        self._runner.call(self.stop)
        while self._events.get() is not None:
            pass
        self._is_over = True

    async def _begin(self, streams: "set[BlockingStream]") -> asyncio.Task[None]:
        task = self._task = asyncio.get_running_loop().create_task(self._pump(), name="warmcache.sync: response")
        streams.add(self)
        task.add_done_callback(lambda _: streams.discard(self))
        task.add_done_callback(self._end)
        return task

    async def _pump(self) -> None:
        async with self._make() as self._stream:
            try:
                async for event in self._stream:
                    await self._room.acquire()
                    self._events.put(event)
            finally:
                self._is_reading = False

    def stop(self) -> None:
        """Ends the upstream call, if it still runs; its row is written in either case. Call it only in the loop."""
        if self._task is not None and self._is_reading:
            self._task.cancel()

    async def wait(self) -> None:
        """Call it only in the loop."""
        if self._task is not None:
            await asyncio.wait([self._task])

    def _end(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled():
            task.exception()  # marks the exception as retrieved, even if the reader has left
        self._events.put(None)


def _streaming(function: Callable[P, ResponseStream]) -> Callable[P, BlockingStream]:
    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> BlockingStream:
        return BlockingStream(lambda: function(*args, **kwargs))

    return call


stream_response = _streaming(services.stream_response)
"""The real request; see `BlockingStream`."""
