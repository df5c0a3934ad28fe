"""A reply belongs to the process: sockets come and go; it ends by itself, by a stop, at shutdown, or with its chat."""

import asyncio
import time
from functools import partial
from uuid import uuid4

import pytest

from chatapp import events
from chatapp.models import Message
from chatapp.protocol import MessageSend
from chatapp.replies import registry, sent_messages
from chatapp.replies import run as reply_run
from tests.chatapp.held_replies import begin_held_reply, reply_row, until_hung_up
from tests.chatapp.sockets import in_time, reply_text
from tests.servers import PATIENCE_SECONDS
from tests.servers.chat_server import messages_of
from warmcache import services as warmcache
from warmcache.background.database import in_database_thread
from warmcache.models import UsageRecord

pytestmark = pytest.mark.django_db(transaction=True)


async def test_a_reply_goes_on_without_any_socket(open_tab, ann, assistant, simulator):
    simulator.script(tokens=400, tokens_per_second=2000)
    tab = await open_tab(ann)
    await tab.say("A question", assistant_id=assistant.pk)
    started = await tab.until("reply.started")
    await tab.until("reply.delta")

    await tab.disconnect()
    await in_time(registry.tasks.join(timeout_seconds=PATIENCE_SECONDS))
    later = await open_tab(ann)
    await later.send("conversation.open", conversation_id=started["conversation_id"])
    state = await later.until("conversation.state")

    assert state["reply"] is None
    assert state["messages"][-1]["id"] == started["reply_id"]
    assert state["messages"][-1]["status"] == "complete"
    assert len(state["messages"][-1]["text"]) > len(reply_text(tab.frames)) > 0


async def test_a_socket_that_dies_before_the_ack_leaves_a_message_with_its_reply(open_tab, ann, assistant):
    tab = await open_tab(ann)
    await tab.say("Sent with the last breath", assistant_id=assistant.pk)
    await tab.disconnect()
    await in_time(registry.tasks.join(timeout_seconds=PATIENCE_SECONDS))

    rows = await in_database_thread(lambda: list(Message.objects.values_list("role", "status")))

    assert rows == [("user", "complete"), ("assistant", "complete")]


# Stop


async def test_stop_hangs_up_on_the_provider_and_keeps_the_text(open_tab, ann, assistant, simulator):
    tab = await open_tab(ann)
    started = await begin_held_reply(tab, simulator, assistant_id=assistant.pk)

    await tab.send("reply.stop", reply_id=started["reply_id"])
    await until_hung_up(simulator)
    finished = await tab.until("reply.finished")

    assert (finished["status"], finished["error"]) == ("stopped", None)
    assert finished["usage"]["input_tokens"] + finished["usage"]["cache_write_tokens"] > 1000
    row = await reply_row(started["reply_id"])
    assert row.status == "stopped"
    assert row.text == reply_text(tab.frames) != ""
    await warmcache.flush()
    record = await in_database_thread(UsageRecord.objects.get)
    assert (record.status, record.error_code) == ("stopped", "")


async def test_the_text_of_a_stopped_reply_is_part_of_what_follows(open_tab, ann, assistant, simulator):
    tab = await open_tab(ann)
    started = await begin_held_reply(tab, simulator, assistant_id=assistant.pk)
    await tab.send("reply.stop", reply_id=started["reply_id"])
    await tab.until("reply.finished")
    shown = reply_text(tab.frames)

    await tab.say("Go on", conversation_id=started["conversation_id"])
    await tab.until("reply.finished")

    turns = messages_of(simulator.requests()[-1])
    assert [turn["role"] for turn in turns] == ["user", "assistant", "user"]
    assert turns[1]["content"][0]["text"] == shown


async def test_a_second_stop_and_a_stop_after_the_end_are_harmless(open_tab, ann, assistant, simulator):
    tab = await open_tab(ann)
    started = await begin_held_reply(tab, simulator, assistant_id=assistant.pk)

    for _ in range(3):
        await tab.send("reply.stop", reply_id=started["reply_id"])
    await tab.until("reply.finished")
    await tab.send("reply.stop", reply_id=started["reply_id"])
    frames = await tab.read_all()

    assert not [f for f in frames if f["type"] == "error"]
    assert (await reply_row(started["reply_id"])).status == "stopped"


