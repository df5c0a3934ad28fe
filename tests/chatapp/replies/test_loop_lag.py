"""When a delta leaves at once and when it waits, in a hand-driven loop and clock."""

from collections import deque
from collections.abc import Callable

import pytest

from chatapp.replies.loop_lag import BEHIND_SECONDS, MAX_HOLD_SECONDS, LoopLag
from chatapp.replies.writer import ReplyWriter
from tests.chatapp.replies.reply_frames import new_log
from warmcache.core.ports import BlockBegan, BlockDelta, BlockEnded
from warmcache.testing import FakeClock


class Loop:
    """Runs its callbacks when the test says so, each after `lag` seconds."""

    def __init__(self) -> None:
        self.clock = FakeClock(now=100.0)
        self.callbacks: deque[Callable[[], None]] = deque()
        self.lag = LoopLag(clock=self.clock.now, call_soon=self.callbacks.append)

    def turn(self, *, lag: float) -> None:
        self.clock.advance(lag)
        for _ in range(len(self.callbacks)):
            self.callbacks.popleft()()


@pytest.fixture
def loop() -> Loop:
    return Loop()


@pytest.fixture
def writer(loop: Loop) -> ReplyWriter:
    """Of a reply that has shown its first words."""
    log = new_log()
    writer = ReplyWriter(log, received_at=loop.clock.now(), lag=loop.lag, clock=loop.clock.now)
    writer.take([BlockBegan(index=0, kind="text")])
    say(writer, "0")
    return writer


def say(writer: ReplyWriter, *texts: str) -> None:
    for text in texts:
        writer.take([BlockDelta(index=0, kind="text", text=text)])


def told(writer: ReplyWriter) -> list[str]:
    return [frame.text for frame in writer._log.frames_after(0) if hasattr(frame, "text")]


def test_while_the_loop_is_idle_every_delta_leaves_at_once(loop, writer):
    for number in range(1, 6):
        say(writer, str(number))
        loop.turn(lag=BEHIND_SECONDS / 2)

    assert told(writer) == ["0", "1", "2", "3", "4", "5"]


def test_while_the_loop_is_behind_deltas_leave_together_and_at_once_when_it_has_caught_up(loop, writer):
    loop.turn(lag=BEHIND_SECONDS * 2)
    say(writer, "1", "2")
    loop.turn(lag=BEHIND_SECONDS * 2)
    say(writer, "3")
    behind = told(writer)

    loop.turn(lag=BEHIND_SECONDS / 2)
    say(writer, "4")

    assert behind == ["0"]
    assert told(writer) == ["0", "123", "4"]


def test_however_far_the_loop_is_behind_nothing_is_held_for_longer_than_the_bound(loop, writer):
    loop.turn(lag=BEHIND_SECONDS * 2)
    say(writer, "1")
    waited = 0.0

    while told(writer) == ["0"]:
        loop.turn(lag=0.01)
        waited += 0.01

    assert waited < MAX_HOLD_SECONDS + 0.011


def test_what_waits_leaves_before_the_block_ends(loop, writer):
    loop.turn(lag=BEHIND_SECONDS * 2)
    say(writer, "1")

    writer.take([BlockEnded(index=0)])
    loop.turn(lag=BEHIND_SECONDS / 2)

    assert told(writer) == ["0", "1"]
    assert [frame.seq for frame in writer._log.frames_after(0)] == [1, 2, 3, 4]


def test_nothing_is_measured_while_nobody_writes(loop, writer):
    loop.turn(lag=0.0)

    assert not loop.callbacks


def test_the_first_words_leave_at_once_even_from_a_loop_that_is_behind(loop):
    loop.lag.measure()
    loop.turn(lag=1.0)
    writer = ReplyWriter(new_log(), received_at=loop.clock.now(), lag=loop.lag, clock=loop.clock.now)
    writer.take([BlockBegan(index=0, kind="text")])
    loop.clock.advance(0.25)

    say(writer, "First")

    assert told(writer) == ["First"]
    assert writer.ttft_ms == 250


def test_deltas_that_arrive_together_leave_together_and_are_measured_once(loop, writer):
    loop.turn(lag=0.0)

    writer.take([BlockDelta(index=0, kind="text", text=text) for text in ("1", "2", "3")])

    assert told(writer) == ["0", "123"]
    assert len(loop.callbacks) == 1


def test_what_arrives_together_keeps_the_order_of_its_blocks(loop):
    writer = ReplyWriter(new_log(), received_at=loop.clock.now(), lag=loop.lag, clock=loop.clock.now)

    writer.take(
        [
            BlockBegan(index=0, kind="thinking"),
            BlockDelta(index=0, kind="thinking", text="So"),
            BlockEnded(index=0),
            BlockBegan(index=1, kind="text"),
            BlockDelta(index=1, kind="text", text="First"),
        ]
    )

    frames = [getattr(frame, "text", None) or frame.state for frame in writer._log.frames_after(0)]
    assert frames == ["start", "So", "stop", "start", "First"]


def test_the_first_words_do_not_wait_for_what_came_before_them_while_the_loop_is_behind(loop):
    loop.lag.measure()
    loop.turn(lag=1.0)
    writer = ReplyWriter(new_log(), received_at=loop.clock.now(), lag=loop.lag, clock=loop.clock.now)
    writer.take([BlockBegan(index=0, kind="text")])

    say(writer, "First", "second")

    assert told(writer) == ["First"]
