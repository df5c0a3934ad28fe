"""How much one socket may ask for."""

import pytest

from chatapp import protocol
from chatapp.protocol.limits import LIMITS, STRIKES_TO_CLOSE
from chatapp.quotas.token_bucket import TokenBucket
from chatapp.socket.buckets import SocketBuckets

AN_ID = "0b7e4b1c-95b3-4a6a-9d2e-0d4f7f4f9e11"
COMMAND = protocol.ReplyStop(reply_id=AN_ID)
HINTS = {
    "typing": (protocol.TypingStarted(), LIMITS["typing_burst"]),
    "acks": (protocol.ReplySeen(reply_id=AN_ID, seq=1), LIMITS["ack_burst"]),
    "pings": (protocol.Ping(), LIMITS["ack_burst"]),
}


def test_a_bucket_gives_its_capacity_and_then_its_rate(clock):
    bucket = TokenBucket(capacity=3, per_second=2, clock=clock.now)

    assert [bucket.take() for _ in range(4)] == [True, True, True, False]
    clock.advance(0.5)
    assert [bucket.take() for _ in range(2)] == [True, False]


def test_a_bucket_never_holds_more_than_its_capacity(clock):
    bucket = TokenBucket(capacity=3, per_second=2, clock=clock.now)
    clock.advance(3600)

    assert [bucket.take() for _ in range(4)] == [True, True, True, False]


@pytest.mark.parametrize("name", HINTS)
def test_excess_hints_are_dropped_and_cost_commands_nothing(clock, name):
    frame, burst = HINTS[name]
    buckets = SocketBuckets(clock.now)

    admitted = [buckets.admits(frame) for _ in range(burst + 5)]

    assert admitted == [True] * burst + [False] * 5
    assert buckets.admits(COMMAND)


def test_a_command_too_many_is_refused_with_its_ref(clock):
    buckets = SocketBuckets(clock.now)
    for _ in range(LIMITS["command_burst"]):
        assert buckets.admits(COMMAND)

    with pytest.raises(protocol.FrameError) as refused:
        buckets.admits(COMMAND)
    clock.advance(1 / LIMITS["commands_per_second"])

    assert (refused.value.code, refused.value.ref, refused.value.code.is_retryable) == ("rate_limited", AN_ID, True)
    assert buckets.admits(COMMAND)


def test_the_last_strike_closes_and_old_ones_fade(clock):
    buckets = SocketBuckets(clock.now)

    assert all(buckets.strike() for _ in range(STRIKES_TO_CLOSE))
    assert not buckets.strike()
    clock.advance(1)
    assert [buckets.strike() for _ in range(LIMITS["commands_per_second"] + 1)][-1] is False


def test_a_fast_typist_never_meets_the_bucket(clock):
    from chatapp.protocol.limits import TIMINGS

    buckets = SocketBuckets(clock.now)
    for _ in range(1000):
        clock.advance(TIMINGS["typing_repeat_ms"] / 1000)
        assert buckets.admits(protocol.TypingStarted())


def test_a_page_that_acks_at_the_told_pace_never_meets_the_bucket(clock):
    from chatapp.protocol.limits import TIMINGS

    buckets = SocketBuckets(clock.now)
    for _ in range(1000):
        clock.advance(TIMINGS["ack_interval_ms"] / 1000)
        assert buckets.admits(protocol.ReplySeen(reply_id=AN_ID, seq=1))
