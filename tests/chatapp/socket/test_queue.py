"""A message that is sent while a reply runs waits, visibly, in order, and until its sender takes it back."""

import asyncio
from datetime import timedelta
from uuid import uuid4

import pytest

from chatapp.models import Attachment, Message, QueuedMessage
from chatapp.process import shutdown
from chatapp.protocol import limits
from chatapp.replies import actions, pending, sent_messages
from tests.chatapp.held_replies import begin_held_reply, breath_held, hold_next_reply
from tests.chatapp.sockets import Tab, eventually
from tests.factories import make_conversation, make_message
from tests.servers.chat_server import messages_of
from warmcache.background.database import in_database_thread

pytestmark = pytest.mark.django_db(transaction=True)


async def begin_reply(tab: Tab, simulator, **place) -> dict:
    """A reply that shows its first words, and the rest at the end of `breath_held`; gives its `reply.started`."""
    hold_next_reply(simulator)
    await tab.say("The first", **place)
    started = await tab.until("reply.started")
    await tab.until("reply.delta")
    return started


async def ended(tab: Tab, times: int) -> None:
    while len(tab.of_type("reply.finished")) < times:
        await tab.read()


async def queue_of(tab: Tab, length: int, *, is_held: bool = False) -> list[dict]:
    """The queue of the next `conversation.updated` in which so many wait, held or not."""
    while True:
        queue = (await tab.until("conversation.updated"))["conversation"]["queue"]
        if [queued["is_held"] for queued in queue] == [is_held] * length:
            return queue


def questions() -> list[str]:
    return list(Message.objects.filter(role="user").order_by("created_at").values_list("text", flat=True))


async def test_a_message_in_the_middle_of_a_reply_waits_and_is_sent_by_itself_at_its_end(
    open_tab, ann, assistant, simulator
):
    tab = await open_tab(ann)
    started = await begin_reply(tab, simulator, assistant_id=assistant.pk)
    with breath_held(simulator):
        client_message_id = await tab.say("The second", conversation_id=started["conversation_id"])
        ack = await tab.until("message.queued")
        waiting = await queue_of(tab, 1)

    created = await tab.until("message.created", client_message_id=client_message_id)
    await ended(tab, 2)

    assert (ack["client_message_id"], ack["text"]) == (client_message_id, "The second")
    assert [(q["message_id"], q["text"], q["is_held"]) for q in waiting] == [(ack["message_id"], "The second", False)]
    assert created["message_id"] == ack["message_id"]
    assert created["parent_id"] == started["reply_id"]
    kinds = [f["type"] for f in tab.frames if f["type"].startswith("reply.") and f["type"] != "reply.delta"]
    assert kinds.index("reply.finished") < kinds.index("reply.started", kinds.index("reply.started") + 1)
    assert [f["status"] for f in tab.of_type("reply.finished")] == ["complete", "complete"]
    assert await in_database_thread(QueuedMessage.objects.count) == 0


async def test_what_waits_is_sent_in_the_order_of_sending_from_whichever_tab(open_tab, ann, assistant, simulator):
    tabs = [await open_tab(ann) for _ in range(2)]
    started = await begin_reply(tabs[0], simulator, assistant_id=assistant.pk)
    place = {"conversation_id": started["conversation_id"]}
    with breath_held(simulator):
        for number in range(4):
            await tabs[number % 2].say(f"Number {number}", **place)
            await tabs[number % 2].until("message.queued")

    await ended(tabs[0], 5)

    assert await in_database_thread(questions) == ["The first", *(f"Number {n}" for n in range(4))]
    turns = messages_of(simulator.requests()[-1])
    assert [turn["role"] for turn in turns] == ["user", "assistant"] * 4 + ["user"]


