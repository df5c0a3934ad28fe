"""`conversation.open`: a new chat, a reload, a second tab, a reconnect."""

import json
from uuid import UUID, uuid4

import pytest

from chatapp.conversations import conversations, deletions
from chatapp.protocol import encode
from chatapp.replies import registry
from tests.chatapp.sockets import Tab, eventually, reply_text
from tests.factories import make_assistant, make_conversation, make_message
from warmcache.background.database import in_database_thread

pytestmark = pytest.mark.django_db(transaction=True)


async def test_a_new_chat_opens_with_the_named_assistant(open_tab, ann, assistant):
    other = await in_database_thread(make_assistant, name="Other")
    tab = await open_tab(ann)

    await tab.send("conversation.open", conversation_id=None, assistant_id=other.pk)
    named = await tab.until("conversation.state")
    await tab.send("conversation.open", conversation_id=None, assistant_id=str(other.pk))
    named_by_text = await tab.until("conversation.state")
    await tab.send("conversation.open")
    default = await tab.until("conversation.state")

    assert named["assistant"]["name"] == named_by_text["assistant"]["name"] == "Other"
    assert default["assistant"]["name"] == "Guide"
    assert named["conversation"] is named["reply"] is None
    assert named["messages"] == []
    assert named["recovered"] is False


async def test_an_unknown_assistant_is_not_found(open_tab, ann, assistant):
    tab = await open_tab(ann)

    await tab.send("conversation.open", assistant_id=assistant.pk + 1000)
    error = await tab.until("error")

    assert (error["code"], error["retryable"]) == ("not_found", False)


async def test_without_any_assistant_there_is_nothing_to_open(open_tab, ann):
    tab = await open_tab(ann)

    await tab.send("conversation.open")

    assert (await tab.until("error"))["code"] == "not_found"


async def test_a_stored_conversation_comes_with_its_messages_in_order(open_tab, ann, assistant):
    def stored():
        conversation = make_conversation(ann, assistant, title="Earlier")
        question = make_message(conversation, "Why?", client_message_id=uuid4(), sender=ann)
        make_message(conversation, "Because.", role="assistant", parent=question, model="claude-sonnet-5-5")
        return conversation, question

    conversation, question = await in_database_thread(stored)
    tab = await open_tab(ann)

    await tab.send("conversation.open", conversation_id=conversation.pk)
    state = await tab.until("conversation.state")
    warmth = await tab.until("warmth")

    assert state["conversation"]["id"] == str(conversation.pk)
    assert state["conversation"]["title"] == "Earlier"
    assert [(m["role"], m["text"]) for m in state["messages"]] == [("user", "Why?"), ("assistant", "Because.")]
    assert state["messages"][0]["client_message_id"] == str(question.client_message_id)
    assert state["messages"][1]["parent_id"] == str(question.pk)
    assert [block["text"] for block in state["messages"][1]["blocks"]] == ["Because."]
    assert state["reply"] is None
    assert (warmth["conversation_id"], warmth["state"]) == (str(conversation.pk), "cold")


@pytest.mark.parametrize("whose", ["somebody else's", "nobody's"])
async def test_what_is_not_yours_does_not_exist(open_tab, ann, bob, assistant, whose):
    foreign = await in_database_thread(make_conversation, bob, assistant)
    conversation_id = foreign.pk if whose == "somebody else's" else uuid4()
    tab = await open_tab(ann)

    await tab.send("conversation.open", conversation_id=conversation_id)
    error = await tab.until("error")

    assert error == {
        "type": "error",
        "code": "not_found",
        "message": "There is no such conversation.",
        "ref": str(conversation_id),
        "retryable": False,
        "quota": None,
    }


async def test_a_second_tab_sees_everything_live(open_tab, ann, assistant, simulator):
    simulator.script(text="An answer for both tabs.")
    conversation = await in_database_thread(make_conversation, ann, assistant)
    first, second = await open_tab(ann), await open_tab(ann)
    for tab in (first, second):
        await tab.send("conversation.open", conversation_id=conversation.pk)
        await tab.until("conversation.state")

    client_message_id = await first.say("Do you both see this?", conversation_id=conversation.pk)
    for tab in (first, second):
        await tab.until("reply.finished")
        await tab.read_all()

    of_both = ("message.created", "reply.started", "reply.block", "reply.delta", "reply.finished")
    assert first.of_type(*of_both) == second.of_type(*of_both)
    assert [f["client_message_id"] for f in second.of_type("message.created")] == [client_message_id]
    assert len(second.of_type("reply.started")) == len(second.of_type("reply.finished")) == 1
    assert reply_text(second.frames) == "An answer for both tabs."


