"""The whole state of a conversation, while a reply in it comes to its end."""

from typing import Any

import pytest
from django.utils import timezone

from chatapp.models import Message
from chatapp.protocol.views import Cursor
from chatapp.replies import registry, rows
from chatapp.replies.log import ReplyLog
from chatapp.socket.conversation_states import Opened, open_conversation
from tests.factories import make_assistant, make_conversation, make_message, make_user
from warmcache.background.database import in_database_thread

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def reply() -> Message:
    """A reply of a process that has died, stored up to frame 3."""
    conversation = make_conversation(make_user("ann"), make_assistant())
    question = make_message(conversation, "Why?")
    row = rows.begin(conversation, question, owner="a dead process", now=timezone.now())
    rows.checkpoint(rows.claim_of(row), {"text": "Because", "log_seq": 3}, now=timezone.now())
    return Message.objects.select_related("conversation__user").get(pk=row.pk)


def end_row(reply: Message) -> None:
    """As another process does that takes the owner for dead."""
    rows.finish(
        rows.claim_of(reply),
        {"status": "interrupted", "error_code": "server_restarted", "log_seq": 4, "finished_at": timezone.now()},
    )


def end_log(log: ReplyLog, reply: Message) -> None:
    reply.status = "interrupted"
    log.append(rows.finished_frame(reply, epoch=log.epoch, seq=log.seq + 1))


async def opened_ahead_of_the_log(reply: Message) -> Opened:
    """By a page that was told frames which died with the process."""
    cursor = Cursor(reply_id=reply.pk, epoch=reply.epoch, after_seq=9)
    return await open_conversation(reply.conversation.user, reply.conversation_id, cursor)


async def told_of(opened: Opened) -> list[Any]:
    """How the page learns that the reply has ended: by the state, or by frames after it."""
    stored = [opened.state.messages[-1].status] if opened.state.messages[-1].status != "streaming" else []
    frames = [frame.status async for frame in opened.log.follow(opened.after_seq)] if opened.log else []
    return stored or frames


async def test_a_reply_that_ends_while_a_page_waits_for_its_log_is_not_shown_as_running(reply, monkeypatch):
    async def ends_meanwhile(log: ReplyLog, seq: int, *, timeout_seconds: float) -> None:
        if not log.is_finished:
            await in_database_thread(end_row, reply)
            end_log(log, reply)

    monkeypatch.setattr(ReplyLog, "reach", ends_meanwhile)

    opened = await opened_ahead_of_the_log(reply)

    assert await told_of(opened) == ["interrupted"]
    assert opened.state.reply is None
    await registry.close()


async def test_a_reply_whose_row_has_lost_its_end_is_ended_by_its_log(reply, monkeypatch):
    async def ends_meanwhile(log: ReplyLog, seq: int, *, timeout_seconds: float) -> None:
        if not log.is_finished:
            end_log(log, reply)

    monkeypatch.setattr(ReplyLog, "reach", ends_meanwhile)
    head_only = registry.logs().stand_in

    def the_same_log(head, snapshot):
        log = logs.get(head.reply_id) or head_only(head, snapshot)
        logs[head.reply_id] = log
        return log

    logs: dict[Any, ReplyLog] = {}
    monkeypatch.setattr(registry.logs(), "stand_in", the_same_log)

    opened = await opened_ahead_of_the_log(reply)

    assert opened.state.messages[-1].status == "streaming"
    assert await told_of(opened) == ["interrupted"]
    await registry.close()
