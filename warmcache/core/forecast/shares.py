"""A learned mean of a share."""

from collections.abc import Mapping
from typing import Any

MEMORY_REQUESTS = 1000.0


class ShareForecast:
    """The mean of a share in 0..1, how much of the warm prefix requests read, how many replies ask for a tool; or of
    another number that each request has."""

    __slots__ = ("_prior", "_weight", "_memory", "total", "count")

    def __init__(self, prior: float, *, weight: float = 10.0, memory: float = MEMORY_REQUESTS) -> None:
        self._prior = prior
        self._weight = weight
        self._memory = memory
        self.total = 0.0
        self.count = 0.0

    def observe(self, share: float) -> None:
        """Records the share of one request."""
        keep = 1.0 - 1.0 / self._memory
        self.total = keep * self.total + share
        self.count = keep * self.count + 1.0

    def fade(self, newer: "ShareForecast") -> None:
        """Fades the old evidence as much as the shares in `newer` would have faded it."""
        keep = (1.0 - 1.0 / self._memory) ** newer.count
        self.total *= keep
        self.count *= keep

    @property
    def mean(self) -> float:
        return (self.total + self._weight * self._prior) / (self.count + self._weight)

    def to_dict(self) -> dict[str, Any]:
        """Evidence as JSON values."""
        return {"total": self.total, "count": self.count}

    def load(self, stored: Mapping[str, Any]) -> None:
        """Adds stored evidence."""
        self.total += float(stored.get("total", 0.0))
        self.count += float(stored.get("count", 0.0))
