"""Editing, answering again and moving between versions: nothing is lost, and every tab shows the same branch."""

from uuid import uuid4

import pytest

from chatapp.models import Attachment, Message
from tests.chatapp.held_replies import begin_held_reply
from tests.chatapp.sockets import Tab
from tests.servers.chat_server import messages_of
from warmcache.background.database import in_database_thread

pytestmark = pytest.mark.django_db(transaction=True)


async def ask(tab: Tab, text: str, **place) -> tuple[dict, dict]:
    """Gives the `message.created` and the `reply.finished`."""
    await tab.say(text, **place)
    created = await tab.until("message.created")
    return created, await tab.until("reply.finished")


async def shown(tab: Tab, conversation_id: str) -> list[dict]:
    await tab.send("conversation.open", conversation_id=conversation_id)
    return (await tab.until("conversation.state"))["messages"]


def texts(messages: list[dict]) -> list[str]:
    return [message["text"] for message in messages if message["role"] == "user"]


def asked(simulator) -> list[str]:
    """The people's turns of the newest request, as the provider saw them."""
    turns = messages_of(simulator.requests()[-1])
    return [turn["content"][-1]["text"] for turn in turns if turn["role"] == "user"]


async def test_an_edited_message_stands_beside_the_first_and_is_answered_without_it(
    open_tab, ann, assistant, simulator
):
    tab = await open_tab(ann)
    first, _ = await ask(tab, "First", assistant_id=assistant.pk)
    place = {"conversation_id": first["conversation_id"]}
    second, second_end = await ask(tab, "Second", **place)
    await ask(tab, "Third", **place)

    edited, _ = await ask(tab, "Second, better", **place, edit_of=second["message_id"])
    messages = await shown(tab, first["conversation_id"])

    assert edited["parent_id"] == second["parent_id"]
    assert asked(simulator) == texts(messages) == ["First", "Second, better"]
    assert messages[2]["siblings"] == [second["message_id"], edited["message_id"]]
    assert messages[3]["siblings"] == [messages[3]["id"]]
    assert await in_database_thread(Message.objects.count) == 8


async def test_the_first_message_of_a_chat_can_be_edited_too(open_tab, ann, assistant, simulator):
    tab = await open_tab(ann)
    first, _ = await ask(tab, "First", assistant_id=assistant.pk)

    edited, _ = await ask(tab, "First, better", conversation_id=first["conversation_id"], edit_of=first["message_id"])
    messages = await shown(tab, first["conversation_id"])

    assert edited["parent_id"] is None
    assert asked(simulator) == texts(messages) == ["First, better"]
    assert messages[0]["siblings"] == [first["message_id"], edited["message_id"]]


async def test_the_next_message_follows_the_chosen_branch_and_a_reload_shows_it(open_tab, ann, assistant, simulator):
    tab = await open_tab(ann)
    first, _ = await ask(tab, "First", assistant_id=assistant.pk)
    place = {"conversation_id": first["conversation_id"]}
    second, _ = await ask(tab, "Second", **place)
    await ask(tab, "Second, better", **place, edit_of=second["message_id"])

    await tab.send("branch.select", **place, message_id=second["message_id"])
    chosen = (await tab.until("conversation.state"))["messages"]
    await ask(tab, "Third", **place)
    later = await open_tab(ann)

    assert texts(chosen) == ["First", "Second"]
    assert asked(simulator) == ["First", "Second", "Third"]
    assert texts(await shown(later, first["conversation_id"])) == ["First", "Second", "Third"]


async def test_every_tab_hears_which_branch_is_shown(open_tab, ann, assistant):
    tab, other = await open_tab(ann), await open_tab(ann)
    first, _ = await ask(tab, "First", assistant_id=assistant.pk)
    place = {"conversation_id": first["conversation_id"]}
    await ask(tab, "First, better", **place, edit_of=first["message_id"])
    await shown(other, first["conversation_id"])
    await other.read_all()

    await tab.send("branch.select", **place, message_id=first["message_id"])
    for each in (tab, other):
        while (await each.until("conversation.updated"))["conversation"]["branch"] != first["message_id"]:
            pass

    assert texts(await shown(other, first["conversation_id"])) == ["First"]


async def test_regenerate_makes_versions_of_a_reply_and_shows_the_new_one(open_tab, ann, assistant, simulator):
    tab, other = await open_tab(ann), await open_tab(ann)
    created, finished = await ask(tab, "First", assistant_id=assistant.pk)
    place = {"conversation_id": created["conversation_id"]}
    await ask(tab, "Second", **place)
    await shown(other, created["conversation_id"])

    await tab.send("reply.regenerate", reply_id=finished["reply_id"])
    again = await other.until("reply.started")
    await other.until("reply.finished")
    messages = await shown(other, created["conversation_id"])

    assert (again["parent_id"], asked(simulator)) == (created["message_id"], ["First"])
    assert texts(messages) == ["First"]
    assert messages[-1]["siblings"] == [finished["reply_id"], again["reply_id"]]


