"""How far a page may lag behind what it is sent of replies."""

import asyncio
from uuid import uuid4

import pytest

from chatapp.protocol.limits import ACK_BYTES, LATE_SECONDS, TOO_SLOW_SECONDS, WINDOW_BYTES
from chatapp.socket import send_window
from chatapp.socket.send_window import SendWindow
from warmcache.testing import FakeClock

REPLY, OTHER = uuid4(), uuid4()
KIB = 1024


@pytest.fixture
def window(clock: FakeClock) -> SendWindow:
    """Of a page that acknowledges."""
    made = SendWindow(clock.now)
    made.seen(REPLY, 0)
    return made


def _room_in(window: SendWindow) -> int:
    """Bytes that may still go, told by filling it."""
    room = 0
    for size in (WINDOW_BYTES - 20, 19, 1, *[1] * 20):
        window.sent(REPLY, 1000 + room, size)
        if not window.is_open:
            break
        room += size
    return room


def test_a_client_that_never_acknowledged_is_not_counted(clock):
    window = SendWindow(clock.now)
    for seq in range(100):
        window.sent(REPLY, seq, 64 * KIB)
    clock.advance(3600)

    assert window.is_open


def test_the_window_is_shut_beyond_its_bytes_and_opened_by_an_ack(window):
    window.sent(REPLY, 1, WINDOW_BYTES)
    was_open = window.is_open
    window.sent(REPLY, 2, 1)
    was_open_beyond = window.is_open

    window.seen(REPLY, 1)

    assert (was_open, was_open_beyond, window.is_open) == (True, False, True)
    assert _room_in(window) == WINDOW_BYTES - 1


def test_an_ack_speaks_for_its_own_reply_alone(window):
    window.sent(REPLY, 1, 10)
    window.sent(OTHER, 1, 20)
    window.sent(REPLY, 2, 30)

    window.seen(REPLY, 2)

    assert _room_in(window) == WINDOW_BYTES - 20


def test_more_than_an_ack_is_due_for_may_not_lie_for_long(window, clock):
    window.sent(REPLY, 1, ACK_BYTES + 1)
    clock.advance(LATE_SECONDS - 0.1)
    was_open = window.is_open
    clock.advance(0.1)

    assert (was_open, window.is_open) == (True, False)


def test_the_rest_of_a_hidden_tab_may_lie_there_for_ever(window, clock):
    window.sent(REPLY, 1, ACK_BYTES)
    clock.advance(3600)

    assert window.is_open


def test_a_page_that_begins_anew_owes_nothing(window):
    window.sent(REPLY, 1, WINDOW_BYTES + 1)

    window.clear()

    assert _room_in(window) == WINDOW_BYTES


async def test_who_waits_goes_on_with_the_ack(window):
    window.sent(REPLY, 1, WINDOW_BYTES + 1)
    waiting = asyncio.create_task(window.has_room())
    await asyncio.sleep(0)

    window.seen(REPLY, 1)

    assert await waiting


async def test_who_waits_for_too_long_is_told_so(window, clock, monkeypatch):
    monkeypatch.setattr(send_window, "TOO_SLOW_SECONDS", 0.0)
    window.sent(REPLY, 1, WINDOW_BYTES + 1)

    assert not await window.has_room()


async def test_patience_is_counted_from_the_oldest_frame(window, clock):
    window.sent(REPLY, 1, WINDOW_BYTES + 1)
    clock.advance(TOO_SLOW_SECONDS)

    assert not await window.has_room()


async def test_a_moving_window_is_never_too_slow(window, clock):
    for seq in range(1, 60):
        window.sent(REPLY, seq, WINDOW_BYTES // 4)
        clock.advance(1.0)
        window.seen(REPLY, seq - 1)

        assert await window.has_room()