async def test_a_tab_that_shows_another_chat_sees_only_the_list_change(open_tab, ann, assistant):
    first, second = await open_tab(ann), await open_tab(ann)

    await first.say("A new chat", assistant_id=assistant.pk)
    created = await first.until("message.created")
    updated = await second.until("conversation.updated")
    await first.until("reply.finished")
    await second.read_all()

    assert updated["conversation"]["id"] == created["conversation_id"]
    assert updated["conversation"]["title"] == "A new chat"
    assert {f["type"] for f in second.frames} == {"ready", "conversation.updated", "pong"}


async def test_titles_and_deletion_reach_every_tab(open_tab, ann, assistant):
    conversation = await in_database_thread(make_conversation, ann, assistant)
    showing, elsewhere = await open_tab(ann), await open_tab(ann)
    await showing.send("conversation.open", conversation_id=conversation.pk)
    await showing.until("conversation.state")

    await in_database_thread(conversations.rename, conversation, "A better title")
    renamed = [await tab.until("conversation.updated") for tab in (showing, elsewhere)]
    await in_database_thread(deletions.delete, conversation)
    deleted = [await tab.until("conversation.updated") for tab in (showing, elsewhere)]
    await showing.send("conversation.open", conversation_id=renamed[0]["conversation"]["id"])

    assert [f["conversation"]["title"] for f in renamed] == ["A better title"] * 2
    assert [f["conversation"]["deleted"] for f in renamed + deleted] == [False, False, True, True]
    assert (await showing.until("error"))["code"] == "not_found"


# Resuming


@pytest.fixture
async def uninterrupted(open_tab, ann, assistant, simulator, frame_per_delta) -> Tab:
    """A tab that has read a reply of some sixty frames from beginning to end."""
    simulator.script(tokens=16 * 60)
    tab = await open_tab(ann)
    await tab.say("A long one", assistant_id=assistant.pk)
    await tab.until("reply.finished")
    return tab


def cursor_of(frames: list[dict], after_seq: int) -> dict:
    last = frames[-1]
    return {"reply_id": last["reply_id"], "epoch": last["epoch"], "after_seq": after_seq}


def state_as_frames(state: dict) -> list[dict]:
    """The running reply's snapshot, as if it had come in deltas."""
    blocks = state["reply"]["blocks"] if state["reply"] else state["messages"][-1]["blocks"]
    return [{"type": "reply.delta", "kind": block["kind"], "text": block["text"]} for block in blocks]


async def test_a_reader_that_comes_back_gets_exactly_the_gap_at_every_boundary(open_tab, ann, uninterrupted):
    conversation_id = uninterrupted.of_type("message.created")[0]["conversation_id"]
    frames = uninterrupted.of_type("reply.block", "reply.delta", "reply.finished")
    assert len(frames) > 55
    tab = await open_tab(ann)

    for after_seq in range(len(frames)):
        cursor = cursor_of(frames, after_seq)
        await tab.send("conversation.open", conversation_id=conversation_id, cursor=cursor)
        state = await tab.until("conversation.state")
        before = len(tab.frames)
        await tab.until("reply.finished")

        gap = [f for f in tab.frames[before:] if "seq" in f]
        assert state["recovered"] is True
        assert frames[:after_seq] + gap == frames


async def test_a_reader_with_another_epoch_gets_the_whole_text_and_is_told(open_tab, ann, uninterrupted):
    conversation_id = uninterrupted.of_type("message.created")[0]["conversation_id"]
    frames = uninterrupted.of_type("reply.block", "reply.delta", "reply.finished")
    tab = await open_tab(ann)

    for cursor in (
        {**cursor_of(frames, 10), "epoch": "of another process"},
        {**cursor_of(frames, 10), "epoch": ""},
        cursor_of(frames, len(frames) + 1),
        {**cursor_of(frames, 10), "reply_id": str(uuid4())},
    ):
        await tab.send("conversation.open", conversation_id=conversation_id, cursor=cursor)
        state = await tab.until("conversation.state")

        assert state["recovered"] is False
        assert reply_text(state_as_frames(state)) == reply_text(frames)
    assert tab.of_type("reply.delta", "reply.finished") == []


async def test_a_cursor_at_the_very_end_has_nothing_to_wait_for(open_tab, ann, uninterrupted):
    conversation_id = uninterrupted.of_type("message.created")[0]["conversation_id"]
    frames = uninterrupted.of_type("reply.block", "reply.delta", "reply.finished")
    tab = await open_tab(ann)

    await tab.send("conversation.open", conversation_id=conversation_id, cursor=cursor_of(frames, len(frames)))
    state = await tab.until("conversation.state")
    await tab.read_all()

    assert state["recovered"] is True
    assert state["messages"][-1]["status"] == "complete"
    assert tab.of_type("reply.delta", "reply.finished") == []


