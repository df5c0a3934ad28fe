"""Typing frames: each prefix is warmed once, and a key press that leads to nothing costs nothing."""

import asyncio
from decimal import Decimal

import pytest

from chatapp.conversations import prompts
from chatapp.protocol import limits
from chatapp.socket import buckets
from chatapp.warming import typing
from tests.chatapp.sockets import Tab, cookie_of, sign_in
from tests.factories import make_assistant, make_conversation, make_message, make_user
from tests.servers.chat_server import messages_of
from warmcache import services as warmcache
from warmcache.background.database import in_database_thread
from warmcache.conf import get_config
from warmcache.core.prompt import passages
from warmcache.models import SkipCount, UsageRecord, WarmUp
from warmcache.runtime.wiring import SystemClock, build_runtime, install_runtime

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def no_buckets(monkeypatch):
    monkeypatch.setattr(buckets.TokenBucket, "take", lambda self: True)


async def type_in(tab: Tab, times: int = 1, **place) -> None:
    for chars in range(1, times + 1):
        await tab.send("typing.started", chars=chars, attachment_ids=[], **place)


def cache_writes(simulator) -> list[int]:
    written = [r["usage"]["cache_creation_input_tokens"] for r in simulator.requests()]
    return [tokens for tokens in written if tokens]


async def test_two_hundred_typing_frames_make_one_warm_up(open_tab, ann, assistant, simulator, no_buckets):
    tab = await open_tab(ann)

    await type_in(tab, 200, assistant_id=assistant.pk)
    await tab.until("warmth", state="warm")
    await tab.read_all()

    assert len(simulator.requests()) == 1
    assert await in_database_thread(WarmUp.objects.count) == 1
    assert [f["state"] for f in tab.of_type("warmth")] == ["warming", "warm"]


async def test_fifty_people_who_type_to_one_assistant_pay_for_one_cache_write(assistant, simulator, quiet_process):
    keys = await in_database_thread(lambda: [sign_in(make_user()) for _ in range(50)])
    simulator.fault(kind="slow", seconds=0.3, times=50)
    tabs = [await Tab(cookie_of(key)).connect() for key in keys]

    await asyncio.gather(*(type_in(tab, assistant_id=assistant.pk) for tab in tabs))
    await asyncio.gather(*(tab.until("warmth", state="warm") for tab in tabs))

    assert len(cache_writes(simulator)) == 1
    assert len(simulator.requests()) == 1
    for tab in tabs:
        await tab.disconnect()


async def housekeeping_begun() -> None:
    """What a runtime asks of the database at its start: it is queued behind the first flush, before the end of it."""
    await warmcache.flush()
    await warmcache.flush()


async def test_a_key_press_that_leads_to_nothing_costs_no_query_and_no_hashing(
    open_tab, ann, assistant, queries, monkeypatch, no_buckets
):
    tab = await open_tab(ann)
    await type_in(tab, assistant_id=assistant.pk)
    await tab.until("warmth", state="warm")
    await housekeeping_begun()
    hashed, in_thread = [], []
    canonical_bytes, in_database = passages.canonical_bytes, typing.in_database_thread
    monkeypatch.setattr(passages, "canonical_bytes", lambda value: hashed.append(value) or canonical_bytes(value))
    monkeypatch.setattr(typing, "in_database_thread", lambda *a: in_thread.append(a) or in_database(*a))
    queries.clear()

    await type_in(tab, 50, assistant_id=assistant.pk)
    await tab.read_all()

    assert queries == hashed == in_thread == []


async def test_a_key_press_to_an_assistant_that_is_too_short_costs_nothing_either(open_tab, ann, queries, no_buckets):
    short = await in_database_thread(make_assistant)
    tab = await open_tab(ann)
    await type_in(tab, assistant_id=short.pk)
    skipped = await tab.until("warmth")
    await tab.read_all()
    await housekeeping_begun()
    queries.clear()

    await type_in(tab, 50, assistant_id=short.pk)
    await tab.read_all()
    before_flush = list(queries)
    await warmcache.flush()

    assert (skipped["state"], skipped["reason"]) == ("skipped", "below_minimum_tokens")
    assert before_flush == []
    assert len(tab.of_type("warmth")) == 1
    counted = await in_database_thread(lambda: list(SkipCount.objects.values_list("intent", "reason", "count")))
    assert sum(count for *_, count in counted) == 51
    assert {tuple(row[:2]) for row in counted} == {("typing", "below_minimum_tokens")}


