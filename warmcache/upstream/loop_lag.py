"""Measures how far the event loop lags, and says how long a stream may rest before it is read again.

While the loop keeps up, a delta is read at once, because waiting gains nothing. If the loop lags, the number of reads
is the cause: a connection that is left alone for a moment has several deltas, for one read, one step and one frame.
"""

import asyncio
import time
from collections.abc import Callable

BEHIND_SECONDS = 0.002
"""If a callback waits longer than this for its turn, the loop lags."""

REST_PER_LAG = 10
"""How many times as long a stream rests as a callback waits."""

MAX_REST_SECONDS = 0.05
"""The longest time that anything waits, however far the loop lags; a person cannot see it."""


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
        self._seconds = 0.0
        """By the newest measurements: the last one, or a trace of a longer one before it."""

    def measure(self) -> None:
        """Begins a measurement unless one is under way."""
        if self._asked_at is None:
            self._asked_at = self._clock()
            self._call_soon(self._measured)

    @property
    def rest_seconds(self) -> float:
        """How long to leave a connection alone now; 0 while the loop keeps up."""
        return min(self._seconds * REST_PER_LAG, MAX_REST_SECONDS) if self._seconds > BEHIND_SECONDS else 0.0

    def _measured(self) -> None:
        asked_at, self._asked_at = self._asked_at, None
        if asked_at is not None:
            # One quick round between slow ones does not mean that the loop has caught up.
            self._seconds = max(self._clock() - asked_at, self._seconds / 2)
