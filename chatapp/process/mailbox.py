"""A queue for one reader. A list and a future: an idle queue of asyncio's takes 3 KiB, and each socket has some."""

import asyncio
from typing import Generic, TypeVar

T = TypeVar("T")


class Mailbox(Generic[T]):
    """Messages in order, for one reader at a time."""

    def __init__(self) -> None:
        self._messages: list[T] = []
        self._news: asyncio.Future[None] | None = None
        """Exists while the reader waits for it."""

    def qsize(self) -> int:
        return len(self._messages)

    def put_nowait(self, message: T) -> None:
        self._messages.append(message)
        if self._news is not None and not self._news.done():
            self._news.set_result(None)

    async def get(self) -> T:
        while not self._messages:
            self._news = asyncio.get_running_loop().create_future()
            try:
                await self._news
            finally:
                self._news = None
        return self.get_nowait()

    def get_nowait(self) -> T:
        return self._messages.pop(0)
