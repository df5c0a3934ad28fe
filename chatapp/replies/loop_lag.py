"""How far the event loop is behind, and what waits until it has caught up.

A delta leaves at once while the loop is idle: nothing is gained by holding it. Where the loop is behind, it is the
frames that keep it behind, so several deltas go out as one.
"""

import asyncio
import time
from collections.abc import Callable

BEHIND_SECONDS = 0.002
"""A callback that waits longer for its turn says that the loop is behind."""

MAX_HOLD_SECONDS = 0.05
"""Nothing is held longer, however far the loop is behind; no eye can tell."""


class LoopLag:
    """Measures how long a callback waits for its turn, whenever somebody asks; costs nothing while nobody does.

    `call_soon` and `clock` (seconds) are the event loop's own unless a test drives them.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.monotonic,
        call_soon: Callable[[Callable[[], None]], object] | None = None,
    ) -> None:
        self._clock = clock
        self._call_soon = call_soon or (lambda callback: asyncio.get_running_loop().call_soon(callback))
        self._asked_at: float | None = None
        self._held: dict[Callable[[], None], float] = {}
        self.is_behind = False
        """As the newest measurement has it."""

    def measure(self) -> None:
        """Begins a measurement unless one is under way."""
        if self._asked_at is None:
            self._asked_at = self._clock()
            self._call_soon(self._measured)

    def hold(self, release: Callable[[], None]) -> None:
        """Calls `release` once the loop has caught up, or after the longest time that anything is held."""
        self._held.setdefault(release, self._clock())
        self.measure()

    def forget(self, release: Callable[[], None]) -> None:
        """What was held has gone out already."""
        self._held.pop(release, None)

    def reset(self) -> None:
        """For another event loop: the callback of the last one never comes."""
        self._asked_at = None
        self._held.clear()
        self.is_behind = False

    def _measured(self) -> None:
        now = self._clock()
        asked_at, self._asked_at = self._asked_at, None
        self.is_behind = asked_at is not None and now - asked_at > BEHIND_SECONDS
        due = [
            release for release, since in self._held.items() if not self.is_behind or now - since >= MAX_HOLD_SECONDS
        ]
        for release in due:
            del self._held[release]
        if self._held:
            self.measure()
        for release in due:
            release()


loop_lag = LoopLag()
"""Of the loop that this process serves."""
