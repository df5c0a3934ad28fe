"""The states of a reply: the one table of what may be done to it, by which actor, and what follows.

               begin              end
    (no row) ────────> streaming ─────> complete | stopped | interrupted | failed
                        │     ^
                        └─────┘ checkpoint, beat, ask to stop

All code that depends on a reply's state asks this module: the row, which writes it accepts; the log, which frame may be
its last; the run, how its end is called and whether its readers may be told; the takeover, what it may do in place of a
dead owner; a new message, whether it has to wait.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum, auto

from chatapp.protocol.frames import FrameError
from chatapp.protocol.views import ErrorView
from chatapp.protocol.words import ErrorCode, ReplyFailure, ReplyStatus
from warmcache.core.errors import StreamBroken, UpstreamError

STREAMING = ReplyStatus.STREAMING
ENDS = frozenset(ReplyStatus) - {STREAMING}
"""Final states: no reply leaves one of these."""


class Actor(StrEnum):
    OWNER = auto()
    """The process that writes it. Its row names owner and epoch, and each of the owner's writes names them too."""
    WATCHER = auto()
    """Any process, after a whole lease without a sign of the owner's life. Its write names the last sign it saw."""
    PERSON = auto()
    """The reader of the reply, through any process."""


class Act(StrEnum):
    BEGIN = auto()
    CHECKPOINT = auto()
    BEAT = auto()
    ASK_TO_STOP = auto()
    END = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """`before` is None if there is no row yet."""

    act: Act
    by: Actor
    before: ReplyStatus | None
    after: frozenset[ReplyStatus]


_STILL_STREAMING = frozenset({STREAMING})
MOVES = (
    Move(act=Act.BEGIN, by=Actor.OWNER, before=None, after=_STILL_STREAMING),
    Move(act=Act.CHECKPOINT, by=Actor.OWNER, before=STREAMING, after=_STILL_STREAMING),
    Move(act=Act.BEAT, by=Actor.OWNER, before=STREAMING, after=_STILL_STREAMING),
    Move(act=Act.ASK_TO_STOP, by=Actor.PERSON, before=STREAMING, after=_STILL_STREAMING),
    Move(act=Act.END, by=Actor.OWNER, before=STREAMING, after=ENDS),
    # The end that the owner has written to its log, if the row lacks it; else `interrupted`.
    Move(act=Act.END, by=Actor.WATCHER, before=STREAMING, after=ENDS),
)


class Cause(StrEnum):
    """Why a reply ends."""

    WHOLE = auto()
    STOPPED = auto()
    LOST = auto()
    """Its row is gone or has another owner: nobody will read the rest."""
    SHUTDOWN = auto()
    OWNER_DIED = auto()
    STREAM_BROKEN = auto()
    UPSTREAM_REFUSED = auto()
    QUOTA_MET = auto()
    """The person's money does not last for another request of the same reply."""
    OUR_FAULT = auto()


STATUS_AFTER: Mapping[Cause, ReplyStatus] = {
    Cause.WHOLE: ReplyStatus.COMPLETE,
    Cause.STOPPED: ReplyStatus.STOPPED,
    Cause.LOST: ReplyStatus.STOPPED,
    Cause.SHUTDOWN: ReplyStatus.INTERRUPTED,
    Cause.OWNER_DIED: ReplyStatus.INTERRUPTED,
    Cause.STREAM_BROKEN: ReplyStatus.INTERRUPTED,
    Cause.UPSTREAM_REFUSED: ReplyStatus.FAILED,
    Cause.QUOTA_MET: ReplyStatus.INTERRUPTED,
    Cause.OUR_FAULT: ReplyStatus.FAILED,
}

RESTARTED = ErrorView.of(ReplyFailure.SERVER_RESTARTED)
_OUR_FAULT = ErrorView.of(ReplyFailure.INTERNAL_ERROR)


@dataclass(frozen=True, slots=True, kw_only=True)
class Consequence:
    """What a reply's state means for its conversation."""

    sends_next: bool = False
    """The first waiting message is sent. Otherwise waiting messages are held until their sender releases them."""
    is_said: bool = True
    """Its text is part of what the next message follows."""
    leaves_question_out: bool = False
    """Nor is the question that it answers: it would be refused again, and with it whatever comes after."""


CONSEQUENCES: Mapping[ReplyStatus, Consequence] = {
    ReplyStatus.STREAMING: Consequence(is_said=False),
    ReplyStatus.COMPLETE: Consequence(sends_next=True),
    ReplyStatus.STOPPED: Consequence(),
    ReplyStatus.INTERRUPTED: Consequence(),
    ReplyStatus.FAILED: Consequence(),
}


REFUSAL = "refusal"
"""The provider's `stop_reason` of a complete answer whose whole turn must not be sent again."""

_REFUSED = Consequence(is_said=False, leaves_question_out=True)


class Written(StrEnum):
    """The result of writing an end."""

    DONE = auto()
    GONE = auto()
    """The row no longer exists: the conversation was deleted."""
    TAKEN = auto()
    """The row has another end, or another owner."""


MAY_TELL = frozenset({Written.DONE, Written.GONE})
"""In these cases the owner tells readers the end; if it is `TAKEN` they get the end that the row has."""


def before(act: Act, by: Actor) -> ReplyStatus:
    """The state that a row must be in for this act; raises `ValueError` if the table does not allow it at all."""
    found = {move.before for move in MOVES if (move.act, move.by) == (act, by) and move.before is not None}
    if len(found) != 1:
        raise ValueError(f"Of no row of a reply may the {by} do this: {act}.")
    return found.pop()


def check_end(status: ReplyStatus) -> None:
    """Raises `ValueError` if the status is not an end."""
    if status not in ENDS:
        raise ValueError(f"A reply does not end as {status}.")


def status_after(cause: Cause) -> ReplyStatus:
    """The status that rows and frames have for this cause."""
    return STATUS_AFTER[cause]


def consequence_of(status: ReplyStatus, stop_reason: str | None = None) -> Consequence:
    is_refused = status == ReplyStatus.COMPLETE and stop_reason == REFUSAL
    return _REFUSED if is_refused else CONSEQUENCES[status]


def cause_of(failure: BaseException | None, *, asked: Cause | None = None) -> Cause:
    """Why a reply ends after its reading ended with `failure`; `asked` is the cause if somebody cut it off."""
    match failure:
        case None:
            return Cause.WHOLE
        case asyncio.CancelledError():
            return asked or Cause.SHUTDOWN
        case StreamBroken():
            return Cause.STREAM_BROKEN
        case UpstreamError():
            return Cause.UPSTREAM_REFUSED
        case FrameError(code=ErrorCode.QUOTA):
            return Cause.QUOTA_MET
        case _:
            return Cause.OUR_FAULT


def error_of(cause: Cause, failure: BaseException | None = None) -> ErrorView | None:
    """What a person is told about it; None if there is nothing to tell."""
    match cause:
        case Cause.SHUTDOWN | Cause.OWNER_DIED:
            return RESTARTED
        case Cause.STREAM_BROKEN | Cause.UPSTREAM_REFUSED if isinstance(failure, UpstreamError):
            return ErrorView.of(failure.code, message=failure.message)
        case Cause.QUOTA_MET if isinstance(failure, FrameError):
            return ErrorView.of(ReplyFailure.QUOTA_MET, message=failure.message)
        case Cause.OUR_FAULT:
            return _OUR_FAULT
        case _:
            return None
