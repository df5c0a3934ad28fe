"""News that came while the database was away: a tab is told of it when the database is back."""

import asyncio
from uuid import uuid4

import pytest
from channels.layers import get_channel_layer
from django.db import OperationalError

from chatapp import events
from chatapp.conversations import access
from chatapp.replies import resume
from chatapp.socket import conversation_states, session
from tests.chatapp.sockets import eventually
from tests.factories import make_conversation
from warmcache.background.database import in_database_thread

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _soon(monkeypatch) -> None:
    monkeypatch.setattr(session, "MAKE_UP_SECONDS", 0.01)


def fails_first(function, *, times: int, calls: list[object] | None = None):
    """As a database that is away for the first calls."""
    left = [times]

    def call(*args, **kwargs):
        if calls is not None:
            calls.append(args)
        if left[0]:
            left[0] -= 1
            raise OperationalError("the database system is starting up")
        return function(*args, **kwargs)

    return call


async def two_tabs(open_tab, ann, assistant):
    conversation = await in_database_thread(make_conversation, ann, assistant)
    tabs = [await open_tab(ann) for _ in range(2)]
    for tab in tabs:
        await tab.send("conversation.open", conversation_id=conversation.pk)
        await tab.until("conversation.state")
    return conversation, *tabs


async def miss_news(user) -> None:
    """As after an outage of the channel layer: every tab looks again."""
    await get_channel_layer().group_send(events.user_group(user.pk), {"type": "news.missed"})


async def test_a_message_is_shown_in_other_tabs_without_the_database(open_tab, ann, assistant, monkeypatch):
    conversation, writer, listener = await two_tabs(open_tab, ann, assistant)
    away = {"times": 1000}
    monkeypatch.setattr(access, "message_in", fails_first(access.message_in, **away))
    monkeypatch.setattr(
        conversation_states, "open_conversation", fails_first(conversation_states.open_conversation, **away)
    )

    await writer.say("Do they hear of this?", conversation_id=conversation.pk)
    await listener.until("reply.finished")

    assert [frame["text"] for frame in listener.of_type("message.created")] == ["Do they hear of this?"]


async def test_what_could_not_be_read_is_shown_when_it_can(open_tab, ann, assistant, monkeypatch):
    conversation, writer, listener = await two_tabs(open_tab, ann, assistant)
    await writer.say("Do they hear of this?", conversation_id=conversation.pk)
    await listener.until("reply.finished")
    monkeypatch.setattr(
        conversation_states, "open_conversation", fails_first(conversation_states.open_conversation, times=3)
    )

    await miss_news(ann)
    shown = await listener.until("conversation.state")

    assert [message["text"] for message in shown["messages"]][:1] == ["Do they hear of this?"]
    assert [message["status"] for message in shown["messages"]] == ["complete", "complete"]


async def test_the_end_of_a_reply_whose_log_is_gone_is_told_when_the_database_answers(
    open_tab, ann, assistant, monkeypatch
):
    conversation, writer, listener = await two_tabs(open_tab, ann, assistant)
    monkeypatch.setattr(resume, "log_for", no_log)
    monkeypatch.setattr(conversation_states, "end_of", fails_first(conversation_states.end_of, times=2))

    await writer.say("How does it end?", conversation_id=conversation.pk)
    finished = await listener.until("reply.finished")

    assert finished["status"] == "complete"


async def no_log(reply_id, *, user_id):
    return None


async def test_a_tab_that_has_gone_away_asks_for_nothing_more(open_tab, ann, assistant, monkeypatch):
    monkeypatch.setattr(session, "MAKE_UP_SECONDS", 0.05)
    _, writer, listener = await two_tabs(open_tab, ann, assistant)
    await writer.disconnect()
    asked: list[object] = []

    async def has_asked() -> bool:
        return bool(asked)

    monkeypatch.setattr(conversation_states, "open_conversation", fails_first(lambda *_: None, times=1000, calls=asked))

    await miss_news(ann)
    await eventually(has_asked)
    await listener.disconnect()
    asked.clear()
    await asyncio.sleep(0.3)

    assert not asked


async def test_an_event_of_another_release_leaves_the_socket_open(open_tab, ann):
    tab = await open_tab(ann)

    await get_channel_layer().group_send(events.user_group(ann.pk), {"type": "news.of_tomorrow"})
    await events.announce_conversation(
        ann.pk, uuid4(), frame="{}", light_frame='{"type": "conversation.updated"}', version=1, is_written=True
    )

    await tab.until("conversation.updated")
    assert await tab.read_all() == []
