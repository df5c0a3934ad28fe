"""Deleting a conversation: gone at once for everybody, undone for a moment, then gone for good."""

import pytest

from chatapp.conversations import access, conversations, deletions, lists
from chatapp.models import Attachment, Conversation, Message, QueuedMessage, SearchEntry, User
from chatapp.replies import pending
from tests.factories import make_conversation, make_message, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def ann(db) -> User:
    return make_user("ann")


@pytest.fixture
def deleted(ann) -> Conversation:
    conversation = make_conversation(ann)
    question = make_message(conversation, sender=ann)
    reply = make_message(conversation, role="assistant", parent=question)
    Attachment.objects.create(user=ann, message=question, name="a.txt", text="text")
    SearchEntry.objects.create(message=reply)
    QueuedMessage.objects.create(conversation=conversation, sender=ann, client_message_id=question.pk, text="Later")
    deletions.delete(conversation)
    return conversation


def test_nothing_of_it_can_be_reached(ann, deleted):
    reply = deleted.messages.get(role="assistant")
    queued = deleted.queued.get()

    for attempt in (
        lambda: access.conversation_for_user(ann, deleted.pk),
        lambda: access.conversation_for_user(ann, deleted.pk, to_write=True),
        lambda: access.reply_for_user(ann, reply.pk),
        lambda: access.queued_for_user(ann, queued.message_id),
    ):
        with pytest.raises(access.NotFound):
            attempt()
    assert lists.first_page(ann).conversations == []
    assert conversations.news_of(deleted.pk) is None
    assert pending.next_in(deleted.pk) is None


def test_undo_brings_all_of_it_back(ann, deleted):
    deletions.restore(ann, deleted.pk)

    assert access.conversation_for_user(ann, deleted.pk).messages.count() == 2
    assert not deletions.purge_some()
    assert Conversation.objects.exists()


def test_only_its_owner_can_undo(deleted):
    with pytest.raises(access.NotFound):
        deletions.restore(make_user("bob"), deleted.pk)


def test_after_that_nothing_is_left(ann, deleted, monkeypatch):
    deletions.purge_some()
    assert Message.objects.count() == 2

    monkeypatch.setattr(deletions, "UNDO", -deletions.LATENESS)
    deletions.purge_some()

    kinds = (Conversation, Message, Attachment, QueuedMessage, SearchEntry)
    assert [kind.objects.count() for kind in kinds] == [0] * len(kinds)
    with pytest.raises(access.NotFound):
        deletions.restore(ann, deleted.pk)
