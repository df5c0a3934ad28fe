"""The public API for code without an event loop: WSGI views, Celery tasks, management commands.

    attempt = prewarm_prefix(prompt, intent=Intent.TYPING, label="helpdesk", subject="user 7")
    with stream_response(prompt, turn, max_tokens=4096, label="helpdesk") as response:
        for event in response: ...

The same functions as in `warmcache.services`, with the same arguments. They run on one event loop in a background
thread, which the first call of a process starts and which owns connections, warm-ups in flight and the ledger. A forked
process gets its own; the interpreter flushes and closes it at exit, so nobody has to call `close`.
"""

import asyncio
import functools
import queue
from collections.abc import Callable, Coroutine, Iterator, Sequence
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar

from warmcache import services
from warmcache.core.blocks import BlockKind
from warmcache.core.ports import BlockDelta, StreamEvent
from warmcache.requests.ending import Result
from warmcache.requests.relay import Relay
from warmcache.requests.stream import NOT_OVER, ResponseStream
from warmcache.runtime.home import close_loop_thread, loop_thread

__all__ = [
    "BlockingStream",
    "body_of",
    "cancel_refresh",
    "close",
    "consider_prefix",
    "count_soon",
    "expected_tokens",
    "finished",
    "flush",
    "forget",
    "holder_of",
    "outline",
    "prepare_prompt",
    "prewarm_prefix",
    "register_shared_layers",
    "report",
    "respond",
    "run",
    "schedule_refresh",
    "start",
    "stream_response",
    "warm_now",
    "warmth_of",
]

P = ParamSpec("P")
T = TypeVar("T")


def close() -> None:
    """Flushes the ledger, ends warm-ups in flight and closes connections. The next call of any function starts anew."""
    close_loop_thread()


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
        return loop_thread().run(function(*args, **kwargs))

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
body_of = _in_loop(services.body_of)
report = _blocking(services.report)
flush = _blocking(services.flush)
forget = _blocking(services.forget)
warm_now = _blocking(services.warm_now)
schedule_refresh = _in_loop(services.schedule_refresh)
cancel_refresh = _in_loop(services.cancel_refresh)
register_shared_layers = services.register_shared_layers
prepare_prompt = services.prepare_prompt
count_soon = services.count_soon
expected_tokens = services.expected_tokens
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
        self._batches: queue.SimpleQueue[Sequence[StreamEvent] | None] = queue.SimpleQueue()
        """None always comes last."""
        self._relay = Relay(make, self._batches.put)
        self._has_begun = False
        self._is_read_out = False

    @property
    def is_over(self) -> bool:
        """Whether there is a `result`."""
        return self._relay.response is not None and self._relay.response.is_over

    @property
    def result(self) -> Result:
        """How it ended. Raises `RuntimeError` before that, and if nothing was sent."""
        if self._relay.response is None:
            raise RuntimeError(NOT_OVER)
        return self._relay.response.result

    def __enter__(self) -> Self:
        refuse_in_event_loop()
        return self

    def __iter__(self) -> Iterator[StreamEvent]:
        refuse_in_event_loop()
        if self._has_begun:
            raise RuntimeError("A response can be iterated once.")
        self._has_begun = True
        loop_thread().run(self._relay.begin())
        while (events := self._batches.get()) is not None:
            yield from events
            self._relay.taken()
        self._is_read_out = True
        self._relay.raise_error()

    def texts(self) -> Iterator[str]:
        """The text of the answer alone, as it arrives, instead of all events."""
        for event in self:
            if isinstance(event, BlockDelta) and event.kind == BlockKind.TEXT:
                yield event.text

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if not self._has_begun or self._is_read_out:
            return
        self._relay.leave()
        while self._batches.get() is not None:
            pass
        self._is_read_out = True


def _streaming(function: Callable[P, ResponseStream]) -> Callable[P, BlockingStream]:
    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> BlockingStream:
        return BlockingStream(lambda: function(*args, **kwargs))

    return call


stream_response = _streaming(services.stream_response)
"""The real request; see `BlockingStream`."""

respond = _blocking(services.respond)
"""The same for a caller who wants the whole answer."""
