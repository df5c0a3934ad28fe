"""The wire that other tests spoil spoils what it says, and nothing else."""

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest

from tests.servers import PATIENCE_SECONDS
from tests.servers.fault_proxy import FaultProxy


@pytest.fixture
def echo() -> Iterator[int]:
    """A server that says back what it hears; gives its port."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve(connection: socket.socket) -> None:
        with suppress(OSError), connection:
            while data := connection.recv(4096):
                connection.sendall(data)

    def accept() -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    yield listener.getsockname()[1]
    listener.close()


@pytest.fixture
def wire(echo: int) -> Iterator[FaultProxy]:
    with FaultProxy(echo) as proxy:
        yield proxy


def connect(wire: FaultProxy) -> socket.socket:
    return socket.create_connection(("127.0.0.1", wire.port), timeout=PATIENCE_SECONDS)


def said_back(connection: socket.socket, data: bytes) -> bytes:
    connection.sendall(data)
    heard = b""
    while len(heard) < len(data) and (piece := connection.recv(4096)):
        heard += piece
    return heard


def test_without_a_fault_bytes_pass_both_ways(wire: FaultProxy) -> None:
    with connect(wire) as connection:
        assert said_back(connection, b"hello" * 20_000) == b"hello" * 20_000


def test_a_cut_resets_what_is_open_and_takes_what_comes(wire: FaultProxy) -> None:
    with connect(wire) as connection:
        said_back(connection, b"one")
        wire.cut()

        with pytest.raises(ConnectionResetError):
            connection.recv(1)
    with connect(wire) as connection:
        assert said_back(connection, b"two") == b"two"


def test_a_wire_that_stays_cut_takes_nobody_until_it_is_mended(wire: FaultProxy) -> None:
    wire.cut(stay_cut=True)
    with pytest.raises(OSError), connect(wire) as connection:
        connection.sendall(b"one")
        assert connection.recv(1)

    wire.mend()
    with connect(wire) as connection:
        assert said_back(connection, b"two") == b"two"


def test_a_frozen_wire_tells_nobody_and_loses_nothing(wire: FaultProxy) -> None:
    with connect(wire) as connection:
        said_back(connection, b"one")
        wire.freeze()
        connection.sendall(b"two")
        connection.settimeout(0.3)
        with pytest.raises(TimeoutError):
            connection.recv(1)

        wire.mend()
        connection.settimeout(PATIENCE_SECONDS)
        assert connection.recv(3) == b"two"


def test_a_slow_wire_still_passes_every_byte(wire: FaultProxy) -> None:
    wire.slow(latency_seconds=0.01, bytes_per_second=20_000)

    with connect(wire) as connection:
        assert said_back(connection, b"x" * 300) == b"x" * 300


def test_the_server_s_own_end_is_passed_on(wire: FaultProxy) -> None:
    with connect(wire) as connection:
        said_back(connection, b"one")
        connection.shutdown(socket.SHUT_WR)

        assert connection.recv(1) == b""
