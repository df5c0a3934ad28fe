"""Checkpoints of many replies at once: what they cost, and that none suffers because of another."""

import threading
import time
from collections.abc import Sequence

import pytest
from django.db import DataError, OperationalError, connection, transaction
from django.utils import timezone

from chatapp.models import Message
from chatapp.replies import checkpoints, rows
from chatapp.replies.checkpoints import MOST_TOGETHER, Checkpoints
from chatapp.replies.rows import Progress
from chatapp.replies.writer import ReplyWriter
from tests.chatapp.replies.reply_frames import new_log
from tests.chatapp.sockets import eventually
from tests.counting import counted
from tests.factories import make_conversation, make_message
from tests.servers import PATIENCE_SECONDS
from warmcache import BlockKind
from warmcache.background.database import in_database_thread
from warmcache.core.ports import BlockBegan, BlockDelta

pytestmark = pytest.mark.django_db(transaction=True)


def begin_replies(count: int) -> list[Message]:
    """Each in a conversation of its own."""
    questions = [make_message(make_conversation()) for _ in range(count)]
    return [rows.begin(each.conversation, each, owner="us", now=timezone.now()) for each in questions]


def progress_of(replies: Sequence[Message], text: str = "so far") -> list[Progress]:
    return [Progress(claim=rows.claim_of(each), columns={"text": text, "log_seq": 2}) for each in replies]


def texts_of(replies: Sequence[Message]) -> list[str]:
    stored = dict(Message.objects.values_list("pk", "text"))
    return [stored[each.pk] for each in replies]


def test_any_number_takes_two_statements():
    replies = begin_replies(20)

    with counted() as counts:
        outcomes = rows.checkpoint_all(progress_of(replies), now=timezone.now())

    assert len(counts.statements) == 2
    assert set(outcomes.values()) == {True}
    assert texts_of(replies) == ["so far"] * 20


def test_one_takes_one_statement():
    replies = begin_replies(1)

    with counted() as counts:
        rows.checkpoint_all(progress_of(replies), now=timezone.now())

    assert len(counts.statements) == 1


def test_what_is_gone_or_has_ended_is_told_and_the_others_are_stored():
    kept, gone, ended, also_kept = replies = begin_replies(4)
    gone.delete()
    rows.finish(rows.claim_of(ended), {"status": "complete", "text": "the end"})

    outcomes = rows.checkpoint_all(progress_of(replies), now=timezone.now())

    assert [outcomes[each.claim.reply_id] for each in progress_of([kept, also_kept])] == [True, True]
    assert list(outcomes.values()).count(False) == 2
    assert texts_of([kept, ended, also_kept]) == ["so far", "the end", "so far"]


def test_one_that_the_database_refuses_costs_the_others_nothing(monkeypatch):
    bad, *good = replies = begin_replies(3)
    checkpoint, refusal = rows.checkpoint, DataError("not this one")

    def refuse(*_: object) -> None:
        raise refusal

    def picky(claim: rows.Claim, columns: dict[str, object], **rest: object) -> bool:
        return refuse() if claim.reply_id == bad.pk else checkpoint(claim, columns, **rest)

    monkeypatch.setattr(rows, "_write_all", refuse)
    monkeypatch.setattr(rows, "checkpoint", picky)
    outcomes = rows.checkpoint_all(progress_of(replies), now=timezone.now())

    assert outcomes == {bad.pk: refusal, good[0].pk: True, good[1].pk: True}
    assert texts_of(replies) == ["", "so far", "so far"]


def test_a_database_that_is_away_is_asked_once_more_and_not_for_each(monkeypatch):
    replies, asked = begin_replies(5), []

    def away(*_: object, **__: object) -> None:
        asked.append(1)
        raise OperationalError("away")

    monkeypatch.setattr(rows, "_write_all", away)
    monkeypatch.setattr(rows, "checkpoint", away)
    outcomes = rows.checkpoint_all(progress_of(replies), now=timezone.now())

    assert len(asked) == 2
    assert {str(each) for each in outcomes.values()} == {"away"}


@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite locks no rows")
def test_a_row_that_somebody_holds_is_waited_for_with_no_other_locked():
    held, *free = replies = begin_replies(3)
    outcomes: dict[object, object] = {}
    writer = threading.Thread(
        target=lambda: (
            outcomes.update(rows.checkpoint_all(progress_of(replies), now=timezone.now())),
            connection.close(),
        )
    )

    with transaction.atomic():
        Message.objects.select_for_update().get(pk=held.pk)
        writer.start()
        give_up_at = time.monotonic() + PATIENCE_SECONDS
        while texts_of(free) != ["so far"] * 2:
            assert time.monotonic() < give_up_at
        # A circle, if the writer had these locked while it waits for us.
        Message.objects.filter(pk__in=[each.pk for each in free]).update(text="ours")
    writer.join(PATIENCE_SECONDS)

    assert set(outcomes.values()) == {True}
    assert texts_of(replies) == ["so far", "ours", "ours"]


async def test_replies_that_are_due_share_their_hops(monkeypatch):
    monkeypatch.setattr(checkpoints, "CHECKPOINT_SECONDS", 0.05)
    replies = await in_database_thread(begin_replies, MOST_TOGETHER + 5)
    rounds: list[int] = []
    together = rows.checkpoint_all

    def counting(many, *, now):
        rounds.append(len(many))
        return together(many, now=now)

    monkeypatch.setattr(rows, "checkpoint_all", counting)
    writers = [ReplyWriter(new_log(), received_at=0.0) for _ in replies]
    lost: list[object] = []
    kept = [
        Checkpoints(rows.claim_of(reply), writer, on_lost=lambda: lost.append(1))
        for reply, writer in zip(replies, writers, strict=True)
    ]

    for writer, checkpoint in zip(writers, kept, strict=True):
        writer.take([BlockBegan(index=0, kind=BlockKind.TEXT), BlockDelta(index=0, kind=BlockKind.TEXT, text="so far")])
        checkpoint.note()

    async def are_all_stored() -> bool:
        return set(await in_database_thread(texts_of, replies)) == {"so far"}

    await eventually(are_all_stored)
    for each in kept:
        await each.close()

    assert rounds == [MOST_TOGETHER, 5]
    assert lost == []
