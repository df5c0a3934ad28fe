"""Another assistant from here on, as tabs and the provider see it."""

import pytest

from chatapp.conversations import conversations
from tests.factories import make_assistant
from warmcache.background.database import in_database_thread

pytestmark = pytest.mark.django_db(transaction=True)


async def test_the_next_reply_is_the_other_assistant_s_and_the_earlier_keep_the_name_of_theirs(
    open_tab, ann, assistant, simulator
):
    other = await in_database_thread(
        lambda: make_assistant(name="Pilot", model="claude-haiku-5-5", system_prompt="You steer.")
    )
    tab = await open_tab(ann)
    await tab.say("First", assistant_id=assistant.pk)
    created = await tab.until("message.created")
    await tab.until("reply.finished")
    place = {"conversation_id": created["conversation_id"]}
    await tab.read_all()

    assert await in_database_thread(conversations.go_on_with, ann, created["conversation_id"], other.pk)
    # The end of the reply may be told late, too.
    while (await tab.until("conversation.updated"))["conversation"]["assistant_id"] != other.pk:
        pass
    await tab.say("Second", **place)
    await tab.until("reply.finished")
    await tab.send("conversation.open", **place)
    state = await tab.until("conversation.state")

    assert (state["assistant"]["name"], state["assistant"]["model"]) == ("Pilot", "claude-haiku-5-5")
    replies = [message for message in state["messages"] if message["role"] == "assistant"]
    assert [(reply["assistant"], reply["model"]) for reply in replies] == [
        (assistant.name, assistant.model),
        ("Pilot", "claude-haiku-5-5"),
    ]
    sent = [each["parsed"] for each in simulator.requests() if each["parsed"].get("stream")]
    assert sent[-1]["model"] == "claude-haiku-5-5"
    assert "You steer." in str(sent[-1]["system"])
    assert "First" in str(sent[-1]["messages"])
