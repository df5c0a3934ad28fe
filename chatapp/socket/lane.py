"""One socket's work, in order, beside the taking of frames.

What a frame asks for may wait for the database. The next frame must not: an ack or a ping behind it would come too
late, and Daphne would pile up everything that follows.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from functools import partial

from warmcache.background.tasks import TaskOwner

Job = Callable[[], Awaitable[None]]


class Lane:
    """Runs jobs one after the other. A job answers for its own errors. Costs no task while there is nothing to do."""

    def __init__(self, name: str) -> None:
        self._tasks = TaskOwner(name)
        self._jobs: deque[Job] = deque()
        self._is_running = False

    def __len__(self) -> int:
        """Jobs that wait or run."""
        return len(self._jobs) + self._is_running

    def put(self, job: Job) -> None:
        self._jobs.append(job)
        if not self._is_running:
            self._is_running = True
            self._tasks.spawn(self._run(), name="jobs")

    async def caught_up(self, *, timeout_seconds: float) -> None:
        """Returns when all that was put so far is done, at the latest after the time."""
        if not len(self):
            return
        done = asyncio.Event()
        self.put(partial(_set, done))
        try:
            await asyncio.wait_for(done.wait(), timeout_seconds)
        except TimeoutError:
            return

    async def close(self, *, timeout_seconds: float) -> None:
        """Lets what was put be done, for so long; then cancels."""
        await self._tasks.join(timeout_seconds=timeout_seconds)
        self._jobs.clear()
        await self._tasks.close()

    async def _run(self) -> None:
        try:
            while self._jobs:
                await self._jobs.popleft()()
        finally:
            self._is_running = False


async def _set(event: asyncio.Event) -> None:
    event.set()