async def test_nobody_stops_somebody_else_s_reply(open_tab, ann, bob, assistant, simulator):
    hers, his = await open_tab(ann), await open_tab(bob)
    started = await begin_held_reply(hers, simulator, assistant_id=assistant.pk)

    await his.send("reply.stop", reply_id=started["reply_id"])
    error = await his.until("error")

    assert (error["code"], error["ref"]) == ("not_found", started["reply_id"])
    assert (await reply_row(started["reply_id"])).status == "streaming"
    assert not simulator.requests()[-1]["hung_up"]


async def test_a_stop_before_the_first_token_leaves_an_empty_stopped_reply(open_tab, ann, assistant, simulator):
    simulator.fault(kind="stall", where="before_headers", match="reply")
    tab = await open_tab(ann)
    await tab.say("A question", assistant_id=assistant.pk)
    started = await tab.until("reply.started")

    await tab.send("reply.stop", reply_id=started["reply_id"])
    finished = await tab.until("reply.finished")

    assert (finished["status"], finished["usage"], finished["ttft_ms"]) == ("stopped", None, None)
    assert (await reply_row(started["reply_id"])).text == ""


async def test_a_run_that_is_stopped_before_it_begins_still_ends(quiet_process, simulator, ann, assistant):
    frame = MessageSend(client_message_id=uuid4(), text="A question", assistant_id=assistant.pk)
    sent = await in_database_thread(sent_messages.store, ann, frame)
    run = reply_run.ReplyRun(sent, received_at=time.monotonic())
    running = asyncio.create_task(run.run())
    run.stop()

    await in_time(run.log.warmth_known())
    await in_time(running)

    assert run.log.is_finished
    assert (await reply_row(run.reply_id)).status == "stopped"


# Try again


async def test_regenerate_adds_a_sibling_and_keeps_the_earlier_reply(open_tab, ann, assistant, simulator):
    simulator.script(text="The first answer.")
    simulator.script(text="The second answer.")
    first, second = await open_tab(ann), await open_tab(ann)
    await first.say("A question", assistant_id=assistant.pk)
    created = await first.until("message.created")
    earlier = await first.until("reply.finished")
    await second.send("conversation.open", conversation_id=created["conversation_id"])
    await second.until("conversation.state")

    await first.send("reply.regenerate", reply_id=earlier["reply_id"])
    later = await first.until("reply.finished")
    await second.until("reply.finished")
    await second.send("conversation.open", conversation_id=created["conversation_id"])
    state = await second.until("conversation.state")

    assert later["reply_id"] != earlier["reply_id"]
    assert first.of_type("reply.started")[1]["parent_id"] == created["message_id"]
    assert first.of_type("reply.started")[1] == second.of_type("reply.started")[0]
    rows = await in_database_thread(
        lambda: list(Message.objects.filter(role="assistant").values_list("text", flat=True))
    )
    assert rows == ["The first answer.", "The second answer."]
    assert [m["text"] for m in state["messages"]] == ["A question", "The second answer."]
    # What the request before was called is all that may differ.
    bodies = [{**r["parsed"], "diagnostics": None} for r in simulator.requests()]
    assert bodies[0] == bodies[1]


async def test_news_of_a_reply_that_has_ended_already_still_brings_all_of_it(
    open_tab, ann, assistant, simulator, monkeypatch
):
    writes, reads = await open_tab(ann), await open_tab(ann)
    await writes.say("A question", assistant_id=assistant.pk)
    created = await writes.until("message.created")
    await writes.until("reply.finished")
    await reads.send("conversation.open", conversation_id=created["conversation_id"])
    await reads.until("conversation.state")
    late, announce = [], events.announce_conversation

    async def announce_later(*event: object, **more: object) -> None:
        late.append(partial(announce, *event, **more))

    with monkeypatch.context() as patch:
        patch.setattr(events, "announce_conversation", announce_later)
        await writes.say("Another", conversation_id=created["conversation_id"])
        finished = await writes.until("reply.finished")
    await late[0]()
    await late[0]()

    assert await reads.until("reply.finished") == finished
    assert [f["type"] for f in await reads.read_all() if f["type"].startswith("reply.")] == []
    reply_id = finished["reply_id"]
    assert reply_text(f for f in reads.frames if f.get("reply_id") == reply_id) == reply_text(
        f for f in writes.frames if f.get("reply_id") == reply_id
    )