async def test_typing_in_a_conversation_warms_its_history(open_tab, ann, assistant, simulator):
    def stored():
        conversation = make_conversation(ann, assistant)
        question = make_message(conversation, "The question")
        make_message(conversation, "The answer", role="assistant", parent=question)
        return conversation

    conversation = await in_database_thread(stored)
    tab = await open_tab(ann)

    await type_in(tab, conversation_id=conversation.pk)
    warm = await tab.until("warmth", state="warm")

    assert warm["conversation_id"] == str(conversation.pk)
    turns = messages_of(simulator.requests()[0])
    said = [block["text"] for turn in turns for block in turn["content"]]
    assert said[:2] == ["The question", "The answer"]


async def test_typing_without_naming_an_assistant_warms_the_default_one_and_says_which(open_tab, ann, assistant):
    tab = await open_tab(ann)

    await type_in(tab)
    warm = await tab.until("warmth", state="warm")

    assert warm["assistant_id"] == assistant.pk
    assert "conversation_id" not in warm


async def test_an_edited_assistant_is_warmed_anew(open_tab, ann, assistant, simulator, no_buckets):
    tab = await open_tab(ann)
    await type_in(tab, assistant_id=assistant.pk)
    await tab.until("warmth", state="warm")
    assistant.system_prompt = "Be brief."
    await in_database_thread(assistant.save)

    await type_in(tab, assistant_id=assistant.pk)
    await tab.until("warmth", state="warming")
    await tab.until("warmth", state="warm")

    assert simulator.requests()[-1]["parsed"]["system"][0]["text"] == "Be brief."


async def test_typing_for_what_is_not_there_is_refused_and_warms_nothing(open_tab, ann, bob, assistant, simulator):
    foreign = await in_database_thread(make_conversation, bob, assistant)
    tab = await open_tab(ann)

    await type_in(tab, conversation_id=foreign.pk)
    await type_in(tab, assistant_id=assistant.pk + 99)
    await tab.read_all()

    assert [f["code"] for f in tab.of_type("error")] == ["not_found", "not_found"]
    assert tab.of_type("warmth") == simulator.requests() == []


async def test_a_lost_or_needless_typing_stopped_changes_nothing(open_tab, ann, assistant, simulator):
    tab = await open_tab(ann)

    await tab.send("typing.stopped", assistant_id=assistant.pk)
    await type_in(tab, assistant_id=assistant.pk)
    await tab.send("typing.stopped", assistant_id=assistant.pk)
    await tab.send("typing.stopped", assistant_id=assistant.pk)
    await tab.until("warmth", state="warm")

    assert len(simulator.requests()) == 1
    assert tab.of_type("error") == []


class MovableClock:
    """Wall-clock time that a test moves."""

    def __init__(self) -> None:
        self.ahead_seconds = 0.0
        self._system = SystemClock()

    def now(self) -> float:
        return self._system.now() + self.ahead_seconds


async def test_what_was_typed_and_abandoned_ends_as_unused_with_its_cost(open_tab, ann, assistant):
    clock = MovableClock()
    install_runtime(build_runtime(get_config(), clock=clock))
    tab = await open_tab(ann)
    await type_in(tab, assistant_id=assistant.pk)
    await tab.until("warmth", state="warm")
    await tab.send("typing.stopped", assistant_id=assistant.pk)
    await warmcache.flush()
    before = await in_database_thread(WarmUp.objects.get)

    clock.ahead_seconds = 301
    await warmcache.flush()

    after = await in_database_thread(WarmUp.objects.get)
    assert (before.outcome, after.outcome) == ("", "unused")
    assert after.cost_usd is not None and after.cost_usd > Decimal(0)
    assert after.cache_write_tokens > 1000
    assert after.settled_at is not None
    assert not await in_database_thread(UsageRecord.objects.exists)


async def test_a_socket_remembers_a_bounded_number_of_drafts(open_tab, ann, no_buckets):
    assistants = await in_database_thread(lambda: [make_assistant() for _ in range(typing.MAX_OUTLINES + 4)])
    tab = await open_tab(ann)

    for assistant in assistants:
        await type_in(tab, assistant_id=assistant.pk)
    await tab.read_all()

    assert len(tab.of_type("warmth")) == len(assistants)


async def test_typing_beyond_the_bucket_is_dropped_without_a_word(open_tab, ann, assistant, monkeypatch):
    monkeypatch.setitem(limits.LIMITS, "typing_per_second", 0)
    prompts_built = []
    build = prompts.prompt_for_new_chat
    monkeypatch.setattr(prompts, "prompt_for_new_chat", lambda *a: prompts_built.append(a) or build(*a))
    tab = await open_tab(ann)

    await type_in(tab, limits.LIMITS["typing_burst"], assistant_id=assistant.pk + 99)
    await type_in(tab, 50, assistant_id=assistant.pk)
    frames = await tab.read_all()

    assert [f["type"] for f in frames] == ["error"] * limits.LIMITS["typing_burst"]
    assert prompts_built == []
