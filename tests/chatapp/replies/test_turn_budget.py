"""What one message costs: statements and hops of a follow-up in a conversation that this process has served."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest

from chatapp.conversations import access, places, prepared_conversations
from chatapp.models import Conversation, Message
from tests.chatapp.sockets import Tab, eventually
from tests.counting import Counts, counted
from warmcache import services as warmcache
from warmcache.background.database import in_database_thread
from warmcache.conf import get_config
from warmcache.core.intents import Intent
from warmcache.core.origin import Origin
from warmcache.core.prefix import build
from warmcache.core.reasons import Reason
from warmcache.core.usage import Usage
from warmcache.ledger import rows
from warmcache.ledger.rows import WarmUpFacts
from warmcache.models import WarmUp
from warmcache.upstream.anthropic import MessagesProvider

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("nothing_by_the_clock")]

OF_THE_CHAT = ('"chatapp_',)

BEFORE_THE_CALL = ["SELECT", "SELECT", "INSERT", "UPDATE", "INSERT"]
"""The lock, the guards, both rows, the conversation, what is charged to the person."""

AT_THE_END = ["UPDATE", "SELECT", "INSERT"]
"""The reply's row; the conversation with its queue; what is given back to the person."""

SEEN = ["UPDATE"]
"""The time that the person felt."""


STATEMENTS = 10 + 2
"""Of a whole turn, with the ledger's own three; two are for the limits per person."""

HOPS = 3
"""To store the message, its end, and what the page has felt."""

STATEMENTS_OF_A_SETTLEMENT = 4
"""More, where a warm-up is settled."""

ROUND_TRIPS = 6
"""To Redis, beside the batches of the reply's log: the look before the call, the news of the turn, what the answer
showed and what it earned, the news of the end, and the badge."""