async def test_a_reply_that_runs_is_not_regenerated_beside_itself(open_tab, ann, assistant, simulator):
    tab = await open_tab(ann)
    started = await begin_held_reply(tab, simulator, assistant_id=assistant.pk)

    await tab.send("reply.regenerate", reply_id=started["reply_id"])
    error = await tab.until("error")

    assert (error["code"], error["ref"], error["retryable"]) == ("reply_running", started["reply_id"], True)
    assert await in_database_thread(Message.objects.filter(role="assistant").count) == 1


@pytest.mark.parametrize("kind", ["reply.regenerate", "reply.stop"])
async def test_what_is_no_reply_of_yours_is_not_found(open_tab, ann, bob, assistant, simulator, kind):
    hers, his = await open_tab(ann), await open_tab(bob)
    await hers.say("A question", assistant_id=assistant.pk)
    finished = await hers.until("reply.finished")
    created = hers.of_type("message.created")[0]

    await his.send(kind, reply_id=finished["reply_id"])
    await his.send(kind, reply_id=uuid4())
    await hers.send(kind, reply_id=created["message_id"])
    await his.read_all()
    await hers.read_all()

    assert [f["code"] for f in his.of_type("error")] == ["not_found", "not_found"]
    assert [f["code"] for f in hers.of_type("error")] == ["not_found"]
    assert len(simulator.requests()) == 1


# Other kinds of blocks


async def test_thinking_and_tool_calls_are_shown_and_stored_and_only_what_can_be_goes_back(
    open_tab, ann, assistant, simulator
):
    blocks = [
        {"type": "thinking", "thinking": "Let me see."},
        {"type": "text", "text": "I look it up."},
        {"type": "tool_use", "name": "look_up", "input": {"word": "cache"}},
    ]
    simulator.script(blocks=blocks)
    simulator.script(text="Fine.")
    tab = await open_tab(ann)

    await tab.say("A question", assistant_id=assistant.pk)
    finished = await tab.until("reply.finished")
    created = tab.of_type("message.created")[0]
    await tab.say("And now?", conversation_id=created["conversation_id"])
    await tab.until("reply.finished")
    await tab.send("conversation.open", conversation_id=created["conversation_id"])
    state = await tab.until("conversation.state")

    began = [f for f in tab.of_type("reply.block") if f["reply_id"] == finished["reply_id"] and f["state"] == "start"]
    assert [(f["kind"], f["name"]) for f in began] == [("thinking", ""), ("text", ""), ("tool_input", "look_up")]
    shown = [(b["kind"], b["text"]) for b in state["messages"][1]["blocks"]]
    assert shown[:2] == [("thinking", "Let me see."), ("text", "I look it up.")]
    assert (shown[2][0], "cache" in shown[2][1]) == ("tool_input", True)
    assert state["messages"][1]["text"] == "I look it up."
    assert finished["stop_reason"] == "tool_use"
    turns = messages_of(simulator.requests()[-1])
    assert [block["type"] for turn in turns for block in turn["content"]] == ["text", "thinking", "text", "text"]


async def test_an_empty_reply_is_complete_and_what_follows_is_accepted(open_tab, ann, assistant, simulator):
    simulator.script(text="")
    tab = await open_tab(ann)
    await tab.say("A question", assistant_id=assistant.pk)
    empty = await tab.until("reply.finished")

    await tab.say("Hello?", conversation_id=tab.of_type("message.created")[0]["conversation_id"])
    finished = await tab.until("reply.finished")

    assert (empty["status"], empty["ttft_ms"]) == ("complete", None)
    assert finished["status"] == "complete"
    turns = messages_of(simulator.requests()[-1])
    assert [turn["role"] for turn in turns] == ["user"]
    assert [block["text"] for block in turns[0]["content"]] == ["A question", "Hello?"]
