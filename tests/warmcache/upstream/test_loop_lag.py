"""How long a stream rests before it is read again, in a hand-driven loop and clock."""

from collections import deque
from collections.abc import Callable

import pytest

from warmcache.testing import FakeClock
from warmcache.upstream.loop_lag import BEHIND_SECONDS, MAX_REST_SECONDS, REST_PER_LAG, LoopLag


class Loop:
    """Runs its callbacks when the test says so, each after `lag` seconds."""

    def __init__(self) -> None:
        self.clock = FakeClock(now=100.0)
        self.callbacks: deque[Callable[[], None]] = deque()
        self.lag = LoopLag(clock=self.clock.now, call_soon=self.callbacks.append)

    def turn(self, *, lag: float) -> None:
        self.lag.measure()
        self.clock.advance(lag)
        for _ in range(len(self.callbacks)):
            self.callbacks.popleft()()


@pytest.fixture
def loop() -> Loop:
    return Loop()


def test_while_the_loop_keeps_up_nothing_rests(loop):
    for _ in range(5):
        loop.turn(lag=BEHIND_SECONDS / 2)

    assert loop.lag.rest_seconds == 0


def test_a_stream_rests_the_longer_the_further_the_loop_is_behind(loop):
    loop.turn(lag=BEHIND_SECONDS * 2)

    assert loop.lag.rest_seconds == pytest.approx(BEHIND_SECONDS * 2 * REST_PER_LAG)


def test_however_far_the_loop_is_behind_nothing_rests_for_longer_than_the_bound(loop):
    loop.turn(lag=10.0)

    assert loop.lag.rest_seconds == MAX_REST_SECONDS


def test_one_quick_round_between_slow_ones_does_not_end_the_rests_but_some_do(loop):
    loop.turn(lag=BEHIND_SECONDS * 3)
    loop.turn(lag=0.0)
    after_one = loop.lag.rest_seconds
    for _ in range(3):
        loop.turn(lag=0.0)

    assert after_one > 0
    assert loop.lag.rest_seconds == 0


def test_measurements_do_not_gather(loop):
    loop.lag.measure()
    loop.lag.measure()

    assert len(loop.callbacks) == 1


def test_nothing_is_measured_while_nobody_reads(loop):
    loop.turn(lag=0.0)

    assert not loop.callbacks
