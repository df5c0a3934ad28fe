"""Signs of a message other than keys: a chat is opened, something is attached, a reply has ended."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from chatapp.models import Attachment, User
from chatapp.socket import conversation_states
from chatapp.warming import returns
from tests.chatapp.sockets import Tab
from tests.factories import make_assistant, make_conversation, make_message
from tests.servers.chat_server import messages_of
from warmcache import services as warmcache
from warmcache.background.database import in_database_thread
from warmcache.models import SkipCount, WarmUp
from warmcache.runtime.wiring import get_runtime

pytestmark = pytest.mark.django_db(transaction=True)

HUGE_DOCUMENT = "".join(f"Paragraph {n} tells how the cache of prompts is kept warm, and why.\n\n" for n in range(9000))


async def counted_intents() -> set[tuple[str, str]]:
    await warmcache.flush()
    return set(await in_database_thread(lambda: list(SkipCount.objects.values_list("intent", "reason"))))


async def intents_of_warm_ups() -> list[str]:
    await warmcache.flush()
    rows = WarmUp.objects.order_by("started_at").values_list("intent", flat=True)
    return await in_database_thread(list, rows)


async def test_to_open_a_chat_is_considered_and_mostly_too_weak_a_sign(open_tab, ann, assistant, simulator, settings):
    settings.WARMCACHE = {**settings.WARMCACHE, "INTENTS": ["open", "typing"]}
    tab = await open_tab(ann)

    await tab.send("conversation.open", assistant_id=assistant.pk)
    shown = await tab.until("warmth")

    assert await counted_intents() in ({("open", "not_worth_it")}, {("open", "not_yet")})
    assert (shown["state"], shown["reason"]) == ("cold", None)
    assert simulator.requests() == []


async def test_where_seconds_are_dear_opening_a_huge_prompt_warms_it(open_tab, ann, simulator, settings):
    knobs = {"INTENTS": ["open", "typing"], "VALUE_OF_SECOND_USD": "50", "MAX_COST_PER_WARM_UP_USD": "5"}
    settings.WARMCACHE = {**settings.WARMCACHE, **knobs}
    huge = await in_database_thread(lambda: make_assistant(slug="huge", documents=(HUGE_DOCUMENT,)))
    tab = await open_tab(ann)
    # Most people who opened this one wrote soon after.
    for _ in range(300):
        get_runtime().learning.saw_sign("huge", "open", sent=True, lead_seconds=20.0)

    await tab.send("conversation.open", assistant_id=huge.pk)
    await tab.until("warmth", state="warming")
    await tab.until("warmth", state="warm")

    assert await intents_of_warm_ups() == ["open"]


async def test_opening_what_is_warm_costs_the_queries_of_its_state_and_no_more(
    open_tab, ann, assistant, queries, simulator
):
    def stored():
        conversation = make_conversation(ann, assistant)
        make_message(conversation, "The answer", role="assistant", parent=make_message(conversation, "The question"))
        return conversation

    conversation = await in_database_thread(stored)
    tab = await open_tab(ann)
    await tab.send("typing.started", conversation_id=conversation.pk, chars=25)
    await tab.until("warmth", state="warm")
    await tab.read_all()
    await warmcache.flush()
    queries.clear()
    await conversation_states.open_conversation(ann, conversation.pk, None)
    needed = shapes(queries)
    queries.clear()

    await tab.send("conversation.open", conversation_id=conversation.pk)
    await tab.until("conversation.state")
    await tab.read_all()

    assert shapes(queries) == needed
    assert [r["is_warm_up"] for r in simulator.requests()] == [True]


async def test_what_stands_before_a_message_is_warmed_while_that_is_edited(open_tab, ann, assistant, simulator):
    def stored():
        conversation = make_conversation(ann, assistant)
        answer = make_message(conversation, "So.", role="assistant", parent=make_message(conversation, "The question"))
        return conversation, make_message(conversation, "The second one", parent=answer)

    conversation, second = await in_database_thread(stored)
    tab = await open_tab(ann)
    place = {"conversation_id": conversation.pk, "edit_of": second.pk}

    await tab.send("typing.started", chars=25, **place)
    while "typing" not in await intents_of_warm_ups():  # noqa: ASYNC110 - the row says so, no event does
        await asyncio.sleep(0.01)
    await get_runtime().tasks.join()
    await tab.say("Better put", **place)
    finished = await tab.until("reply.finished")

    warm_up, reply = simulator.requests()
    assert (warm_up["is_warm_up"], reply["is_warm_up"]) == (True, False)
    before = [turn["content"][-1]["text"] for turn in messages_of(warm_up)][:-1]
    assert before == ["The question", "So."]
    assert finished["warmth"] == "hit"
    assert finished["usage"]["cache_read_tokens"] > 0


async def test_a_message_of_somebody_else_cannot_be_named_as_edited(open_tab, ann, bob, assistant, simulator):
    def stored():
        mine, theirs = make_conversation(ann, assistant), make_conversation(bob, assistant)
        return mine, make_message(theirs, "A secret")

    mine, theirs = await in_database_thread(stored)
    tab = await open_tab(ann)

    await tab.send("typing.started", conversation_id=mine.pk, edit_of=theirs.pk, chars=25)

    assert (await tab.until("error"))["code"] == "not_found"
    assert simulator.requests() == []


def shapes(queries: list[str]) -> list[str]:
    """Of the chat's own tables: the runtime reads its policy and writes its ledger at its own pace."""
    return sorted(sql for sql in queries if '"chatapp_' in sql)


