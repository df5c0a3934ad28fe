"""Documents cut per question, on the wire: the passages go with the question and stay, so that the cache is read on."""

import pytest

from chatapp.conversations import prepared_conversations
from chatapp.models import Message
from tests.chatapp.socket.test_tool_rounds import sent, unmarked
from tests.chatapp.sockets import Tab
from tests.factories import make_assistant
from warmcache.background.database import in_database_thread

pytestmark = pytest.mark.django_db(transaction=True)

DOCUMENTS = ("Barges are long boats. " * 60, "Bananas are yellow fruit. " * 60)


async def ask(tab: Tab, question: str, **place: object) -> str:
    await tab.say(question, **place)
    finished = await tab.until("reply.finished")
    assert finished["status"] == "complete", finished["error"]
    return str(tab.of_type("message.created")[-1]["conversation_id"])


async def test_passages_go_with_each_question_and_what_follows_has_the_same_bytes(open_tab, ann, simulator):
    long = "You answer from the passages that you are given. " * 200
    cut = await in_database_thread(
        lambda: make_assistant(
            **{"system_prompt": long, "documents": DOCUMENTS, "cuts_documents": True, "passage_tokens": 1_000},
            # Otherwise chosen for each request, by what this process has learned meanwhile.
            **{"shared_ttl": "5m", "conversation_ttl": "5m"},
        )
    )
    tab = await open_tab(ann)

    conversation_id = await ask(tab, "Bananas?", assistant_id=cut.pk)
    await ask(tab, "Barges?", conversation_id=conversation_id)
    prepared_conversations.store.clear()
    await ask(tab, "Well?", conversation_id=conversation_id)

    bodies = [each["parsed"] for each in sent(simulator)]
    asked = [[block["text"] for block in body["messages"][-1]["content"]] for body in bodies]
    assert asked[0][-2].startswith("<passages>")
    assert "Bananas are yellow" in asked[0][-2]
    assert "Barges" not in asked[0][-2]
    assert "Barges are long" in asked[1][-2]
    assert [texts[-1] for texts in asked] == ["Bananas?", "Barges?", "Well?"]
    assert len(asked[2]) == 1, "no passage has this word"
    assert not any("yellow fruit" in block["text"] for block in bodies[0]["system"])
    for earlier, later in zip(bodies, bodies[1:], strict=False):
        past = unmarked(earlier["messages"])
        assert unmarked(later["messages"])[: len(past)] == past
        assert unmarked(later["system"]) == unmarked(earlier["system"])
    usages = [each["usage"] for each in sent(simulator)]
    for before, after in zip(usages, usages[1:], strict=False):
        cached = before["cache_read_input_tokens"] + before["cache_creation_input_tokens"]
        assert after["cache_read_input_tokens"] == cached > 0
    texts = await in_database_thread(lambda: list(Message.objects.filter(role="user").values_list("text", flat=True)))
    assert set(texts) == {"Bananas?", "Barges?", "Well?"}
