"""From the first key to the last token, over a socket, the real services and a real simulator."""

from decimal import Decimal

import pytest

from chatapp.models import Message
from tests.chatapp.sockets import Tab, reply_text
from tests.servers.chat_server import messages_of
from warmcache import services as warmcache
from warmcache.background.database import in_database_thread
from warmcache.core.prompt import passages
from warmcache.models import UsageRecord, WarmUp

pytestmark = pytest.mark.django_db(transaction=True)

QUERIES_BEFORE_THE_FIRST_TOKEN = 9
"""Of the first message of a chat: earlier copy, assistant, conversation, message, reply; question, documents; and
beside them one look at the conversation and its queue for the lists of all tabs."""

QUERIES_OF_A_LATER_MESSAGE = 13
"""Conversation with its lock, earlier copy, running reply, queue, end of the branch, message, reply, its time;
question, documents, ancestors; and the look at the conversation and its queue for the lists."""


async def warm_up(tab: Tab, assistant) -> None:
    await tab.send("typing.started", conversation_id=None, assistant_id=assistant.pk, chars=1)
    await tab.until("warmth", state="warm")


async def test_a_message_that_was_typed_first_is_answered_from_a_warm_cache(open_tab, ann, assistant, simulator):
    tab = await open_tab(ann)
    await tab.send("conversation.open", conversation_id=None, assistant_id=assistant.pk)
    opened = await tab.until("conversation.state")

    await tab.send("typing.started", conversation_id=None, assistant_id=assistant.pk, chars=1)
    warming = await tab.until("warmth", state="warming")
    warm = await tab.until("warmth", state="warm")
    client_message_id = await tab.say("How is the cache kept warm?", assistant_id=assistant.pk)
    created = await tab.until("message.created")
    started = await tab.until("reply.started")
    finished = await tab.until("reply.finished")

    assert opened["conversation"] is None
    assert opened["assistant"]["slug"] == "guide"
    assert warming["assistant_id"] == warm["assistant_id"] == assistant.pk
    assert warm["prefix_tokens"] > 1000
    assert warm["estimated_expires_at"].endswith("Z")
    assert created["client_message_id"] == client_message_id
    assert started["parent_id"] == created["message_id"]
    assert started["conversation_id"] == created["conversation_id"]
    assert started["warmth"] == finished["warmth"] == "hit"
    assert finished["status"] == "complete"
    await warmcache.flush()
    row = await in_database_thread(WarmUp.objects.get)
    assert finished["warm_up_id"] == str(row.pk)
    assert row.outcome == "hit"
    assert row.intent == "typing"
    assert finished["usage"]["cache_read_tokens"] >= 0.99 * row.cache_write_tokens > 0
    assert [r["is_warm_up"] for r in simulator.requests()] == [True, False]


async def test_a_reply_s_frames_come_in_order_and_without_a_gap(open_tab, ann, assistant, simulator, frame_per_delta):
    simulator.script(tokens=400)
    tab = await open_tab(ann)

    await tab.say("Go on", assistant_id=assistant.pk)
    finished = await tab.until("reply.finished")

    of_reply = [f for f in tab.frames if f.get("reply_id") == finished["reply_id"] and "seq" in f]
    kinds = [f["type"] for f in tab.frames if f["type"] not in ("warmth", "conversation.updated")]
    assert kinds[:4] == ["ready", "message.created", "reply.started", "reply.block"]
    assert kinds[4:-2] == ["reply.delta"] * (len(kinds) - 6)
    assert kinds[-2:] == ["reply.block", "reply.finished"]
    assert len(kinds) > 20
    assert [f["seq"] for f in of_reply] == list(range(1, len(of_reply) + 1))
    assert len({f["epoch"] for f in of_reply}) == 1


