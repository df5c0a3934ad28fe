"""A response that is read on the event loop of its runtime, for a reader that is not on that loop."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from types import TracebackType

from warmcache.core.outcomes import RequestWarmth
from warmcache.core.ports import StreamEvent
from warmcache.requests.ending import Result
from warmcache.requests.stream import ResponseStream
from warmcache.runtime.home import at_home, briefly_at_home, call_soon_at, own

BATCHES_AHEAD = 256
"""How far a stream may run ahead of a slow reader."""


class Relay:
    """Reads on the loop on which `begin` is called. `deliver` gets each batch of events there, and None at the end; it
    raises `RuntimeError` if the reader is gone. The other methods belong to that loop too, but for `take`."""

    def __init__(
        self, make: Callable[[], ResponseStream], deliver: Callable[[Sequence[StreamEvent] | None], None]
    ) -> None:
        self.response: ResponseStream | None = None
        self._make = make
        self._deliver = deliver
        self._room = asyncio.Semaphore(BATCHES_AHEAD)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self._is_reading = True
        """False once only the writing of its row is left, which must not be cancelled."""

    async def begin(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._task = self._loop.create_task(self._pump(), name="warmcache: response")
        own(self, self._task)
        self._task.add_done_callback(self._end)

    def taken(self) -> None:
        """Called by the reader, in its own thread, after each batch."""
        if self._loop is not None:
            call_soon_at(self._loop, self._room.release)

    def leave(self) -> None:
        """Called by the reader, in its own thread, that wants no more."""
        if self._loop is not None:
            call_soon_at(self._loop, self.stop)

    def stop(self) -> None:
        """Ends the upstream call, if it still runs; its row is written in either case."""
        if self._task is not None and self._is_reading:
            self._task.cancel()

    async def wait(self) -> None:
        if self._task is not None:
            await asyncio.wait([self._task])

    def raise_error(self) -> None:
        """After the end: raises what ended the response, if that was an error."""
        if self._task is None:
            return
        if self._task.cancelled():
            raise RuntimeError("warmcache was closed during this response.")
        self._task.result()

    async def _pump(self) -> None:
        async with self._make() as self.response:
            try:
                async for events in self.response.batches():
                    await self._room.acquire()
                    self._deliver(events)
            finally:
                self._is_reading = False

    def _end(self, task: "asyncio.Task[None]") -> None:
        if not task.cancelled():
            task.exception()  # marks the exception as retrieved, even if the reader has left
        with contextlib.suppress(RuntimeError):
            self._deliver(None)


class RelayedResponse(ResponseStream):
    """A `ResponseStream` for a reader on a loop that does not last, such as an async view's under WSGI."""

    def __init__(self, make: Callable[[], ResponseStream]) -> None:
        self._response = briefly_at_home(make)
        self.id = self._response.id
        self._reader = asyncio.get_running_loop()
        self._batches: asyncio.Queue[Sequence[StreamEvent] | None] = asyncio.Queue()
        """None always comes last."""
        self._relay: Relay | None = None
        self._is_read_out = False

    @property
    def is_over(self) -> bool:
        return self._response.is_over

    @property
    def result(self) -> Result:
        return self._response.result

    async def expected_warmth(self) -> RequestWarmth:
        return await at_home(self._response.expected_warmth())

    async def batches(self) -> AsyncIterator[Sequence[StreamEvent]]:
        relay = self._relay = Relay(lambda: self._response, self._take)
        await at_home(relay.begin())
        while (events := await self._batches.get()) is not None:
            yield events
            relay.taken()
        self._is_read_out = True
        relay.raise_error()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._relay is None:
            await at_home(self._response.__aexit__(kind, error, traceback))
        elif not self._is_read_out:
            self._relay.leave()
            while await self._batches.get() is not None:
                pass

    def _take(self, events: Sequence[StreamEvent] | None) -> None:
        self._reader.call_soon_threadsafe(self._batches.put_nowait, events)
