"""Finds where a socket that opens a conversation starts to read its running reply."""

from collections.abc import Collection
from dataclasses import dataclass
from uuid import UUID

from chatapp.models import Message
from chatapp.protocol.views import Cursor, ReplyView
from chatapp.protocol.words import ReplyStatus
from chatapp.replies import registry
from chatapp.replies.content import block_views
from chatapp.replies.log import ReplyHead, ReplyLog, Snapshot
from chatapp.replies.rows import parent_of

CATCH_UP_SECONDS = 0.25
"""Another process's frames may still be on their way: a reader ahead of our replica waits this long for them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResumePoint:
    """The log to follow after `after_seq`. `is_gap`: the reader has everything up to there and misses only the gap."""

    log: ReplyLog
    after_seq: int
    is_gap: bool

    def view(self) -> ReplyView | None:
        """The reply up to there, for the state; None if it has ended."""
        if self.log.is_finished:
            return None
        head = self.log.head
        return ReplyView(
            reply_id=head.reply_id,
            parent_id=head.parent_id,
            epoch=head.epoch,
            seq=self.after_seq,
            model=head.model,
            warmth=head.warmth,
            blocks=[] if self.is_gap else self.log.blocks(),
        )


def streaming_in(messages: Collection[Message]) -> Message | None:
    """The reply among these messages that has no end yet."""
    return next((m for m in reversed(list(messages)) if m.status == ReplyStatus.STREAMING), None)


async def running_log(reply: Message) -> ReplyLog:
    """The log of a reply with a streaming row: of this process, of another one, or a stand-in.

    The reply may have ended since the row was read.
    """
    log = await registry.logs().find(reply.pk)
    if log is not None and log.epoch == (reply.epoch or log.epoch):
        return log
    return registry.logs().stand_in(_head_of(reply), _stored(reply))


async def point_for(
    cursor: Cursor | None, messages: Collection[Message], running: ReplyLog | None
) -> ResumePoint | None:
    """After the cursor if the log has every frame from there; otherwise at the state of the running reply."""
    log = await _log_at(cursor, messages, running)
    if cursor is not None and log is not None:
        if not log.is_finished and log.seq < cursor.after_seq:
            await log.reach(cursor.after_seq, timeout_seconds=CATCH_UP_SECONDS)
        if log.leads_on_from(cursor.after_seq) and not _heard_what_was_lost(log, cursor):
            return ResumePoint(log=log, after_seq=cursor.after_seq, is_gap=True)
    if running is None:
        return None
    # The last frame of an ended reply is followed too: the reader has to learn of the end.
    return ResumePoint(log=running, after_seq=running.seq - int(running.is_finished), is_gap=False)


def _heard_what_was_lost(log: ReplyLog, cursor: Cursor) -> bool:
    """A process sends a frame to its own readers before other processes can know it. If it died in between, another
    process has ended the reply under the same `seq`: a reader that is already there has a different frame."""
    end = log.finished
    return end is not None and end.status is ReplyStatus.INTERRUPTED and cursor.after_seq >= end.seq


async def _log_at(cursor: Cursor | None, messages: Collection[Message], running: ReplyLog | None) -> ReplyLog | None:
    """Only for the newest reply in this very conversation: so a cursor opens nobody else's log, and the reader has
    missed no later reply."""
    newest = next((m for m in reversed(list(messages)) if m.role == Message.Role.ASSISTANT), None)
    if cursor is None or newest is None or newest.pk != cursor.reply_id:
        return None
    log = running if running is not None else await registry.logs().find(newest.pk)
    return log if log is not None and log.reply_id == newest.pk and log.epoch == cursor.epoch else None


def _head_of(reply: Message) -> ReplyHead:
    return ReplyHead(
        reply_id=reply.pk,
        epoch=reply.epoch,
        parent_id=parent_of(reply),
        conversation_id=reply.conversation_id,
        user_id=reply.conversation.user_id,
        model=reply.model,
    )


def _stored(reply: Message) -> Snapshot:
    return Snapshot(seq=reply.log_seq, blocks=block_views(reply.content))


async def log_for(reply_id: UUID, *, user_id: int) -> ReplyLog | None:
    """The log of a reply that has just begun or ended; only for its own user."""
    log = await registry.logs().find(reply_id)
    return log if log is not None and log.head.user_id == user_id else None
