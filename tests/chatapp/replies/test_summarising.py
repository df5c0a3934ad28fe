"""A long conversation is summarised for its assistant, beside all that a person waits for."""

from decimal import Decimal
from typing import Any

import pytest

from chatapp.conversations import summaries
from chatapp.models import Attachment, Message, Summary, UsageAccount
from chatapp.quotas import accounts
from chatapp.quotas import policy as limits
from chatapp.quotas.measures import units_of
from chatapp.replies import registry, summarising
from tests.chatapp.sockets import Tab, in_time
from tests.factories import make_assistant, make_conversation, make_talk
from warmcache import Purpose
from warmcache import services as warmcache
from warmcache.background.database import in_database_thread
from warmcache.models import UsageRecord

pytestmark = pytest.mark.django_db(transaction=True)

LONG_TEXT = "The garden lies behind the house, and the path to it is wet. " * 40
SAID_BEFORE = 30
"""Messages of about 1,000 tokens: one turn more, and a summary pays."""


@pytest.fixture
def talker(transactional_db):
    return make_assistant(name="Talker", slug="talker", summarise_above_tokens=20_000)


@pytest.fixture
def long_talk(ann, talker) -> str:
    """The id of a conversation that is long already."""
    conversation = make_conversation(ann, talker, cache_salt=ann.cache_salt)
    make_talk(conversation, [f"Before {number}. {LONG_TEXT}" for number in range(SAID_BEFORE)])
    return str(conversation.pk)


async def all_is_done() -> None:
    while len(registry.tasks):
        await in_time(registry.tasks.join())


async def talk(tab: Tab, conversation_id: str, turns: int = 1) -> None:
    """Each message after everything that follows the reply before."""
    for number in range(turns):
        await tab.say(f"Message {number}.", conversation_id=conversation_id)
        await tab.until("reply.finished")
        await all_is_done()
    await warmcache.flush()


def asks_for_summary(request: dict[str, Any]) -> bool:
    return summarising.INSTRUCTION in str(request["parsed"]["messages"][-1]["content"])


async def rows() -> list[Summary]:
    return await in_database_thread(lambda: list(Summary.objects.order_by("pk")))


