"""Back-pressure for Daphne's WebSockets, in both directions. Daphne itself has none.

Out: sent bytes count as unread until the peer has answered a ping that was sent after them. That says more than the
system's buffers, which hold megabytes, and it works the same through any proxy. `room` waits while too much is
unread; a peer that reads nothing for `too_slow_ms` is closed with 4408.

In: while messages wait for the application, no more are read from the connection, so that TCP slows the sender down.
What no message comes of is metered too: control frames, and the fragments of a message that is never finished.
"""

import asyncio
import hashlib
import os
import struct
import time
from collections.abc import Callable
from typing import Any

from daphne.server import Server  # noqa: F401  must be the first import of Twisted: it installs the asyncio reactor
from daphne.ws_protocol import WebSocketProtocol
from twisted.internet import reactor

from chatapp.process.mailbox import Mailbox
from chatapp.protocol import CLOSE_ABUSE, CLOSE_TOO_SLOW
from chatapp.protocol.limits import LIMITS, TOO_SLOW_SECONDS, WAITING_CHARACTERS, WAITING_MESSAGES, WINDOW_BYTES
from chatapp.quotas.token_bucket import TokenBucket

PING_BYTES = 64 * 1024
"""After at most this many bytes a ping is sent."""
UNTIMED_BYTES = 64 * 1024
"""This little may stay unread for longer: the server's ordinary pings find out whether the peer is alive."""
LINGER_SECONDS = 10.0
"""Time for a peer that was too slow to read its last frames and the close code."""
MESSAGE_SECONDS = 30.0
"""From the beginning of a message to its end; time in which the server does not read does not count."""
NONCE_BYTES = 8
PONG = 10


