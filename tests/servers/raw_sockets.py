"""A WebSocket of bare bytes, which does what no library does: it reads nothing, and sends what no message comes of."""

import re
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from tests.servers import PATIENCE_SECONDS
from tests.servers.chat_server import ChatServer

TEXT, CONTINUATION, CLOSE, PING, PONG = 1, 0, 8, 9, 10
FINAL = 0x80
MASKED = 0x80
MANY = 40_000
"""Frames: many times what the server takes at once."""


def frame(opcode: int, payload: bytes = b"", *, is_final: bool = True) -> bytes:
    """One frame as a client sends it, masked with nothing."""
    head = bytes([opcode | (FINAL if is_final else 0), MASKED | len(payload)])
    return head + b"\0\0\0\0" + payload


@contextmanager
def raw_socket(server: ChatServer) -> Iterator[socket.socket]:
    """A WebSocket that reads nothing by itself."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE_SECONDS) as connection:
        head = [
            "GET /ws/chat/ HTTP/1.1",
            f"Host: 127.0.0.1:{server.port}",
            f"Origin: {server.url}",
            f"Cookie: {server.users['ann'].cookie}",
            "Upgrade: websocket",
            "Connection: Upgrade",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        ]
        connection.sendall("\r\n".join([*head, "", ""]).encode())
        answer = b""
        while b'"ready"' not in answer:
            answer += connection.recv(65536)
        yield connection


def is_ended(connection: socket.socket) -> bool:
    """Reads to the end; a server that has more to say than we read may reset the connection."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    try:
        while time.monotonic() < deadline:
            if not connection.recv(65536):
                return True
    except OSError as error:
        return not isinstance(error, TimeoutError)
    return False


def close_code_of(connection: socket.socket) -> int | None:
    """Reads until the server's close frame, before which come frames of ASCII text; None if it ends without one."""
    found = b""
    with suppress(ConnectionResetError):
        while data := connection.recv(65536):
            found += data
            if close := re.search(rb"\x88[\x02-\x7d](..)", found, re.DOTALL):
                return int.from_bytes(close[1])
    return None


def flood(connection: socket.socket, data: bytes) -> bool:
    """Sends it all; False if the server has ended the connection before."""
    try:
        connection.sendall(data)
    except OSError:
        return False
    return True


FLOODS = {
    "pings": frame(PING) * MANY,
    "pings with something to send back": frame(PING, b"x" * 125) * MANY,
    "pongs that answer nothing": b"".join(frame(PONG, b"read?%d" % number) for number in range(MANY)),
    "empty continuations": frame(TEXT, is_final=False) + frame(CONTINUATION, is_final=False) * MANY,
    "empty messages": frame(TEXT) * MANY,
}


def has_been_ended(connection: socket.socket) -> bool:
    """Whether the server has ended it by now; the connection must not block."""
    try:
        return not connection.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return False
    except OSError:
        return True