async def test_every_tab_sees_the_queue_and_a_tab_that_comes_later_too(open_tab, ann, assistant, simulator):
    writes, reads = await open_tab(ann), await open_tab(ann)
    started = await begin_held_reply(writes, simulator, assistant_id=assistant.pk)
    await reads.send("conversation.open", conversation_id=started["conversation_id"])
    await reads.until("conversation.state")
    await writes.say("Later", conversation_id=started["conversation_id"])
    await writes.until("message.queued")

    seen = await queue_of(reads, 1)
    late = await open_tab(ann)
    await late.send("conversation.open", conversation_id=started["conversation_id"])
    state = await late.until("conversation.state")

    assert [q["text"] for q in seen] == ["Later"]
    assert state["conversation"]["queue"] == seen
    assert state["reply"]["reply_id"] == started["reply_id"]


async def test_a_tab_that_shows_something_else_hears_of_the_conversation_without_its_queue(
    open_tab, ann, assistant, simulator
):
    writes, elsewhere = await open_tab(ann), await open_tab(ann)
    started = await begin_held_reply(writes, simulator, assistant_id=assistant.pk)
    await elsewhere.read_all()

    await writes.say("Later", conversation_id=started["conversation_id"])
    full = await queue_of(writes, 1)
    heard = await elsewhere.until("conversation.updated")

    assert [queued["text"] for queued in full] == ["Later"]
    assert (heard["conversation"]["id"], heard["conversation"]["queue"]) == (started["conversation_id"], [])


async def test_a_resend_of_a_waiting_message_gets_the_same_ack_and_waits_once(open_tab, ann, assistant, simulator):
    tab, other = await open_tab(ann), await open_tab(ann)
    started = await begin_held_reply(tab, simulator, assistant_id=assistant.pk)
    message = {"client_message_id": str(uuid4()), "text": "Once", "conversation_id": started["conversation_id"]}

    await asyncio.gather(*(each.send("message.send", **message) for each in (tab, other, tab)))
    acks = [await each.until("message.queued") for each in (tab, other, tab)]

    assert acks[0] == acks[1] == acks[2]
    assert await in_database_thread(QueuedMessage.objects.count) == 1


async def test_a_withdrawn_message_gives_its_text_back_and_is_never_sent(open_tab, ann, assistant, simulator):
    tab = await open_tab(ann)
    started = await begin_reply(tab, simulator, assistant_id=assistant.pk)
    place = {"conversation_id": started["conversation_id"]}
    with breath_held(simulator):
        client_message_id = await tab.say("Not this", **place)
        ack = await tab.until("message.queued")
        await tab.send("queue.withdraw", message_id=ack["message_id"])
        withdrawn = await tab.until("message.withdrawn")
        await tab.send("queue.withdraw", message_id=ack["message_id"])
        again = await tab.until("message.withdrawn")
        await queue_of(tab, 0)
        await tab.send("message.send", client_message_id=client_message_id, text="Not this", **place)
        late = await tab.until("message.withdrawn")

    await ended(tab, 1)
    await tab.read_all()

    assert (withdrawn["text"], withdrawn["client_message_id"]) == ("Not this", client_message_id)
    assert withdrawn == again == late
    assert await in_database_thread(questions) == ["The first"]


async def test_what_was_sent_cannot_be_withdrawn(open_tab, ann, assistant, simulator):
    tab = await open_tab(ann)
    started = await begin_reply(tab, simulator, assistant_id=assistant.pk)
    with breath_held(simulator):
        await tab.say("Too late", conversation_id=started["conversation_id"])
        ack = await tab.until("message.queued")
    await ended(tab, 2)

    await tab.send("queue.withdraw", message_id=ack["message_id"])
    error = await tab.until("error")

    assert (error["code"], error["ref"]) == ("not_found", ack["message_id"])


@pytest.mark.parametrize("kind", ["queue.withdraw", "queue.send"])
async def test_nobody_touches_somebody_else_s_queue(open_tab, ann, bob, assistant, simulator, kind):
    hers, his = await open_tab(ann), await open_tab(bob)
    started = await begin_held_reply(hers, simulator, assistant_id=assistant.pk)
    await hers.say("Mine", conversation_id=started["conversation_id"])
    ack = await hers.until("message.queued")

    await his.send(kind, message_id=ack["message_id"])
    error = await his.until("error")
    await his.read_all()

    assert (error["code"], error["ref"]) == ("not_found", ack["message_id"])
    assert not his.of_type("conversation.updated")
    assert await in_database_thread(QueuedMessage.objects.filter(withdrawn_at=None, is_held=False).count) == 1


