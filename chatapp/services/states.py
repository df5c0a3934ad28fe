"""Stored messages as the page shows them, and the whole state of a conversation for a socket that opens it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

from chatapp import access
from chatapp.models import Assistant, Conversation, Message, User
from chatapp.protocol import (
    ConversationState,
    ConversationView,
    Cursor,
    ErrorView,
    MessageCreated,
    MessageView,
    QueuedView,
    ReplyView,
    UsageView,
)
from chatapp.services import queue, running_replies
from chatapp.services.branches import MessageTree, tree_of
from chatapp.services.conversations import assistant_view, conversation_view
from chatapp.services.reply_content import block_views
from chatapp.services.reply_log import ReplyLog
from chatapp.services.reply_run import ReplyRun
from warmcache.database import in_database_thread


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """The frame to send, and the log to follow behind it from `after_seq` on, if there is one."""

    state: ConversationState
    log: ReplyLog | None
    after_seq: int


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
    loaded = await in_database_thread(_load, user, conversation_id)
    run = _running_in(loaded.tree.messages)
    if run is None and any(m.status == Message.Status.STREAMING for m in loaded.tree.messages):
        # It ended between the query and now: its row is written before its run is let go.
        loaded = await in_database_thread(_load, user, conversation_id)
    gap = _log_behind(cursor, loaded.tree.messages, run)
    log = gap or (run.log if run else None)
    after_seq = cursor.after_seq if gap and cursor else (log.seq if log else 0)
    return Opened(
        state=ConversationState(
            conversation=conversation_view(loaded.conversation, loaded.queue),
            assistant=assistant_view(loaded.conversation.assistant),
            messages=loaded.shown_messages(),
            reply=_reply_view(run, after_seq=after_seq, is_gap=gap is not None) if run else None,
            recovered=gap is not None,
        ),
        log=log,
        after_seq=after_seq,
    )


async def current_view(user: User, conversation_id: UUID) -> ConversationView:
    """A conversation's title, branch and queue, for those who hear that something of it has changed."""
    return await in_database_thread(_load_view, user, conversation_id)


async def open_new_chat(user: User, assistant_id: int | None) -> ConversationState:
    """The empty state of a chat that has not begun."""
    assistant: Assistant = await in_database_thread(access.assistant_for_user, user, assistant_id)
    return ConversationState(
        conversation=None, assistant=assistant_view(assistant), messages=[], reply=None, recovered=False
    )


def message_created(message: Message) -> MessageCreated:
    """The ack of a stored message, the same at every resend."""
    if message.client_message_id is None:
        raise ValueError(f"Message {message.pk} was not sent by a browser.")
    return MessageCreated(
        client_message_id=message.client_message_id,
        message_id=message.pk,
        conversation_id=message.conversation_id,
        parent_id=message.parent_id,
        text=message.text,
        created_at=message.created_at,
    )


def message_view(message: Message, siblings: Sequence[UUID]) -> MessageView:
    is_reply = message.role == Message.Role.ASSISTANT
    return MessageView(
        id=message.pk,
        role="assistant" if is_reply else "user",
        parent_id=message.parent_id,
        siblings=list(siblings),
        text=message.text,
        blocks=block_views(message.content) if is_reply else [],
        status=message.status,
        client_message_id=message.client_message_id,
        created_at=message.created_at,
        model=message.model or None,
        stop_reason=message.stop_reason or None,
        error=_error(message),
        usage=_usage(message),
        warmth=message.warmth or None,
        ttft_ms=message.browser_ttft_ms or message.ttft_ms,
        cost_usd=None if message.cost_usd is None else format(message.cost_usd, "f"),
        warm_up_id=message.warm_up_id,
    )


def _running_in(messages: Iterable[Message]) -> ReplyRun | None:
    return next((run for message in messages if (run := running_replies.running(message.pk)) is not None), None)


def _load(user: User, conversation_id: UUID) -> _Loaded:
    conversation = access.conversation_for_user(user, conversation_id)
    return _Loaded(conversation=conversation, tree=tree_of(conversation_id), queue=queue.views_of(conversation_id))


def _load_view(user: User, conversation_id: UUID) -> ConversationView:
    conversation = access.conversation_for_user(user, conversation_id)
    return conversation_view(conversation, queue.views_of(conversation_id))


def _log_behind(cursor: Cursor | None, messages: Iterable[Message], running: ReplyRun | None) -> ReplyLog | None:
    """The log that holds all a reader has missed, or None where only a whole snapshot will do.

    Only of a reply in this very conversation, so that a cursor opens nobody else's log; and only if no other reply
    has begun since, of which the reader knows nothing.
    """
    if cursor is None or all(message.pk != cursor.reply_id for message in messages):
        return None
    run = running or running_replies.run_of(cursor.reply_id)
    if run is None or run.reply_id != cursor.reply_id:
        return None
    return run.log if run.log.epoch == cursor.epoch and cursor.after_seq <= run.log.seq else None


def _reply_view(run: ReplyRun, *, after_seq: int, is_gap: bool) -> ReplyView:
    return ReplyView(
        reply_id=run.reply_id,
        parent_id=run.parent_id,
        epoch=run.log.epoch,
        seq=after_seq,
        model=run.model,
        warmth=run.warmth,
        blocks=[] if is_gap else run.log.blocks(),
    )


def _error(message: Message) -> ErrorView | None:
    if not message.error_code:
        return None
    return ErrorView(code=message.error_code, message=message.error_message, retryable=message.error_is_retryable)


def _usage(message: Message) -> UsageView | None:
    if message.input_tokens is None:
        return None
    return UsageView(
        input_tokens=message.input_tokens,
        cache_read_tokens=message.cache_read_tokens or 0,
        cache_write_tokens=message.cache_write_tokens or 0,
        output_tokens=message.output_tokens or 0,
    )
