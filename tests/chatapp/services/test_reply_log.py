"""The frames of one reply, in order, for any number of readers."""

import asyncio
from uuid import uuid4

import pytest

from chatapp.protocol import ReplyBlock, ReplyDelta, ReplyFinished
from chatapp.services.reply_log import ReplyLog


def block(log: ReplyLog, state: str, *, index: int = 0, kind: str = "text", name: str = "") -> ReplyBlock:
    return ReplyBlock(
        reply_id=log.reply_id,
        epoch=log.epoch,
        seq=log.seq + 1,
        block=index,
        kind=kind,
        name=name,
        state=state,
        data=None,
    )


def delta(log: ReplyLog, text: str, *, index: int = 0) -> ReplyDelta:
    return ReplyDelta(reply_id=log.reply_id, epoch=log.epoch, seq=log.seq + 1, kind="text", block=index, text=text)


def finished(log: ReplyLog) -> ReplyFinished:
    nothing = {"stop_reason": None, "error": None, "usage": None, "ttft_ms": None, "cost_usd": None, "warm_up_id": None}
    return ReplyFinished(
        reply_id=log.reply_id, epoch=log.epoch, seq=log.seq + 1, status="complete", warmth="cold", **nothing
    )


@pytest.fixture
def log() -> ReplyLog:
    return ReplyLog(uuid4())


async def read(log: ReplyLog, after_seq: int = 0) -> list[int]:
    return [frame.seq async for frame in log.follow(after_seq)]


async def test_readers_from_everywhere_get_every_later_frame_once(log):
    readers = [asyncio.create_task(read(log))]
    for number in range(20):
        log.append(delta(log, f"{number} "))
        if number % 5 == 0:
            readers.append(asyncio.create_task(read(log, after_seq=log.seq)))
            await asyncio.sleep(0)
    log.append(finished(log))

    got = await asyncio.gather(*readers)

    assert got == [list(range(begin, 22)) for begin in (1, 2, 7, 12, 17)]
    assert await read(log, after_seq=21) == []


def test_a_frame_out_of_order_is_refused(log):
    first = delta(log, "a")
    log.append(first)

    with pytest.raises(ValueError, match="does not follow"):
        log.append(first)


def test_nothing_follows_the_end(log):
    log.append(finished(log))

    assert log.is_finished
    with pytest.raises(ValueError, match="does not follow"):
        log.append(delta(log, "late"))


def test_two_logs_of_one_reply_have_different_epochs(log):
    assert ReplyLog(log.reply_id).epoch != log.epoch


def test_the_snapshot_is_what_the_frames_add_up_to(log):
    for frame in (
        lambda: block(log, "start", index=0, kind="tool_input", name="look_up"),
        lambda: delta(log, "a", index=0),
        lambda: delta(log, "b", index=0),
        lambda: block(log, "stop", index=0, kind="tool_input"),
        lambda: block(log, "start", index=1),
        lambda: delta(log, "c", index=1),
    ):
        log.append(frame())

    views = [(v.block, v.kind, v.name, v.text, v.state) for v in log.blocks()]

    assert views == [(0, "tool_input", "look_up", "ab", "stop"), (1, "text", "", "c", "start")]