async def test_after_a_stop_what_waits_is_held_and_sent_at_its_sender_s_word(open_tab, ann, assistant, simulator):
    tab = await open_tab(ann)
    started = await begin_held_reply(tab, simulator, assistant_id=assistant.pk)
    place = {"conversation_id": started["conversation_id"]}
    for text in ("A", "B"):
        await tab.say(text, **place)
        await tab.until("message.queued")
    await tab.send("reply.stop", reply_id=started["reply_id"])
    await tab.until("reply.finished", status="stopped")
    held = await queue_of(tab, 2, is_held=True)

    await tab.say("At once", **place)
    await ended(tab, 2)
    left = await queue_of(tab, 2, is_held=True)
    await tab.send("queue.send", message_id=held[1]["message_id"])
    await ended(tab, 3)

    assert [(q["text"], q["is_held"]) for q in left] == [("A", True), ("B", True)]
    assert await in_database_thread(questions) == ["A question", "At once", "B"]
    assert [q["text"] for q in await queue_of(tab, 1, is_held=True)] == ["A"]


async def test_a_held_message_that_is_released_while_a_reply_runs_waits_for_its_end(
    open_tab, ann, assistant, simulator
):
    tab = await open_tab(ann)
    started = await begin_held_reply(tab, simulator, assistant_id=assistant.pk)
    place = {"conversation_id": started["conversation_id"]}
    await tab.say("Held", **place)
    ack = await tab.until("message.queued")
    await tab.send("reply.stop", reply_id=started["reply_id"])
    await tab.until("reply.finished")
    await queue_of(tab, 1, is_held=True)
    hold_next_reply(simulator)
    await tab.say("Between", **place)
    await tab.until("reply.delta")

    with breath_held(simulator):
        await tab.send("queue.send", message_id=ack["message_id"])
        await queue_of(tab, 1)
    await ended(tab, 3)

    assert await in_database_thread(questions) == ["A question", "Between", "Held"]


async def test_too_many_are_refused_and_not_stored(open_tab, ann, assistant, simulator):
    tab = await open_tab(ann)
    started = await begin_held_reply(tab, simulator, assistant_id=assistant.pk)
    place = {"conversation_id": started["conversation_id"]}
    limit = limits.LIMITS["queued_messages"]
    for number in range(limit):
        await tab.say(f"Number {number}", **place)
        await tab.until("message.queued")

    refused = await tab.say("One too many", **place)
    error = await tab.until("error")

    assert (error["code"], error["ref"], error["retryable"]) == ("queue_full", refused, True)
    assert await in_database_thread(QueuedMessage.objects.count) == limit


async def test_an_attachment_of_a_waiting_message_is_taken_and_given_back(open_tab, ann, assistant, simulator):
    tab = await open_tab(ann)
    started = await begin_held_reply(tab, simulator, assistant_id=assistant.pk)

    def attached():
        return [Attachment.objects.create(user=ann, name=name, text="A note") for name in ("note.txt", "list.txt")]

    note, items = await in_database_thread(attached)
    place = {"conversation_id": started["conversation_id"], "attachment_ids": [items.pk, note.pk]}

    await tab.say("With a note", **place)
    ack = await tab.until("message.queued")
    await tab.say("The same note", **place)
    taken = await tab.until("error")
    await tab.send("queue.withdraw", message_id=ack["message_id"])
    withdrawn = await tab.until("message.withdrawn")
    await tab.say("Once more", **place)

    assert taken["code"] == "not_found"
    assert withdrawn["attachments"] == [
        {"id": str(each.pk), "name": each.name, "width": 0, "height": 0} for each in (items, note)
    ]
    assert (await tab.until("message.queued"))["text"] == "Once more"