async def test_a_version_may_be_looked_at_while_a_reply_runs_on_another(open_tab, ann, assistant, simulator):
    tab = await open_tab(ann)
    first, _ = await ask(tab, "First", assistant_id=assistant.pk)
    place = {"conversation_id": first["conversation_id"]}
    started = await begin_held_reply(tab, simulator, **place, edit_of=first["message_id"])
    seen = [f for f in tab.frames if f.get("reply_id") == started["reply_id"] and "seq" in f]
    cursor = {"reply_id": started["reply_id"], "epoch": started["epoch"], "after_seq": seen[-1]["seq"]}

    await tab.send("branch.select", **place, message_id=first["message_id"], cursor=cursor)
    elsewhere = await tab.until("conversation.state")
    await tab.send("branch.select", **place, message_id=started["reply_id"], cursor=cursor)
    back = await tab.until("conversation.state")

    assert texts(elsewhere["messages"]) == ["First"]
    assert (elsewhere["reply"]["reply_id"], elsewhere["recovered"]) == (started["reply_id"], True)
    assert texts(back["messages"]) == ["A question"]
    assert back["messages"][-1]["id"] == started["reply_id"]
    assert back["recovered"] is True


async def test_an_edit_while_a_reply_runs_waits_and_then_stands_where_it_belongs(open_tab, ann, assistant, simulator):
    tab = await open_tab(ann)
    first, _ = await ask(tab, "First", assistant_id=assistant.pk)
    place = {"conversation_id": first["conversation_id"]}
    started = await begin_held_reply(tab, simulator, **place)
    await tab.say("First, better", **place, edit_of=first["message_id"])
    ack = await tab.until("message.queued")
    await tab.send("reply.stop", reply_id=started["reply_id"])
    await tab.until("reply.finished")

    await tab.send("queue.send", message_id=ack["message_id"])
    created = await tab.until("message.created")
    await tab.until("reply.finished")

    assert (created["message_id"], created["parent_id"]) == (ack["message_id"], None)
    assert asked(simulator) == ["First, better"]


async def test_what_waits_goes_below_its_reply_though_another_branch_is_looked_at(open_tab, ann, assistant, simulator):
    tab = await open_tab(ann)
    first, _ = await ask(tab, "First", assistant_id=assistant.pk)
    place = {"conversation_id": first["conversation_id"]}
    started = await begin_held_reply(tab, simulator, **place, edit_of=first["message_id"])
    await tab.say("Behind it", **place)
    ack = await tab.until("message.queued")
    await tab.send("branch.select", **place, message_id=first["message_id"])
    await tab.until("conversation.state")
    await tab.send("reply.stop", reply_id=started["reply_id"])
    await tab.until("reply.finished")

    await tab.send("queue.send", message_id=ack["message_id"])
    created = await tab.until("message.created")
    await tab.until("reply.finished")

    assert created["parent_id"] == started["reply_id"]
    assert asked(simulator) == ["A question", "Behind it"]


async def test_an_edited_message_keeps_its_attachments(open_tab, ann, assistant, simulator):
    tab = await open_tab(ann)
    note = await in_database_thread(lambda: Attachment.objects.create(user=ann, name="note.txt", text="A note"))
    first, _ = await ask(tab, "Read this", assistant_id=assistant.pk, attachment_ids=[note.pk])

    await ask(tab, "Read it well", conversation_id=first["conversation_id"], edit_of=first["message_id"])

    content = messages_of(simulator.requests()[-1])[0]["content"]
    assert [block["type"] for block in content] == ["document", "text"]
    assert content[0]["source"]["data"] == "A note"


@pytest.mark.parametrize("what", ["a reply", "a foreign message", "nothing"])
async def test_only_a_person_s_message_of_that_chat_can_be_edited(open_tab, ann, bob, assistant, what):
    tab, his = await open_tab(ann), await open_tab(bob)
    first, end = await ask(tab, "First", assistant_id=assistant.pk)
    foreign, _ = await ask(his, "His", assistant_id=assistant.pk)
    target = {"a reply": end["reply_id"], "a foreign message": foreign["message_id"], "nothing": uuid4()}[what]

    await tab.say("Better", conversation_id=first["conversation_id"], edit_of=target)
    error = await tab.until("error")

    assert error["code"] == "not_found"


async def test_nobody_moves_somebody_else_s_branch(open_tab, ann, bob, assistant):
    tab, his = await open_tab(ann), await open_tab(bob)
    first, _ = await ask(tab, "First", assistant_id=assistant.pk)

    await his.send("branch.select", conversation_id=first["conversation_id"], message_id=first["message_id"])
    error = await his.until("error")

    assert (error["code"], error["ref"]) == ("not_found", first["message_id"])
