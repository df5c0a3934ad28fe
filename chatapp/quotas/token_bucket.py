"""A rate limit with room for a burst."""

from collections.abc import Callable


class TokenBucket:
    """Holds up to `capacity` tokens and gains `per_second`; each frame or request takes one."""

    def __init__(self, *, capacity: float, per_second: float, clock: Callable[[], float]) -> None:
        self._capacity = capacity
        self._per_second = per_second
        self._clock = clock
        self._tokens = capacity
        self._filled_at = clock()

    def take(self) -> bool:
        """Takes a token; False if there is none."""
        self._fill()
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    @property
    def is_full(self) -> bool:
        """Whether it is as if nothing had ever been taken."""
        self._fill()
        return self._tokens >= self._capacity

    @property
    def wait_seconds(self) -> float:
        """Until there is a token again."""
        self._fill()
        return max(0.0, (1 - self._tokens) / self._per_second)

    def _fill(self) -> None:
        now = self._clock()
        self._tokens = min(self._capacity, self._tokens + (now - self._filled_at) * self._per_second)
        self._filled_at = now
