"""Decides when a dead server process is started again, and when to give up."""

from collections.abc import Callable

EARLY_SECONDS = 10.0
"""A process that served for less than this died early."""

FORGIVEN_SECONDS = 60.0
"""After so long without a death, the count of early deaths starts again."""

MAX_EARLY_DEATHS = 5
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 8.0


class Restarts:
    """One count for all processes of a supervisor: what kills one at its start kills the others as well."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._early_deaths = 0
        self._died_at = clock()

    def pause_after_death(self, *, ready_at: float | None) -> float | None:
        """Seconds to wait before the next start; None if they have died early too often."""
        now = self._clock()
        if now - self._died_at >= FORGIVEN_SECONDS:
            self._early_deaths = 0
        self._died_at = now
        if ready_at is not None and now - ready_at >= EARLY_SECONDS:
            return 0.0
        self._early_deaths += 1
        if self._early_deaths >= MAX_EARLY_DEATHS:
            return None
        return float(min(FIRST_PAUSE_SECONDS * 2 ** (self._early_deaths - 1), LONGEST_PAUSE_SECONDS))