@contextmanager
def noting_calls(monkeypatch, counts: Counts) -> Iterator[list[tuple[list[str], int]]]:
    """The statements and hops that were counted when each request was about to go to the provider."""
    noted: list[tuple[list[str], int]] = []
    stream = MessagesProvider.stream

    def noting(*args: Any, **kwargs: Any) -> Any:
        noted.append((list(counts.statements), counts.hops))
        return stream(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(MessagesProvider, "stream", noting)
        yield noted


async def open_conversation(tab: Tab, conversation_id: str) -> None:
    await tab.send("conversation.open", conversation_id=conversation_id)
    await tab.until("conversation.state")
    await tab.until("warmth")


async def first_turn(tab: Tab, assistant_id: int) -> str:
    await tab.say("The first", assistant_id=assistant_id)
    created = await tab.until("message.created")
    await tab.until("reply.finished")
    await tab.until("warmth")
    # The task behind the reply looks for what waits: its look must not fall into the next turn.
    await tab.read_all()
    await warmcache.flush()
    return str(created["conversation_id"])


async def turn(tab: Tab, conversation_id: str) -> None:
    """From the press to the last thing that the page tells."""
    await tab.say("And then?", conversation_id=conversation_id)
    finished = await tab.until("reply.finished")
    await tab.until("conversation.updated")
    await tab.send("reply.seen", reply_id=finished["reply_id"], seq=1, ttft_ms=12.0)
    await tab.read_all()


async def turn_with_its_badge(tab: Tab, conversation_id: str, counts: Counts) -> None:
    """Until Redis was asked for the badge, too: a look before the call, and this one after the end."""

    async def has_looked_again() -> bool:
        return counts.round_trips.count("MGET") >= 2

    await turn(tab, conversation_id)
    await eventually(has_looked_again)


def without_the_log(round_trips: list[str]) -> list[str]:
    """Without the batches in which the owner mirrors a reply's log, which begin with one of these commands."""
    return [trip for trip in round_trips if not trip.startswith(("DEL+", "XADD", "XTRIM", "PEXPIRE", "XREAD"))]


def warm_up_before(conversation_id: str) -> None:
    """A warm-up of what the next message follows, as it is in the ledger when it is read."""
    ready = prepared_conversations.of(access.with_assistant().get(pk=conversation_id))
    request = build(replace(ready.prompt, settings=replace(ready.prompt.settings, shared_ttl="5m")), None)
    origin = Origin(
        label=ready.label,
        subject=f"user {ready.user_id}",
        upstream=get_config().upstream,
        place=places.place_of(ready.conversation_id),
    )
    facts = WarmUpFacts(
        id=uuid4(),
        origin=origin,
        prefix=request.prefix,
        intent=Intent.TYPING,
        reason=Reason.COLD,
        started_at=time.time() - 2,
    )
    usage = Usage(input_tokens=5, cache_write_tokens=request.prefix.prefix_tokens)
    rows.insert_warm_up(facts)
    rows.finish_warm_up(facts, usage=usage, rates=None, duration_ms=100, request_id="req_warm")


def verbs(statements: list[str]) -> list[str]:
    return [sql.split(None, 1)[0] for sql in statements]


def add_history(conversation_id: str, messages: int) -> None:
    conversation = Conversation.objects.get(pk=conversation_id)
    rows: list[Message] = []
    parent = conversation.messages.order_by("created_at").last()
    for number in range(messages):
        role = ("user", "assistant")[number % 2]
        content = [{"type": "text", "text": f"Message {number}"}]
        rows.append(Message(conversation=conversation, parent=parent, role=role, text=f"{number}", content=content))
        parent = rows[-1]
    Message.objects.bulk_create(rows)
    rows[-1].save()


async def test_a_follow_up_takes_four_statements_in_one_hop_before_the_call(
    open_tab, ann, assistant, simulator, monkeypatch
):
    tab = await open_tab(ann)
    conversation_id = await first_turn(tab, assistant.pk)

    with counted() as counts, noting_calls(monkeypatch, counts) as calls:
        await turn(tab, conversation_id)

    [(before, hops)] = calls
    assert verbs(before) == BEFORE_THE_CALL, "\n".join(before)
    assert hops == 1
    assert not [sql for sql in before if '"content"' in sql and sql.startswith("SELECT")]
    of_chat = counts.about(*OF_THE_CHAT)
    assert verbs(of_chat) == BEFORE_THE_CALL + AT_THE_END + SEEN, "\n".join(of_chat)
    assert len(counts.statements) <= STATEMENTS, "\n".join(counts.statements)
    assert (counts.hops, counts.new_connections) == (HOPS, 0)


async def test_with_twenty_tabs_and_a_thousand_messages_it_is_the_same(
    open_tab, ann, assistant, simulator, monkeypatch
):
    tab = await open_tab(ann)
    conversation_id = await first_turn(tab, assistant.pk)
    others = [await open_tab(ann) for _ in range(19)]
    for other in others:
        await open_conversation(other, conversation_id)
    await in_database_thread(add_history, conversation_id, 1000)
    await tab.say("Read it anew", conversation_id=conversation_id)
    await tab.until("reply.finished")
    for each in (tab, *others):
        await each.read_all()

    with counted() as counts, noting_calls(monkeypatch, counts) as calls:
        await turn(tab, conversation_id)
        for other in others:
            await other.until("message.created", text="And then?")
            await other.until("reply.finished")
            await other.until("conversation.updated")
            await other.read_all()

    [(before, hops)] = calls
    assert (verbs(before), hops) == (BEFORE_THE_CALL, 1), "\n".join(before)
    of_chat = counts.about(*OF_THE_CHAT)
    assert verbs(of_chat) == BEFORE_THE_CALL + AT_THE_END + SEEN, "\n".join(of_chat)
    assert len(counts.statements) <= STATEMENTS, "\n".join(counts.statements)
    assert (counts.hops, counts.new_connections) == (HOPS, 0)


async def test_settling_a_warm_up_takes_four_statements_more_and_no_hop(
    open_tab, ann, assistant, simulator, monkeypatch
):
    tab = await open_tab(ann)
    conversation_id = await first_turn(tab, assistant.pk)
    await in_database_thread(warm_up_before, conversation_id)

    with counted() as counts, noting_calls(monkeypatch, counts) as calls:
        await turn(tab, conversation_id)

    [(before, hops)] = calls
    assert (verbs(before), hops) == (BEFORE_THE_CALL, 1), "\n".join(before)
    assert await in_database_thread(WarmUp.objects.filter(outcome="hit").count) == 1
    of_settlement = counts.about("warmcache_warmup")
    assert len(of_settlement) == 1 + STATEMENTS_OF_A_SETTLEMENT, "\n".join(of_settlement)
    assert len(counts.statements) <= STATEMENTS + STATEMENTS_OF_A_SETTLEMENT, "\n".join(counts.statements)
    assert (counts.hops, counts.new_connections) == (HOPS, 0)


@pytest.fixture
def on_redis(settings, redis_server) -> None:
    """The process shares what it knows through Redis, as several do."""
    settings.REDIS_URL = redis_server.url
    settings.WARMCACHE = {**settings.WARMCACHE, "REDIS_URL": redis_server.url}
    layer = {"BACKEND": "chatapp.socket.channel_layer.SteadyPubSubLayer"}
    settings.CHANNEL_LAYERS = {"default": {**layer, "CONFIG": {"hosts": [{"address": redis_server.url}]}}}


async def test_redis_is_asked_once_before_the_call_and_six_times_in_a_turn(
    on_redis, open_tab, ann, assistant, simulator, monkeypatch
):
    tab = await open_tab(ann)
    conversation_id = await first_turn(tab, assistant.pk)
    with counted() as counts:  # its badge may not fall into the turn that is counted
        await turn_with_its_badge(tab, conversation_id, counts)

    with counted() as counts:
        before: list[list[str]] = []
        stream = MessagesProvider.stream

        def noting(*args: Any, **kwargs: Any) -> Any:
            before.append(list(counts.round_trips))
            return stream(*args, **kwargs)

        monkeypatch.setattr(MessagesProvider, "stream", noting)
        await turn_with_its_badge(tab, conversation_id, counts)

    assert [without_the_log(trips) for trips in before] == [["MGET"]]
    round_trips = without_the_log(counts.round_trips)
    assert len(round_trips) <= ROUND_TRIPS, round_trips
    assert counts.round_trips.count("PUBLISH") == 2
