"""Temporary conversations: nowhere to be found, and gone for good when they are left or idle."""

import uuid
from datetime import timedelta

import pytest
from django.utils import timezone

from chatapp.conversations import access, deletions, lists, places, search, search_index, temporary
from chatapp.models import Conversation, Message, SearchEntry, User
from chatapp.process import housekeeping
from chatapp.protocol import ConversationsLoad, SearchAsk
from tests.factories import make_conversation, make_message, make_user
from warmcache.background.database import in_database_thread
from warmcache.models import UsageRecord, WarmUp

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def ann(db) -> User:
    return make_user("ann")


def make_temporary(user: User, **fields) -> Conversation:
    conversation = make_conversation(user, title="harbour", is_temporary=True, **fields)
    make_message(conversation, "harbour", sender=user)
    return conversation


def long_ago():
    return timezone.now() - temporary.IDLE - timedelta(minutes=1)


def test_it_is_in_no_list_and_in_no_search_but_its_owner_can_open_it(ann):
    conversation = make_temporary(ann)
    while search_index.index_some():
        pass

    found = search.look(ann, SearchAsk(query="harbour"))

    assert (found.hits, found.conversations) == ([], [])
    assert not SearchEntry.objects.exists()
    for shelf in ("list", "archive"):
        assert lists.page(ann, ConversationsLoad(shelf=shelf)).conversations == []
    assert access.conversation_for_user(ann, conversation.pk) == conversation


def test_a_pinned_or_archived_one_is_not_listed_either(ann):
    make_temporary(ann, pinned_at=timezone.now())
    make_temporary(ann, archived_at=timezone.now())

    for shelf in ("list", "archive"):
        assert lists.page(ann, ConversationsLoad(shelf=shelf)).conversations == []


def test_one_that_is_left_cannot_be_brought_back(ann):
    conversation = make_temporary(ann)

    deletions.delete(conversation)

    with pytest.raises(access.NotFound):
        deletions.restore(ann, conversation.pk)


def test_one_that_is_left_goes_before_the_time_of_undo_and_the_ledger_forgets_which_it_was(ann, monkeypatch):
    conversation, kept = make_temporary(ann), make_conversation(ann)
    for each in (conversation, kept):
        place, now = places.place_of(each.pk), timezone.now()
        WarmUp.objects.create(id=uuid.uuid4(), place=place, model="m", intent="typing", reason="r", started_at=now)
        UsageRecord.objects.create(id=uuid.uuid4(), place=place, model="m", purpose="reply", started_at=now)
        deletions.delete(each)

    monkeypatch.setattr(deletions, "LATENESS", timedelta(0))
    deletions.purge_some()

    assert list(Conversation.objects.all()) == [kept]
    for kind in (WarmUp, UsageRecord):
        assert sorted(kind.objects.values_list("place", flat=True)) == ["", places.place_of(kept.pk)]


def test_only_those_that_are_idle_and_in_which_nobody_writes_are_left(ann):
    idle = make_temporary(ann, updated_at=long_ago())
    make_temporary(ann)
    make_conversation(ann, updated_at=long_ago())
    written = make_temporary(ann, updated_at=long_ago())
    make_message(written, role=Message.Role.ASSISTANT, status="streaming")

    left = temporary.leave_idle()

    assert left == [temporary.Left(conversation_id=idle.pk, user_id=ann.pk)]
    assert list(Conversation.objects.exclude(deleted_at=None)) == [idle]
    assert temporary.leave_idle() == []


async def test_a_page_hears_that_an_idle_one_is_gone(open_tab, ann):
    idle = await in_database_thread(make_temporary, ann, updated_at=long_ago())
    tab = await open_tab(ann)
    await tab.send("conversation.open", conversation_id=idle.pk)
    opened = await tab.until("conversation.state")

    await housekeeping.purge_conversations()
    told = await tab.until("conversation.updated")

    assert opened["conversation"]["temporary"]
    assert (told["conversation"]["id"], told["conversation"]["deleted"]) == (str(idle.pk), True)


async def test_a_message_begins_one_without_its_words_in_the_title(open_tab, ann, assistant, settings):
    settings.TITLE_MODEL = "claude-haiku-4-5"
    tab = await open_tab(ann)

    await tab.say("My secret question", assistant_id=assistant.pk, temporary=True)
    created = await tab.until("message.created")
    await tab.until("reply.finished")
    await tab.read_all()

    conversation = await in_database_thread(Conversation.objects.get, pk=created["conversation_id"])
    assert (conversation.is_temporary, conversation.title, conversation.titled_by) == (True, "Temporary chat", "")
    assert not await in_database_thread(UsageRecord.objects.filter(purpose="title").exists)


async def test_a_message_does_not_make_an_older_conversation_temporary(open_tab, ann, assistant):
    conversation = await in_database_thread(make_conversation, ann, assistant)
    tab = await open_tab(ann)

    await tab.say("Again", conversation_id=conversation.pk, temporary=True)
    await tab.until("reply.finished")

    await in_database_thread(conversation.refresh_from_db)
    assert not conversation.is_temporary
