"""Finding a free port, and waiting until somebody listens on it."""

import secrets
import socket
import time

from tests.servers import PATIENCE_SECONDS

PORTS = range(10_000, 32_000)
"""Below the ephemeral ports, which systems give to outgoing connections. So no connection takes such a port between its
choice and its use, or while a killed server is away, and no connection to it connects to itself."""


def free_port() -> int:
    while True:
        port = secrets.choice(PORTS)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def wait_until_listening(port: int, seconds: float = PATIENCE_SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=seconds).close()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
