"""`message.send`: acked once its row is committed, and the same however often it is sent."""

import asyncio
from uuid import uuid4

import pytest

from chatapp import events
from chatapp.models import Attachment, Conversation, Message
from chatapp.protocol import MAX_FRAME_BYTES, MAX_TEXT_CHARS
from tests.chatapp.sockets import Tab, reply_text
from tests.factories import make_conversation, make_message
from tests.servers.chat_server import messages_of
from warmcache.background.database import in_database_thread

pytestmark = pytest.mark.django_db(transaction=True)

FIELDS_OF_AN_ACK = {
    "type",
    "attachments",
    "client_message_id",
    "images",
    "message_id",
    "conversation_id",
    "parent_id",
    "text",
    "created_at",
}


def count_messages() -> tuple[int, int, int]:
    """Conversations, people's messages, replies."""
    by_role = [Message.objects.filter(role=role).count() for role in (Message.Role.USER, Message.Role.ASSISTANT)]
    return (Conversation.objects.count(), *by_role)


async def hold_replies(simulator, times: int = 1) -> None:
    """The next replies begin and then say nothing more."""
    simulator.script(tokens=200, times=times)
    simulator.fault(kind="stall", where="after_first_token", match="reply", times=times)


async def answered(tab: Tab) -> dict:
    await tab.until("reply.finished")
    return tab.of_type("message.created")[-1]


async def test_the_ack_tells_where_the_message_stands(open_tab, ann, assistant):
    tab = await open_tab(ann)

    client_message_id = await tab.say("Hello there", assistant_id=assistant.pk)
    ack = await tab.until("message.created")
    stored = await in_database_thread(Message.objects.select_related("conversation").get, pk=ack["message_id"])

    assert set(ack) == FIELDS_OF_AN_ACK
    assert ack["client_message_id"] == client_message_id
    assert (stored.text, stored.role, stored.sender_id) == ("Hello there", "user", ann.pk)
    assert str(stored.conversation_id) == ack["conversation_id"]
    assert stored.conversation.title == "Hello there"
    assert stored.conversation.user_id == ann.pk


async def test_a_message_without_an_assistant_goes_to_the_default_one(open_tab, ann, assistant):
    tab = await open_tab(ann)

    await tab.say("Hello")
    ack = await answered(tab)

    conversation = await in_database_thread(Conversation.objects.get, pk=ack["conversation_id"])
    assert conversation.assistant_id == assistant.pk


@pytest.mark.parametrize("after", ["while the reply runs", "after its end"])
async def test_a_resend_on_the_same_socket_gets_the_same_ack_and_no_second_reply(
    open_tab, ann, assistant, simulator, after
):
    simulator.script(tokens=300, tokens_per_second=3000)
    tab = await open_tab(ann)
    message = {"client_message_id": str(uuid4()), "text": "Only once", "assistant_id": assistant.pk}
    await tab.send("message.send", **message)
    await tab.until("reply.delta" if after == "while the reply runs" else "reply.finished")

    await tab.send("message.send", **message)
    await tab.until("message.created")
    if not tab.of_type("reply.finished"):
        await tab.until("reply.finished")
    await tab.read_all()

    first, second = tab.of_type("message.created")
    assert first == second
    assert len(tab.of_type("reply.started")) == len(tab.of_type("reply.finished")) == 1
    seqs = [f["seq"] for f in tab.frames if "seq" in f]
    assert seqs == list(range(1, len(seqs) + 1))
    assert await in_database_thread(count_messages) == (1, 1, 1)
    assert len(simulator.requests()) == 1


async def test_a_resend_on_a_new_socket_gets_the_ack_and_the_whole_reply(open_tab, ann, assistant, simulator):
    first, second = await open_tab(ann), await open_tab(ann)
    message = {"client_message_id": str(uuid4()), "text": "Only once", "assistant_id": assistant.pk}
    await first.send("message.send", **message)
    await answered(first)

    await second.send("message.send", **message)
    await answered(second)

    assert first.of_type("message.created") == second.of_type("message.created")
    assert first.of_type("reply.started") == second.of_type("reply.started")
    assert reply_text(first.frames) == reply_text(second.frames) != ""
    assert await in_database_thread(count_messages) == (1, 1, 1)