@pytest.fixture
async def paced(open_tab, ann, assistant, simulator, frame_per_delta) -> Tab:
    """A tab whose reply is under way and takes a moment."""
    simulator.script(tokens=600, tokens_per_second=1500)
    tab = await open_tab(ann)
    await tab.say("A slow one", assistant_id=assistant.pk)
    await tab.until("reply.delta")
    return tab


@pytest.mark.parametrize("knows", ["nothing", "the beginning", "another epoch"])
async def test_a_tab_that_comes_in_the_middle_ends_with_the_same_text(open_tab, ann, paced, knows):
    conversation_id = paced.of_type("message.created")[0]["conversation_id"]
    begun = [f for f in paced.frames if "seq" in f]
    cursor = None if knows == "nothing" else cursor_of(begun, len(begun))
    if knows == "another epoch":
        cursor = {**cursor, "epoch": "gone"}
    late = await open_tab(ann)

    await late.send("conversation.open", conversation_id=conversation_id, cursor=cursor)
    state = await late.until("conversation.state")
    before = len(late.frames)
    finished = await late.until("reply.finished")
    await paced.until("reply.finished")

    rest = [f for f in late.frames[before:] if "seq" in f]
    beginning = begun if knows == "the beginning" else state_as_frames(state)
    assert state["recovered"] is (knows == "the beginning")
    assert state["reply"]["reply_id"] == finished["reply_id"]
    assert state["messages"][-1]["status"] == "streaming"
    assert (state["reply"]["blocks"] == []) is (knows == "the beginning")
    assert [f["seq"] for f in rest] == list(range(state["reply"]["seq"] + 1, finished["seq"] + 1))
    assert reply_text(beginning) + reply_text(rest) == reply_text(paced.frames)


async def test_opening_the_same_chat_again_on_one_socket_doubles_nothing(paced):
    conversation_id = paced.of_type("message.created")[0]["conversation_id"]

    await paced.send("conversation.open", conversation_id=conversation_id)
    state = await paced.until("conversation.state")
    before = len(paced.frames)
    finished = await paced.until("reply.finished")
    await paced.read_all()

    rest = [f for f in paced.frames[before:] if "seq" in f]
    assert [f["seq"] for f in rest] == list(range(state["reply"]["seq"] + 1, finished["seq"] + 1))
    assert len(paced.of_type("reply.started")) == 1


async def test_a_cursor_in_an_ended_reply_does_not_hide_the_one_that_runs_now(open_tab, ann, uninterrupted, simulator):
    conversation_id = uninterrupted.of_type("message.created")[0]["conversation_id"]
    frames = uninterrupted.of_type("reply.block", "reply.delta", "reply.finished")
    simulator.script(tokens=300, tokens_per_second=1500)
    await uninterrupted.say("One more", conversation_id=conversation_id)
    running = await uninterrupted.until("reply.started")
    await uninterrupted.until("reply.delta")
    tab = await open_tab(ann)

    await tab.send("conversation.open", conversation_id=conversation_id, cursor=cursor_of(frames, 10))
    state = await tab.until("conversation.state")
    await tab.until("reply.finished", reply_id=running["reply_id"])
    await uninterrupted.until("reply.finished", reply_id=running["reply_id"])

    assert state["recovered"] is False
    assert state["reply"]["reply_id"] == running["reply_id"]
    second = [f for f in uninterrupted.frames if f.get("reply_id") == running["reply_id"]]
    assert reply_text(state_as_frames(state) + tab.frames) == reply_text(second)
    assert len(state["messages"]) == 4


async def test_a_cursor_of_somebody_else_s_reply_opens_nothing(open_tab, ann, bob, assistant, uninterrupted):
    frames = uninterrupted.of_type("reply.block", "reply.delta", "reply.finished")
    own = await in_database_thread(make_conversation, bob, assistant)
    tab = await open_tab(bob)

    await tab.send("conversation.open", conversation_id=own.pk, cursor=cursor_of(frames, 0))
    state = await tab.until("conversation.state")
    await tab.read_all()

    assert state["recovered"] is False
    assert state["reply"] is None
    assert tab.of_type("reply.delta", "reply.finished") == []


async def test_an_ended_reply_keeps_its_frames_and_lets_its_run_go(uninterrupted):
    reply_id = UUID(uninterrupted.of_type("reply.finished")[0]["reply_id"])
    await uninterrupted.read_all()

    async def is_let_go():
        return registry.count() == 0

    await eventually(is_let_go)
    log = await registry.logs().find(reply_id)

    assert log is not None
    assert [json.loads(encode(frame)) for frame in log.frames_after(0)] == uninterrupted.of_type(
        "reply.block", "reply.delta", "reply.finished"
    )
