"""A queue for one socket's work, done in order while the socket goes on receiving frames.

Work on a frame may wait for the database. Receiving the next frame must not: an ack or a ping would be handled too
late, and Daphne would buffer everything that follows.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

from warmcache.background.tasks import TaskOwner

Job = Callable[[], Awaitable[None]]


class Lane:
    """Runs jobs one after the other. A job handles its own errors. There is no task while there is nothing to do."""

    def __init__(self, name: str) -> None:
        self._tasks = TaskOwner(name)
        # A list: a few jobs wait at most, and an empty deque takes ten times as much on every idle socket.
        self._jobs: list[Job] = []
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
        """Returns when all jobs put so far are done, or after the timeout."""
        if not len(self):
            return
        done = asyncio.Event()
        self.put(partial(_set, done))
        try:
            await asyncio.wait_for(done.wait(), timeout_seconds)
        except TimeoutError:
            return

    async def close(self, *, timeout_seconds: float) -> None:
        """Lets the jobs finish for this long, then cancels them."""
        await self._tasks.join(timeout_seconds=timeout_seconds)
        self._jobs.clear()
        await self._tasks.close()

    async def _run(self) -> None:
        try:
            while self._jobs:
                await self._jobs.pop(0)()
        finally:
            self._is_running = False


async def _set(event: asyncio.Event) -> None:
    event.set()
