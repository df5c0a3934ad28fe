"""How replies end that nobody stops: with the process, with their chat, and in the database."""

import threading

import pytest
from django.db import OperationalError

from chatapp import events
from chatapp.conversations import deletions
from chatapp.models import Message
from chatapp.process import housekeeping, lifecycle, shutdown
from chatapp.process.health import health
from chatapp.replies import checkpoints, patient_writes, registry, rows
from tests.chatapp.held_replies import begin_held_reply, reply_row, until_hung_up
from tests.chatapp.sockets import eventually, in_time, reply_text
from tests.factories import make_conversation, make_message
from tests.servers import PATIENCE_SECONDS
from warmcache.background.database import in_database_thread

pytestmark = pytest.mark.django_db(transaction=True)


async def test_at_shutdown_running_replies_end_as_interrupted_with_their_text(open_tab, ann, assistant, simulator):
    tab = await open_tab(ann)
    started = await begin_held_reply(tab, simulator, assistant_id=assistant.pk)

    await shutdown.of_application().run()
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

    await shutdown.of_application().run()

    statuses = await in_database_thread(lambda: list(Message.objects.values_list("role", "status")))
    assert statuses == [("user", "complete"), ("assistant", "interrupted")]


async def test_a_reply_that_is_cut_short_still_stores_how_far_it_came(open_tab, ann, assistant, simulator):
    tab = await open_tab(ann)
    started = await begin_held_reply(tab, simulator, assistant_id=assistant.pk)

    await registry.close()
    finished = await tab.until("reply.finished")

    row = await reply_row(started["reply_id"])
    assert row.status == finished["status"] == "interrupted"
    assert row.text == reply_text(tab.frames)
    assert registry.count() == 0


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


async def purge_at_once(monkeypatch) -> None:
    monkeypatch.setattr(deletions, "UNDO", -deletions.LATENESS)
    await housekeeping.purge_conversations()


async def test_deleting_the_chat_in_the_middle_hangs_up_and_leaves_nothing(
    open_tab, ann, assistant, simulator, monkeypatch
):
    monkeypatch.setattr(checkpoints, "CHECKPOINT_SECONDS", 0.05)
    simulator.script(tokens=4000, tokens_per_second=100)
    tab = await open_tab(ann)
    await tab.say("A question", assistant_id=assistant.pk)
    started = await tab.until("reply.started")
    await tab.until("reply.delta")

    conversation = await in_database_thread(ann.conversations.get)
    await in_database_thread(deletions.delete, conversation)
    deleted = await tab.until("conversation.updated")
    await until_hung_up(simulator)
    await in_time(registry.tasks.join(timeout_seconds=PATIENCE_SECONDS))
    await purge_at_once(monkeypatch)

    assert deleted["conversation"]["deleted"] is True
    assert not await in_database_thread(Message.objects.exists)
    await tab.send("conversation.open", conversation_id=started["conversation_id"])
    assert (await tab.until("error"))["code"] == "not_found"


async def test_deleting_the_chat_before_its_reply_said_anything_hangs_up(
    open_tab, ann, assistant, simulator, monkeypatch
):
    simulator.fault(kind="stall", where="before_headers", match="reply")
    tab = await open_tab(ann)
    await tab.say("A question", assistant_id=assistant.pk)
    await tab.until("message.created")

    conversation = await in_database_thread(ann.conversations.get)
    await in_database_thread(deletions.delete, conversation)
    await tab.until("conversation.updated")
    await in_time(registry.tasks.join(timeout_seconds=PATIENCE_SECONDS))

    assert registry.count() == 0
    await purge_at_once(monkeypatch)
    assert not await in_database_thread(Message.objects.exists)


async def test_text_before_a_silence_is_stored_within_the_checkpoint_s_time(
    open_tab, ann, assistant, simulator, monkeypatch
):
    monkeypatch.setattr(checkpoints, "CHECKPOINT_SECONDS", 0.05)
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
    monkeypatch.setattr(patient_writes, "FIRST_WRITE_PAUSE_SECONDS", 0.01)
    caplog.set_level("CRITICAL", "warmcache")  # whose own row waits, too
    caplog.handler.setLevel("NOTSET")
    finish, failures = rows.finish, iter(OperationalError(word) for word in ("down", "still down", "not yet up"))

    def flaky(claim, columns):
        if (failure := next(failures, None)) is not None:
            raise failure
        return finish(claim, columns)

    monkeypatch.setattr(rows, "finish", flaky)
    tab = await open_tab(ann)

    await tab.say("A question", assistant_id=assistant.pk)
    finished = await tab.until("reply.finished")

    assert (await reply_row(finished["reply_id"])).status == finished["status"] == "complete"
    assert len([r for r in caplog.records if r.name == patient_writes.__name__]) == 2