@pytest.mark.parametrize("place", ["a new chat", "a stored conversation"])
async def test_the_same_message_from_many_sockets_at_once_is_one_message(open_tab, ann, assistant, simulator, place):
    where = {"assistant_id": assistant.pk}
    if place == "a stored conversation":
        conversation = await in_database_thread(make_conversation, ann, assistant)
        where = {"conversation_id": str(conversation.pk)}
    message = {"client_message_id": str(uuid4()), "text": "Only once", **where}
    tabs = [await open_tab(ann) for _ in range(8)]

    await asyncio.gather(*(tab.send("message.send", **message) for tab in tabs))
    acks = await asyncio.gather(*(answered(tab) for tab in tabs))

    assert all(ack == acks[0] for ack in acks)
    assert [tab.of_type("error") for tab in tabs] == [[]] * 8
    assert await in_database_thread(count_messages) == (1, 1, 1)
    assert len(simulator.requests()) == 1
    assert len({reply_text(tab.frames) for tab in tabs}) == 1


async def test_a_resend_does_not_look_at_what_else_it_says(open_tab, ann, assistant):
    tab = await open_tab(ann)
    client_message_id = await tab.say("The first text", assistant_id=assistant.pk)
    await answered(tab)

    await tab.send("message.send", client_message_id=client_message_id, text="Another", conversation_id=uuid4())
    second = await tab.until("message.created")

    assert second["text"] == "The first text"


async def test_two_people_may_use_the_same_client_message_id(open_tab, ann, bob, assistant):
    hers, his = await open_tab(ann), await open_tab(bob)
    client_message_id = str(uuid4())

    await hers.send("message.send", client_message_id=client_message_id, text="Hers", assistant_id=assistant.pk)
    await his.send("message.send", client_message_id=client_message_id, text="His", assistant_id=assistant.pk)
    acks = await asyncio.gather(answered(hers), answered(his))

    assert [ack["text"] for ack in acks] == ["Hers", "His"]
    assert acks[0]["message_id"] != acks[1]["message_id"]


async def test_of_two_messages_at_once_one_is_answered_and_the_others_wait(open_tab, ann, assistant, simulator):
    await hold_replies(simulator, times=2)
    conversation = await in_database_thread(make_conversation, ann, assistant)
    tabs = [await open_tab(ann) for _ in range(4)]

    await asyncio.gather(*(tab.say("Mine first", conversation_id=conversation.pk) for tab in tabs))
    for tab in tabs:
        while not tab.of_type("message.created", "message.queued", "error"):
            await tab.read()

    outcomes = sorted(tab.of_type("message.created", "message.queued", "error")[0]["type"] for tab in tabs)
    assert outcomes == ["message.created"] + ["message.queued"] * 3
    assert await in_database_thread(count_messages) == (1, 1, 1)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "empty_message"),
        ("   \n\t\u00a0 ", "empty_message"),
        ("with a \0 inside", "bad_text"),
        ("x" * (MAX_TEXT_CHARS + 1), "message_too_large"),
    ],
    ids=["empty", "blank", "NUL", "too long"],
)
async def test_a_text_that_cannot_be_sent_is_refused_by_name(open_tab, ann, assistant, text, code):
    tab = await open_tab(ann)

    client_message_id = await tab.say(text, assistant_id=assistant.pk)
    error = await tab.until("error")

    assert (error["code"], error["ref"], error["retryable"]) == (code, client_message_id, False)
    assert await in_database_thread(count_messages) == (0, 0, 0)


async def test_the_longest_text_is_taken(open_tab, ann, assistant):
    tab = await open_tab(ann)

    await tab.say("x" * MAX_TEXT_CHARS, assistant_id=assistant.pk)
    ack = await answered(tab)

    assert len(ack["text"]) == MAX_TEXT_CHARS


async def test_the_frame_s_own_bound_counts_bytes(open_tab, ann):
    tab = await open_tab(ann)
    ping = '{"type":"ping","x":""}'

    await tab.send_text(ping.replace('""', f'"{"x" * (MAX_FRAME_BYTES - len(ping))}"'))
    fits = await tab.read()
    await tab.send_text(ping.replace('""', f'"{"x" * (MAX_FRAME_BYTES - len(ping) + 1)}"'))
    over = await tab.read()
    await tab.send_text(ping.replace('""', f'"{"ä" * (MAX_FRAME_BYTES // 2)}"'))
    over_in_bytes = await tab.read()

    assert fits["type"] == "pong"
    assert over["code"] == over_in_bytes["code"] == "message_too_large"


