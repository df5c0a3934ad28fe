"""When what happened to one reply, in epoch seconds: for metrics and traces, put together once, at its end."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from warmcache.services import Result


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """From the message's frame over its stored rows to the provider's call, None if there was none, its first text,
    None without an answer, and the stored end."""

    received_at: float
    committed_at: float
    called_at: float | None
    first_text_at: float | None
    ended_at: float

    @classmethod
    def of(
        cls, *, received_at: float, committed_at: float, ttft_ms: int | None, results: Sequence[Result | None]
    ) -> Self:
        """`received_at` and `committed_at` are of the monotonic clock, and `results` those of the reply's requests."""
        now = time.time()
        offset = now - time.monotonic()
        calls = [result.started_at for result in results if result is not None and result.started_at]
        return cls(
            received_at=received_at + offset,
            committed_at=committed_at + offset,
            called_at=min(calls, default=None),
            first_text_at=None if ttft_ms is None else received_at + offset + ttft_ms / 1000,
            ended_at=now,
        )

    @property
    def own_seconds(self) -> float | None:
        """From the receipt to the call: what the provider has no part in."""
        return None if self.called_at is None else max(0.0, self.called_at - self.received_at)
