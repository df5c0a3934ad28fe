"""The frames of one reply, in order, for any number of readers."""

import asyncio

import pytest

from chatapp.replies.log import LogGap, ReplyLog
from tests.chatapp.replies.reply_frames import append_next, block, delta, finished, new_log, write
from tests.chatapp.sockets import in_time


@pytest.fixture
def log() -> ReplyLog:
    return new_log()


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
    assert new_log(log.reply_id).epoch != log.epoch


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


def test_a_log_holds_the_newest_frames_within_its_bound_and_the_whole_state() -> None:
    log = new_log(max_held_bytes=1_000)
    unbounded = new_log()

    write(log, 500)
    write(unbounded, 500)

    assert log.held_bytes <= 1_000
    assert [view.text for view in log.blocks()] == [view.text for view in unbounded.blocks()]
    assert log.leads_on_from(499)
    assert not log.leads_on_from(0)
    with pytest.raises(LogGap):
        log.frames_after(0)


@pytest.mark.parametrize("max_held_bytes", [500, 1_000, 5_000, 1_000_000])
def test_what_a_log_holds_comes_back_as_the_frames_that_were_written(max_held_bytes: int) -> None:
    log = new_log(max_held_bytes=max_held_bytes)
    written = [frame for _ in range(40) for frame in write(log, 7, frames_per_block=7)]

    first = next(seq for seq in range(log.seq + 1) if log.leads_on_from(seq))

    assert log.frames_after(first) == written[first:]
    assert log.frames_after(log.seq - 1) == written[-1:]
    assert log.frames_after(log.seq) == []


def test_deltas_of_blocks_that_grow_in_turn_keep_their_blocks(log) -> None:
    written = []
    for number in range(12):
        frame = delta(log, f"{number}", index=number % 2, kind="text" if number % 3 else "thinking")
        log.append(frame)
        written.append(frame)

    assert log.frames_after(0) == written


async def test_a_reader_that_is_left_behind_meets_a_gap_and_no_part() -> None:
    log = new_log(max_held_bytes=1_000)
    write(log, 2)
    reading = log.follow(0)

    got = [await anext(reading), await anext(reading)]
    write(log, 500)

    assert [frame.seq for frame in got] == [1, 2]
    with pytest.raises(LogGap):
        await anext(reading)


async def test_a_reader_of_an_abandoned_log_meets_a_gap_at_once(log) -> None:
    write(log, 5)
    reading = asyncio.create_task(read(log))
    await asyncio.sleep(0)

    log.abandon()

    with pytest.raises(LogGap):
        await in_time(reading)


async def test_a_log_counts_its_readers(log) -> None:
    readings = [asyncio.create_task(read(log)) for _ in range(3)]
    await asyncio.sleep(0)
    before = log.readers
    readings[0].cancel()
    await asyncio.wait({readings[0]})
    after_one = log.readers

    log.append(finished(log))
    await asyncio.wait(readings[1:])

    assert (before, after_one, log.readers) == (3, 2, 0)


async def test_one_can_wait_until_a_log_has_come_so_far(log) -> None:
    waiting = asyncio.create_task(log.reach(3, timeout_seconds=60))

    for _ in range(3):
        append_next(log)
        await asyncio.sleep(0)

    await in_time(waiting)
    await log.reach(100, timeout_seconds=0)


def test_only_the_first_word_on_warmth_counts(log) -> None:
    log.expect("cold")

    assert log.head.warmth == "hit"
