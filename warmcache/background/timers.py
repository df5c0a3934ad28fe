"""What is due later, if nothing comes between: one-shot timers by key, bounded, on the runtime's own clock.

They live as long as the process. A key set again replaces what was due under it.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from warmcache.background.tasks import TaskOwner
from warmcache.core.ports import Clock

MAX_TIMERS = 2000
"""Beyond, the timer that was set longest ago is dropped."""

MAX_RUNNING = 8
"""Actions at once; those of a burst wait for their turn, a round at a time."""

ROUND_SECONDS = 1.0
"""How late a timer may be, so that a wall clock that jumps is noticed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timer:
    """`action` runs at `at` (epoch seconds), or as soon as possible after it, and says what is due next."""

    at: float
    action: Callable[[], Coroutine[Any, Any, "Timer | None"]]


class Timers:
    """Owned by one event loop. Actions run as tasks of `tasks`."""

    def __init__(self, *, clock: Clock, tasks: TaskOwner, max_timers: int = MAX_TIMERS) -> None:
        self._clock = clock
        self._tasks = tasks
        self._max_timers = max_timers
        self._due: OrderedDict[str, Timer] = OrderedDict()
        self._running: dict[object, str] = {}
        """Action under way -> its key, or an empty one once it was cancelled."""
        self._is_set = asyncio.Event()

    def __len__(self) -> int:
        return len(self._due)

    def due_at(self, key: str) -> float | None:
        """Epoch seconds; None where nothing is due."""
        return self._due[key].at if key in self._due else None

    def set(self, key: str, timer: Timer) -> None:
        """Replaces what is due under this key."""
        self.cancel(key)
        self._due[key] = timer
        while len(self._due) > self._max_timers:
            self._due.popitem(last=False)
        self._is_set.set()

    def cancel(self, key: str) -> None:
        """Nothing is due under this key any more. An action that has begun goes on, but is the last."""
        self._due.pop(key, None)
        for token in [token for token, running in self._running.items() if running == key]:
            self._running[token] = ""

    def fire_due(self) -> list[asyncio.Task[None]]:
        """Begins what is due, as far as there is room."""
        now = self._clock.now()
        keys = [key for key, timer in self._due.items() if timer.at <= now]
        room = max(0, MAX_RUNNING - len(self._running))
        return [self._begin(key) for key in keys[:room]]

    async def run_forever(self) -> None:
        """Runs as a task of the runtime until it is cancelled. Costs nothing while nothing is set."""
        while True:
            self._is_set.clear()
            if not self._due:
                await self._is_set.wait()
            self.fire_due()
            await asyncio.sleep(ROUND_SECONDS)

    def _begin(self, key: str) -> asyncio.Task[None]:
        token, timer = object(), self._due.pop(key)
        self._running[token] = key
        return self._tasks.spawn(self._run(key, token, timer), name=key)

    async def _run(self, key: str, token: object, timer: Timer) -> None:
        again = None
        try:
            again = await timer.action()
        finally:
            was_cancelled = not self._running.pop(token)
        if again is not None and not was_cancelled:
            self.set(key, again)
