"""The registry of this process's open sockets, so that a shutdown can close them in order."""

from typing import Protocol
from weakref import WeakSet


class OpenSocket(Protocol):
    @property
    def session_key(self) -> str: ...

    @property
    def is_working(self) -> bool:
        """Whether work that its user asked for is in progress."""

    @property
    def is_reading(self) -> bool:
        """Whether a reply is on its way to it."""

    async def close(self, code: int) -> None: ...


_sockets: WeakSet[OpenSocket] = WeakSet()


def add(socket: OpenSocket) -> None:
    _sockets.add(socket)


def discard(socket: OpenSocket) -> None:
    """Also accepts a socket that was never added."""
    _sockets.discard(socket)


def listed() -> list[OpenSocket]:
    """The sockets that are open now, in no particular order."""
    return list(_sockets)
