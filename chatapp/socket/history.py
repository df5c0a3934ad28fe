"""Reads a conversation's messages in parts: the newest when it is opened, earlier ones as the reader scrolls up.

The structure of a branch is read without content. Content is read only for the messages that are sent.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import Case, F, IntegerField, TextField, When
from django.db.models.functions import Cast

from chatapp.conversations import access, summaries
from chatapp.conversations.acks import attached_images, attached_names
from chatapp.conversations.branches import MessageTree, outline_of
from chatapp.conversations.stored_bytes import ByteLength
from chatapp.models import Conversation, Message, Summary, User
from chatapp.protocol import FrameError, HistoryLoad, HistoryPage
from chatapp.protocol.views import MessageView
from chatapp.protocol.words import ErrorCode, ReplyStatus
from chatapp.replies import rows as reply_rows
from chatapp.replies.content import block_views
from warmcache import RequestWarmth

PART_MESSAGES = 50
"""The most messages in one part: more would cost a browser more than they show."""

PART_BYTES = 128 * 1024
"""The most bytes of text in one part, except for a single larger message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryPart:
    """Consecutive messages of a branch, and how many messages of the branch are before and after them."""

    messages: Sequence[MessageView]
    rows: Mapping[UUID, Message]
    earlier: int
    later: int


def newest(conversation: Conversation, tree: MessageTree) -> HistoryPart:
    """The end of the shown branch. Called in a database thread."""
    branch = _ids(tree.branch_through(conversation.branch_id))
    return _part(conversation, branch, tree, start=len(branch) - _reach_back(branch), end=len(branch))


def load(user: User, frame: HistoryLoad) -> HistoryPage:
    """The part that a page asks for; raises `access.NotFound` if it is not the user's or not in that conversation.

    Called in a database thread.
    """
    conversation = access.conversation_for_user(user, frame.conversation_id)
    tree = outline_of(conversation.pk)
    anchor_id = _anchor_of(frame)
    branch, is_shown = _branch_with(anchor_id, conversation, tree)
    start, end = _reach(frame, branch, position=branch.index(anchor_id))
    part = _part(conversation, branch, tree, start=start, end=end)
    return HistoryPage(
        conversation_id=conversation.pk,
        before=frame.before,
        after=frame.after,
        around=frame.around,
        messages=list(part.messages),
        earlier=part.earlier,
        later=part.later,
        is_shown=is_shown,
    )


def message_view(message: Message, siblings: Sequence[UUID], *, summary: Summary | None = None) -> MessageView:
    """A stored message as the page shows it; `siblings` are all its versions. `summary`: the one in use on the branch,
    which is shown after the last message that it summarises."""
    is_reply = message.role == Message.Role.ASSISTANT
    return MessageView(
        id=message.pk,
        role="assistant" if is_reply else "user",
        parent_id=message.parent_id,
        siblings=list(siblings),
        text=message.text,
        attachments=[] if is_reply else attached_names(message),
        images=[] if is_reply else attached_images(message),
        blocks=block_views(message.content) if is_reply else [],
        status=ReplyStatus(message.status),
        client_message_id=message.client_message_id,
        created_at=message.created_at,
        model=message.model or None,
        assistant=message.assistant_name or None,
        stop_reason=message.stop_reason or None,
        stop_details=message.stop_details,
        error=reply_rows.error_view(message),
        usage=reply_rows.usage_view(message),
        warmth=RequestWarmth(message.warmth) if message.warmth else None,
        ttft_ms=message.browser_ttft_ms or message.ttft_ms,
        cost_usd=None if message.cost_usd is None else format(message.cost_usd, "f"),
        warm_up_id=message.warm_up_id,
        summary=summaries.view_of(summary) if summary is not None and summary.through_id == message.pk else None,
    )


def _anchor_of(frame: HistoryLoad) -> UUID:
    named = [each for each in (frame.before, frame.after, frame.around) if each is not None]
    if len(named) != 1:
        words = "One of `before`, `after` and `around` names a message, and only one."
        raise FrameError(ErrorCode.BAD_FIELD, words, str(frame.conversation_id))
    return named[0]


def _branch_with(message_id: UUID, conversation: Conversation, tree: MessageTree) -> tuple[list[UUID], bool]:
    """The shown branch if the message is on it, else the branch through the message; and which of them it is."""
    if message_id not in tree:
        raise access.NotFound("message")
    shown = _ids(tree.branch_through(conversation.branch_id))
    return (shown, True) if message_id in shown else (_ids(tree.branch_through(message_id)), False)


def _reach(frame: HistoryLoad, branch: Sequence[UUID], *, position: int) -> tuple[int, int]:
    """The start and end index of the part on the branch."""
    if frame.before is not None:
        return position - _reach_back(branch[:position]), position
    if frame.after is not None:
        return position + 1, position + 1 + _reach_on(branch[position + 1 :])
    half = PART_MESSAGES // 2, PART_BYTES // 2
    return position - _reach_back(branch[:position], *half), position + _reach_on(branch[position:], *half)


def _reach_back(branch: Sequence[UUID], max_messages: int = PART_MESSAGES, max_bytes: int = PART_BYTES) -> int:
    """How many messages at the end of the branch fit into a part."""
    return _reach_on(branch[: -max_messages - 1 : -1], max_messages, max_bytes)


def _reach_on(branch: Sequence[UUID], max_messages: int = PART_MESSAGES, max_bytes: int = PART_BYTES) -> int:
    """How many messages at the beginning of the branch fit; at least one if there is any."""
    candidates = branch[:max_messages]
    sizes = _sizes_of(candidates)
    total = 0
    for count, message_id in enumerate(candidates):
        total += sizes.get(message_id, 0)
        if total > max_bytes and count:
            return count
    return len(candidates)


def _sizes_of(message_ids: Sequence[UUID]) -> dict[UUID, int]:
    """The approximate size of each message, without reading it: a reply is sent as blocks and as text."""
    said = ByteLength("text")
    of_reply = said + ByteLength(Cast("content", TextField()))
    size = Case(When(role=Message.Role.ASSISTANT, then=of_reply), default=said, output_field=IntegerField())
    found = Message.objects.filter(pk__in=message_ids).order_by().annotate(size_bytes=size)
    return dict(found.values_list("pk", F("size_bytes")))


def _part(
    conversation: Conversation, branch: Sequence[UUID], tree: MessageTree, *, start: int, end: int
) -> HistoryPart:
    rows: dict[UUID, Any] = summaries.marked(Message.objects.all()).in_bulk(branch[start:end])
    # Messages deleted since the outline was read are left out.
    shown = [rows[message_id] for message_id in branch[start:end] if message_id in rows]
    is_marked = any(row.ends_a_summary for row in rows.values())
    summary = summaries.in_use(conversation.pk, branch) if is_marked else None
    return HistoryPart(
        messages=[message_view(row, tree.siblings(row.pk), summary=summary) for row in shown],
        rows=rows,
        earlier=start,
        later=len(branch) - end,
    )


def _ids(messages: Sequence[Message]) -> list[UUID]:
    return [message.pk for message in messages]
