"""Every write that changes the state of a reply's row, as `reply_states` allows it. Called in a database thread.

A streaming row has an owner, the process that writes the reply. Each of the owner's writes names the owner in its
condition, and a takeover names the last heartbeat that it saw. If two processes change one row, the database lets one
win, and the other learns it from the number of rows. So an owner that lost its reply stops at its next write, and a
living owner never loses it to a process that looked a moment too early.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from functools import cache
from typing import Any
from uuid import UUID, uuid4

from django.db import transaction
from django.db.models import QuerySet

from chatapp.conversations import reply_states
from chatapp.conversations.reply_states import STREAMING, Act, Actor, Written
from chatapp.models import Conversation, Message
from chatapp.protocol import ReplyFinished
from chatapp.protocol.views import ErrorView, UsageView
from chatapp.protocol.words import ReplyStatus
from chatapp.quotas.charges import Reservation
from chatapp.replies.log import new_epoch
from chatapp.replies.patient_writes import DATABASE_AWAY, DATABASE_TROUBLE
from warmcache import RequestWarmth
from warmcache.background.statements import Insert, Slot, Update

PROCESS = uuid4().hex
"""This process, as the owner of replies."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """The right to write a reply, as recorded in its row."""

    reply_id: UUID
    owner: str
    epoch: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Streaming:
    """The state of a streaming row, without its text."""

    claim: Claim
    conversation_id: UUID
    beat_at: datetime | None
    must_stop: bool
    """Somebody has asked for it, or its person may not use the chat any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """The text of a running reply so far, as columns of its row."""

    claim: Claim
    columns: Mapping[str, Any]


def new(
    conversation: Conversation, question: Message, *, owner: str, now: datetime, reserved_usd: Decimal | None = None
) -> Message:
    """The row of a reply that `owner` is about to write, to be stored together with its question."""
    return Message(
        conversation=conversation,
        parent=question,
        role=Message.Role.ASSISTANT,
        status=STREAMING,
        model=conversation.assistant.model,
        assistant_name=conversation.assistant.name,
        # Rows are read in order of creation, and a clock may give the same time twice.
        created_at=max(now, question.created_at + timedelta(microseconds=1)),
        owner=owner,
        beat_at=now,
        epoch=new_epoch(),
        reserved_usd=reserved_usd,
    )


def begin(
    conversation: Conversation, question: Message, *, owner: str, now: datetime, reserved_usd: Decimal | None = None
) -> Message:
    """As `new`, for a question that is stored already. The caller must increment the conversation's version."""
    reply = new(conversation, question, owner=owner, now=now, reserved_usd=reserved_usd)
    insert(reply)
    return reply


def insert(*messages: Message) -> None:
    """Stores new rows in one statement. The caller must increment the conversation's version."""
    _INSERT.run(*messages)


_INSERT = Insert(Message)


def parent_of(reply: Message) -> UUID:
    """The message that a reply answers."""
    if reply.parent_id is None:
        raise ValueError(f"Reply {reply.pk} answers no message.")
    return reply.parent_id


def reservation_of(reply: Message, user_id: int) -> Reservation | None:
    """What was set aside for it; None for a reply that an earlier release began."""
    if reply.reserved_usd is None:
        return None
    return Reservation(user_id=user_id, usd=Decimal(reply.reserved_usd), at=reply.created_at.timestamp())


def claim_of(reply: Message) -> Claim:
    return Claim(reply_id=reply.pk, owner=reply.owner, epoch=reply.epoch)


def checkpoint(claim: Claim, columns: Mapping[str, Any], *, now: datetime) -> bool:
    """Stores the progress of a reply. False: the row is gone, ended, or has another owner."""
    return _written(claim, Act.CHECKPOINT, {**columns, "beat_at": now})