async def test_a_checkpoint_that_cannot_be_stored_costs_nothing(open_tab, ann, assistant, simulator, monkeypatch):
    monkeypatch.setattr(checkpoints, "CHECKPOINT_SECONDS", 0.05)
    checkpoint, failures, stored = rows.checkpoint, [OSError("down"), OSError("still down")], []

    def flaky(claim, columns, *, now):
        if failures:
            raise failures.pop()
        stored.append(columns["text"])
        return checkpoint(claim, columns, now=now)

    async def is_stored() -> bool:
        return bool(stored)

    monkeypatch.setattr(rows, "checkpoint", flaky)
    simulator.script(tokens=4000, tokens_per_second=100)
    tab = await open_tab(ann)

    await tab.say("A question", assistant_id=assistant.pk)
    started = await tab.until("reply.started")
    await eventually(is_stored)
    await tab.send("reply.stop", reply_id=started["reply_id"])
    await tab.until("reply.finished", status="stopped")

    assert (await reply_row(started["reply_id"])).text == reply_text(tab.frames)
    assert reply_text(tab.frames).startswith(stored[0]) and stored[0]


async def test_what_no_database_can_hold_is_replaced_and_the_reply_goes_on(open_tab, ann, assistant, simulator):
    simulator.script(text="before\0between" + chr(0xD83D) + "after")
    tab = await open_tab(ann)

    await tab.say("A question", assistant_id=assistant.pk)
    finished = await tab.until("reply.finished")

    assert finished["status"] == "complete"
    assert (await reply_row(finished["reply_id"])).text == reply_text(tab.frames)
    assert reply_text(tab.frames) == "before\ufffdbetween\ufffdafter"


async def make_orphan(user, assistant):
    """A reply that streams, and that nobody writes."""

    def stored():
        conversation = make_conversation(user, assistant)
        question = make_message(conversation, "A question")
        return make_message(conversation, "Half", role="assistant", status="streaming", parent=question, owner="dead")

    return await in_database_thread(stored)


async def until_interrupted(reply_id):
    async def interrupted():
        row = await reply_row(reply_id)
        return row if row.status == "interrupted" else None

    return await eventually(interrupted)


@pytest.fixture
def short_lease(settings):
    settings.REPLY_LEASE_SECONDS = 0.5


async def test_a_reply_that_nobody_writes_any_more_does_not_lock_its_conversation(
    open_tab, ann, assistant, simulator, short_lease
):
    await lifecycle.startup()
    orphan = await make_orphan(ann, assistant)
    tab = await open_tab(ann)

    row = await until_interrupted(orphan.pk)
    await tab.say("And now?", conversation_id=orphan.conversation_id)
    finished = await tab.until("reply.finished")

    assert finished["status"] == "complete"
    assert (row.text, row.error_code) == ("Half", "server_restarted")


async def test_whoever_watches_a_reply_that_nobody_writes_any_more_is_told_its_end(
    open_tab, ann, assistant, simulator, short_lease, monkeypatch
):
    streaming, is_looking = rows.streaming, threading.Event()
    monkeypatch.setattr(rows, "streaming", lambda: streaming() if is_looking.is_set() else [])
    await lifecycle.startup()
    orphan = await make_orphan(ann, assistant)
    tab = await open_tab(ann)

    await tab.send("conversation.open", conversation_id=orphan.conversation_id)
    state = await tab.until("conversation.state")
    is_looking.set()
    finished = await tab.until("reply.finished")

    assert state["reply"]["reply_id"] == finished["reply_id"] == str(orphan.pk)
    assert [block["text"] for block in state["reply"]["blocks"]] == ["Half"]
    assert (finished["status"], finished["error"]["code"]) == ("interrupted", "server_restarted")


async def test_a_reply_that_says_nothing_for_long_is_not_given_up_while_its_process_lives(
    open_tab, ann, assistant, simulator, short_lease
):
    await lifecycle.startup()
    tab = await open_tab(ann)
    started = await begin_held_reply(tab, simulator, assistant_id=assistant.pk)
    orphan = await make_orphan(ann, assistant)

    await until_interrupted(orphan.pk)

    assert (await reply_row(started["reply_id"])).status == "streaming"
    await tab.send("reply.stop", reply_id=started["reply_id"])
    assert (await tab.until("reply.finished"))["status"] == "stopped"


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
    with monkeypatch.context() as patch:
        patch.setattr(events, "get_channel_layer", DeadLayer)
        await tab.say("Are you there?", assistant_id=assistant.pk)
        finished = await tab.until("reply.finished")
        await in_time(registry.tasks.join(timeout_seconds=PATIENCE_SECONDS))

    assert finished["status"] == "complete"
