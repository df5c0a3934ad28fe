"""Conversations of any length open, and what is larger than one WebSocket message comes in parts."""

import pytest

from chatapp.protocol import MAX_SENT_BYTES, MAX_TEXT_CHARS
from chatapp.socket import conversation_states
from chatapp.socket.history import PART_MESSAGES
from tests.chatapp.held_replies import breath_held, hold_next_reply
from tests.chatapp.sockets import reply_text
from tests.factories import make_conversation, make_message, make_talk
from warmcache.background.database import in_database_thread

pytestmark = pytest.mark.django_db(transaction=True)

LARGEST_FOR_JSON = "\x01" * MAX_TEXT_CHARS
"""Each character takes six bytes."""


async def talk_of(user, assistant, texts):
    def stored():
        conversation = make_conversation(user, assistant)
        return conversation, [str(message.pk) for message in make_talk(conversation, texts)]

    return await in_database_thread(stored)


@pytest.mark.parametrize("texts", [["x" * 99_900] * 23, ["y" * 500] * 2000], ids=["23 long ones", "2,000 short ones"])
async def test_a_conversation_larger_than_a_message_may_be_opens(open_tab, ann, assistant, texts):
    conversation, ids = await talk_of(ann, assistant, texts)
    tab = await open_tab(ann)

    await tab.send("conversation.open", conversation_id=conversation.pk)
    state = await tab.until("conversation.state")

    shown = [message["id"] for message in state["messages"]]
    assert shown == ids[state["earlier"] :]
    assert 1 <= len(shown) <= PART_MESSAGES
    assert tab.joiner.largest_bytes <= MAX_SENT_BYTES


async def test_earlier_messages_come_on_demand_until_there_are_none(open_tab, ann, assistant):
    conversation, ids = await talk_of(ann, assistant, [f"Message {number}" for number in range(PART_MESSAGES * 2 + 5)])
    tab = await open_tab(ann)
    await tab.send("conversation.open", conversation_id=conversation.pk)
    part = await tab.until("conversation.state")
    shown = [message["id"] for message in part["messages"]]

    while part["earlier"]:
        await tab.send("history.load", conversation_id=conversation.pk, before=shown[0])
        part = await tab.until("history.page", before=shown[0])
        shown = [message["id"] for message in part["messages"]] + shown

    assert shown == ids
    assert len(tab.of_type("history.page")) == 2


async def test_opening_asks_the_database_as_often_however_long_the_conversation_is(ann, assistant, queries):
    short, _ = await talk_of(ann, assistant, ["Hello"] * 10)
    long, _ = await talk_of(ann, assistant, ["Hello"] * 500)
    counts = []

    for conversation in (short, long):
        before = len(queries)
        await conversation_states.open_conversation(ann, conversation.pk, None)
        counts.append(len(queries) - before)

    assert counts[0] == counts[1] <= 6


async def test_a_message_larger_than_the_bound_arrives_whole(open_tab, ann, assistant):
    conversation, _ = await talk_of(ann, assistant, [LARGEST_FOR_JSON])
    tab = await open_tab(ann)

    await tab.send("conversation.open", conversation_id=conversation.pk)
    state = await tab.until("conversation.state")

    assert state["messages"][0]["text"] == LARGEST_FOR_JSON
    assert MAX_SENT_BYTES // 2 < tab.joiner.largest_bytes <= MAX_SENT_BYTES


async def test_the_rest_of_a_reply_follows_a_state_in_parts(open_tab, ann, assistant, simulator):
    """The whole of it first, and then the frames behind it."""
    conversation = await in_database_thread(make_conversation, ann, assistant)
    await in_database_thread(make_message, conversation, LARGEST_FOR_JSON)
    hold_next_reply(simulator)
    first, late = await open_tab(ann), await open_tab(ann)
    with breath_held(simulator):
        await first.say("A slow one", conversation_id=conversation.pk)
        await first.until("reply.delta")
        await late.send("conversation.open", conversation_id=conversation.pk)
        state = await late.until("conversation.state")
    before = len(late.frames)
    finished = await late.until("reply.finished")
    await first.until("reply.finished")

    begun = "".join(block["text"] for block in state["reply"]["blocks"])
    rest = [frame for frame in late.frames[before:] if "seq" in frame]
    assert state["messages"][0]["text"] == LARGEST_FOR_JSON
    assert [frame["seq"] for frame in rest] == list(range(state["reply"]["seq"] + 1, finished["seq"] + 1))
    assert begun + reply_text(rest) == reply_text(first.frames)


async def test_history_of_somebody_else_is_not_found(open_tab, ann, bob, assistant):
    foreign, ids = await talk_of(bob, assistant, ["Private"])
    tab = await open_tab(ann)

    await tab.send("history.load", conversation_id=foreign.pk, before=ids[0])
    error = await tab.until("error")

    assert (error["code"], error["ref"]) == ("not_found", str(foreign.pk))


async def test_a_reply_that_runs_on_another_branch_is_told_though_its_message_is_in_no_part(
    open_tab, ann, assistant, simulator
):
    hold_next_reply(simulator)
    conversation, ids = await talk_of(ann, assistant, ["Question", "Answer"])
    tab = await open_tab(ann)
    with breath_held(simulator):
        await tab.say("Asked otherwise", conversation_id=conversation.pk, edit_of=ids[0])
        started = await tab.until("reply.started")
        await tab.until("reply.delta")
        await tab.send("branch.select", conversation_id=conversation.pk, message_id=ids[1])
        state = await tab.until("conversation.state")
    finished = await tab.until("reply.finished")

    assert [message["id"] for message in state["messages"]] == ids
    assert state["reply"]["reply_id"] == started["reply_id"]
    assert finished["reply_id"] == started["reply_id"]