def checkpoint_all(many: Sequence[Progress], *, now: datetime) -> dict[UUID, bool | Exception]:
    """Stores the progress of several replies at once, and what that did not store one by one: no reply loses its
    checkpoint because of another. For each reply what `checkpoint` says, or its error."""
    stored = _stored_together(many, now=now) if len(many) > 1 else frozenset()
    outcomes: dict[UUID, bool | Exception] = {}
    away: Exception | None = None
    for each in many:
        reply_id = each.claim.reply_id
        if reply_id in stored or away is not None:
            outcomes[reply_id] = away or True
            continue
        try:
            outcomes[reply_id] = checkpoint(each.claim, each.columns, now=now)
        except DATABASE_AWAY as error:
            outcomes[reply_id] = away = error  # it would be away for the others too, and each would wait for it
        except DATABASE_TROUBLE as error:
            outcomes[reply_id] = error
    return outcomes


def _stored_together(many: Sequence[Progress], *, now: datetime) -> frozenset[UUID]:
    """The replies that it has stored, in one transaction: it leaves out rows that somebody else has locked. To wait for
    one row with the others locked could make a circle with another transaction that does the same."""
    by_claim = {each.claim: each.columns for each in many}
    ids = [each.claim.reply_id for each in many]
    free = _in_state(Act.CHECKPOINT, Actor.OWNER).filter(pk__in=ids).select_for_update(skip_locked=True, no_key=True)
    try:
        with transaction.atomic():
            claims = [
                claim
                for pk, owner, epoch in free.values_list("pk", "owner", "epoch")
                if (claim := Claim(reply_id=pk, owner=owner, epoch=epoch)) in by_claim
            ]
            _write_all(Act.CHECKPOINT, {claim: {**by_claim[claim], "beat_at": now} for claim in claims})
    except DATABASE_TROUBLE:
        return frozenset()
    return frozenset(claim.reply_id for claim in claims)


def finish(claim: Claim, columns: Mapping[str, Any]) -> bool:
    """Ends the reply. False: the row is gone, or has an end already."""
    reply_states.check_end(columns["status"])
    return _written(claim, Act.END, columns)


def end(claim: Claim, columns: Mapping[str, Any]) -> Written:
    """As `finish`, but returns the reason for a failure. Safe to call again after an attempt whose answer was lost."""
    return Written.DONE if finish(claim, columns) else why_not(claim, columns)


def why_not(claim: Claim, columns: Mapping[str, Any]) -> Written:
    """Why `finish` has changed nothing: `DONE` where an earlier attempt did, whose answer was lost."""
    row = Message.objects.filter(pk=claim.reply_id).values("status", "owner", "epoch", "log_seq").first()
    if row is None:
        return Written.GONE
    ours = {"status": columns["status"], "owner": claim.owner, "epoch": claim.epoch, "log_seq": columns.get("log_seq")}
    return Written.DONE if row == ours else Written.TAKEN


def beat(reply_ids: Collection[UUID], *, now: datetime) -> None:
    """Writes the owner's heartbeat."""
    _in_state(Act.BEAT, Actor.OWNER).filter(pk__in=reply_ids).update(beat_at=now)


def finish_for_dead(seen: Streaming, columns: Mapping[str, Any]) -> bool:
    """Ends the reply for its dead owner. False: the owner has written since then, or another process was first."""
    reply_states.check_end(columns["status"])
    return bool(_claimed(seen.claim, Act.END, Actor.WATCHER).filter(beat_at=seen.beat_at).update(**columns))


def request_stop(reply_id: UUID, *, now: datetime) -> None:
    """Asks the owner to stop, which it sees at its next look."""
    _in_state(Act.ASK_TO_STOP, Actor.PERSON).filter(pk=reply_id).update(stop_requested_at=now)


def streaming() -> list[Streaming]:
    """Every streaming row, of any owner."""
    is_active = "conversation__user__is_active"
    columns = ("pk", "owner", "epoch", "conversation_id", "beat_at", "stop_requested_at", is_active)
    return [
        Streaming(
            claim=Claim(reply_id=pk, owner=owner, epoch=epoch),
            conversation_id=conversation_id,
            beat_at=beat_at,
            must_stop=stop_requested_at is not None or not is_active,
        )
        for pk, owner, epoch, conversation_id, beat_at, stop_requested_at, is_active in Message.objects.filter(
            status=STREAMING
        ).values_list(*columns)
    ]


