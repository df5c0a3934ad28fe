"""Stored messages as the page shows them, and the whole state of a conversation for a socket that opens it."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from chatapp.conversations import access
from chatapp.conversations.acks import attached_names
from chatapp.conversations.branches import MessageTree, tree_of
from chatapp.conversations.conversations import assistant_view, conversation_view
from chatapp.conversations.waiting import views_of
from chatapp.models import Assistant, Conversation, Message, User
from chatapp.protocol import ConversationState, ReplyFinished
from chatapp.protocol.views import Cursor, MessageView, QueuedView
from chatapp.replies import pending, resume, rows
from chatapp.replies.content import block_views
from chatapp.replies.log import ReplyLog
from warmcache.background.database import in_database_thread

LOOKS = 3
"""At rows and log together. Bounded, as the end of a row may have been lost: then the log alone tells it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """The frame to send, and the log to follow behind it from `after_seq` on, if there is one."""

    state: ConversationState
    log: ReplyLog | None
    after_seq: int

    @property
    def has_left_behind(self) -> bool:
        """Whether something waits for a turn that no end of a reply will bring."""
        conversation = self.state.conversation
        waits = conversation is not None and any(not queued.is_held for queued in conversation.queue)
        return waits and self.state.reply is None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Loaded:
    conversation: Conversation
    tree: MessageTree
    queue: Sequence[QueuedView]

    def shown_messages(self) -> list[MessageView]:
        branch = self.tree.branch_through(self.conversation.branch_id)
        return [message_view(message, self.tree.siblings(message.pk)) for message in branch]


async def open_conversation(user: User, conversation_id: UUID, cursor: Cursor | None) -> Opened:
    """Everything a socket needs to go on: reload, reconnect and a second tab all come here.

    With a cursor in the running reply's own epoch only the gap follows, as frames; otherwise the snapshot is whole.
    """
    for _ in range(LOOKS):
        loaded = await in_database_thread(_load, user, conversation_id)
        running = await _running_in(loaded)
        place = await resume.place_for(cursor, loaded.tree.messages, running)
        if running is None or not running.is_finished:
            break
        # It ended between the query and now. Its row is written before its log ends: the next look finds the end.
    return Opened(
        state=ConversationState(
            conversation=conversation_view(loaded.conversation, loaded.queue),
            assistant=assistant_view(loaded.conversation.assistant),
            messages=loaded.shown_messages(),
            reply=place.view() if place else None,
            recovered=place is not None and place.is_gap,
        ),
        log=place.log if place else None,
        after_seq=place.after_seq if place else 0,
    )


async def end_of(user: User, reply_id: UUID) -> ReplyFinished | None:
    """The end of a reply for a reader whose log has none; None while it is being written."""
    reply = await in_database_thread(access.reply_for_user, user, reply_id)
    if reply.status == Message.Status.STREAMING:
        return None
    return rows.finished_frame(reply, epoch=reply.epoch, seq=reply.log_seq)


async def open_new_chat(user: User, assistant_id: int | None) -> ConversationState:
    """The empty state of a chat that has not begun."""
    assistant: Assistant = await in_database_thread(access.assistant_for_user, user, assistant_id)
    return ConversationState(
        conversation=None, assistant=assistant_view(assistant), messages=[], reply=None, recovered=False
    )


def message_view(message: Message, siblings: Sequence[UUID]) -> MessageView:
    is_reply = message.role == Message.Role.ASSISTANT
    return MessageView(
        id=message.pk,
        role="assistant" if is_reply else "user",
        parent_id=message.parent_id,
        siblings=list(siblings),
        text=message.text,
        attachments=[] if is_reply else attached_names(message),
        blocks=block_views(message.content) if is_reply else [],
        status=message.status,
        client_message_id=message.client_message_id,
        created_at=message.created_at,
        model=message.model or None,
        stop_reason=message.stop_reason or None,
        error=rows.error_view(message),
        usage=rows.usage_view(message),
        warmth=message.warmth or None,
        ttft_ms=message.browser_ttft_ms or message.ttft_ms,
        cost_usd=None if message.cost_usd is None else format(message.cost_usd, "f"),
        warm_up_id=message.warm_up_id,
    )


async def _running_in(loaded: _Loaded) -> ReplyLog | None:
    reply = resume.streaming_in(loaded.tree.messages)
    if reply is None:
        return None
    reply.conversation = loaded.conversation
    return await resume.running_log(reply)


def _load(user: User, conversation_id: UUID) -> _Loaded:
    conversation = access.conversation_for_user(user, conversation_id)
    tree = tree_of(conversation_id)
    if not tree.is_growing:
        pending.hold_left_behind(conversation_id)
    return _Loaded(conversation=conversation, tree=tree, queue=views_of(conversation_id))