async def test_the_rows_of_an_ended_reply_are_complete(open_tab, ann, assistant):
    tab = await open_tab(ann)
    await warm_up(tab, assistant)

    await tab.say("How is the cache kept warm?", assistant_id=assistant.pk)
    finished = await tab.until("reply.finished")

    reply = await in_database_thread(Message.objects.get, pk=finished["reply_id"])
    assert reply.status == "complete"
    assert reply.stop_reason == finished["stop_reason"] == "end_turn"
    assert reply.text == reply_text(tab.frames) != ""
    assert reply.content == [{"type": "text", "text": reply.text}]
    counts = ("input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens")
    assert {name: getattr(reply, name) for name in counts} == finished["usage"]
    assert reply.cost_usd == Decimal(finished["cost_usd"]) > 0
    assert reply.ttft_ms == finished["ttft_ms"] is not None
    assert str(reply.warm_up_id) == finished["warm_up_id"]
    assert reply.request_id.startswith("req_")
    assert reply.finished_at is not None
    await warmcache.flush()
    record = await in_database_thread(UsageRecord.objects.get)
    assert record.request_id == reply.request_id
    assert (record.status, record.warmth, record.label) == ("complete", "hit", "guide")
    assert record.cost_usd == reply.cost_usd
    assert str(record.warm_up_id) == finished["warm_up_id"]


async def test_the_second_message_follows_what_the_page_shows(open_tab, ann, assistant, simulator):
    simulator.script(text="The first answer.")
    tab = await open_tab(ann)
    await tab.say("The first question", assistant_id=assistant.pk)
    created = await tab.until("message.created")
    await tab.until("reply.finished")

    await tab.say("The second question", conversation_id=created["conversation_id"])
    await tab.until("reply.finished")

    sent = messages_of(simulator.requests()[-1])
    said = [(turn["role"], [block["text"] for block in turn["content"]]) for turn in sent]
    assert said == [
        ("user", ["The first question"]),
        ("assistant", ["The first answer."]),
        ("user", ["The second question"]),
    ]


async def test_the_browser_s_own_first_token_time_is_stored_once(open_tab, ann, assistant):
    tab = await open_tab(ann)
    await tab.say("How long?", assistant_id=assistant.pk)
    finished = await tab.until("reply.finished")

    await tab.send("reply.seen", reply_id=finished["reply_id"], seq=1, ttft_ms=123.4)
    await tab.send("reply.seen", reply_id=finished["reply_id"], seq=2, ttft_ms=999)
    await tab.send("reply.seen", reply_id=finished["reply_id"], seq=3)
    await tab.read_all()

    reply = await in_database_thread(Message.objects.get, pk=finished["reply_id"])
    assert reply.browser_ttft_ms == 123


async def test_few_queries_stand_between_a_message_and_its_first_token(open_tab, ann, assistant, simulator, queries):
    tab = await open_tab(ann)
    await warm_up(tab, assistant)
    await warmcache.flush()
    queries.clear()

    await tab.say("How many?", assistant_id=assistant.pk)
    await tab.until("reply.delta")

    of_chat = [sql for sql in queries if "warmcache_" not in sql]
    assert len(of_chat) <= QUERIES_BEFORE_THE_FIRST_TOKEN, "\n".join(of_chat)


async def test_a_later_message_needs_few_queries_too(open_tab, ann, assistant, queries):
    tab = await open_tab(ann)
    await tab.say("The first", assistant_id=assistant.pk)
    created = await tab.until("message.created")
    await tab.until("reply.finished")
    await tab.until("warmth")
    await warmcache.flush()
    queries.clear()

    await tab.say("The second", conversation_id=created["conversation_id"])
    await tab.until("reply.delta")

    of_chat = [sql for sql in queries if "warmcache_" not in sql]
    assert len(of_chat) <= QUERIES_OF_A_LATER_MESSAGE, "\n".join(of_chat)


async def test_what_typing_has_hashed_is_not_hashed_again_for_the_message(open_tab, ann, assistant, monkeypatch):
    tab = await open_tab(ann)
    await warm_up(tab, assistant)
    hashed = []
    canonical_bytes = passages.canonical_bytes
    monkeypatch.setattr(passages, "canonical_bytes", lambda value: hashed.append(value) or canonical_bytes(value))

    await tab.say("How often?", assistant_id=assistant.pk)
    await tab.until("reply.delta")

    assert [value for value in hashed if "How often?" in str(value)]
    assert not [value for value in hashed if "Paragraph 1 tells" in str(value)]