class ReadProof:
    """Tracks which bytes the peer has certainly read: those before a ping that it has answered."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._count = 0
        # Nobody can guess it: an answer to a ping that was not read would forge that everything was.
        self._nonce = os.urandom(NONCE_BYTES)
        # The bytes before each unanswered ping, with the time of the ping; then the bytes that no ping follows yet.
        # A list, because these are few, and an empty deque takes ten times as much on every idle socket.
        self._asked: list[tuple[bytes, int, float]] = []
        self._asked_bytes = 0
        self.loose_bytes = 0

    @property
    def unproven_bytes(self) -> int:
        return self._asked_bytes + self.loose_bytes

    @property
    def waiting_seconds(self) -> float:
        """Time since the oldest unanswered ping; 0 without one. Bytes without a ping after them do not count: a few of
        them may gather for minutes before the next ping."""
        return self._clock() - self._asked[0][2] if self._asked else 0.0

    def sent(self, size_bytes: int) -> None:
        self.loose_bytes += size_bytes

    def ask(self) -> bytes:
        """The payload of a ping to send now."""
        self._count += 1
        payload = hashlib.blake2b(b"%d" % self._count, key=self._nonce, digest_size=NONCE_BYTES).digest()
        self._asked.append((payload, self.loose_bytes, self._clock()))
        self._asked_bytes += self.loose_bytes
        self.loose_bytes = 0
        return payload

    def answered(self, payload: bytes) -> bool:
        """A pong proves everything that was sent before its ping. False for an unknown one, which proves nothing."""
        if all(payload != asked for asked, _, _ in self._asked):
            return False
        while True:
            asked, size_bytes, _ = self._asked.pop(0)
            self._asked_bytes -= size_bytes
            if asked == payload:
                return True


class InputQueue(Mailbox[dict[str, Any]]):
    """Messages from a connection to its application; calls `pause` and `resume` at its high and low watermarks."""

    def __init__(self, *, pause: Callable[[], None], resume: Callable[[], None]) -> None:
        super().__init__()
        self._pause = pause
        self._resume = resume
        self._characters = 0
        self.is_paused = False

    def put_nowait(self, message: dict[str, Any]) -> None:
        super().put_nowait(message)
        self._characters += _size(message)
        is_full = self.qsize() >= WAITING_MESSAGES or self._characters >= WAITING_CHARACTERS
        if is_full and not self.is_paused:
            self.is_paused = True
            self._pause()

    def get_nowait(self) -> dict[str, Any]:
        message = super().get_nowait()
        self._characters -= _size(message)
        is_low = self.qsize() <= WAITING_MESSAGES // 2 and self._characters <= WAITING_CHARACTERS // 2
        if is_low and self.is_paused:
            self.is_paused = False
            self._resume()
        return message


class PacedSocket(WebSocketProtocol):
    """`await room()` before each message to the peer. Also the `DirectWay` of its consumer."""

    # The base class has so many attributes that their dictionary takes 3.3 KiB on every idle socket, and without its
    # settings half of that. It sets all of them before it reads one.
    __slots__ = (
        *WebSocketProtocol.CONFIG_ATTRS,
        *("_began_at", "_frames", "_has_lingered", "_is_too_slow", "_news", "proof", "take_now"),
    )

    def onConnect(self, request: Any) -> Any:  # noqa: N802
        self.take_now: Callable[[bytes], bool] | None = None
        self.proof = ReadProof(time.monotonic)
        self._frames = TokenBucket(
            capacity=LIMITS["wire_frame_burst"], per_second=LIMITS["wire_frames_per_second"], clock=time.monotonic
        )
        self._began_at: float | None = None
        self._news: asyncio.Event | None = None
        self._is_too_slow = self._has_lingered = False
        return super().onConnect(request)

    def input_queue(self) -> InputQueue:
        """For the application's messages from this connection."""
        connection: Any = self.transport
        return InputQueue(pause=connection.pauseProducing, resume=connection.resumeProducing)

    def onMessage(self, payload: bytes, isBinary: bool) -> None:  # noqa: N802, N803
        if isBinary or self.muted or self.take_now is None or not self.take_now(payload):
            super().onMessage(payload, isBinary)

    async def room(self) -> None:
        """Returns when little enough is unread, or the socket is closed."""
        while self.state == self.STATE_OPEN and self.proof.unproven_bytes > WINDOW_BYTES:
            self._news = self._news or asyncio.Event()
            await self._news.wait()

    def serverSend(self, content: Any, binary: bool = False) -> None:  # noqa: N802
        super().serverSend(content, binary)
        self._note_sent(len(content))

    def onFrameBegin(self) -> None:  # noqa: N802
        """Every frame counts, with or without a payload; a pong does if it answers nothing, see `onPong`."""
        if self.current_frame.opcode != PONG:
            self._meter()
        super().onFrameBegin()

    def onMessageBegin(self, isBinary: bool) -> None:  # noqa: N802, N803
        self._began_at = time.monotonic()
        super().onMessageBegin(isBinary)

    def onMessageEnd(self) -> None:  # noqa: N802
        self._began_at = None
        super().onMessageEnd()

    def onPing(self, payload: bytes) -> None:  # noqa: N802
        """The answers are bytes that the peer has to read, as all others."""
        if self.proof.unproven_bytes <= WINDOW_BYTES:
            super().onPing(payload)
            self._note_sent(len(payload))

    def send_now(self, text: bytes) -> bool:
        """See `DirectWay`."""
        if self.state != self.STATE_OPEN or self.proof.unproven_bytes > WINDOW_BYTES:
            return False
        self.sendData(head_of_text(len(text)) + text)
        self._note_sent(len(text))
        return True

    def _note_sent(self, size_bytes: int) -> None:
        self.proof.sent(size_bytes)
        if self.proof.loose_bytes >= PING_BYTES:
            self._ask()

    def sendData(self, data: bytes, sync: bool = False, chopsize: int | None = None) -> None:  # noqa: N802
        """Hands the data to the system at once if nothing waits before it. Twisted would watch the connection, wait
        for the next round of the event loop and then stop watching it, and the base class would format a log line."""
        if sync or chopsize or self.send_queue:
            super().sendData(data, sync, chopsize)
            return
        connection: Any = self.transport
        sent = 0
        is_free = connection.connected and not (connection.dataBuffer or connection._tempDataBuffer)
        if is_free and not connection.disconnecting:
            taken = connection.writeSomeData(data)
            # A lost connection is noticed by the ordinary way, which knows how to end it.
            sent = taken if isinstance(taken, int) else 0
        if sent < len(data):
            connection.write(data[sent:])

    def onPong(self, payload: bytes) -> None:  # noqa: N802
        if self.proof.answered(payload):
            self._wake()
        else:
            self._meter()

    def onClose(self, wasClean: bool, code: int, reason: str) -> None:  # noqa: N802, N803
        if not self._is_too_slow:
            super().onClose(wasClean, code, reason)
        self._wake()

    def check_timeouts(self) -> None:
        """Daphne calls this every 2 s."""
        super().check_timeouts()
        if self._is_message_late():
            self._refuse_more()
        if self.state != self.STATE_OPEN or self.proof.unproven_bytes < UNTIMED_BYTES:
            return
        if self.proof.waiting_seconds >= TOO_SLOW_SECONDS:
            self._give_up()
        elif self.proof.loose_bytes:
            self._ask()

    def onCloseHandshakeTimeout(self) -> None:  # noqa: N802
        """A peer that was too slow does not answer a close frame either, but may read it later: gives it that time."""
        if not self._is_too_slow or self._has_lingered:
            super().onCloseHandshakeTimeout()
            return
        self._has_lingered = True
        timers: Any = reactor
        self.closeHandshakeTimeoutCall = timers.callLater(LINGER_SECONDS, self.onCloseHandshakeTimeout)

    def _give_up(self) -> None:
        """Ends this socket for the application now, even if the connection stays open longer."""
        self._is_too_slow = self.muted = True
        self.serverClose(CLOSE_TOO_SLOW)
        self.server.protocol_disconnected(self)
        self.application_queue.put_nowait({"type": "websocket.disconnect", "code": CLOSE_TOO_SLOW})
        self._wake()

    def _is_message_late(self) -> bool:
        if self._began_at is None:
            return False
        if self.application_queue.is_paused:
            self._began_at = time.monotonic()
        return time.monotonic() - self._began_at >= MESSAGE_SECONDS

    def _meter(self) -> None:
        if self.state == self.STATE_OPEN and not self._frames.take():
            self._refuse_more()

    def _refuse_more(self) -> None:
        """Ends the connection without reading what else has come; its close code may still arrive."""
        if self.state != self.STATE_OPEN:
            return
        self.sendClose(code=CLOSE_ABUSE)
        self.dropConnection(abort=False)
        connection: Any = self.transport
        timers: Any = reactor
        timers.callLater(LINGER_SECONDS, connection.abortConnection)

    def _ask(self) -> None:
        if self.state == self.STATE_OPEN:
            self.sendPing(self.proof.ask())

    def _wake(self) -> None:
        news, self._news = self._news, None
        if news is not None:
            news.set()


def head_of_text(size_bytes: int) -> bytes:
    """The head of a whole, uncompressed text message from a server (RFC 6455, 5.2)."""
    if size_bytes < 126:
        return bytes((0x81, size_bytes))
    if size_bytes < 1 << 16:
        return struct.pack("!BBH", 0x81, 126, size_bytes)
    return struct.pack("!BBQ", 0x81, 127, size_bytes)


def _size(message: dict[str, Any]) -> int:
    return len(message.get("text") or message.get("bytes") or "")