async def test_of_many_that_look_for_the_next_message_exactly_one_finds_it(quiet_process, ann, assistant):
    def store():
        conversation = make_conversation(ann, assistant)
        make_message(conversation, "Question")
        for number in range(2):
            QueuedMessage.objects.create(
                conversation=conversation, sender=ann, client_message_id=uuid4(), text=f"Number {number}"
            )
        return conversation

    conversation = await in_database_thread(store)

    found = await asyncio.gather(*(in_database_thread(sent_messages.store_next, conversation.pk) for _ in range(6)))

    assert [sent.message.text for sent in found if sent is not None] == ["Number 0"]


async def test_a_process_that_is_about_to_end_leaves_the_queue_to_the_one_that_the_page_comes_to(
    open_tab, ann, assistant, simulator, monkeypatch
):
    monkeypatch.setattr(actions, "_is_leaving", asyncio.Event())
    tab = await open_tab(ann)
    started = await begin_reply(tab, simulator, assistant_id=assistant.pk)
    with breath_held(simulator):
        await tab.say("The second", conversation_id=started["conversation_id"])
        await tab.until("message.queued")
        await queue_of(tab, 1)
    actions.leave_the_queue()
    await ended(tab, 1)
    await tab.read_all()
    before = await in_database_thread(questions)

    later = await open_tab(ann)
    await later.send("conversation.open", conversation_id=started["conversation_id"])
    await ended(later, 1)

    assert (before, await in_database_thread(questions)) == (["The first"], ["The first", "The second"])


async def test_what_a_dead_process_left_in_the_queue_long_ago_is_not_sent_behind_anybody_s_back(
    open_tab, ann, assistant, simulator, monkeypatch
):
    monkeypatch.setattr(actions, "_following", _nobody)
    tab = await open_tab(ann)
    started = await begin_reply(tab, simulator, assistant_id=assistant.pk)
    with breath_held(simulator):
        await tab.say("Left behind", conversation_id=started["conversation_id"])
        await tab.until("message.queued")
        await queue_of(tab, 1)
    await ended(tab, 1)
    await tab.read_all()

    monkeypatch.setattr(pending, "LONGEST_TURN", timedelta(0))
    monkeypatch.setattr(pending, "STALE_AFTER", timedelta(0))
    await tab.send("conversation.open", conversation_id=started["conversation_id"])
    state = await tab.until("conversation.state")

    assert [(q["text"], q["is_held"]) for q in state["conversation"]["queue"]] == [("Left behind", True)]


async def test_a_message_behind_those_that_were_left_sends_them_first(open_tab, ann, assistant, simulator, monkeypatch):
    tab = await open_tab(ann)
    with monkeypatch.context() as patch:
        patch.setattr(actions, "_following", _nobody)
        started = await begin_reply(tab, simulator, assistant_id=assistant.pk)
        with breath_held(simulator):
            await tab.say("Left behind", conversation_id=started["conversation_id"])
            await tab.until("message.queued")
            await queue_of(tab, 1)
        await ended(tab, 1)
        await tab.read_all()

    await tab.say("And now?", conversation_id=started["conversation_id"])
    await ended(tab, 3)

    assert await in_database_thread(questions) == ["The first", "Left behind", "And now?"]


async def test_a_shutdown_holds_what_waits(open_tab, ann, assistant, simulator):
    tab = await open_tab(ann)
    started = await begin_held_reply(tab, simulator, assistant_id=assistant.pk)
    await tab.say("Later", conversation_id=started["conversation_id"])
    await tab.until("message.queued")

    await shutdown.of_application().run()

    async def is_held() -> bool:
        return await in_database_thread(QueuedMessage.objects.filter(is_held=True).exists)

    await eventually(is_held)
    assert await in_database_thread(questions) == ["A question"]


async def _nobody(run: object) -> None:
    """The process dies before it sends what waits."""