async def test_a_message_too_large_for_a_frame_is_refused_under_its_own_id(open_tab, ann, assistant):
    tab = await open_tab(ann)

    client_message_id = await tab.say("€" * MAX_TEXT_CHARS, assistant_id=assistant.pk)
    error = await tab.until("error")

    assert (error["code"], error["ref"]) == ("message_too_large", client_message_id)


async def test_attachments_are_sent_in_their_order_before_the_text_and_only_once(open_tab, ann, assistant, simulator):
    def attached():
        return [Attachment.objects.create(user=ann, name=f"{n}.txt", text=f"Text {n}") for n in (1, 2)]

    one, two = await in_database_thread(attached)
    tab = await open_tab(ann)
    ids = [str(two.pk), str(one.pk)]

    message = {"client_message_id": str(uuid4()), "text": "Compare these", "attachment_ids": ids}
    await tab.send("message.send", **message)
    created = await answered(tab)
    await tab.send("message.send", **message)
    resent = await tab.until("message.created")
    await tab.say("Again", attachment_ids=ids[:1])
    error = await tab.until("error")

    content = messages_of(simulator.requests()[0])[0]["content"]
    assert [block.get("title", block.get("text")) for block in content] == ["2.txt", "1.txt", "Compare these"]
    assert resent == created
    assert created["attachments"] == ["2.txt", "1.txt"]
    assert error["code"] == "not_found"
    assert error["message"] == "A file of this message is not there any more. Remove it and attach it again."
    owners = await in_database_thread(lambda: set(Attachment.objects.values_list("message_id", flat=True)))
    assert {str(pk) for pk in owners} == {created["message_id"]}


async def test_a_message_with_attachments_alone_is_taken(open_tab, ann, assistant, simulator):
    attachment = await in_database_thread(Attachment.objects.create, user=ann, name="a.txt", text="The text")
    tab = await open_tab(ann)

    await tab.say("", attachment_ids=[str(attachment.pk)])
    await answered(tab)

    assert len(messages_of(simulator.requests()[0])[0]["content"]) == 1
    assert tab.of_type("reply.finished")[0]["status"] == "complete"


async def test_a_parent_must_be_a_message_of_the_same_conversation(open_tab, ann, assistant):
    tab = await open_tab(ann)
    await tab.say("One chat", assistant_id=assistant.pk)
    elsewhere = await answered(tab)

    await tab.say("In another", assistant_id=assistant.pk, parent_id=elsewhere["message_id"])
    error = await tab.until("error")

    assert error["code"] == "not_found"
    assert await in_database_thread(count_messages) == (1, 1, 1)


async def test_an_earlier_parent_begins_a_branch(open_tab, ann, assistant, simulator):
    tab = await open_tab(ann)
    await tab.say("First question", assistant_id=assistant.pk)
    first = await answered(tab)
    first_reply = tab.of_type("reply.finished")[0]["reply_id"]
    await tab.say("Second question", conversation_id=first["conversation_id"])
    await answered(tab)

    await tab.say("Another second", conversation_id=first["conversation_id"], parent_id=first_reply)
    branch = await answered(tab)

    assert branch["parent_id"] == first_reply
    turns = messages_of(simulator.requests()[-1])
    assert [turn["content"][0]["text"] for turn in turns if turn["role"] == "user"] == [
        "First question",
        "Another second",
    ]


async def test_a_sender_hears_of_its_reply_even_if_the_channel_layer_loses_the_event(
    open_tab, ann, assistant, monkeypatch
):
    async def lost(*event, **more):
        """As a full channel loses it."""

    monkeypatch.setattr(events, "announce_conversation", lost)
    tab = await open_tab(ann)

    await tab.say("Hello", assistant_id=assistant.pk)
    await answered(tab)

    assert len(tab.of_type("reply.started")) == 1


async def test_a_history_made_by_hand_without_parents_is_shown_and_sent_in_its_order(
    open_tab, ann, assistant, simulator
):
    def stored():
        conversation = make_conversation(ann, assistant)
        make_message(conversation, "First", role="user")
        make_message(conversation, "Second", role="assistant")
        return conversation

    conversation = await in_database_thread(stored)
    tab = await open_tab(ann)
    await tab.send("conversation.open", conversation_id=conversation.pk)
    state = await tab.until("conversation.state")

    await tab.say("Third", conversation_id=conversation.pk)
    await tab.until("reply.finished")

    assert [m["text"] for m in state["messages"]] == ["First", "Second"]
    sent = messages_of(simulator.requests()[-1])
    assert [turn["content"][0]["text"] for turn in sent] == ["First", "Second", "Third"]
