"""Every WebSocket frame, both directions, as a value.

Pure Python: no Django, no Channels. `PROTOCOL.md` says when each frame is sent; a test keeps the two in step.
Frames are JSON objects in text frames, told apart by `type`. Unknown fields are ignored, so that either side may
add one; a missing or mistyped field is refused with `FrameError`.
"""

import json
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, UnsetType

from chatapp.protocol.views import (
    AssistantView,
    AttachmentView,
    ConversationView,
    Count,
    Cursor,
    ErrorView,
    HitView,
    ImageView,
    MessageView,
    QuotaView,
    ReplyView,
    SummaryView,
    UsageView,
)
from chatapp.protocol.words import ErrorCode, ReplyStatus
from warmcache import BlockKind, Failure, Reason, RequestWarmth, Upstream, WarmthState

PROTOCOL_VERSION = 1
MAX_FRAME_BYTES = 256 * 1024
"""The largest frame from the browser."""
MAX_TEXT_CHARS = 100_000
MAX_ATTACHMENTS = 20
MAX_QUEUED_TEXT_CHARS = 1_000
MAX_REASON_CHARS = 200
MAX_REF_CHARS = 64
MAX_QUERY_CHARS = 200
MAX_CALL_ID_CHARS = 200
REFS = ("client_message_id", "reply_id", "message_id", "conversation_id")
"""The first of these fields that a refused frame has becomes the `ref` of its `error`."""

CLOSE_SIGNED_OUT = 4401
CLOSE_FORBIDDEN = 4403
CLOSE_TOO_SLOW = 4408
CLOSE_ABUSE = 4409
CLOSE_RESTARTING = 4412
CLOSE_LIFETIME = 4413
CLOSE_TOO_MANY = 4429

AssistantId = Annotated[int, Meta(ge=1, le=2**63 - 1)] | Annotated[str, Meta(pattern="^[0-9]{1,18}\\Z")]
Shelf = Literal["list", "archive"]
AttachmentIds = Annotated[list[UUID], Meta(max_length=MAX_ATTACHMENTS)]


