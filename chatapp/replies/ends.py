"""The end of a reply: its last frame, and what is written with it in one transaction.

The transaction writes the end to the row, holds waiting messages unless the reply is complete and no refusal, and reads
the queue for the sockets that are notified. All of it may run again after an attempt whose answer was lost.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from chatapp.conversations import conversations, reply_states
from chatapp.conversations.conversations import News
from chatapp.conversations.reply_states import Cause, Written
from chatapp.conversations.storable import storable_json
from chatapp.models import note_change
from chatapp.protocol import ReplyFinished
from chatapp.protocol.views import UsageView
from chatapp.quotas import charges
from chatapp.quotas.charges import Reservation
from chatapp.replies import pending, rows
from chatapp.replies.log import ReplyLog
from chatapp.replies.rows import Claim, Streaming
from warmcache import RequestWarmth
from warmcache.services import Result


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a reply ended. `written` is None if the database stayed unreachable through all retries."""

    finished: ReplyFinished
    content: Sequence[Mapping[str, Any]]
    """API blocks as stored in the row."""
    written: Written | None = None
    news: News | None = None
    """The current conversation, for its owner's sockets."""

    @property
    def consequence(self) -> reply_states.Consequence:
        return _consequence_of(self.finished)

    @property
    def has_next(self) -> bool:
        """Whether the next waiting message is to be sent now."""
        return (
            self.consequence.sends_next
            and self.news is not None
            and any(not queued.is_held for queued in self.news.view.queue)
        )


def finished_frame(
    log: ReplyLog, results: Sequence[Result], *, cause: Cause, failure: BaseException | None, ttft_ms: int | None
) -> ReplyFinished:
    """The frame after the last one of the log. `results` are those of the requests that were made, in order: what they
    were billed is summed, and the first one tells how warm the prompt was."""
    usages = [result.usage for result in results if result.usage is not None]
    usage = sum(usages[1:], start=usages[0]) if usages else None
    settlement = results[0].settlement if results else None
    last = results[-1] if results else None
    return ReplyFinished(
        reply_id=log.reply_id,
        epoch=log.epoch,
        seq=log.seq + 1,
        status=reply_states.status_after(cause),
        stop_reason=(last.stop_reason if last else "") or None,
        stop_details=storable_json(last.stop_details) if last and last.stop_details else None,
        error=reply_states.error_of(cause, failure),
        usage=None
        if usage is None
        else UsageView(
            input_tokens=usage.input_tokens,
            cache_read_tokens=usage.cache_read_tokens,
            cache_write_tokens=usage.cache_write_tokens,
            output_tokens=usage.output_tokens,
            web_searches=usage.web_searches,
        ),
        warmth=settlement.warmth if settlement else RequestWarmth.COLD,
        ttft_ms=ttft_ms,
        cost_usd=_cost_usd(results),
        warm_up_id=settlement.warm_up_id if settlement else None,
    )


def _cost_usd(results: Sequence[Result]) -> str | None:
    """None if the cost of one of them is not known: a part would read like the whole."""
    costs = [result.settlement.cost_usd for result in results if result.usage is not None]
    known = [cost for cost in costs if cost is not None]
    return format(sum(known[1:], start=known[0]), "f") if known and len(known) == len(costs) else None


# Called in a database thread


def store(
    claim: Claim,
    conversation_id: UUID,
    finished: ReplyFinished,
    content: Mapping[str, Any],
    *,
    request_id: str,
    reservation: Reservation | None = None,
) -> Ended:
    """Stores the end on behalf of the owner. `content`: the columns of the reply's content."""
    columns = {**content, **rows.finished_columns(finished, request_id=request_id, now=timezone.now())}
    # Where the ledger's transaction is open already, an error here undoes all of it: it needs no savepoint.
    with transaction.atomic(savepoint=False):
        has_moved = rows.finish(claim, columns)
        written = Written.DONE if has_moved else rows.why_not(claim, columns)
        _hold_queue(conversation_id, finished)
        news = conversations.news_of(conversation_id)
        # Last, because it locks accounts that others wait for. Not again where the first attempt was committed; for a
        # deleted reply nobody else does it.
        if reservation is not None and (has_moved or written is Written.GONE):
            charges.settle(reservation, _billed_usd(finished))
    return Ended(finished=finished, content=content["content"], written=written, news=news)


def store_for_dead(
    seen: Streaming,
    finished: ReplyFinished,
    content: Mapping[str, Any],
    *,
    request_id: str,
    reservation: Reservation | None = None,
) -> bool:
    """Stores the end for a dead owner. False: the owner has written since it was seen, or another process was first."""
    columns = {**content, **rows.finished_columns(finished, request_id=request_id, now=timezone.now())}
    with transaction.atomic():
        has_ended = rows.finish_for_dead(seen, columns)
        if has_ended:
            note_change(seen.conversation_id)
            _hold_queue(seen.conversation_id, finished)
            if reservation is not None:
                billed_usd = None if finished.cost_usd is None else Decimal(finished.cost_usd)
                charges.settle(reservation, billed_usd)
    return has_ended


def _billed_usd(finished: ReplyFinished) -> Decimal:
    """What the owner knows: without usage there was no call, without a price there is nothing to count."""
    return Decimal(finished.cost_usd or 0)


def _hold_queue(conversation_id: UUID, finished: ReplyFinished) -> None:
    """After an incomplete reply or a refusal, waiting messages are sent only when their sender asks for it."""
    if not _consequence_of(finished).sends_next:
        pending.hold_all(conversation_id)


def _consequence_of(finished: ReplyFinished) -> reply_states.Consequence:
    return reply_states.consequence_of(finished.status, finished.stop_reason)
