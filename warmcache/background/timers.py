"""One-shot timers by key: bounded, cancellable, on the runtime's own clock.

Timers live as long as the process. Setting a key again replaces its timer.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from warmcache.background.tasks import TaskOwner
from warmcache.core.ports import Clock

MAX_TIMERS = 2000
"""Beyond this number, the timer that was set longest ago is dropped."""

MAX_RUNNING = 8
"""Concurrent actions; the others of a burst wait for the next round."""

ROUND_SECONDS = 1.0
"""The longest delay of a timer, so that a jump of the wall clock is noticed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timer:
    """`action` runs at `at` (epoch seconds), or as soon as possible after it, and returns the next timer, if any."""

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
        """Running action -> its key, or an empty string once it was cancelled."""
        self._is_set = asyncio.Event()

    def __len__(self) -> int:
        return len(self._due)

    def due_at(self, key: str) -> float | None:
        """Epoch seconds; None if the key has no timer."""
        return self._due[key].at if key in self._due else None

    def set(self, key: str, timer: Timer) -> None:
        """Replaces the timer of this key."""
        self.cancel(key)
        self._due[key] = timer
        while len(self._due) > self._max_timers:
            self._due.popitem(last=False)
        self._is_set.set()

    def cancel(self, key: str) -> None:
        """Removes the timer of this key. A running action goes on but cannot set the next timer."""
        self._due.pop(key, None)
        for token in [token for token, running in self._running.items() if running == key]:
            self._running[token] = ""

    def fire_due(self) -> list[asyncio.Task[None]]:
        """Starts the due actions, as far as the limit allows."""
        now = self._clock.now()
        keys = [key for key, timer in self._due.items() if timer.at <= now]
        room = max(0, MAX_RUNNING - len(self._running))
        return [self._begin(key) for key in keys[:room]]

    async def run_forever(self) -> None:
        """Runs as a task of the runtime until it is cancelled. Costs nothing while no timer is set."""
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
