"""What a peer has surely read, and how much of what it sends is read."""

from typing import Any

import pytest

from benchmarks.turns.frame_socket import TEXT, FrameParser
from chatapp.protocol.limits import WAITING_CHARACTERS, WAITING_MESSAGES
from chatapp.server.paced_socket import InputQueue, PacedSocket, ReadProof, head_of_text
from warmcache.testing import FakeClock


@pytest.fixture
def proof(clock: FakeClock) -> ReadProof:
    return ReadProof(clock.now)


def test_what_was_sent_is_on_its_way_until_a_ping_behind_it_is_answered(proof):
    proof.sent(100)
    ping = proof.ask()
    proof.sent(10)
    before = proof.unproven_bytes

    proof.answered(ping)

    assert (before, proof.unproven_bytes) == (110, 10)


def test_an_answer_speaks_for_all_before_it(proof):
    proof.sent(1)
    first = proof.ask()
    proof.sent(2)
    second = proof.ask()
    proof.sent(4)

    proof.answered(second)
    proof.answered(first)

    assert proof.unproven_bytes == 4


def test_a_pong_that_nobody_asked_for_says_nothing(proof):
    proof.sent(7)
    proof.ask()

    proof.answered(b"made up")

    assert proof.unproven_bytes == 7


def test_time_counts_from_the_oldest_unanswered_ping_and_not_from_the_bytes_that_gathered_before_it(proof, clock):
    proof.sent(1)
    clock.advance(60)
    gathering = proof.waiting_seconds
    first = proof.ask()
    clock.advance(3)
    proof.sent(1)
    proof.ask()
    clock.advance(2)
    before = proof.waiting_seconds

    proof.answered(first)

    assert (gathering, before, proof.waiting_seconds) == (0, 5, 2)


def test_nothing_waits_where_all_is_proven(proof, clock):
    proof.sent(1)
    proof.answered(proof.ask())
    clock.advance(60)

    assert proof.waiting_seconds == 0


class Connection:
    def __init__(self) -> None:
        self.is_read = True
        self.queue = InputQueue(pause=self.pause, resume=self.resume)

    def pause(self) -> None:
        self.is_read = False

    def resume(self) -> None:
        self.is_read = True


def message(text: str) -> dict[str, Any]:
    return {"type": "websocket.receive", "text": text}


@pytest.mark.parametrize(
    ("text", "count"), [("x", WAITING_MESSAGES), ("x" * (WAITING_CHARACTERS // 4), 4)], ids=["many", "large"]
)
def test_a_connection_is_not_read_while_enough_waits_and_read_again_when_half_is_done(text, count):
    connection = Connection()
    for _ in range(count - 1):
        connection.queue.put_nowait(message(text))
    was_read = connection.is_read
    connection.queue.put_nowait(message(text))
    was_read_when_full = connection.is_read

    for _ in range(count // 2 - 1):
        connection.queue.get_nowait()
    was_read_when_fuller_than_half = connection.is_read
    connection.queue.get_nowait()

    assert (was_read, was_read_when_full, was_read_when_fuller_than_half) == (True, False, False)
    assert connection.is_read


def test_bytes_count_as_text_does():
    connection = Connection()

    connection.queue.put_nowait({"type": "websocket.receive", "bytes": b"x" * WAITING_CHARACTERS})

    assert not connection.is_read


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65_535, 65_536, 200_000])
def test_a_text_message_has_the_head_that_a_client_reads(size):
    text = b"x" * size

    assert FrameParser().feed(head_of_text(size) + text) == [(TEXT, text)]


class Line:
    """A connection as Twisted has it, to a peer that takes so many bytes at a time."""

    connected = True
    disconnecting = False

    def __init__(self, takes: list[int | Exception]) -> None:
        self.takes = takes
        self.dataBuffer = b""
        self._tempDataBuffer: list[bytes] = []
        self.gone = b""

    def writeSomeData(self, data: bytes) -> int | Exception:  # noqa: N802
        taken = self.takes.pop(0)
        if isinstance(taken, int):
            self.gone += data[:taken]
        return taken

    def write(self, data: bytes) -> None:
        self._tempDataBuffer.append(data)


def socket_on(line: Line) -> PacedSocket:
    socket = PacedSocket()
    socket.transport = line
    socket.send_queue = []
    return socket


@pytest.mark.parametrize("takes", [[4, 4], [4, 1], [2], [0], [ConnectionError()]])
def test_what_the_system_does_not_take_at_once_waits_in_its_order(takes):
    line = Line(takes)

    for data in (b"one.", b"two."):
        socket_on(line).sendData(data)

    assert (line.gone + b"".join(line._tempDataBuffer), line.takes) == (b"one.two.", [])


def test_nothing_overtakes_what_waits():
    line = Line([99])
    line._tempDataBuffer.append(b"before.")

    socket_on(line).sendData(b"after.")

    assert (line.gone, line._tempDataBuffer) == (b"", [b"before.", b"after."])
