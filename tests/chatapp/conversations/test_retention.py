"""Conversations that nobody has written in for longer than the operator keeps them."""

from datetime import timedelta

import pytest
from django.utils import timezone

from chatapp.conversations import retention
from chatapp.models import Conversation
from chatapp.protocol.words import ReplyStatus
from tests.factories import make_conversation, make_message

pytestmark = pytest.mark.django_db


@pytest.fixture
def conversations() -> dict[str, Conversation]:
    now = timezone.now()
    ages = {"old": 31, "young": 29, "old and being answered": 31}
    made = {name: make_conversation(title=name, updated_at=now - timedelta(days=days)) for name, days in ages.items()}
    make_message(made["old and being answered"], role="assistant", status=ReplyStatus.STREAMING)
    return made


def test_what_is_old_goes_unless_it_is_being_answered(settings, conversations):
    settings.KEEP_CHATS_DAYS = 30

    expired = retention.expire_some()

    assert expired == [(conversations["old"].user_id, conversations["old"].pk)]
    assert set(Conversation.objects.values_list("title", flat=True)) == {"young", "old and being answered"}
    assert not retention.expire_some()


def test_usually_everything_stays(conversations):
    assert not retention.expire_some()
    assert Conversation.objects.count() == 3
