"""Summaries of the earlier part of a conversation: which one stands for it on a path, and what one brings.

A summary is of a path: everything up to and with the reply `through`. From the reply `used_from` on, the assistant gets
it in place of that part. So it counts on exactly those paths that go through `used_from`: an edit further up leaves it
behind, and the path there is sent as it was written. Messages are never changed, and files are never summarised: they
stay in front of the summary, whole. Called in a database thread.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet

from chatapp.conversations import attached_texts
from chatapp.models import Assistant, Conversation, Message, Summary
from chatapp.protocol.views import SummaryView
from warmcache.core.catalog import facts_for
from warmcache.core.prefix import Json, Turn

TAIL_MESSAGES = 8
"""What follows `through` before a summary is used: so much of the end is always sent word for word."""

WRITING = timedelta(minutes=15)
"""After this time nobody writes it any more: its process died."""

PAUSE = timedelta(hours=1)
"""After one that could not be written."""

FRAME = (
    "<summary_of_earlier_conversation>\n{text}\n</summary_of_earlier_conversation>\n"
    "The part of our conversation before this point was replaced by the summary above. Go on from here."
)


def threshold_of(assistant: Assistant) -> int:
    """In tokens; 0: never. Never so much that the model could not read it."""
    wanted = assistant.summarise_above_tokens
    tokens: int = settings.SUMMARISE_ABOVE_TOKENS if wanted is None else wanted
    return min(tokens, facts_for(assistant.model).context_tokens // 2)


def writer_of(assistant: Assistant) -> str:
    """The model that writes summaries for this assistant."""
    return str(settings.SUMMARY_MODEL or assistant.model)


def in_use(conversation_id: UUID, path: Sequence[UUID]) -> Summary | None:
    """The one that stands for the earlier part of this path; a path that is no longer than a tail has none."""
    if len(path) <= TAIL_MESSAGES:
        return None
    place = {message_id: number for number, message_id in enumerate(path)}
    used = Summary.objects.filter(conversation=conversation_id).exclude(used_from=None)
    found = used.values_list("pk", "used_from", "through")
    on_path = [(place[through], pk) for pk, used_from, through in found if used_from in place and through in place]
    return Summary.objects.filter(pk=max(on_path)[1]).first() if on_path else None


def written_in(conversation_id: UUID) -> QuerySet[Summary]:
    """All that have a text, in the order in which they were written, in use or not."""
    return Summary.objects.filter(conversation=conversation_id).exclude(text="").order_by("began_at", "pk")


def marked(messages: QuerySet[Message]) -> QuerySet[Message]:
    """Each with `ends_a_summary`: whether it is the last one of a summary that is in use on some path."""
    used = Summary.objects.filter(through=OuterRef("pk")).exclude(used_from=None)
    return messages.annotate(ends_a_summary=Exists(used))


def waiting_on(conversation_id: UUID, path: Sequence[UUID]) -> Summary | None:
    """The newest written one on this path that is newer than what is in use there."""
    place = {message_id: number for number, message_id in enumerate(path)}
    present = in_use(conversation_id, path)
    begins = -1 if present is None else place[present.through_id]
    written = Summary.objects.filter(conversation=conversation_id).exclude(text="").defer("text")
    on_path = [(place[each.through_id], each.pk, each) for each in written if each.through_id in place]
    newest = max(on_path, default=None, key=lambda found: found[:2])
    return newest[2] if newest is not None and newest[0] > begins else None


def claim(conversation: Conversation, through: UUID, *, now: datetime) -> Summary | None:
    """The right to write one: over all processes one at a time in a conversation. None: somebody has it, or the last
    attempt failed a short while ago."""
    attempts = Summary.objects.filter(conversation=conversation, text="")
    attempts.filter(Q(failed_at=None, began_at__lt=now - WRITING) | Q(failed_at__lt=now - PAUSE)).delete()
    if attempts.exists():
        return None
    try:
        with transaction.atomic():
            return Summary.objects.create(conversation=conversation, through_id=through, began_at=now)
    except IntegrityError:
        return None  # another process was first, or the conversation is gone


def written(claimed: Summary, *, text: str, model: str, before: int, cost_usd: Decimal | None, now: datetime) -> bool:
    """Stores its text. False: it is gone, with its conversation, or because it took too long."""
    columns = {"text": text, "model": model, "replaces_tokens": before, "cost_usd": cost_usd, "written_at": now}
    return bool(Summary.objects.filter(pk=claimed.pk).update(**columns))


def failed(claimed: Summary, *, now: datetime) -> None:
    Summary.objects.filter(pk=claimed.pk).update(failed_at=now)


def use(waiting: Summary, *, from_id: UUID, version: int) -> bool:
    """From the reply `from_id` on, it stands for what it summarises: the next message follows a new version of the
    history. False: somebody has written since this `version` was read."""
    with transaction.atomic():
        unchanged = Conversation.objects.filter(pk=waiting.conversation_id, version=version)
        if not unchanged.update(version=F("version") + 1):
            return False
        if not Summary.objects.filter(pk=waiting.pk, used_from=None).update(used_from=from_id):
            _use_again(waiting.pk, from_id)
    return True


def _use_again(pk: int, from_id: UUID) -> None:
    """It is in use on another branch already: this one gets a row of its own, for which nothing was paid."""
    for row in Summary.objects.filter(pk=pk):
        row.pk, row.used_from_id, row.cost_usd = None, from_id, Decimal(0)
        row.save(force_insert=True)


def view_of(summary: Summary) -> SummaryView:
    return SummaryView(
        message_id=summary.through_id, text=summary.text, created_at=summary.written_at or summary.began_at
    )


def tokens_of_files(path: Sequence[UUID], chars_per_token: float, tokens_of_picture: int) -> int:
    """About how much of the history are files, which no summary takes away."""
    contents = Message.objects.filter(pk__in=path, role=Message.Role.USER).values_list("content", flat=True)
    blocks = [block for content in contents for block in content]
    texts = round(sum(_chars(block) for block in blocks) / chars_per_token)
    names = set(attached_texts.ids_in(blocks))
    sizes = attached_texts.sizes_of(names)
    return texts + sum(
        tokens_of_picture if is_picture else round(size_bytes / chars_per_token)
        for is_picture, size_bytes in sizes.values()
    )


def _chars(block: Json) -> int:
    """Of a document that an old message holds itself."""
    source = block.get("source")
    return len(str(source.get("data", ""))) if isinstance(source, Mapping) else 0


def turn_for(summary: Summary, summarised: Iterable[Message]) -> Turn:
    """What stands in the prompt for the summarised messages: their files, and the summary."""
    files = attached_texts.put_in([list(_files_in(summarised))])[0]
    return Turn(role="user", blocks=(*files, {"type": "text", "text": FRAME.format(text=summary.text)}))


def _files_in(messages: Iterable[Message]) -> Iterator[Json]:
    for message in messages:
        if message.role == Message.Role.USER:
            yield from (block for block in message.content if block.get("type") in ("document", "image"))
