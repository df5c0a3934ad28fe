"""What the ledger says, layer by layer, of a chat over a socket with a real simulator behind it."""

from typing import Any

import pytest
from django.db.models import F

from chatapp.models import Assistant, Conversation, User
from tests.chatapp.sockets import Tab
from tests.factories import make_conversation, make_message
from warmcache import services as warmcache
from warmcache.background.database import in_database_thread
from warmcache.models import UsageRecord, WarmUp

pytestmark = pytest.mark.django_db(transaction=True)

LONG_ANSWER = "The cache of prompts is kept warm by reading it before it lapses. " * 300


def make_chat(user: User, assistant: Assistant) -> Conversation:
    conversation = make_conversation(user, assistant)
    question = make_message(conversation, "How is it kept warm?")
    make_message(conversation, LONG_ANSWER, role="assistant", parent=question, status="complete")
    return conversation


async def warm(tab: Tab, conversation: Conversation) -> None:
    await tab.send("typing.started", conversation_id=str(conversation.pk), chars=1, attachment_ids=[])
    await tab.until("warmth", state="warm")


async def settled() -> list[dict[str, Any]]:
    await warmcache.flush()
    (row,) = await in_database_thread(lambda: list(WarmUp.objects.all()))
    columns = ("layer", "outcome", "written_tokens", "credited_tokens", "cost_usd", "request_id")
    return await in_database_thread(lambda: list(row.lines.order_by("position").values(*columns)))


async def test_each_layer_of_what_was_typed_is_credited_to_the_reply_that_read_it(open_tab, ann, assistant, simulator):
    conversation = await in_database_thread(make_chat, ann, assistant)
    tab = await open_tab(ann)

    await warm(tab, conversation)
    await tab.say("And then?", conversation_id=conversation.pk)
    await tab.until("reply.finished")
    lines = await settled()

    warm_up = await in_database_thread(WarmUp.objects.get)
    record = await in_database_thread(UsageRecord.objects.get)
    assert [(line["layer"], line["outcome"]) for line in lines] == [("shared", "hit"), ("conversation", "hit")]
    assert all(line["credited_tokens"] == line["written_tokens"] > 1000 for line in lines)
    assert sum(line["cost_usd"] for line in lines) == warm_up.cost_usd > 0
    assert {line["request_id"] for line in lines} == {record.pk}
    assert warm_up.place == record.place != ""
    assert (record.miss_reason, record.response_id[:4], warm_up.response_id[:4]) == ("", "msg_", "msg_")


async def test_what_was_warmed_under_other_bytes_has_diverged_and_the_provider_says_why(
    open_tab, ann, assistant, simulator
):
    conversation = await in_database_thread(make_chat, ann, assistant)
    tab = await open_tab(ann)
    await warm(tab, conversation)
    edited_elsewhere = {"system_prompt": "You help in verse.", "revision": F("revision") + 1}
    await in_database_thread(lambda: Assistant.objects.filter(pk=assistant.pk).update(**edited_elsewhere))

    await tab.say("And then?", conversation_id=conversation.pk)
    await tab.until("reply.finished")
    lines = await settled()

    record = await in_database_thread(UsageRecord.objects.get)
    assert [(line["layer"], line["outcome"]) for line in lines] == [
        ("shared", "diverged"),
        ("conversation", "diverged"),
    ]
    assert (record.warmth, record.miss_reason) == ("cold", "system_changed")
