"""The logs of one process: the contract, and the bounds on what is kept of ended replies."""

from uuid import UUID

import pytest

from chatapp.replies import logs as reply_logs
from chatapp.replies.log import ReplyLog
from chatapp.replies.logs import KEPT_SECONDS, MemoryReplyLogs
from tests.chatapp.replies.logs_contract import ReplyLogsContract
from tests.chatapp.replies.reply_frames import finished, new_log, write
from warmcache.testing import FakeClock


@pytest.fixture
def owner() -> MemoryReplyLogs:
    return MemoryReplyLogs()


class TestMemoryReplyLogs(ReplyLogsContract):
    @pytest.fixture
    def reader(self, owner: MemoryReplyLogs) -> MemoryReplyLogs:
        return owner


def ended_log() -> ReplyLog:
    log = new_log()
    write(log, 3)
    log.append(finished(log))
    return log


async def kept(logs: MemoryReplyLogs, ids: list[UUID]) -> list[bool]:
    return [await logs.find(reply_id) is not None for reply_id in ids]


async def test_of_many_ended_logs_the_newest_are_kept_and_running_ones_all(owner, monkeypatch) -> None:
    monkeypatch.setattr(reply_logs, "MAX_ENDED_LOGS", 3)
    running = new_log()
    owner.publish(running)
    ended = [ended_log() for _ in range(5)]

    for log in ended:
        owner.publish(log)

    assert await kept(owner, [log.reply_id for log in ended]) == [False, False, True, True, True]
    assert await owner.find(running.reply_id) is running


async def test_ended_logs_are_bounded_in_bytes(owner, monkeypatch) -> None:
    ended = [ended_log() for _ in range(5)]
    monkeypatch.setattr(reply_logs, "MAX_ENDED_BYTES", 2 * ended[0].held_bytes + 10)

    for log in ended:
        owner.publish(log)

    assert (await kept(owner, [log.reply_id for log in ended])).count(True) == 2


async def test_an_ended_log_is_let_go_after_a_quarter_of_an_hour() -> None:
    clock = FakeClock()
    logs = MemoryReplyLogs(monotonic=clock.now)
    log = ended_log()
    logs.publish(log)

    clock.advance(KEPT_SECONDS - 1)
    before = await logs.find(log.reply_id)
    clock.advance(2)

    assert before is log
    assert await logs.find(log.reply_id) is None


async def test_a_stand_in_that_nobody_reads_is_let_go_after_moments() -> None:
    clock = FakeClock()
    logs = MemoryReplyLogs(monotonic=clock.now)
    log = new_log()
    logs.stand_in(log.head, log.snapshot())

    clock.advance(reply_logs.IDLE_SECONDS + 1)

    assert list(logs.followed()) == []
