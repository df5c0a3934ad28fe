"""The load's own WebSocket client takes frames apart as any other does."""

import pytest

from benchmarks.turns.frame_socket import PING, TEXT, FrameParser, masked_frame


def server_frame(opcode: int, payload: bytes, *, is_last: bool = True) -> bytes:
    """As masked as a server's: not at all."""
    masked = masked_frame(opcode, payload)
    head_bytes = len(masked) - len(payload) - 4
    head = bytearray(masked[:head_bytes])
    head[0] &= 0xFF if is_last else 0x7F
    head[1] &= 0x7F
    return bytes(head) + payload


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536])
@pytest.mark.parametrize("step", [1_000, 1_000_000])
def test_a_frame_of_any_length_arrives_whole_however_it_is_cut(size, step):
    parser, data = FrameParser(), server_frame(TEXT, b"x" * size)

    found = [frame for start in range(0, len(data), step) for frame in parser.feed(data[start : start + step])]

    assert found == [(TEXT, b"x" * size)]


def test_frames_that_come_together_are_told_apart():
    data = server_frame(TEXT, b"one") + server_frame(PING, b"two") + server_frame(TEXT, b"three")

    assert FrameParser().feed(data) == [(TEXT, b"one"), (PING, b"two"), (TEXT, b"three")]


def test_a_ping_between_two_parts_of_a_message_leaves_it_whole():
    begun, rest = server_frame(TEXT, b"one ", is_last=False), server_frame(0, b"message")

    assert FrameParser().feed(begun + server_frame(PING, b"") + rest) == [(PING, b""), (TEXT, b"one message")]
