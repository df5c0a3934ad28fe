"""Deleting a person: the request only asks for it, and everything of theirs goes in small steps."""

import pytest
from asgiref.sync import sync_to_async
from django.urls import reverse

from chatapp import events
from chatapp.accounts import deletions
from chatapp.models import Attachment, Conversation, Message, User
from chatapp.process import housekeeping
from tests.chatapp.held_replies import begin_held_reply
from tests.factories import make_assistant, make_conversation, make_message, make_user
from warmcache.background.database import in_database_thread


@pytest.fixture
def root(client, db) -> User:
    user = make_user("root", is_staff=True, is_superuser=True)
    client.force_login(user)
    return user


def make_chats(user: User, count: int) -> None:
    assistant = make_assistant()
    made = Conversation.objects.bulk_create(Conversation(user=user, assistant=assistant) for _ in range(count))
    Message.objects.bulk_create(Message(conversation=each, role="user", text="Hello", sender=user) for each in made)


def test_the_pages_cost_the_same_however_many_chats_there_are(client, root, django_assert_max_num_queries):
    ann = make_user("ann")
    make_chats(ann, 300)
    url = reverse("admin:chatapp_user_delete", args=[ann.pk])

    with django_assert_max_num_queries(30):
        page = client.get(url)
        answer = client.post(url, {"post": "yes"})

    assert page.status_code == 200
    assert b"300" in page.content
    assert answer.status_code == 302
    ann.refresh_from_db()
    assert (ann.is_active, ann.username.startswith("deleted-")) == (False, True)
    assert make_user("ann").pk != ann.pk
    assert b"deleted-" not in client.get(reverse("admin:chatapp_user_changelist")).content


def test_the_action_of_the_list_does_the_same(client, root):
    people = [make_user("ann"), make_user("bob")]
    fields = {"action": "delete_selected", "_selected_action": [each.pk for each in people], "post": "yes"}

    client.post(reverse("admin:chatapp_user_changelist"), fields)

    assert set(deletions.asked()) == {each.pk for each in people}


@pytest.mark.django_db
def test_each_step_deletes_some_and_the_last_one_the_person(monkeypatch):
    monkeypatch.setattr(deletions, "CONVERSATIONS_AT_ONCE", 2)
    ann, bob = make_user("ann"), make_user("bob")
    make_chats(ann, 5)
    theirs = make_message(make_conversation(bob))
    Attachment.objects.create(user=ann, name="unsent", text="x")
    deletions.ask(ann)

    left = []
    while not deletions.delete_some(ann.pk).is_done:
        left.append((ann.conversations.count(), Attachment.objects.count()))

    assert left == [(3, 1), (1, 1), (0, 1), (0, 0)]
    assert list(User.objects.all()) == [bob]
    assert list(Message.objects.all()) == [theirs]


@pytest.mark.django_db
def test_a_person_who_is_not_to_be_deleted_is_left_alone():
    ann = make_user("ann")
    make_chats(ann, 1)

    assert deletions.delete_some(ann.pk).is_done
    assert ann.conversations.count() == 1


@pytest.mark.django_db(transaction=True)
async def test_a_running_reply_of_a_deleted_person_is_stopped(open_tab, ann, assistant, simulator, monkeypatch):
    told = []

    async def note(owner: str, reply_id: object) -> None:
        told.append(str(reply_id))

    monkeypatch.setattr(events, "announce_stop", note)
    tab = await open_tab(ann)
    started = await begin_held_reply(tab, simulator, assistant_id=assistant.pk)

    await sync_to_async(deletions.ask)(ann)
    assert await tab.until_closed() == 4401
    await housekeeping.delete_people()
    simulator.release()

    assert told == [started["reply_id"]]
    assert not await in_database_thread(User.objects.filter(pk=ann.pk).exists)
