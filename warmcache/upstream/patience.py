"""The timeout of a stream's reads: one timer for all of them, as arming one per read costs more than the read."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

T = TypeVar("T")


class Patience:
    """Ends waits that take too long. For one task at a time; `close` it at the end."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._until: float | None = None
        """When the current wait ends; None between waits. The timer may fire before that, and is then set again."""
        self._task: asyncio.Task[object] | None = None
        self._is_exhausted = False

    async def wait(self, awaitable: Awaitable[T], *, seconds: float) -> T:
        """The awaitable's result; raises `TimeoutError` if it takes longer."""
        task = self._task = asyncio.current_task()
        assert task is not None  # noqa: S101 - for the type checker: a coroutine always runs in a task
        cancels_before = task.cancelling()
        until = self._until = self._loop.time() + seconds
        if self._timer is None or self._timer.when() > until:
            self._set_timer(until)
        try:
            return await awaitable
        except asyncio.CancelledError:
            if self._is_exhausted and task.uncancel() <= cancels_before:
                raise TimeoutError from None
            raise
        finally:
            self._until = None

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _set_timer(self, when: float) -> None:
        self.close()
        self._timer = self._loop.call_at(when, self._ring)

    def _ring(self) -> None:
        self._timer = None
        if self._until is None or self._task is None:
            return
        if self._loop.time() < self._until:
            self._set_timer(self._until)
            return
        self._is_exhausted = True
        self._task.cancel()
