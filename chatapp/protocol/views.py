"""Parts of frames: a message, a reply so far, a conversation, as the page shows them."""

from datetime import datetime
from typing import Annotated, Any, Literal, Self
from uuid import UUID

import msgspec
from msgspec import Meta

from chatapp.protocol.words import Measure, QuotaScope, ReplyFailure, ReplyStatus
from warmcache import BlockKind, Failure, RequestWarmth

Count = Annotated[int, Meta(ge=0, le=10_000_000)]


class Cursor(msgspec.Struct, frozen=True, kw_only=True):
    """A reader's position in one reply: the last `seq` that it has, in this `epoch`."""

    reply_id: UUID
    epoch: str
    after_seq: Count


class UsageView(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Tokens of one reply's requests, as the provider billed them, and its searches on the web."""

    input_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    output_tokens: int
    web_searches: int = 0


class ErrorView(msgspec.Struct, frozen=True, kw_only=True):
    """Why a reply failed, in words that help the person to act."""

    code: str
    """A `Failure` or a `ReplyFailure`, of a newer or older version too: it is also read from rows and from Redis."""
    message: str
    retryable: bool

    @classmethod
    def of(cls, code: Failure | ReplyFailure, *, message: str = "") -> Self:
        """`message` if the code's own words say less."""
        return cls(code=code.value, message=message or code.reader_words, retryable=code.is_retryable)


class BlockView(msgspec.Struct, frozen=True, kw_only=True):
    """One content block of a reply, as far as it has come. `data` is everything else of the API's block, once it has
    ended, that a page can show: citations, search results, ids."""

    block: int
    kind: BlockKind
    name: str
    text: str
    state: Literal["start", "stop"]
    data: dict[str, Any] | None = None


class QuotaView(msgspec.Struct, frozen=True, kw_only=True):
    """A limit that is reached or nearly so. `limit` and `left` are whole numbers, or dollars with two decimals."""

    measure: Measure
    scope: QuotaScope
    limit: str
    left: str
    until: datetime | None


class AttachmentView(msgspec.Struct, frozen=True, kw_only=True):
    """A file that goes with a message. Only a picture has a size in pixels; a text's is 0."""

    id: UUID
    name: str
    width: int = 0
    height: int = 0


class ImageView(msgspec.Struct, frozen=True, kw_only=True):
    """A picture in a person's message: its place is `/attachments/<id>/`, its name what a reader is told of it."""

    id: UUID
    name: str
    width: int
    height: int


class QueuedView(msgspec.Struct, frozen=True, kw_only=True):
    """A message that waits for the end of the running reply, or is held because that reply ended badly."""

    message_id: UUID
    client_message_id: UUID
    text: str
    chars: int
    edit_of: UUID | None
    is_held: bool
    held_because: str
    created_at: datetime


class ConversationView(msgspec.Struct, frozen=True, kw_only=True):
    """`branch` is a message that the shown branch goes through; it ends at the newest message below that one."""

    id: UUID
    title: str
    assistant_id: int
    created_at: datetime
    updated_at: datetime
    branch: UUID | None = None
    queue: list[QueuedView] = []
    pinned: bool = False
    archived: bool = False
    temporary: bool = False
    running: bool = False
    unread: bool = False
    deleted: bool = False


class HitView(msgspec.Struct, frozen=True, kw_only=True):
    """A message that the search found. `pieces` are a part of its text, cut where a word that was looked for begins or
    ends: the second, the fourth ... are such words. `words` are all of them as the whole text has them."""

    message_id: UUID
    conversation_id: UUID
    title: str
    role: Literal["user", "assistant"]
    created_at: datetime
    pieces: list[str]
    words: list[str]


class AssistantView(msgspec.Struct, frozen=True, kw_only=True):
    id: int
    name: str
    slug: str
    model: str
    description: str
    suggestions: list[str] = []
    """To begin with: each is a message that a person may want to send first."""


class SummaryView(msgspec.Struct, frozen=True, kw_only=True):
    """What the assistant gets in place of everything up to and with the reply `message_id`."""

    message_id: UUID
    text: str
    created_at: datetime


class MessageView(msgspec.Struct, frozen=True, kw_only=True):
    """A stored message. The reply's own fields are null on a person's message.

    `siblings` are all its versions, including this one, from the oldest to the newest.
    """

    id: UUID
    role: Literal["user", "assistant"]
    parent_id: UUID | None
    siblings: list[UUID]
    text: str
    attachments: list[str]
    images: list[ImageView] = []
    blocks: list[BlockView]
    status: ReplyStatus
    client_message_id: UUID | None
    created_at: datetime
    model: str | None
    assistant: str | None = None
    """The name of the assistant that wrote the reply; null of an older one, which its conversation's wrote."""
    stop_reason: str | None
    stop_details: dict[str, Any] | None = None
    error: ErrorView | None
    usage: UsageView | None
    warmth: RequestWarmth | None
    ttft_ms: int | None
    cost_usd: str | None
    warm_up_id: UUID | None
    summary: SummaryView | None = None
    """On the last reply that is summarised for the assistant on this branch."""


class ReplyView(msgspec.Struct, frozen=True, kw_only=True):
    """The running reply, whole up to `seq`. Empty `blocks` with `recovered` true: the gap follows as frames."""

    reply_id: UUID
    parent_id: UUID
    epoch: str
    seq: int
    model: str
    warmth: RequestWarmth
    blocks: list[BlockView]
