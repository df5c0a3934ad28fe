"""The life of a reply's row: which states follow which, and every write that moves it. Called in a database thread.

    (new) ──begin──> streaming ──finish──> complete | stopped | interrupted | failed
                     │  ^                     for good
                     └──┘ checkpoint, beat

A row that streams has an owner, the process that writes it. Each of the owner's writes says so in its condition, and
ending it in the owner's place says which sign of life was the last that was seen: of two that move one row the
database lets one win, and the other learns it from the number of rows. So an owner that was given up stops at its
next write, and an owner that lives is never ended by somebody who looked a moment too early.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from django.db.models import QuerySet

from chatapp.models import Conversation, Message
from chatapp.protocol import ReplyFinished
from chatapp.protocol.views import ErrorView, UsageView
from chatapp.protocol.words import ReplyStatus
from chatapp.replies.log import new_epoch
from warmcache.core.outcomes import RequestWarmth

STREAMING = Message.Status.STREAMING
ENDS = frozenset(ReplyStatus)
"""No row leaves one of these."""

PROCESS = uuid4().hex
"""This process, as the owner of replies."""

RESTARTED = ErrorView(
    code="server_restarted",
    message="The server was restarted while this reply was being written.",
    retryable=True,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """The right to write a reply, as its row has it."""

    reply_id: UUID
    owner: str
    epoch: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Streaming:
    """What can be seen of a row that streams without reading its text."""

    claim: Claim
    conversation_id: UUID
    beat_at: datetime | None
    is_stop_requested: bool


def begin(conversation: Conversation, question: Message, *, owner: str, now: datetime) -> Message:
    """The row of a reply that `owner` is about to write."""
    return Message.objects.create(
        conversation=conversation,
        parent=question,
        role=Message.Role.ASSISTANT,
        status=STREAMING,
        model=conversation.assistant.model,
        owner=owner,
        beat_at=now,
        epoch=new_epoch(),
    )


def claim_of(reply: Message) -> Claim:
    return Claim(reply_id=reply.pk, owner=reply.owner, epoch=reply.epoch)


def checkpoint(claim: Claim, columns: Mapping[str, Any], *, now: datetime) -> bool:
    """Stores how far it has come. False: the row is gone, ended, or somebody else's."""
    return _moved(_claimed(claim), {**columns, "beat_at": now})


def finish(claim: Claim, columns: Mapping[str, Any]) -> bool:
    """Ends it. False: the row is gone, or has an end already."""
    return _end(_claimed(claim), columns)


def beat(reply_ids: Collection[UUID], *, now: datetime) -> None:
    """Their owner lives."""
    Message.objects.filter(pk__in=reply_ids, status=STREAMING).update(beat_at=now)


def finish_for_dead(seen: Streaming, columns: Mapping[str, Any]) -> bool:
    """Ends it in its owner's place. False: the owner has moved since it was seen, or somebody else was first."""
    return _end(_claimed(seen.claim).filter(beat_at=seen.beat_at), columns)


def request_stop(reply_id: UUID, *, now: datetime) -> None:
    """Whoever writes it obeys at its next look."""
    Message.objects.filter(pk=reply_id, status=STREAMING).update(stop_requested_at=now)


def streaming() -> list[Streaming]:
    """Every row that streams, whoever writes it."""
    columns = ("pk", "owner", "epoch", "conversation_id", "beat_at", "stop_requested_at")
    return [
        Streaming(
            claim=Claim(reply_id=pk, owner=owner, epoch=epoch),
            conversation_id=conversation_id,
            beat_at=beat_at,
            is_stop_requested=stop_requested_at is not None,
        )
        for pk, owner, epoch, conversation_id, beat_at, stop_requested_at in Message.objects.filter(
            status=STREAMING
        ).values_list(*columns)
    ]


def is_streaming_in(conversation_id: UUID) -> bool:
    """Whether a reply is being written there, by whomever."""
    return Message.objects.filter(conversation=conversation_id, status=STREAMING).exists()


def find(reply_id: UUID) -> Message | None:
    return Message.objects.select_related("conversation").filter(pk=reply_id).first()


def exists(reply_id: UUID) -> bool:
    return Message.objects.filter(pk=reply_id).exists()


def finished_columns(finished: ReplyFinished, *, request_id: str, now: datetime) -> dict[str, Any]:
    """The end as the row has it."""
    usage, error = finished.usage, finished.error
    return {
        "status": finished.status,
        "finished_at": now,
        "log_seq": finished.seq,
        "stop_reason": finished.stop_reason or "",
        "error_code": error.code if error else "",
        "error_message": error.message if error else "",
        "error_is_retryable": bool(error and error.retryable),
        "input_tokens": usage.input_tokens if usage else None,
        "cache_read_tokens": usage.cache_read_tokens if usage else None,
        "cache_write_tokens": usage.cache_write_tokens if usage else None,
        "output_tokens": usage.output_tokens if usage else None,
        "cost_usd": finished.cost_usd,
        "warmth": finished.warmth,
        "warm_up_id": finished.warm_up_id,
        "ttft_ms": finished.ttft_ms,
        "request_id": request_id,
    }


def finished_frame(reply: Message, *, epoch: str, seq: int) -> ReplyFinished:
    """The end of a row as a frame, for a reader whose log has none."""
    if reply.status not in ENDS:
        raise ValueError(f"Reply {reply.pk} has not ended.")
    return ReplyFinished(
        reply_id=reply.pk,
        epoch=epoch,
        seq=seq,
        status=ReplyStatus(reply.status),
        stop_reason=reply.stop_reason or None,
        error=error_view(reply),
        usage=usage_view(reply),
        warmth=RequestWarmth(reply.warmth or RequestWarmth.COLD),
        ttft_ms=reply.ttft_ms,
        cost_usd=None if reply.cost_usd is None else format(reply.cost_usd, "f"),
        warm_up_id=reply.warm_up_id,
    )


def error_view(reply: Message) -> ErrorView | None:
    if not reply.error_code:
        return None
    return ErrorView(code=reply.error_code, message=reply.error_message, retryable=reply.error_is_retryable)


def usage_view(reply: Message) -> UsageView | None:
    if reply.input_tokens is None:
        return None
    return UsageView(
        input_tokens=reply.input_tokens,
        cache_read_tokens=reply.cache_read_tokens or 0,
        cache_write_tokens=reply.cache_write_tokens or 0,
        output_tokens=reply.output_tokens or 0,
    )


def _claimed(claim: Claim) -> QuerySet[Message]:
    return Message.objects.filter(pk=claim.reply_id, status=STREAMING, owner=claim.owner, epoch=claim.epoch)


def _end(rows: QuerySet[Message], columns: Mapping[str, Any]) -> bool:
    if columns["status"] not in ENDS:
        raise ValueError(f"A reply does not end as {columns['status']}.")
    return _moved(rows, columns)


def _moved(rows: QuerySet[Message], columns: Mapping[str, Any]) -> bool:
    return bool(rows.update(**columns))