async def test_a_connection_that_comes_back_is_no_sign(open_tab, ann, assistant, simulator):
    conversation = await in_database_thread(make_conversation, ann, assistant)
    tab = await open_tab(ann)

    cursor = {"reply_id": "7d1f4a52-52f3-4f3b-8a44-0c0f3f6f5a10", "epoch": "x", "after_seq": 3}
    await tab.send("conversation.open", conversation_id=conversation.pk, cursor=cursor)
    await tab.until("warmth")

    assert await counted_intents() == set()


async def test_what_is_attached_is_warmed_while_the_question_is_typed(open_tab, ann, assistant, simulator):
    def stored() -> Attachment:
        return Attachment.objects.create(user=ann, name="report.txt", text=HUGE_DOCUMENT[:200_000])

    attachment = await in_database_thread(stored)
    tab = await open_tab(ann)

    await tab.send("typing.started", assistant_id=assistant.pk, chars=0, attachment_ids=[attachment.pk])
    await tab.until("warmth", state="warm")
    await tab.send("typing.started", assistant_id=assistant.pk, chars=30, attachment_ids=[attachment.pk])
    await tab.read_all()
    await tab.say("What does it say?", assistant_id=assistant.pk, attachment_ids=[attachment.pk])
    finished = await tab.until("reply.finished")

    assert await intents_of_warm_ups() == ["attach"]
    assert ("typing", "already_warm") in await counted_intents()
    warm_up, reply = simulator.requests()
    assert reply["usage"]["cache_read_input_tokens"] == warm_up["usage"]["cache_creation_input_tokens"]
    assert finished["warmth"] == "hit"


def everybody_returns_after(seconds: float, label: str) -> None:
    for _ in range(400):
        get_runtime().learning.saw_return(label, seconds, asked_tool=False)


async def due(place: str) -> list[asyncio.Task[None]]:
    """Begins what is due at that place, as if its time had come."""
    timers = get_runtime().timers
    timer = timers._due[f"refresh {place}"]
    timers._due[f"refresh {place}"] = type(timer)(at=0.0, action=timer.action)
    return timers.fire_due()


async def ended_reply(tab: Tab, say: Callable[..., Any], **place: Any) -> dict[str, Any]:
    await say("A question", **place)
    created = await tab.until("message.created")
    await tab.until("reply.finished")
    return created


async def test_after_a_reply_one_decision_is_due_near_expiry_and_nothing_is_sent_before(
    open_tab, ann, assistant, simulator
):
    tab = await open_tab(ann)

    created = await ended_reply(tab, tab.say, assistant_id=assistant.pk)
    await tab.read_all()

    place = f"conversation {created['conversation_id']}"
    due_at, now = get_runtime().timers.due_at(f"refresh {place}"), get_runtime().clock.now()
    assert due_at is not None and 200 < due_at - now <= 270
    assert [r["is_warm_up"] for r in simulator.requests()] == [False]


async def test_the_refresh_sends_what_the_next_message_would_follow(open_tab, ann, assistant, simulator, monkeypatch):
    tab = await open_tab(ann)
    created = await ended_reply(tab, tab.say, assistant_id=assistant.pk)
    await tab.read_all()
    everybody_returns_after(400, assistant.slug)
    runtime = get_runtime()
    system_now = runtime.clock.now
    monkeypatch.setattr(runtime.clock, "now", lambda: system_now() + 272, raising=False)

    await asyncio.gather(*await due(f"conversation {created['conversation_id']}"))

    reply, refresh = simulator.requests()
    assert (refresh["is_warm_up"], await intents_of_warm_ups()) == (True, ["turn_finished"])
    assert refresh["usage"]["cache_read_input_tokens"] >= reply["usage"]["cache_creation_input_tokens"]
    assert [turn["role"] for turn in refresh["parsed"]["messages"]] == ["user", "assistant", "user"]


async def test_the_next_message_takes_the_place_of_what_was_due(open_tab, ann, assistant, simulator):
    tab = await open_tab(ann)
    created = await ended_reply(tab, tab.say, assistant_id=assistant.pk)
    place = f"refresh conversation {created['conversation_id']}"
    await tab.read_all()
    first = get_runtime().timers.due_at(place)

    await ended_reply(tab, tab.say, conversation_id=created["conversation_id"])
    await tab.read_all()

    second = get_runtime().timers.due_at(place)
    assert first is not None and second is not None and second > first
    assert len(get_runtime().timers) == 1


async def test_a_chat_that_was_deleted_meanwhile_is_not_read_again(ann, assistant):
    conversation = await in_database_thread(make_conversation, ann, assistant)
    known = await in_database_thread(returns._load, conversation.pk)

    await in_database_thread(conversation.delete)

    assert known is not None
    assert await in_database_thread(returns._load, conversation.pk) is None


async def test_the_chat_of_a_person_who_was_deactivated_meanwhile_is_not_kept_warm(ann, assistant):
    conversation = await in_database_thread(make_conversation, ann, assistant)
    known = await in_database_thread(returns._load, conversation.pk)

    await in_database_thread(User.objects.filter(pk=ann.pk).update, is_active=False)

    assert known is not None
    assert await in_database_thread(returns._load, conversation.pk) is None
