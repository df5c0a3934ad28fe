"""How replies end that nobody stops: with the process, with their chat, and in the database."""

import logging
from datetime import timedelta

import pytest
from django.utils import timezone

from chatapp import events
from chatapp.health import health
from chatapp.models import Conversation, Message
from chatapp.services import conversations, lifecycle, reply_run, running_replies
from tests.chatapp.held_replies import begin_held_reply, reply_row, until_hung_up
from tests.chatapp.sockets import eventually, in_time, reply_text
from tests.factories import make_conversation, make_message
from warmcache.database import in_database_thread

pytestmark = pytest.mark.django_db(transaction=True)


async def test_at_shutdown_running_replies_end_as_interrupted_with_their_text(open_tab, ann, assistant, simulator):
    tab = await open_tab(ann)
    started = await begin_held_reply(tab, simulator, assistant_id=assistant.pk)

    await lifecycle.shutdown()
    finished = await tab.until("reply.finished")

    assert finished["status"] == "interrupted"
    row = await reply_row(started["reply_id"])
    assert (row.status, row.text) == ("interrupted", reply_text(tab.frames))
    assert row.text
    assert simulator.requests()[-1]["hung_up"]


async def test_a_message_on_its_way_at_shutdown_is_not_left_streaming(open_tab, ann, assistant, simulator):
    tab = await open_tab(ann)
    simulator.fault(kind="stall", where="before_headers", match="reply")
    await tab.say("At the last moment", assistant_id=assistant.pk)
    await tab.until("message.created")

    await lifecycle.shutdown()

    statuses = await in_database_thread(lambda: list(Message.objects.values_list("role", "status")))
    assert statuses == [("user", "complete"), ("assistant", "interrupted")]


async def test_a_process_that_cannot_wait_still_stores_how_far_a_reply_came(
    open_tab, ann, assistant, simulator, monkeypatch
):
    monkeypatch.setattr(running_replies, "SHUTDOWN_PATIENCE_SECONDS", 0)
    tab = await open_tab(ann)
    started = await begin_held_reply(tab, simulator, assistant_id=assistant.pk)

    await lifecycle.shutdown()
    finished = await tab.until("reply.finished")

    row = await reply_row(started["reply_id"])
    assert row.status == finished["status"] == "interrupted"
    assert row.text == reply_text(tab.frames)
    assert running_replies.running(row.pk) is None


async def test_what_a_dead_process_left_is_interrupted_at_the_next_start(quiet_process, ann, assistant):
    def stored():
        conversation = make_conversation(ann, assistant)
        question = make_message(conversation)
        ended = make_message(conversation, "Done", role="assistant", parent=question)
        orphan = make_message(conversation, "Half of", role="assistant", status="streaming", parent=question)
        return ended, orphan

    ended, orphan = await in_database_thread(stored)

    await lifecycle.startup()

    row = await reply_row(orphan.pk)
    assert (row.status, row.text, row.error_code) == ("interrupted", "Half of", "server_restarted")
    assert row.error_is_retryable
    assert row.finished_at is not None
    assert (await reply_row(ended.pk)).status == "complete"


async def test_deleting_the_chat_in_the_middle_hangs_up_and_leaves_nothing(
    open_tab, ann, assistant, simulator, monkeypatch
):
    monkeypatch.setattr(reply_run, "CHECKPOINT_SECONDS", 0.05)
    simulator.script(tokens=4000, tokens_per_second=500)
    tab = await open_tab(ann)
    await tab.say("A question", assistant_id=assistant.pk)
    started = await tab.until("reply.started")
    await tab.until("reply.delta")

    conversation = await in_database_thread(ann.conversations.get)
    await in_database_thread(conversations.delete, conversation)
    deleted = await tab.until("conversation.updated")
    await until_hung_up(simulator)
    await in_time(running_replies.tasks.join(timeout_seconds=5))

    assert deleted["conversation"]["deleted"] is True
    assert not await in_database_thread(Message.objects.exists)
    await tab.send("conversation.open", conversation_id=started["conversation_id"])
    assert (await tab.until("error"))["code"] == "not_found"


async def test_deleting_the_chat_before_its_reply_began_makes_no_request(
    open_tab, ann, assistant, simulator, monkeypatch
):
    load = reply_run._load

    def load_after_deletion(reply):
        conversations.delete(Conversation.objects.get(pk=reply.conversation_id))
        return load(reply)

    monkeypatch.setattr(reply_run, "_load", load_after_deletion)
    tab = await open_tab(ann)

    await tab.say("A question", assistant_id=assistant.pk)
    await tab.until("message.created")
    await in_time(running_replies.tasks.join(timeout_seconds=5))

    assert simulator.requests() == []
    assert not await in_database_thread(Message.objects.exists)