async def test_a_long_history_is_summarised_and_the_summary_is_used_once_enough_was_said(
    open_tab, ann, long_talk, simulator
):
    tab, other = await open_tab(ann), await open_tab(ann)
    await talk(tab, long_talk)
    await other.send("conversation.open", conversation_id=long_talk)
    await other.until("conversation.state")

    [summary] = await rows()
    assert summary.text.startswith("This is a simulated summary")
    assert summary.used_from is None
    assert not tab.of_type("conversation.summarised")

    await talk(tab, long_talk, summaries.TAIL_MESSAGES // 2)
    [summary] = await rows()
    assert summary.used_from_id is not None
    for each in (tab, other):
        await each.read_all()
        [told] = each.of_type("conversation.summarised")
        assert told["conversation_id"] == long_talk
        assert told["summary"]["message_id"] == str(summary.through_id)
        assert told["summary"]["text"] == summary.text

    await talk(tab, long_talk)
    sent = [r["parsed"] for r in simulator.requests() if not r["is_warm_up"] and not asks_for_summary(r)][-1]
    texts = [block["text"] for turn in sent["messages"] for block in turn["content"]]
    assert summaries.FRAME.format(text=summary.text) in texts
    assert not any(LONG_TEXT in text for text in texts)
    assert len(texts) == 2 + summaries.TAIL_MESSAGES + 1, "the salt, the summary, the tail and the message"
    kept = await in_database_thread(Message.objects.filter(conversation=long_talk).count)
    assert kept == SAID_BEFORE + 2 * (summaries.TAIL_MESSAGES // 2 + 2)


async def test_it_is_read_from_the_warm_cache_and_its_cost_counts(
    open_tab, ann, talker, long_talk, simulator, settings
):
    settings.USAGE_LIMITS = {"each_person": {"usd_per_day": "10"}}
    limits.watch.forget()

    await talk(await open_tab(ann), long_talk)

    rows_of_ledger = await in_database_thread(lambda: list(UsageRecord.objects.order_by("started_at")))
    [own] = [row for row in rows_of_ledger if row.purpose == Purpose.COMPACTION]
    assert (own.label, own.subject, own.place, own.model) == ("talker", f"user {ann.pk}", "", talker.model)
    assert own.cache_read_tokens > own.cache_write_tokens + own.input_tokens
    [summary] = await rows()
    assert summary.cost_usd == own.cost_usd
    account = await in_database_thread(UsageAccount.objects.get, name=accounts.name_of(ann.pk))
    assert account.day_units == sum(units_of(row.cost_usd or Decimal(0)) for row in rows_of_ledger)


async def test_a_model_of_its_own_gets_the_texts_alone(open_tab, ann, long_talk, simulator, settings):
    settings.SUMMARY_MODEL = "claude-haiku-5-5"

    await talk(await open_tab(ann), long_talk)

    [asked] = [r["parsed"] for r in simulator.requests() if asks_for_summary(r)]
    assert asked["model"] == "claude-haiku-5-5"
    text = asked["messages"][-1]["content"][0]["text"]
    assert text.startswith("<me>\nBefore 0. The garden")
    assert text.count("<me>") == text.count("<you>") == SAID_BEFORE // 2 + 1
    [summary] = await rows()
    assert summary.model == "claude-haiku-5-5"


@pytest.mark.parametrize("why", ["the API is down", "an empty answer", "a limit"])
async def test_where_it_cannot_be_written_the_history_is_sent_as_it_is(
    open_tab, ann, long_talk, simulator, monkeypatch, why
):
    tab = await open_tab(ann)
    if why == "a limit":
        monkeypatch.setattr(summarising.charges, "reserve", lambda *args: None)
    ask = summarising._ask

    async def failing(*args):
        simulator.script(text=" ") if why == "an empty answer" else simulator.fault(kind="status", status=400, times=1)
        return await ask(*args)

    if why != "a limit":
        monkeypatch.setattr(summarising, "_ask", failing)

    await talk(tab, long_talk, summaries.TAIL_MESSAGES // 2 + 1)

    [attempt] = await rows()
    assert attempt.text == ""
    assert attempt.failed_at is not None
    assert all(frame["status"] == "complete" for frame in tab.of_type("reply.finished"))
    sent = [r["parsed"] for r in simulator.requests() if not r["is_warm_up"] and not asks_for_summary(r)][-1]
    assert str(sent["messages"]).count("Before ") == SAID_BEFORE


@pytest.mark.parametrize("threshold", [1_000_000, 0])
async def test_a_short_history_and_one_that_is_to_stay_are_left_alone(
    open_tab, ann, talker, long_talk, simulator, threshold
):
    talker.summarise_above_tokens = threshold
    await in_database_thread(talker.save)

    await talk(await open_tab(ann), long_talk)

    assert await rows() == []


async def test_one_that_would_not_pay_is_not_written(open_tab, ann, talker, simulator):
    talker.summarise_above_tokens = 1_000
    await in_database_thread(talker.save)
    tab = await open_tab(ann)
    await tab.say(LONG_TEXT * 2, assistant_id=talker.pk)
    conversation_id = (await tab.until("message.created"))["conversation_id"]
    await tab.until("reply.finished")

    await talk(tab, conversation_id)

    assert await rows() == []


async def test_files_alone_are_no_reason(open_tab, ann, talker, simulator):
    file = await in_database_thread(
        lambda: Attachment.objects.create(
            user=ann, name="long.txt", text=LONG_TEXT * 40, size_bytes=len(LONG_TEXT) * 40
        )
    )
    tab = await open_tab(ann)
    await tab.say("What is this?", assistant_id=talker.pk, attachment_ids=[str(file.pk)])
    conversation_id = (await tab.until("message.created"))["conversation_id"]
    await tab.until("reply.finished")

    await talk(tab, conversation_id, 2)

    assert await rows() == []
