"""What every `ReplyLogs` keeps. A new one gets a class that inherits this and the two fixtures."""

import asyncio
from contextlib import aclosing

import pytest

from chatapp.replies.log import LogFrame, LogGap, ReplyLog, Snapshot
from chatapp.replies.logs import ReplyLogs
from tests.chatapp.replies.reply_frames import append_next, finished, new_log, write
from tests.chatapp.sockets import eventually, in_time

FRAMES = 300


async def found(logs: ReplyLogs, log: ReplyLog, *, seq: int) -> ReplyLog:
    """The log as a process sees it once it has come so far."""

    async def is_there() -> ReplyLog | None:
        seen = await logs.find(log.reply_id)
        return seen if seen is not None and seen.seq >= seq else None

    return await eventually(is_there)


async def read(log: ReplyLog, after_seq: int = 0) -> list[LogFrame]:
    """To its end."""
    async with aclosing(log.follow(after_seq)) as frames:
        return [frame async for frame in frames]


async def first_after(log: ReplyLog, after_seq: int, *, count: int) -> list[LogFrame]:
    """The next so many frames, which may be still to come."""
    got: list[LogFrame] = []
    async with aclosing(log.follow(after_seq)) as frames:
        while len(got) < count:
            got.append(await anext(frames))
    return got


class ReplyLogsContract:
    """Fixtures to give: `owner` and `reader`, the logs of the process that writes and of one that reads."""

    async def test_a_reply_that_nobody_writes_has_no_log(self, reader: ReplyLogs) -> None:
        assert await reader.find(new_log().reply_id) is None

    async def test_the_head_of_a_reply_is_known_before_its_first_frame(
        self, owner: ReplyLogs, reader: ReplyLogs
    ) -> None:
        log = new_log()
        owner.publish(log)

        seen = await found(reader, log, seq=0)

        assert seen.head == log.head
        assert seen.is_warmth_known

    async def test_a_log_that_is_shared_is_found_at_once(self, owner: ReplyLogs, reader: ReplyLogs) -> None:
        log = new_log()
        owner.publish(log)

        await in_time(owner.shared(log))
        seen = await reader.find(log.reply_id)

        assert seen is not None
        assert seen.head == log.head

    async def test_readers_that_come_at_any_time_get_the_same_frames_to_the_end(
        self, owner: ReplyLogs, reader: ReplyLogs
    ) -> None:
        log = new_log()
        owner.publish(log)
        readings = []

        for step in range(10):
            write(log, 10)
            seen = await found(reader, log, seq=log.seq - 5)
            readings.append((0, asyncio.create_task(read(seen))))
            readings.append((step * 10, asyncio.create_task(read(seen, step * 10))))
        log.append(finished(log))
        whole = await read(log)

        for after_seq, reading in readings:
            assert await in_time(reading) == whole[after_seq:]

    async def test_at_every_frame_boundary_a_reader_resumes_with_exactly_the_rest(
        self, owner: ReplyLogs, reader: ReplyLogs
    ) -> None:
        log = new_log()
        owner.publish(log)
        whole = write(log, FRAMES)
        running = await found(reader, log, seq=FRAMES)

        while_running = [await first_after(running, k, count=FRAMES - k) for k in range(FRAMES + 1)]
        log.append(finished(log))
        ended = await found(reader, log, seq=FRAMES + 1)
        after_end = [await in_time(read(ended, k)) for k in range(FRAMES + 2)]

        assert while_running == [whole[k:] for k in range(FRAMES + 1)]
        whole = await read(log)
        assert after_end == [whole[k:] for k in range(FRAMES + 2)]

    async def test_the_state_at_every_frame_is_the_owner_s(self, owner: ReplyLogs, reader: ReplyLogs) -> None:
        log = new_log()
        owner.publish(log)

        for _ in range(30):
            append_next(log, frames_per_block=7)
            seen = await found(reader, log, seq=log.seq)
            assert seen.snapshot() == log.snapshot()

    async def test_a_cursor_that_nothing_leads_on_from_is_a_gap(self, owner: ReplyLogs, reader: ReplyLogs) -> None:
        log = new_log(max_held_bytes=2_000)
        owner.publish(log)
        write(log, 200)

        seen = await found(reader, log, seq=200)

        assert seen.snapshot() == log.snapshot()
        for after_seq in (201, 1_000):
            assert not seen.leads_on_from(after_seq)
            with pytest.raises(LogGap):
                await read(seen, after_seq)

    async def test_an_ended_log_is_found_for_a_while(self, owner: ReplyLogs, reader: ReplyLogs) -> None:
        log = new_log()
        owner.publish(log)
        write(log, 3)
        log.append(finished(log))

        seen = await found(reader, log, seq=4)

        assert seen.is_finished
        assert await in_time(read(seen)) == await read(log)

    async def test_the_log_of_a_dead_owner_is_ended_for_everybody(self, owner: ReplyLogs, reader: ReplyLogs) -> None:
        log = new_log()
        owner.publish(log)
        write(log, 20)
        seen = await found(reader, log, seq=20)
        reading = asyncio.create_task(read(seen))

        await reader.end(log.reply_id, finished(log, status="interrupted"))
        frames = await in_time(reading)

        assert [frame.seq for frame in frames] == list(range(1, 22))
        assert frames[-1].status == "interrupted"

    async def test_a_second_end_changes_nothing(self, owner: ReplyLogs, reader: ReplyLogs) -> None:
        log = new_log()
        owner.publish(log)
        write(log, 2)
        log.append(finished(log))
        await found(reader, log, seq=3)

        await reader.end(log.reply_id, finished(log, seq=3, status="interrupted"))

        again = await found(reader, log, seq=3)
        assert again.finished is not None
        assert again.finished.status == "complete"

    async def test_a_stand_in_has_what_is_stored_and_is_followed(self, reader: ReplyLogs) -> None:
        log = new_log()
        write(log, 20)

        stand_in = reader.stand_in(log.head, log.snapshot())
        same = reader.stand_in(log.head, Snapshot(seq=0, blocks=()))

        assert same is stand_in
        assert stand_in.snapshot() == log.snapshot()
        assert stand_in in reader.followed()

    async def test_logs_of_an_erased_person_are_found_nowhere(self, owner: ReplyLogs, reader: ReplyLogs) -> None:
        """One had ended, one ends later, and one is somebody else's."""
        ended, growing, other = new_log(), new_log(), new_log(user_id=8)
        for log in (ended, growing, other):
            owner.publish(log)
            write(log, 3)
        ended.append(finished(ended))
        for log in (ended, growing, other):
            await found(reader, log, seq=log.seq)

        for logs in (owner, reader):
            logs.forget(ended.head.user_id)
        await owner.erase([ended.reply_id])
        growing.append(finished(growing))

        async def is_gone() -> bool:
            return not any([await logs.find(log.reply_id) for log in (ended, growing) for logs in (owner, reader)])

        await eventually(is_gone)
        assert await reader.find(other.reply_id) is not None