class FrameError(Exception):
    """A frame from the browser is refused. `code` and `message` go back in an `error` frame."""

    def __init__(
        self, code: ErrorCode, message: str, ref: str | None = None, *, quota: QuotaView | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.ref = ref
        self.quota = quota


# Browser to server


class ClientFrame(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """A frame that the browser sends."""


class ConversationOpen(ClientFrame, frozen=True, kw_only=True, tag="conversation.open"):
    conversation_id: UUID | None = None
    assistant_id: AssistantId | None = None
    cursor: Cursor | None = None


class TypingStarted(ClientFrame, frozen=True, kw_only=True, tag="typing.started"):
    conversation_id: UUID | None = None
    assistant_id: AssistantId | None = None
    chars: Count = 0
    attachment_ids: AttachmentIds = []
    edit_of: UUID | None = None


class TypingStopped(ClientFrame, frozen=True, kw_only=True, tag="typing.stopped"):
    conversation_id: UUID | None = None
    assistant_id: AssistantId | None = None


class MessageSend(ClientFrame, frozen=True, kw_only=True, tag="message.send"):
    client_message_id: UUID
    text: str
    conversation_id: UUID | None = None
    assistant_id: AssistantId | None = None
    parent_id: UUID | None = None
    edit_of: UUID | None = None
    attachment_ids: AttachmentIds = []
    temporary: bool = False


class QueueWithdraw(ClientFrame, frozen=True, kw_only=True, tag="queue.withdraw"):
    message_id: UUID


class QueueSend(ClientFrame, frozen=True, kw_only=True, tag="queue.send"):
    message_id: UUID


class BranchSelect(ClientFrame, frozen=True, kw_only=True, tag="branch.select"):
    conversation_id: UUID
    message_id: UUID
    cursor: Cursor | None = None


class HistoryLoad(ClientFrame, frozen=True, kw_only=True, tag="history.load"):
    """One of `before`, `after` and `around` names a message."""

    conversation_id: UUID
    before: UUID | None = None
    after: UUID | None = None
    around: UUID | None = None


class ConversationsLoad(ClientFrame, frozen=True, kw_only=True, tag="conversations.load"):
    shelf: Shelf = "list"
    before: Annotated[str, Meta(max_length=MAX_REF_CHARS * 2)] | None = None


class ConversationRead(ClientFrame, frozen=True, kw_only=True, tag="conversation.read"):
    conversation_id: UUID


class SearchAsk(ClientFrame, frozen=True, kw_only=True, tag="search.ask"):
    query: Annotated[str, Meta(max_length=MAX_QUERY_CHARS)]
    before: Annotated[int, Meta(ge=1, le=2**63 - 1)] | None = None


class ReplyStop(ClientFrame, frozen=True, kw_only=True, tag="reply.stop"):
    reply_id: UUID


class ReplyRegenerate(ClientFrame, frozen=True, kw_only=True, tag="reply.regenerate"):
    reply_id: UUID


class ToolAnswer(ClientFrame, frozen=True, kw_only=True, tag="tool.answer"):
    """What the person says to a call that waits for it."""

    reply_id: UUID
    call_id: Annotated[str, Meta(min_length=1, max_length=MAX_CALL_ID_CHARS)]
    answer: Literal["once", "always", "no"]


class ReplySeen(ClientFrame, frozen=True, kw_only=True, tag="reply.seen"):
    reply_id: UUID
    seq: Count
    ttft_ms: Annotated[float, Meta(ge=0, le=3_600_000)] | None = None


class Ping(ClientFrame, frozen=True, kw_only=True, tag="ping"):
    pass


AnyClientFrame = (
    ConversationOpen
    | TypingStarted
    | TypingStopped
    | MessageSend
    | QueueWithdraw
    | QueueSend
    | BranchSelect
    | HistoryLoad
    | ConversationsLoad
    | ConversationRead
    | SearchAsk
    | ReplyStop
    | ReplyRegenerate
    | ToolAnswer
    | ReplySeen
    | Ping
)


# Server to browser


class ServerFrame(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """A frame that the server sends."""


class Ready(ServerFrame, frozen=True, kw_only=True, tag="ready"):
    protocol: int
    user: dict[str, Any]
    timings: dict[str, int]
    limits: dict[str, int]
    upstream: Upstream
    quota: list[QuotaView]
    release: str


class ConversationState(ServerFrame, frozen=True, kw_only=True, tag="conversation.state"):
    conversation: ConversationView | None
    assistant: AssistantView
    messages: list[MessageView]
    earlier: int
    reply: ReplyView | None
    recovered: bool


class HistoryPage(ServerFrame, frozen=True, kw_only=True, tag="history.page"):
    conversation_id: UUID
    before: UUID | None
    after: UUID | None
    around: UUID | None
    messages: list[MessageView]
    earlier: int
    later: int
    is_shown: bool


class ConversationsPage(ServerFrame, frozen=True, kw_only=True, tag="conversations.page"):
    shelf: Shelf
    before: str | None
    conversations: list[ConversationView]
    next: str | None


class SearchResults(ServerFrame, frozen=True, kw_only=True, tag="search.results"):
    query: str
    before: int | None
    conversations: list[ConversationView]
    hits: list[HitView]
    next: int | None


class FramePart(ServerFrame, frozen=True, kw_only=True, tag="frame.part"):
    """A piece of the text of another frame. `frame` numbers the split frames of one socket."""

    frame: int
    part: int
    parts: int
    text: str


class ConversationUpdated(ServerFrame, frozen=True, kw_only=True, tag="conversation.updated"):
    conversation: ConversationView


class ConversationSummarised(ServerFrame, frozen=True, kw_only=True, tag="conversation.summarised"):
    """From now on, the earlier part of the shown branch is summarised for the assistant."""

    conversation_id: UUID
    summary: SummaryView


class Warmth(ServerFrame, frozen=True, kw_only=True, tag="warmth"):
    """What we believe about a prefix. One of `conversation_id` and `assistant_id` is set, as in the frame answered."""

    state: WarmthState
    reason: Reason | Failure | None
    prefix_tokens: int
    estimated_expires_at: datetime | None
    conversation_id: UUID | UnsetType = UNSET
    assistant_id: int | UnsetType = UNSET


class MessageCreated(ServerFrame, frozen=True, kw_only=True, tag="message.created"):
    client_message_id: UUID
    message_id: UUID
    conversation_id: UUID
    parent_id: UUID | None
    text: str
    attachments: list[str]
    images: list[ImageView] = []
    created_at: datetime


class MessageQueued(ServerFrame, frozen=True, kw_only=True, tag="message.queued"):
    client_message_id: UUID
    message_id: UUID
    conversation_id: UUID
    text: str
    created_at: datetime


class MessageWithdrawn(ServerFrame, frozen=True, kw_only=True, tag="message.withdrawn"):
    client_message_id: UUID
    message_id: UUID
    conversation_id: UUID
    text: str
    attachments: list[AttachmentView]


class ReplyStarted(ServerFrame, frozen=True, kw_only=True, tag="reply.started"):
    reply_id: UUID
    parent_id: UUID
    conversation_id: UUID
    epoch: str
    model: str
    warmth: RequestWarmth


class ReplyDelta(ServerFrame, frozen=True, kw_only=True, gc=False, tag="reply.delta"):
    reply_id: UUID
    epoch: str
    seq: int
    kind: BlockKind
    block: int
    text: str


class ReplyBlock(ServerFrame, frozen=True, kw_only=True, tag="reply.block"):
    reply_id: UUID
    epoch: str
    seq: int
    block: int
    kind: BlockKind
    name: str
    state: Literal["start", "stop"]
    data: dict[str, Any] | None


class ReplyFinished(ServerFrame, frozen=True, kw_only=True, tag="reply.finished"):
    reply_id: UUID
    epoch: str
    seq: int
    status: ReplyStatus
    stop_reason: str | None
    stop_details: dict[str, Any] | None = None
    error: ErrorView | None
    usage: UsageView | None
    warmth: RequestWarmth
    ttft_ms: int | None
    cost_usd: str | None
    warm_up_id: UUID | None


class Error(ServerFrame, frozen=True, kw_only=True, tag="error"):
    code: ErrorCode
    message: str
    ref: str | None
    retryable: bool
    quota: QuotaView | None = None


class Quota(ServerFrame, frozen=True, kw_only=True, tag="quota"):
    limits: list[QuotaView]


class Pong(ServerFrame, frozen=True, kw_only=True, tag="pong"):
    pass


_decoder: msgspec.json.Decoder[AnyClientFrame] = msgspec.json.Decoder(AnyClientFrame)
encoder = msgspec.json.Encoder(decimal_format="string")


def encode(frame: ServerFrame) -> str:
    """One server frame as the text of a WebSocket frame. Times are ISO 8601 UTC with a `Z`."""
    return encode_bytes(frame).decode()


def encode_bytes(frame: ServerFrame) -> bytes:
    """The same in UTF-8, as it goes over the connection."""
    return encoder.encode(frame)


def decode(text: str) -> AnyClientFrame:
    """One client frame from the text of a WebSocket frame; raises `FrameError` with the code for the answer."""
    raw = _utf8(text)
    if len(raw) > MAX_FRAME_BYTES:
        words = f"A frame may hold at most {MAX_FRAME_BYTES // 1024} KiB of text."
        raise FrameError(ErrorCode.MESSAGE_TOO_LARGE, words, _ref_in(raw))
    try:
        frame = _decoder.decode(raw)
    except msgspec.ValidationError as error:
        raise _refused(raw, str(error)) from None
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        raise _unreadable(raw) from None
    if isinstance(frame, MessageSend):
        _check_text(frame)
    return frame


def ref_of(frame: ClientFrame | None) -> str | None:
    """The id in a frame by which the page can tell which frame an `error` answers."""
    for name in REFS:
        found = getattr(frame, name, None)
        if found is not None:
            return str(found)
    return None


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise FrameError(ErrorCode.BAD_TEXT, "The frame holds half a character (a lone surrogate).") from None


def _check_text(frame: MessageSend) -> None:
    ref = str(frame.client_message_id)
    if "\0" in frame.text:
        raise FrameError(ErrorCode.BAD_TEXT, "The text holds a NUL character, which cannot be stored.", ref)
    if len(frame.text) > MAX_TEXT_CHARS:
        raise FrameError(ErrorCode.MESSAGE_TOO_LARGE, f"A message may hold at most {MAX_TEXT_CHARS:,} characters.", ref)
    if not frame.text.strip() and not frame.attachment_ids:
        raise FrameError(ErrorCode.EMPTY_MESSAGE, "Write something before sending.", ref)


def _unreadable(raw: bytes) -> FrameError:
    """The error for text that is not JSON, or for JSON with an escaped lone surrogate, which Python accepts."""
    try:
        found = json.loads(raw)
    except (ValueError, RecursionError):
        return FrameError(ErrorCode.BAD_JSON, "The frame is not valid JSON.")
    try:
        json.dumps(found, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        ref = found.get("client_message_id") if isinstance(found, dict) else None
        ref = ref if isinstance(ref, str) and len(ref) <= MAX_REF_CHARS and ref.isascii() else None
        return FrameError(ErrorCode.BAD_TEXT, "The text holds half a character (a lone surrogate).", ref)
    except (ValueError, RecursionError):
        pass
    return FrameError(ErrorCode.BAD_JSON, "The frame is not valid JSON.")


def _refused(raw: bytes, reason: str) -> FrameError:
    """The error for valid JSON that is not one of our frames: unknown type, or a field that is missing or wrong."""
    if "$.type" in reason or "Object missing required field `type`" in reason:
        return FrameError(ErrorCode.UNKNOWN_TYPE, f"Unknown frame type. {_shortened(reason)}")
    if reason.startswith("Expected `object`"):
        return FrameError(ErrorCode.BAD_FRAME, "A frame is a JSON object with a `type`.")
    return FrameError(ErrorCode.BAD_FIELD, _shortened(reason), _ref_in(raw))


def _shortened(reason: str) -> str:
    """Cuts the middle, because a reason may quote the whole frame; the place of the error is at the end."""
    half = MAX_REASON_CHARS // 2
    return reason if len(reason) <= MAX_REASON_CHARS else f"{reason[:half]}…{reason[-half:]}"


def _ref_in(raw: bytes) -> str | None:
    """As `ref_of`, for a frame that could not be decoded."""
    try:
        found = msgspec.json.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        return None
    if not isinstance(found, dict):
        return None
    ref = next((found[name] for name in REFS if found.get(name)), None)
    return ref if isinstance(ref, str) and len(ref) <= MAX_REF_CHARS else None
