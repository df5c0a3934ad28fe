"""The name that a conversation gets after its first reply."""

from decimal import Decimal
from uuid import UUID

import pytest

from chatapp.models import Conversation, TitledBy, UsageAccount
from chatapp.quotas import accounts
from chatapp.quotas import policy as limits
from chatapp.quotas.measures import units_of
from chatapp.replies import registry, titles
from tests.chatapp.sockets import Tab, in_time
from tests.servers.chat_server import SimulatorControl
from warmcache import Purpose
from warmcache import services as warmcache
from warmcache.background.database import in_database_thread
from warmcache.models import UsageRecord

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def titles_are_on(settings) -> None:
    settings.TITLE_MODEL = "claude-haiku-4-5"


async def all_is_done() -> None:
    while len(registry.tasks):
        await in_time(registry.tasks.join())


async def first_turn(tab: Tab, assistant_id: int, text: str = "Where is the old lighthouse?") -> str:
    await tab.say(text, assistant_id=assistant_id)
    created = await tab.until("message.created")
    await tab.until("reply.finished")
    await all_is_done()
    await warmcache.flush()
    return str(created["conversation_id"])


def models_asked(simulator: SimulatorControl) -> list[str]:
    return [request["parsed"]["model"] for request in simulator.requests()]


async def test_every_tab_hears_the_name_and_its_cost_counts(open_tab, ann, assistant, simulator, settings):
    settings.USAGE_LIMITS = {"each_person": {"usd_per_day": "10"}}
    limits.watch.forget()
    tab, other = await open_tab(ann), await open_tab(ann)

    conversation_id = await first_turn(tab, assistant.pk)

    for each in (tab, other):
        await each.read_all()
        assert each.of_type("conversation.updated")[-1]["conversation"]["title"] == "Old lighthouse"
    conversation = await in_database_thread(Conversation.objects.get, pk=conversation_id)
    assert conversation.titled_by == TitledBy.MODEL
    row = await in_database_thread(UsageRecord.objects.get, purpose=Purpose.TITLE)
    assert (row.model, row.label, row.subject, row.place) == ("claude-haiku-4-5", "titles", f"user {ann.pk}", "")
    reply = await in_database_thread(UsageRecord.objects.get, purpose=Purpose.REPLY)
    account = await in_database_thread(UsageAccount.objects.get, name=accounts.name_of(ann.pk))
    assert Decimal(0) < row.cost_usd < Decimal("0.001")
    assert account.day_units == units_of(row.cost_usd) + units_of(reply.cost_usd)


async def test_only_the_first_reply_names_it(open_tab, ann, assistant, simulator):
    tab = await open_tab(ann)
    conversation_id = await first_turn(tab, assistant.pk)

    await tab.say("And the new one?", conversation_id=conversation_id)
    await tab.until("reply.finished")
    await all_is_done()

    assert models_asked(simulator).count("claude-haiku-4-5") == 1


async def test_the_name_that_a_person_gives_meanwhile_stays(open_tab, ann, assistant, simulator, monkeypatch):
    def renamed_first(conversation_id: UUID, title: str) -> None:
        Conversation.objects.filter(pk=conversation_id).update(title="My own", titled_by=TitledBy.PERSON)
        store(conversation_id, title)

    store = titles._store
    monkeypatch.setattr(titles, "_store", renamed_first)

    conversation_id = await first_turn(await open_tab(ann), assistant.pk)

    conversation = await in_database_thread(Conversation.objects.get, pk=conversation_id)
    assert (conversation.title, conversation.titled_by) == ("My own", TitledBy.PERSON)


async def test_a_dictated_reply_is_not_taken_for_a_title(open_tab, ann, assistant, simulator):
    for text in ("First.", "Second."):
        simulator.script(text=text)
    tab = await open_tab(ann)
    conversation_id = await first_turn(tab, assistant.pk)

    await tab.say("Go on", conversation_id=conversation_id)
    await tab.until("reply.delta", text="Second.")


async def test_with_titles_off_the_first_words_are_the_name(open_tab, ann, assistant, simulator, settings):
    settings.TITLE_MODEL = ""

    conversation_id = await first_turn(await open_tab(ann), assistant.pk)

    conversation = await in_database_thread(Conversation.objects.get, pk=conversation_id)
    assert conversation.title == "Where is the old lighthouse?"
    assert len(models_asked(simulator)) == 1


async def test_a_person_at_the_limit_pays_for_no_title(open_tab, ann, assistant, simulator, monkeypatch):
    monkeypatch.setattr(titles.charges, "reserve", lambda *args: None)

    await first_turn(await open_tab(ann), assistant.pk)

    assert "claude-haiku-4-5" not in models_asked(simulator)


@pytest.mark.parametrize(
    ("answer", "title"),
    [
        ("Baking bread", "Baking bread"),
        ('**"Baking bread."**', "Baking bread"),
        ("# Title: Baking bread\n\nIt is about bread.", "Baking bread"),
        ("\n\n`print()` in Python", "print()` in Python"),
        ("烤面包。", "烤面包"),
        ("A\u202eb\u200b c\x07", "Ab c"),
        ("***", ""),
        ("word " * 40, "word word word word word word word word word word word word…"),
    ],
)
def test_a_title_is_plain_text(answer, title):
    assert titles.plain(answer) == title
