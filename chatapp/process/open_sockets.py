"""The registry of this process's open sockets, so that a shutdown can close them in order."""

from typing import Protocol
from weakref import WeakSet

from django.conf import settings


class OpenSocket(Protocol):
    @property
    def user_id(self) -> int:
        """Whose it is."""

    @property
    def is_working(self) -> bool:
        """Whether work that its user asked for is in progress."""

    @property
    def is_reading(self) -> bool:
        """Whether a reply is on its way to it."""

    async def close(self, code: int) -> None: ...


_sockets: WeakSet[OpenSocket] = WeakSet()
_by_user: dict[int, WeakSet[OpenSocket]] = {}


def add(socket: OpenSocket) -> bool:
    """False if its user has too many already."""
    own = _by_user.setdefault(socket.user_id, WeakSet())
    if len(own) >= settings.SOCKETS_PER_PERSON:
        return False
    own.add(socket)
    _sockets.add(socket)
    return True


def discard(socket: OpenSocket) -> None:
    """Also accepts a socket that was never added."""
    if socket not in _sockets:
        return
    _sockets.discard(socket)
    own = _by_user[socket.user_id]
    own.discard(socket)
    if not own:
        del _by_user[socket.user_id]


def listed() -> list[OpenSocket]:
    """The sockets that are open now, in no particular order."""
    return list(_sockets)
