"""Finding a free port, and waiting until somebody listens on it."""

import secrets
import socket
import time

from tests.servers import PATIENCE_SECONDS

PORTS = range(10_000, 32_000)
"""Below those that systems give to connections: between its being found and its being used, and while a server that a
test has killed is away, no connection of anybody's takes such a port, and none to it meets itself."""


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
