from uuid import UUID, uuid4

import pytest

from chatapp.models import Message
from chatapp.protocol import ReplyBlock, ReplyDelta, ReplyFinished
from chatapp.protocol.views import Cursor
from chatapp.protocol.words import ReplyStatus
from chatapp.replies import resume
from chatapp.replies.log import ReplyHead, ReplyLog

EPOCH = "epoch"


def ended_log(*, status: str) -> ReplyLog:
    """A block, two pieces of text, and the end as frame 4."""
    head = ReplyHead(
        reply_id=uuid4(), epoch=EPOCH, parent_id=uuid4(), conversation_id=uuid4(), user_id=1, model="claude-sonnet-5-5"
    )
    log = ReplyLog(head)
    of_reply = {"reply_id": head.reply_id, "epoch": EPOCH}
    log.append(ReplyBlock(**of_reply, seq=1, block=0, kind="text", name="", state="start", data=None))
    for seq in (2, 3):
        log.append(ReplyDelta(**of_reply, seq=seq, kind="text", block=0, text=f"piece {seq} "))
    log.append(
        ReplyFinished(
            **of_reply,
            seq=4,
            status=ReplyStatus(status),
            stop_reason=None,
            error=None,
            usage=None,
            warmth="cold",
            ttft_ms=None,
            cost_usd=None,
            warm_up_id=None,
        )
    )
    return log


async def is_gap(log: ReplyLog, after_seq: int) -> bool:
    reply = Message(pk=log.reply_id, role=Message.Role.ASSISTANT)
    point = await resume.point_for(Cursor(reply_id=log.reply_id, epoch=EPOCH, after_seq=after_seq), [reply], log)
    assert point is not None
    return point.is_gap


@pytest.mark.parametrize("after_seq", [0, 1, 2, 3])
@pytest.mark.parametrize("status", ["complete", "interrupted"])
async def test_a_reader_goes_on_behind_what_it_has(status: str, after_seq: int) -> None:
    assert await is_gap(ended_log(status=status), after_seq)


async def test_who_has_heard_the_end_of_a_whole_reply_has_missed_nothing() -> None:
    assert await is_gap(ended_log(status="complete"), 4)


async def test_who_was_told_a_frame_that_died_with_its_process_begins_anew() -> None:
    assert not await is_gap(ended_log(status="interrupted"), 4)


async def test_who_begins_anew_at_a_reply_that_has_ended_is_told_of_its_end() -> None:
    log = ended_log(status="interrupted")
    reply = Message(pk=log.reply_id, role=Message.Role.ASSISTANT)

    point = await resume.point_for(Cursor(reply_id=log.reply_id, epoch=EPOCH, after_seq=9), [reply], log)

    assert point is not None
    assert [frame.status async for frame in point.log.follow(point.after_seq)] == ["interrupted"]


async def test_a_cursor_of_another_reply_opens_nothing() -> None:
    log = ended_log(status="complete")
    other = Message(pk=UUID(int=1), role=Message.Role.ASSISTANT)

    point = await resume.point_for(Cursor(reply_id=log.reply_id, epoch=EPOCH, after_seq=1), [other], None)

    assert point is None
