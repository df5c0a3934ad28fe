"""Reads that several askers of one process share: the tabs of a person hear the same news at the same moment."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Any, TypeVar

T = TypeVar("T")


class SharedReads:
    """One read at a time for each key. A key says all that an answer depends on, so that no answer is too old."""

    def __init__(self) -> None:
        self._running: dict[Hashable, asyncio.Future[Any]] = {}

    async def of(self, key: Hashable, read: Callable[[], Awaitable[T]]) -> T:
        """What `read` gives: called now, or by whoever asked before and still waits. An asker that goes away does not
        end it for the others."""
        running = self._running.get(key)
        if running is None or running.get_loop() is not asyncio.get_running_loop():
            running = self._running[key] = asyncio.ensure_future(read())
            running.add_done_callback(lambda done: self._end(key, done))
        outcome: T = await asyncio.shield(running)
        return outcome

    def _end(self, key: Hashable, done: "asyncio.Future[Any]") -> None:
        if self._running.get(key) is done:
            del self._running[key]
        if not done.cancelled():
            done.exception()  # told to those who ask, if any is left
