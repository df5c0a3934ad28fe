"""Single-flight reads within one process: a person's tabs get the same event at the same moment."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import Any, TypeVar

T = TypeVar("T")


@dataclass(slots=True)
class _Read:
    task: asyncio.Future[Any]
    askers: int = 0


class SharedReads:
    """One read at a time for each key. A key includes everything that the answer depends on, so that none is stale."""

    def __init__(self) -> None:
        self._reads: dict[Hashable, _Read] = {}

    async def of(self, key: Hashable, read: Callable[[], Awaitable[T]]) -> T:
        """The result of `read`, which may already run for an earlier caller. A cancelled caller does not cancel the
        read for the others; the last one does."""
        shared = self._reads.get(key)
        if shared is None or shared.task.done():
            shared = self._reads[key] = _Read(asyncio.ensure_future(read()))
        shared.askers += 1
        try:
            outcome: T = await asyncio.shield(shared.task)
            return outcome
        finally:
            shared.askers -= 1
            if not shared.askers:
                shared.task.cancel()
                if self._reads.get(key) is shared:
                    del self._reads[key]
