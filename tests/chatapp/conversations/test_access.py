"""What a user may not see does not exist."""

from uuid import uuid4

import pytest

from chatapp.conversations import access
from chatapp.models import Attachment
from tests.factories import make_assistant, make_conversation, make_message

pytestmark = pytest.mark.django_db


@pytest.fixture
def ann(django_user_model):
    return django_user_model.objects.create_user("ann")


@pytest.fixture
def foreign(django_user_model):
    """A conversation of somebody else's."""
    return make_conversation(django_user_model.objects.create_user("bob"))


def test_a_conversation_is_its_owner_s_alone(ann, foreign):
    assert access.conversation_for_user(foreign.user, foreign.pk) == foreign
    with pytest.raises(access.NotFound, match=r"There is no such conversation\."):
        access.conversation_for_user(ann, foreign.pk)
    assert not access.conversations_of(ann).exists()


def test_a_superuser_has_no_other_door(ann, foreign):
    ann.is_superuser = ann.is_staff = True
    ann.save()

    with pytest.raises(access.NotFound):
        access.conversation_for_user(ann, foreign.pk)


def test_a_reply_is_an_assistant_s_message_in_one_s_own_conversation(ann, foreign):
    question = make_message(foreign)
    reply = make_message(foreign, role="assistant", parent=question)

    assert access.reply_for_user(foreign.user, reply.pk) == reply
    for user, pk in ((ann, reply.pk), (foreign.user, question.pk), (foreign.user, uuid4())):
        with pytest.raises(access.NotFound):
            access.reply_for_user(user, pk)


def test_a_message_is_looked_for_in_one_conversation_only(foreign):
    elsewhere = make_message(make_conversation(foreign.user))

    with pytest.raises(access.NotFound):
        access.message_in(foreign, elsewhere.pk)


def test_the_default_assistant_comes_first_and_stands_in_for_none(ann):
    with pytest.raises(access.NotFound):
        access.assistant_for_user(ann, None)
    make_assistant(name="Aardvark")
    default = make_assistant(name="Zebra", is_default=True)

    assert access.assistant_for_user(ann, None) == default
    assert access.assistants_for(ann).first() == default


def test_attachments_must_be_one_s_own_and_unsent(ann, foreign):
    own = Attachment.objects.create(user=ann, name="a", text="")
    second = Attachment.objects.create(user=ann, name="b", text="")
    sent = Attachment.objects.create(user=ann, name="c", text="", message=make_message(make_conversation(ann)))
    not_own = Attachment.objects.create(user=foreign.user, name="d", text="")

    assert access.unsent_attachments(ann, []) == []
    assert access.unsent_attachments(ann, [second.pk, own.pk, own.pk]) == [second, own]
    for missing in (sent.pk, not_own.pk, uuid4()):
        with pytest.raises(access.NotFound):
            access.unsent_attachments(ann, [own.pk, missing])
