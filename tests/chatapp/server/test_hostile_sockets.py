"""Sockets and requests that only cost, on the real server: each of them ends, and others go on."""

import json
import os
import socket
import struct
import time

import pytest

from chatapp.server.paced_socket import MESSAGE_SECONDS, PacedSocket, ReadProof
from tests.servers import PATIENCE_SECONDS
from tests.servers.chat_server import ChatServer
from tests.servers.processes import resident_bytes
from tests.servers.raw_sockets import CLOSE, FLOODS, TEXT, flood, frame, has_been_ended, is_ended, raw_socket
from warmcache.testing import FakeClock

pytestmark = pytest.mark.any_database

GROWTH_BYTES = 24 * 1024 * 1024


@pytest.mark.parametrize("kind", FLOODS)
def test_a_flood_ends_its_own_socket_and_no_other(live_server_process: ChatServer, kind: str) -> None:
    assert live_server_process.process is not None
    pid = live_server_process.process.pid
    with raw_socket(live_server_process) as other:
        before = resident_bytes(pid)
        with raw_socket(live_server_process) as connection:
            flood(connection, FLOODS[kind])
            has_ended = is_ended(connection)
        grown = resident_bytes(pid) - before

        ping = json.dumps({"type": "ping"}).encode()
        other.sendall(frame(TEXT, ping))
        answer = b""
        while b'"pong"' not in answer:
            answer += other.recv(65536)

    assert has_ended
    assert grown < GROWTH_BYTES


def test_a_pong_cannot_be_guessed() -> None:
    clock = FakeClock()
    first, second = ReadProof(clock.now), ReadProof(clock.now)
    first.sent(1000)
    mine, others = first.ask(), second.ask()

    guesses = [b"read?%d" % number for number in range(1000)] + [os.urandom(len(mine)) for _ in range(1000)]
    told = [first.answered(guess) for guess in (*guesses, others, b"")]

    assert not any(told)
    assert first.unproven_bytes == 1000
    assert first.answered(mine)


@pytest.mark.parametrize("is_paused", [False, True])
def test_a_message_without_an_end_has_its_time_as_far_as_the_server_reads(is_paused: bool) -> None:
    class Waiting:
        pass

    paced = PacedSocket.__new__(PacedSocket)
    queue = Waiting()
    queue.is_paused = is_paused  # type: ignore[attr-defined]
    paced.application_queue = queue
    paced._began_at = time.monotonic() - MESSAGE_SECONDS

    assert paced._is_message_late() is not is_paused


def test_half_sent_heads_have_places_and_leave_them_to_others(start_chat_server) -> None:
    most = 20
    server = start_chat_server(environment={"CONNECTIONS_PER_ADDRESS": str(most)})
    connections = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(3 * most)]
    for connection in connections:
        flood(connection, b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n")
        connection.setblocking(False)

    deadline = time.monotonic() + PATIENCE_SECONDS
    while (ended := sum(map(has_been_ended, connections))) < 2 * most and time.monotonic() < deadline:
        time.sleep(0.02)
    for connection in connections:
        # Ends with a reset, so that the server notices at once.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()

    assert ended >= 2 * most
    with raw_socket(server) as connection:
        connection.sendall(frame(CLOSE, struct.pack("!H", 1000)))
        assert is_ended(connection)