async def test_text_before_a_silence_is_stored_within_the_checkpoint_s_time(
    open_tab, ann, assistant, simulator, monkeypatch
):
    monkeypatch.setattr(reply_run, "CHECKPOINT_SECONDS", 0.05)
    tab = await open_tab(ann)
    started = await begin_held_reply(tab, simulator, assistant_id=assistant.pk)

    async def with_text() -> Message | None:
        row = await reply_row(started["reply_id"])
        return row if row.text else None

    row = await eventually(with_text)

    assert row.status == "streaming"
    await tab.send("reply.stop", reply_id=started["reply_id"])
    await tab.until("reply.finished")
    assert (await reply_row(started["reply_id"])).text.startswith(row.text)


async def test_an_end_that_cannot_be_stored_at_once_is_tried_again(
    open_tab, ann, assistant, simulator, monkeypatch, quiet_process, caplog
):
    monkeypatch.setattr(reply_run, "FIRST_WRITE_PAUSE_SECONDS", 0.01)
    update, failures = reply_run._update, iter([OSError("down"), OSError("still down")])

    def flaky(reply_id, columns):
        if (failure := next(failures, None)) is not None:
            raise failure
        return update(reply_id, columns)

    monkeypatch.setattr(reply_run, "_update", flaky)
    tab = await open_tab(ann)

    await tab.say("A question", assistant_id=assistant.pk)
    finished = await tab.until("reply.finished")

    assert (await reply_row(finished["reply_id"])).status == finished["status"] == "complete"
    errors = [r for r in caplog.records if r.levelno >= logging.ERROR]
    assert len(errors) == 2
    caplog.clear()


async def test_what_no_database_can_hold_is_replaced_and_the_reply_goes_on(open_tab, ann, assistant, simulator):
    simulator.script(text="before\0between" + chr(0xD83D) + "after")
    tab = await open_tab(ann)

    await tab.say("A question", assistant_id=assistant.pk)
    finished = await tab.until("reply.finished")

    assert finished["status"] == "complete"
    assert (await reply_row(finished["reply_id"])).text == reply_text(tab.frames)
    assert reply_text(tab.frames) == "before\ufffdbetween\ufffdafter"


def make_orphan(conversation):
    """A reply that its process has left at `streaming` a while ago."""
    question = make_message(conversation, "A question", created_at=timezone.now() - timedelta(seconds=61))
    earlier = timezone.now() - timedelta(seconds=60)
    return make_message(conversation, "Half", role="assistant", status="streaming", parent=question, created_at=earlier)


async def test_a_reply_that_nobody_writes_any_more_does_not_lock_its_conversation(open_tab, ann, assistant, simulator):
    def stored():
        conversation = make_conversation(ann, assistant)
        return conversation, make_orphan(conversation)

    conversation, orphan = await in_database_thread(stored)
    tab = await open_tab(ann)

    await tab.say("And now?", conversation_id=conversation.pk)
    finished = await tab.until("reply.finished")

    assert finished["status"] == "complete"
    row = await reply_row(orphan.pk)
    assert (row.status, row.text, row.error_code) == ("interrupted", "Half", "server_restarted")


async def test_stopping_a_reply_that_nobody_writes_any_more_ends_it(open_tab, ann, assistant, simulator):
    def stored():
        conversation = make_conversation(ann, assistant)
        return make_orphan(conversation)

    orphan = await in_database_thread(stored)
    tab = await open_tab(ann)

    await tab.send("reply.stop", reply_id=orphan.pk)
    await tab.read_all()

    assert (await reply_row(orphan.pk)).status == "interrupted"


async def test_a_server_that_drains_takes_no_more_messages(open_tab, ann, assistant, simulator):
    tab = await open_tab(ann)
    health.draining.set()
    try:
        await tab.say("Too late", assistant_id=assistant.pk)
        refused = await tab.until("error")
    finally:
        health.draining.clear()

    assert (refused["code"], refused["retryable"]) == ("restarting", True)
    assert await in_database_thread(Message.objects.count) == 0


async def test_a_channel_layer_that_is_down_does_not_cost_the_sender_the_reply(
    open_tab, ann, assistant, simulator, monkeypatch, caplog
):
    class DeadLayer:
        async def group_send(self, group, event):
            raise ConnectionError("down")

    tab = await open_tab(ann)
    caplog.set_level("CRITICAL", "chatapp.events")
    monkeypatch.setattr(events, "get_channel_layer", DeadLayer)

    await tab.say("Are you there?", assistant_id=assistant.pk)
    finished = await tab.until("reply.finished")

    assert finished["status"] == "complete"
