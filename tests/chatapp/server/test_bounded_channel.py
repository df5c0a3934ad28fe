"""Requests that never end: their connections do."""

from collections.abc import Iterator

import pytest
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport

from chatapp.process import addresses
from chatapp.server import bounded_channel
from chatapp.server.bounded_channel import BODY_SECONDS, HEAD_SECONDS, BoundedChannel

HALF_A_HEAD = b"POST /accounts/login/ HTTP/1.1\r\nHost: chat.example\r\n"


class Connection(StringTransport):
    is_aborted = False

    def abortConnection(self) -> None:  # noqa: N802
        self.is_aborted = True


@pytest.fixture
def timers(monkeypatch) -> Clock:
    timers = Clock()
    monkeypatch.setattr(bounded_channel, "reactor", timers)
    return timers


@pytest.fixture
def channel(timers: Clock) -> Iterator[BoundedChannel]:
    channel = BoundedChannel()
    channel.timeOut = None
    channel.makeConnection(Connection())
    yield channel
    channel.connectionLost()
    assert timers.getDelayedCalls() == []


def drip(channel: BoundedChannel, timers: Clock, data: bytes, seconds: float) -> None:
    """A byte each second, over and over."""
    for number in range(round(seconds)):
        channel.dataReceived(data[number % len(data) :][:1])
        timers.advance(1)


def test_a_head_that_comes_byte_by_byte_has_its_time_and_no_more(channel, timers) -> None:
    channel.dataReceived(HALF_A_HEAD)
    drip(channel, timers, b"X-A: 1\r\n", HEAD_SECONDS - 1)
    before = channel.transport.is_aborted
    timers.advance(1)

    assert (before, channel.transport.is_aborted) == (False, True)


def test_a_connection_that_says_nothing_ends(channel, timers) -> None:
    timers.advance(HEAD_SECONDS)

    assert channel.transport.is_aborted


def test_a_body_has_more_time(channel, timers) -> None:
    channel.dataReceived(HALF_A_HEAD + b"Content-Length: 1000\r\n\r\n")
    drip(channel, timers, b"x", BODY_SECONDS - 1)
    before = channel.transport.is_aborted
    timers.advance(1)

    assert (before, channel.transport.is_aborted) == (False, True)


def test_an_address_without_a_place_is_let_go_at_once(timers, settings) -> None:
    settings.CONNECTIONS_PER_ADDRESS = 1
    first, second = BoundedChannel(), BoundedChannel()
    for channel in (first, second):
        channel.timeOut = None
        channel.makeConnection(Connection())
    peer = first.transport.getPeer().host
    counted = addresses.connections.count(peer)
    first.connectionLost()
    second.connectionLost()

    assert (first.transport.is_aborted, second.transport.is_aborted, counted) == (False, True, 1)
    assert addresses.connections.count(peer) == 0