def running_in(conversation_id: UUID | Slot) -> QuerySet[Message]:
    """The replies that any process is writing in this conversation: at most one."""
    return Message.objects.filter(conversation=conversation_id, status=STREAMING)


def is_streaming_in(conversation_id: UUID) -> bool:
    return running_in(conversation_id).exists()


def streaming_in(conversation_id: UUID) -> Message | None:
    return running_in(conversation_id).order_by("created_at").last()


def find(reply_id: UUID) -> Message | None:
    return Message.objects.select_related("conversation").filter(pk=reply_id).first()


def finished_columns(finished: ReplyFinished, *, request_id: str, now: datetime) -> dict[str, Any]:
    """The columns of the row that hold the end."""
    usage, error = finished.usage, finished.error
    return {
        "status": finished.status,
        "finished_at": now,
        "log_seq": finished.seq,
        "stop_reason": finished.stop_reason or "",
        "stop_details": finished.stop_details,
        "error_code": error.code if error else "",
        "error_message": error.message if error else "",
        "error_is_retryable": bool(error and error.retryable),
        "input_tokens": usage.input_tokens if usage else None,
        "cache_read_tokens": usage.cache_read_tokens if usage else None,
        "cache_write_tokens": usage.cache_write_tokens if usage else None,
        "output_tokens": usage.output_tokens if usage else None,
        "web_searches": usage.web_searches if usage else None,
        "cost_usd": finished.cost_usd,
        "warmth": finished.warmth,
        "warm_up_id": finished.warm_up_id,
        "ttft_ms": finished.ttft_ms,
        "request_id": request_id,
    }


def finished_frame(reply: Message, *, epoch: str, seq: int) -> ReplyFinished:
    """The stored end as a frame, for a reader whose log has no end."""
    reply_states.check_end(ReplyStatus(reply.status))
    return ReplyFinished(
        reply_id=reply.pk,
        epoch=epoch,
        seq=seq,
        status=ReplyStatus(reply.status),
        stop_reason=reply.stop_reason or None,
        stop_details=reply.stop_details,
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
    # Not `ErrorView.of`: the row may be of a version with other codes.
    return ErrorView(code=reply.error_code, message=reply.error_message, retryable=reply.error_is_retryable)


def usage_view(reply: Message) -> UsageView | None:
    if reply.input_tokens is None:
        return None
    return UsageView(
        input_tokens=reply.input_tokens,
        cache_read_tokens=reply.cache_read_tokens or 0,
        cache_write_tokens=reply.cache_write_tokens or 0,
        output_tokens=reply.output_tokens or 0,
        web_searches=reply.web_searches or 0,
    )


def _in_state(act: Act, by: Actor) -> QuerySet[Message]:
    return Message.objects.filter(status=reply_states.before(act, by))


def _claimed(claim: Claim, act: Act, by: Actor) -> QuerySet[Message]:
    return _in_state(act, by).filter(pk=claim.reply_id, owner=claim.owner, epoch=claim.epoch)


def _written(claim: Claim, act: Act, columns: Mapping[str, Any]) -> bool:
    """Whether the row still is as the owner's act requires."""
    return bool(_owners_write(act, tuple(columns)).run(**_named(claim), **columns))


def _write_all(act: Act, columns_of: Mapping[Claim, Mapping[str, Any]]) -> None:
    """The same for rows that are known to be so."""
    by_names: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for claim, columns in columns_of.items():
        by_names.setdefault(tuple(columns), []).append({**_named(claim), **columns})
    for names, values in by_names.items():
        _owners_write(act, names).run_all(values)


def _named(claim: Claim) -> dict[str, Any]:
    return {"claimed_id": claim.reply_id, "claimed_owner": claim.owner, "claimed_epoch": claim.epoch}


@cache
def _owners_write(act: Act, columns: tuple[str, ...]) -> Update:
    def claimed() -> QuerySet[Message]:
        return _in_state(act, Actor.OWNER).filter(
            pk=Slot("claimed_id", Message, "id"),
            owner=Slot("claimed_owner", Message, "owner"),
            epoch=Slot("claimed_epoch", Message, "epoch"),
        )

    return Update(claimed, lambda: {column: Slot(column, Message) for column in columns})
