"""Every socket of this process, so that a drain can close them in good order."""

from typing import Protocol
from weakref import WeakSet


class OpenSocket(Protocol):
    @property
    def is_working(self) -> bool:
        """Whether something that its person asked for is being done."""

    @property
    def is_reading(self) -> bool:
        """Whether a reply is on its way to it."""

    async def close(self, code: int) -> None: ...


_sockets: WeakSet[OpenSocket] = WeakSet()


def add(socket: OpenSocket) -> None:
    _sockets.add(socket)


def discard(socket: OpenSocket) -> None:
    """Also of one that was never added."""
    _sockets.discard(socket)


def listed() -> list[OpenSocket]:
    """Those that are open now, in no order."""
    return list(_sockets)
