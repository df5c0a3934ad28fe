"""Another assistant from here on, in a conversation that exists."""

from decimal import Decimal

import pytest
from django.test import Client
from django.utils import timezone

from chatapp.conversations import prepared_conversations
from chatapp.models import Assistant, Conversation, User
from chatapp.pages import post_limits
from chatapp.pages.post_limits import Buckets
from tests.factories import make_assistant, make_conversation, make_message, make_talk, make_user
from warmcache.core.prefix import build
from warmcache.testing import FakeClock
from warmcache.upstream.prices import rates_for

pytestmark = pytest.mark.django_db

TEXT = "Ships and harbours. " * 2_000


@pytest.fixture
def ann(client: Client) -> User:
    user = make_user("ann")
    client.force_login(user)
    return user


@pytest.fixture
def conversation(ann) -> Conversation:
    conversation = make_conversation(ann, make_assistant(name="Guide"))
    make_talk(conversation, ["Which ship?", TEXT])
    return conversation


@pytest.fixture
def other() -> Assistant:
    return make_assistant(name="Pilot", model="claude-haiku-5-5", system_prompt="You steer.", documents=(TEXT,))


def change(client: Client, conversation: Conversation, assistant_id: object) -> int:
    return client.post(f"/c/{conversation.pk}/assistant/", {"assistant_id": assistant_id}).status_code


def prompt_of(conversation: Conversation) -> dict:
    return build(prepared_conversations.of(Conversation.objects.get(pk=conversation.pk)).prompt, None).body


def test_the_next_message_follows_the_other_assistant_s_prompt_with_the_same_history(client, conversation, other):
    before, version = prompt_of(conversation), conversation.version

    assert change(client, conversation, other.pk) == 204
    after = prompt_of(conversation)

    assert (after["model"], after["system"][0]["text"]) == ("claude-haiku-5-5", "You steer.")
    assert [turn["role"] for turn in after["messages"]] == [turn["role"] for turn in before["messages"]]
    conversation.refresh_from_db()
    assert conversation.version > version
    again = conversation.version
    assert change(client, conversation, other.pk) == 204
    conversation.refresh_from_db()
    assert conversation.version == again, "the same assistant reads nothing anew"


def test_what_the_next_message_would_read_is_told_before(client, conversation, other):
    told = client.get(f"/c/{conversation.pk}/assistant/", {"assistant_id": other.pk}).json()
    of_present = client.get(f"/c/{conversation.pk}/assistant/", {"assistant_id": conversation.assistant_id}).json()
    rates = rates_for(other.model, told["tokens"])

    assert rates is not None
    assert told["tokens"] > of_present["tokens"] > 5_000
    assert abs(Decimal(told["usd"]) - told["tokens"] * rates.cache_write_5m) < Decimal("0.0001")
    conversation.refresh_from_db()
    assert conversation.assistant.name == "Guide", "asking changes nothing"


def test_questions_are_counted_like_forms(client, conversation, other, monkeypatch):
    monkeypatch.setattr(post_limits, "of_persons", Buckets(capacity=2, per_second=1, clock=FakeClock().now))

    asked = [client.get(f"/c/{conversation.pk}/assistant/", {"assistant_id": other.pk}) for _ in range(3)]

    assert [each.status_code for each in asked] == [200, 200, 429]


def test_a_model_without_a_known_price_has_none(client, conversation):
    unknown = make_assistant(model="another-model")

    assert client.get(f"/c/{conversation.pk}/assistant/", {"assistant_id": unknown.pk}).json()["usd"] is None


def test_a_running_reply_is_not_taken_away_from_its_assistant(client, conversation, other):
    last = conversation.messages.get(text=TEXT)
    question = make_message(conversation, "And now?", parent=last)
    make_message(conversation, "", role="assistant", parent=question, status="streaming", owner="a")

    answer = client.post(f"/c/{conversation.pk}/assistant/", {"assistant_id": other.pk})

    assert (answer.status_code, "Stop it" in answer.json()["message"]) == (409, True)
    conversation.refresh_from_db()
    assert conversation.assistant.name == "Guide"


def test_only_assistants_that_are_offered_and_only_one_s_own_conversations(client, conversation, other):
    retired, foreign = make_assistant(retired_at=timezone.now()), make_conversation()

    assert change(client, conversation, retired.pk) == 404
    assert change(client, conversation, 2**62) == 404
    assert change(client, conversation, "x") == 400
    assert change(client, foreign, other.pk) == 404
