"""A refusal, from the provider's `stop_details` to what is sent, warmed and shown after it."""

import json
from typing import Any

import pytest

from chatapp.models import Message
from tests.chatapp.held_replies import breath_held
from tests.servers.chat_server import messages_of
from warmcache import services as warmcache
from warmcache.background.database import in_database_thread

pytestmark = pytest.mark.django_db(transaction=True)

DETAILS = {"type": "refusal", "category": "cyber", "explanation": "This could be used to break into systems."}


def sent_to(simulator) -> list[str]:
    """The words of the newest request's turns."""
    newest = [each for each in simulator.requests() if each["parsed"].get("stream")][-1]
    return [block["text"] for turn in messages_of(newest) for block in turn["content"]]


async def test_a_refused_turn_is_told_kept_shown_and_not_sent_again(open_tab, ann, assistant, simulator):
    tab = await open_tab(ann)
    simulator.script(text="Gladly.")
    await tab.say("Hello", assistant_id=assistant.pk)
    await tab.until("reply.finished")
    place = {"conversation_id": tab.of_type("message.created")[0]["conversation_id"]}
    simulator.script(text="I cannot", stop_reason="refusal", stop_details=DETAILS)
    await tab.say("Something that is refused", **place)
    refused = await tab.until("reply.finished")

    simulator.script(text="Yes.")
    await tab.say("Something else", **place)
    await tab.until("reply.finished")

    assert (refused["status"], refused["stop_reason"], refused["stop_details"]) == ("complete", "refusal", DETAILS)
    assert sent_to(simulator) == ["Hello", "Gladly.", "Something else"]
    await tab.send("conversation.open", **place)
    messages = (await tab.until("conversation.state"))["messages"]
    assert [message["text"] for message in messages] == [
        "Hello",
        "Gladly.",
        "Something that is refused",
        "I cannot",
        "Something else",
        "Yes.",
    ]
    assert [message["stop_details"] for message in messages] == [None, None, None, DETAILS, None, None]
    row = await in_database_thread(Message.objects.get, pk=refused["reply_id"])
    assert json.dumps(row.stop_details) == json.dumps(DETAILS)


async def test_what_waits_behind_a_refusal_is_held_for_its_sender(open_tab, ann, assistant, simulator):
    tab = await open_tab(ann)
    simulator.script(text="I cannot help with that. " * 20, stop_reason="refusal")
    simulator.fault(kind="stall", where="after_first_token", match="reply", after_tokens=8)
    await tab.say("Something that is refused", assistant_id=assistant.pk)
    started = await tab.until("reply.started")
    await tab.until("reply.delta")
    with breath_held(simulator):
        await tab.say("And then?", conversation_id=started["conversation_id"])
        await tab.until("message.queued")

    await tab.until("reply.finished", stop_reason="refusal")
    queue: list[dict[str, Any]] = []
    while not any(queued["is_held"] for queued in queue):
        queue = (await tab.until("conversation.updated"))["conversation"]["queue"]

    assert [(queued["text"], queued["is_held"]) for queued in queue] == [("And then?", True)]
    await tab.read_all()
    assert len(tab.of_type("reply.started")) == 1


async def test_after_a_refusal_a_warm_up_has_the_bytes_of_the_next_request(open_tab, ann, assistant, simulator):
    tab = await open_tab(ann)
    simulator.script(text="I cannot", stop_reason="refusal")
    await tab.say("Something that is refused", assistant_id=assistant.pk)
    finished = await tab.until("reply.finished")
    place = {"conversation_id": tab.of_type("message.created")[0]["conversation_id"]}
    await tab.until("conversation.updated")
    simulator.advance(3600 * 2)
    await warmcache.flush()

    await tab.send("typing.started", **place, chars=40, attachment_ids=[])
    await tab.until("warmth", conversation_id=place["conversation_id"])
    await tab.say("Something else", **place)
    await tab.until("reply.finished")

    bodies = [each["parsed"] for each in simulator.requests()]
    assert finished["stop_details"] is None
    assert sent_to(simulator) == ["Something else"]
    for body in bodies[1:]:
        assert body["system"] == bodies[-1]["system"]
        assert len(body["messages"]) == 1
