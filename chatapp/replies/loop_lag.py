"""Measures how far the event loop lags, and holds deltas until it has caught up.

While the loop is idle, a delta is sent at once, because holding it gains nothing. If the loop lags, the number of
frames is the cause, so several deltas are sent as one.
"""

import asyncio
import time
from collections.abc import Callable

BEHIND_SECONDS = 0.002
"""If a callback waits longer than this for its turn, the loop lags."""

MAX_HOLD_SECONDS = 0.05
"""The longest time that anything is held, however far the loop lags; a person cannot see it."""


class LoopLag:
    """Measures on request how long a callback waits for its turn; costs nothing without a request.

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
        """According to the newest measurement."""

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
        """Drops a held callback whose text was sent already."""
        self._held.pop(release, None)

    def reset(self) -> None:
        """For a new event loop: a callback of the former one never runs."""
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
"""The lag of the process's event loop."""
