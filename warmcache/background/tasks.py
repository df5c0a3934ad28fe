"""Background tasks with an owner, which keeps a strong reference, logs each exception and ends them on close."""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, TypeVar

logger = logging.getLogger(__name__)
T = TypeVar("T")


class TaskOwner:
    """Owns tasks until they are done. asyncio itself keeps only weak references, so an unowned task may vanish."""

    def __init__(self, name: str) -> None:
        self._name = name
        # For its keys: an empty set takes three times as much, several times on every idle socket.
        self._tasks: dict[asyncio.Task[Any], None] = {}

    def __len__(self) -> int:
        return len(self._tasks)

    def spawn(self, coroutine: Coroutine[Any, Any, T], *, name: str) -> asyncio.Task[T]:
        task = asyncio.get_running_loop().create_task(coroutine, name=f"{self._name}: {name}")
        self._tasks[task] = None
        task.add_done_callback(self._settle)
        return task

    async def join(self, *, timeout_seconds: float | None = None) -> None:
        """Waits for the tasks that run now, at most `timeout_seconds` if given; cancels none."""
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=timeout_seconds)

    async def close(self) -> None:
        """Cancels running tasks and waits until they have ended."""
        tasks = set(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _settle(self, task: asyncio.Task[Any]) -> None:
        self._tasks.pop(task, None)
        if not task.cancelled() and task.exception() is not None:
            logger.error("Background task %s failed", task.get_name(), exc_info=task.exception())
