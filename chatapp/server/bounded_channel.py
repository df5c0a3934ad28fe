"""HTTP connections as Daphne's server accepts them, with deadlines for the head and the body of a request.

Twisted's own timeout begins again with each byte: a head that comes one byte at a time would stay open for ever.
"""

from typing import Any

from daphne.server import Server  # noqa: F401  must be the first import of Twisted: it installs the asyncio reactor
from twisted.internet import reactor
from twisted.internet.protocol import connectionDone
from twisted.web.http import HTTPChannel

from chatapp.process import addresses

HEAD_SECONDS = 20.0
"""From the connection, or from the first byte of a further request on it, to the end of the head."""

BODY_SECONDS = 300.0
"""From there to the end of the body: the largest file at 35 KB a second."""


class BoundedChannel(HTTPChannel):
    """One connection; `addresses` counts it until it ends or becomes a WebSocket, which is counted for its client."""

    transport: Any
    _deadline: Any = None
    _peer: str | None = None

    def connectionMade(self) -> None:  # noqa: N802
        super().connectionMade()
        peer = str(getattr(self.transport.getPeer(), "host", ""))
        if not addresses.connections.admits(peer):
            self.transport.abortConnection()
            return
        self._peer = peer
        self._within(HEAD_SECONDS)

    def dataReceived(self, data: bytes) -> None:  # noqa: N802
        if self._deadline is None and not self.requests:
            self._within(HEAD_SECONDS)
        super().dataReceived(data)

    def allHeadersReceived(self) -> None:  # noqa: N802
        self._within(BODY_SECONDS)
        super().allHeadersReceived()

    def allContentReceived(self) -> None:  # noqa: N802
        self._within(None)
        super().allContentReceived()
        if getattr(self.transport, "protocol", self) is not self:
            self._leave()

    def connectionLost(self, reason: Any = connectionDone) -> None:  # noqa: N802
        self._within(None)
        self._leave()
        super().connectionLost(reason)

    def _leave(self) -> None:
        peer, self._peer = self._peer, None
        if peer is not None:
            addresses.connections.leave(peer)

    def _within(self, seconds: float | None) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        timers: Any = reactor
        self._deadline = None if seconds is None else timers.callLater(seconds, self._give_up)

    def _give_up(self) -> None:
        self._deadline = None
        self.transport.abortConnection()
