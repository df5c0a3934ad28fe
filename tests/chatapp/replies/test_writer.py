"""When the provider's deltas become frames: those that arrive together are one, and none waits."""

import pytest

from chatapp.replies.writer import ReplyWriter
from tests.chatapp.replies.reply_frames import new_log
from warmcache.core.ports import BlockBegan, BlockDelta, BlockEnded
from warmcache.testing import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(now=100.0)


@pytest.fixture
def writer(clock: FakeClock) -> ReplyWriter:
    """Of a reply whose text begins."""
    writer = ReplyWriter(new_log(), received_at=clock.now(), clock=clock.now)
    writer.take([BlockBegan(index=0, kind="text")])
    return writer


def say(writer: ReplyWriter, *texts: str) -> None:
    writer.take([BlockDelta(index=0, kind="text", text=text) for text in texts])


def told(writer: ReplyWriter) -> list[str]:
    return [getattr(frame, "text", None) or frame.state for frame in writer._log.frames_after(0)]


def test_deltas_that_arrive_together_leave_together_and_at_once(writer):
    say(writer, "1", "2", "3")
    say(writer, "4")

    assert told(writer) == ["start", "123", "4"]


def test_a_block_ends_after_its_deltas(writer):
    say(writer, "1")
    writer.take([BlockDelta(index=0, kind="text", text="2"), BlockEnded(index=0)])

    assert told(writer) == ["start", "1", "2", "stop"]
    assert [frame.seq for frame in writer._log.frames_after(0)] == [1, 2, 3, 4]


def test_what_arrives_together_keeps_the_order_of_its_blocks():
    writer = ReplyWriter(new_log(), received_at=0.0)

    writer.take(
        [
            BlockBegan(index=0, kind="thinking"),
            BlockDelta(index=0, kind="thinking", text="So"),
            BlockEnded(index=0),
            BlockBegan(index=1, kind="text"),
            BlockDelta(index=1, kind="text", text="First"),
        ]
    )

    assert told(writer) == ["start", "So", "stop", "start", "First"]


def test_the_first_words_are_timed(writer, clock):
    clock.advance(0.25)
    say(writer, "First")
    clock.advance(0.25)
    say(writer, "second")

    assert writer.ttft_ms == 250
