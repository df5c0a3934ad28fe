"""A minimal WebSocket client, cheap enough that a load of 8,000 frames a second fits on one core.

Text frames only, no compression, and a mask of zeros. Everything else uses `tests.servers.tabs`.
"""

import asyncio
import base64
import contextlib
import secrets
import struct
import time
from collections.abc import Callable

TEXT, CLOSE, PING, PONG = 0x1, 0x8, 0x9, 0xA
LAST = 0x80
MASKED = 0x80
NO_MASK = bytes(4)
HEAD_END = b"\r\n\r\n"
OnFrame = Callable[[bytes, int], None]


class SocketClosed(Exception):
    """The server has closed the socket; carries the close code if there was one."""


class FrameParser:
    """Bytes in, whole messages out, as `(opcode, payload)`."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._fragments = b""
        self._opcode = 0

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        buffer = self._buffer
        buffer += data
        found, start, size = [], 0, len(buffer)
        while size - start >= 2:
            first, length, head = buffer[start], buffer[start + 1], 2
            if length == 126:
                head = 4
            elif length == 127:
                head = 10
            if size - start < head:
                break
            if head > 2:
                length = int.from_bytes(buffer[start + 2 : start + head])
            end = start + head + length
            if end > size:
                break
            found += self._whole(first, bytes(buffer[start + head : end]))
            start = end
        del buffer[:start]
        return found

    def _whole(self, first: int, payload: bytes) -> list[tuple[int, bytes]]:
        opcode = first & 0x0F
        if opcode >= CLOSE or (first & LAST and opcode):
            return [(opcode, payload)]
        self._opcode = opcode or self._opcode
        self._fragments += payload
        if not first & LAST:
            return []
        whole, self._fragments = self._fragments, b""
        return [(self._opcode, whole)]


def masked_frame(opcode: int, payload: bytes) -> bytes:
    size = len(payload)
    if size < 126:
        head = bytes((LAST | opcode, MASKED | size))
    elif size < 65536:
        head = struct.pack("!BBH", LAST | opcode, MASKED | 126, size)
    else:
        head = struct.pack("!BBQ", LAST | opcode, MASKED | 127, size)
    return head + NO_MASK + payload


class FrameSocket(asyncio.Protocol):
    """Calls `on_frame(payload, now_ns)` for every text frame."""

    def __init__(self, on_frame: OnFrame) -> None:
        self.on_frame = on_frame
        self.bytes_in = 0
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.closed: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._parser: FrameParser | None = None
        self._head = bytearray()
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, error: Exception | None) -> None:
        for future in (self.opened, self.closed):
            if not future.done():
                future.set_exception(SocketClosed(f"the connection is gone: {error}"))
                future.exception()  # a waiter gets the exception; without a waiter it must not be logged

    def data_received(self, data: bytes) -> None:
        now_ns = time.monotonic_ns()
        self.bytes_in += len(data)
        if self._parser is None:
            data = self._take_head(data)
        if self._parser is None:
            return
        for opcode, payload in self._parser.feed(data):
            if opcode == TEXT:
                self.on_frame(payload, now_ns)
            elif opcode == PING:
                self._transport.write(masked_frame(PONG, payload))
            elif opcode == CLOSE:
                self._take_close(payload)

    def _take_head(self, data: bytes) -> bytes:
        self._head += data
        end = self._head.find(HEAD_END)
        if end < 0:
            return b""
        if self._head.startswith(b"HTTP/1.1 101 "):
            self._parser = FrameParser()
            self.opened.set_result(None)
        else:
            status = self._head.partition(b"\r\n")[0].decode()
            self.opened.set_exception(SocketClosed(f"the handshake was answered with {status}"))
        return bytes(self._head[end + len(HEAD_END) :])

    def _take_close(self, payload: bytes) -> None:
        if not self.closed.done():
            self.closed.set_result(int.from_bytes(payload[:2]))
        self._transport.write(masked_frame(CLOSE, payload[:2]))
        self._transport.close()

    def ask(self, handshake: bytes) -> None:
        self._transport.write(handshake)

    def send(self, payload: bytes) -> None:
        self._transport.write(masked_frame(TEXT, payload))

    async def close(self) -> None:
        """Sends a close frame and waits a moment for the server's."""
        if not self.closed.done():
            self._transport.write(masked_frame(CLOSE, (1000).to_bytes(2)))
            with contextlib.suppress(TimeoutError, SocketClosed):
                await asyncio.wait_for(asyncio.shield(self.closed), 1)
        self._transport.close()


async def connect(port: int, path: str, *, on_frame: OnFrame, cookie: str = "") -> FrameSocket:
    """Raises `SocketClosed` if the server refuses the connection."""
    _, socket = await asyncio.get_running_loop().create_connection(lambda: FrameSocket(on_frame), "127.0.0.1", port)
    key = base64.b64encode(secrets.token_bytes(16)).decode()
    lines = [
        f"GET {path} HTTP/1.1",
        f"Host: 127.0.0.1:{port}",
        f"Origin: http://127.0.0.1:{port}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        f"Sec-WebSocket-Key: {key}",
        *([f"Cookie: {cookie}"] if cookie else []),
    ]
    socket.ask("\r\n".join(lines).encode() + HEAD_END)
    await socket.opened
    return socket
