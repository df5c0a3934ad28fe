"""Flow control of replies: how far a page may lag behind. Its `reply.seen` frames move the window.

A reading page acknowledges every `ack_bytes` or `ack_interval_ms`. If it stops, it is sent no more than the window;
the reply's log keeps the rest. A client that never acknowledges is limited only by the connection.
"""

import asyncio
from collections.abc import Callable
from uuid import UUID

from chatapp.protocol.limits import ACK_BYTES, LATE_SECONDS, TOO_SLOW_SECONDS, WINDOW_BYTES


class SendWindow:
    """The window of one socket. All times are those of `clock`, in seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        # A list: it holds what a page was sent within an ack's time, and is empty on every idle socket.
        self._unacked: list[tuple[UUID, int, int, float]] = []
        self._unacked_bytes = 0
        self._acks = False
        self._has_moved: asyncio.Event | None = None
        """Exists while somebody waits for it."""

    @property
    def is_open(self) -> bool:
        """Whether another frame may be sent.

        Less than `ack_bytes` may stay unacknowledged for long: in a hidden tab the timer for the last acks sleeps.
        """
        if not self._acks or self._unacked_bytes <= ACK_BYTES:
            return True
        return self._unacked_bytes <= WINDOW_BYTES and self._late_for() < LATE_SECONDS

    def sent(self, reply_id: UUID, seq: int, size_bytes: int) -> None:
        """Counts a sent frame of a reply, but only for a page that acknowledges at all."""
        if self._acks:
            self._unacked.append((reply_id, seq, size_bytes, self._clock()))
            self._unacked_bytes += size_bytes

    def seen(self, reply_id: UUID, seq: int) -> None:
        """The page has shown this reply up to `seq`."""
        self._acks = True
        left = [entry for entry in self._unacked if entry[1] > seq or entry[0] != reply_id]
        if len(left) != len(self._unacked):
            self._replace(left)

    def clear(self) -> None:
        """Empties the window, because the page starts again with a complete state."""
        self._replace([])

    async def has_room(self) -> bool:
        """Waits until another frame may be sent; False if the page has not acknowledged for too long."""
        while not self.is_open:
            patience = TOO_SLOW_SECONDS - self._late_for()
            if patience <= 0:
                return False
            self._has_moved = self._has_moved or asyncio.Event()
            try:
                await asyncio.wait_for(self._has_moved.wait(), patience)
            except TimeoutError:
                continue
        return True

    def _late_for(self) -> float:
        return self._clock() - self._unacked[0][3] if self._unacked else 0.0

    def _replace(self, unacked: list[tuple[UUID, int, int, float]]) -> None:
        self._unacked = unacked
        self._unacked_bytes = sum(size for _, _, size, _ in unacked)
        if self._has_moved is not None:
            self._has_moved.set()
            self._has_moved = None
