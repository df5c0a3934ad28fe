"""Builds the state of a conversation for a socket that opens it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from chatapp.conversations import access
from chatapp.conversations.branches import MessageTree, outline_of
from chatapp.conversations.conversations import assistant_view, conversation_view, has_news
from chatapp.conversations.waiting import views_of
from chatapp.models import Assistant, Conversation, Message, User
from chatapp.protocol import ConversationState, ReplyFinished
from chatapp.protocol.views import Cursor, QueuedView
from chatapp.protocol.words import ReplyStatus
from chatapp.replies import pending, resume, rows
from chatapp.replies.log import ReplyLog
from chatapp.socket import history
from chatapp.socket.history import HistoryPart
from warmcache.background.database import in_database_thread

LOOKS = 3
"""Attempts to read rows and log consistently. Bounded, because a row may lack its end: then only the log has it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """The frame to send, and the log to follow after it from `after_seq`, if there is one."""

    state: ConversationState
    log: ReplyLog | None
    after_seq: int

    @property
    def has_left_behind(self) -> bool:
        """Whether a message waits although no reply runs whose end would send it."""
        conversation = self.state.conversation
        waits = conversation is not None and any(not queued.is_held for queued in conversation.queue)
        return waits and self.state.reply is None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Loaded:
    conversation: Conversation
    tree: MessageTree
    """Without content."""
    part: HistoryPart
    streaming: Message | None
    """With its content, as far as its row has it."""
    queue: Sequence[QueuedView]


async def open_conversation(user: User, conversation_id: UUID, cursor: Cursor | None) -> Opened:
    """Everything that a socket needs, for a reload, a reconnect and a second tab alike. It has the newest messages; a
    page asks for earlier ones.

    With a cursor in the running reply's own epoch only the missed frames follow; otherwise the snapshot is complete.
    """
    for _ in range(LOOKS):
        loaded = await in_database_thread(_load, user, conversation_id)
        running = await _running_in(loaded)
        resume_point = await resume.point_for(cursor, loaded.tree.messages, running)
        if running is None or not running.is_finished:
            break
        # It ended after the query. Its row is written before its log ends, so the next attempt finds the end.
    return Opened(
        state=ConversationState(
            conversation=conversation_view(
                loaded.conversation,
                loaded.queue,
                is_running=loaded.streaming is not None,
                is_unread=has_news(loaded.conversation, _newest_end(loaded.part)),
            ),
            assistant=assistant_view(loaded.conversation.assistant),
            messages=list(loaded.part.messages),
            earlier=loaded.part.earlier,
            reply=resume_point.view() if resume_point else None,
            recovered=resume_point is not None and resume_point.is_gap,
        ),
        log=resume_point.log if resume_point else None,
        after_seq=resume_point.after_seq if resume_point else 0,
    )


async def end_of(user: User, reply_id: UUID) -> ReplyFinished | None:
    """The end of a reply, for a reader whose log has no end; None while the reply is being written."""
    reply = await in_database_thread(access.reply_for_user, user, reply_id)
    if reply.status == ReplyStatus.STREAMING:
        return None
    return rows.finished_frame(reply, epoch=reply.epoch, seq=reply.log_seq)


async def open_new_chat(user: User, assistant_id: int | None) -> ConversationState:
    """The empty state of a new chat."""
    assistant: Assistant = await in_database_thread(access.assistant_for_user, user, assistant_id)
    return ConversationState(
        conversation=None, assistant=assistant_view(assistant), messages=[], earlier=0, reply=None, recovered=False
    )


async def _running_in(loaded: _Loaded) -> ReplyLog | None:
    if loaded.streaming is None:
        return None
    loaded.streaming.conversation = loaded.conversation
    return await resume.running_log(loaded.streaming)


def _load(user: User, conversation_id: UUID) -> _Loaded:
    conversation = access.conversation_for_user(user, conversation_id)
    tree = outline_of(conversation_id)
    if not tree.is_growing:
        pending.hold_left_behind(conversation_id)
    part = history.newest(conversation, tree)
    return _Loaded(
        conversation=conversation,
        tree=tree,
        part=part,
        streaming=_streaming(tree, part),
        queue=views_of(conversation_id),
    )


def _newest_end(part: HistoryPart) -> datetime | None:
    return max((row.finished_at for row in part.rows.values() if row.finished_at is not None), default=None)


def _streaming(tree: MessageTree, part: HistoryPart) -> Message | None:
    """The running reply; None if it has ended since the tree was read."""
    outlined = resume.streaming_in(tree.messages)
    if outlined is None:
        return None
    reply = part.rows.get(outlined.pk) or Message.objects.filter(pk=outlined.pk).first()
    return reply if reply is not None and reply.status == ReplyStatus.STREAMING else None
