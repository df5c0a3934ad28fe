"""Frames for logs in tests: a reply that thinks, speaks and calls a tool, frame by frame."""

from typing import Any
from uuid import UUID, uuid4

from chatapp.protocol import ReplyBlock, ReplyDelta, ReplyFinished
from chatapp.replies.log import LogFrame, ReplyHead, ReplyLog, new_epoch

KINDS = ("thinking", "text", "tool_input")


def new_log(reply_id: UUID | None = None, *, user_id: int = 1, **options: Any) -> ReplyLog:
    """An empty one whose warmth is known."""
    log = ReplyLog(
        ReplyHead(
            reply_id=reply_id or uuid4(),
            epoch=new_epoch(),
            parent_id=uuid4(),
            conversation_id=uuid4(),
            user_id=user_id,
            model="claude-sonnet-5-5",
        ),
        **options,
    )
    log.expect("hit")
    return log


def block(log: ReplyLog, state: str, *, index: int = 0, kind: str = "text", name: str = "") -> ReplyBlock:
    return ReplyBlock(
        reply_id=log.reply_id,
        epoch=log.epoch,
        seq=log.seq + 1,
        block=index,
        kind=kind,
        name=name,
        state=state,
        data={"type": "server_tool_use", "caller": {"type": "direct"}} if state == "stop" else None,
    )


def delta(log: ReplyLog, text: str, *, index: int = 0, kind: str = "text") -> ReplyDelta:
    return ReplyDelta(reply_id=log.reply_id, epoch=log.epoch, seq=log.seq + 1, kind=kind, block=index, text=text)


def finished(
    log: ReplyLog, *, seq: int | None = None, status: str = "complete", stop_reason: str | None = None
) -> ReplyFinished:
    nothing = {"error": None, "usage": None, "ttft_ms": None, "cost_usd": None, "warm_up_id": None}
    return ReplyFinished(
        reply_id=log.reply_id,
        epoch=log.epoch,
        seq=seq or log.seq + 1,
        status=status,
        stop_reason=stop_reason,
        warmth="cold",
        **nothing,
    )


def append_next(log: ReplyLog, *, frames_per_block: int = 100) -> LogFrame:
    """The next frame of an endless reply: blocks of each kind in turn, each with words of its own."""
    index, place = divmod(log.seq, frames_per_block)
    kind = KINDS[index % len(KINDS)]
    frame: LogFrame
    if place == 0:
        frame = block(log, "start", index=index, kind=kind, name="look_up" if kind == "tool_input" else "")
    elif place == frames_per_block - 1:
        frame = block(log, "stop", index=index, kind=kind)
    else:
        frame = delta(log, f"{kind} {log.seq} é🙂 ", index=index, kind=kind)
    log.append(frame)
    return frame


def write(log: ReplyLog, frames: int, **options: Any) -> list[LogFrame]:
    return [append_next(log, **options) for _ in range(frames)]
