"""Erasing a person leaves no name anywhere, and no row of the ledger that says for whom it was."""

import time
from decimal import Decimal
from uuid import UUID

import pytest
from axes.models import AccessAttempt
from django.apps import apps
from django.contrib.admin.models import LogEntry
from django.core.management import CommandError, call_command
from django.db import models
from django.urls import reverse
from django.utils import timezone

from chatapp.accounts import deletions
from chatapp.conversations import prepared_conversations
from chatapp.models import Attachment, Erasure, UsageAccount, User
from chatapp.process import housekeeping
from chatapp.quotas import accounts
from chatapp.quotas.measures import Amount
from chatapp.replies import registry
from tests.chatapp.sockets import eventually
from tests.factories import make_conversation, make_message, make_user
from warmcache.background.database import in_database_thread
from warmcache.core.intents import Sign
from warmcache.models import UsageRecord
from warmcache.runtime.wiring import get_runtime

pytestmark = pytest.mark.django_db(transaction=True)
"""What is erased goes from memory too, by the background loop: it writes its ledger beside the test."""

NAME = "ann-of-green-gables"


def make_life() -> User:
    ann = make_user(NAME, email=f"{NAME}@example.org", first_name=NAME)
    conversation = make_conversation(ann, title=f"{NAME}'s chat")
    make_message(conversation, f"I am {NAME}")
    Attachment.objects.create(user=ann, name=f"{NAME}.txt", text=NAME)
    accounts.post(ann.pk, Amount(messages=1), now=time.time())
    AccessAttempt.objects.create(username=NAME, failures_since_start=1)
    record(ann, place=f"conversation {conversation.pk}")
    return ann


def record(person: User, **values: str) -> None:
    UsageRecord.objects.create(
        **{"subject": f"user {person.pk}", "model": "claude-sonnet-5-5", "upstream": "simulator"},
        **{"status": "complete", "started_at": timezone.now(), "cost_usd": Decimal("0.01"), **values},
    )


def rows_that_say(word: str) -> list[str]:
    """Every column of text of every table."""
    found = []
    for model in apps.get_models():
        for field in model._meta.concrete_fields:
            is_text = isinstance(field, (models.CharField, models.TextField, models.JSONField))
            if is_text and model._default_manager.filter(**{f"{field.attname}__icontains": word}).exists():
                found.append(f"{model._meta.label}.{field.attname}")
    return found


def test_the_admin_erases_a_person_and_logs_it_without_the_name(client):
    ann = make_life()
    client.force_login(make_user("root", is_staff=True, is_superuser=True))

    client.post(reverse("admin:chatapp_user_delete", args=[ann.pk]), {"post": "yes"})
    while not deletions.delete_some(ann.pk).is_done:
        pass

    assert rows_that_say(NAME) == []
    assert LogEntry.objects.get().object_repr == f"user {ann.pk}"
    erased = UsageRecord.objects.get()
    assert (erased.subject, erased.place, erased.cost_usd) == ("(erased)", "", Decimal("0.01"))
    done = Erasure.objects.get(person=ann.pk)
    assert (done.conversations, done.files, done.ledger_rows) == (1, 1, 1)
    assert done.finished_at is not None
    assert not UsageAccount.objects.filter(name=f"user:{ann.pk}").exists()


def test_the_command_does_it_at_once_and_prints_no_name(capsys):
    make_life()
    bob = make_user("bob")
    record(bob)

    call_command("erase_person", NAME)

    printed = capsys.readouterr().out
    assert NAME not in printed
    assert "1 conversations, 1 unsent files; 1 rows" in printed
    assert rows_that_say(NAME) == []
    assert UsageRecord.objects.filter(subject=f"user {bob.pk}").count() == 1
    with pytest.raises(CommandError):
        call_command("erase_person", NAME)


def test_what_a_stopped_reply_cost_is_erased_when_it_is_written_later():
    ann = make_life()
    call_command("erase_person", NAME)
    record(ann)

    deletions.erase_what_came_late()

    assert not UsageRecord.objects.filter(subject=f"user {ann.pk}").exists()
    assert Erasure.objects.get(person=ann.pk).ledger_rows == 2


async def test_nothing_of_a_person_stays_in_memory(open_tab, ann, assistant, simulator):
    """Frames, the prepared conversation, visits, what was learned of the place, and what was earned."""
    tab = await open_tab(ann)
    await tab.send("typing.started", assistant_id=assistant.pk, conversation_id=None, chars=3, attachment_ids=[])
    await tab.until("warmth", state="warm")
    await tab.say("Who am I?", assistant_id=assistant.pk)
    finished = await tab.until("reply.finished")
    reply_id = UUID(finished["reply_id"])
    runtime, subject = get_runtime(), deletions.subject_of(ann.pk)
    runtime.visits.note(subject, "k", label="a", sign=Sign("typing"), now=runtime.clock.now())
    assert await registry.logs().find(reply_id) is not None

    await in_database_thread(deletions.ask, ann)
    assert await tab.until_closed() == 4401
    await housekeeping.delete_people()

    async def is_gone() -> bool:
        return await registry.logs().find(reply_id) is None and runtime.visits.meet(subject, ["k"], 0) is None

    await eventually(is_gone)
    held = runtime.store.make_allowances()
    own = runtime.guards._subject(subject)
    assert not any(own in name for part in (held._sums, held._trusts, held._stops) for name in part)
    assert not [key for key in runtime.learning._places._last if key[1] != ""]
    assert not [each for each in prepared_conversations.store._by_id.values() if each.user_id == ann.pk]
    assert await in_database_thread(rows_that_say, "Who am I?") == []


async def test_a_process_that_missed_the_news_forgets_at_its_next_sweep():
    ann = await in_database_thread(make_user, "ann")
    await in_database_thread(deletions.ask, ann)
    while not (await in_database_thread(deletions.delete_some, ann.pk)).is_done:
        pass
    runtime = get_runtime()
    subject = deletions.subject_of(ann.pk)
    runtime.visits.note(subject, "k", label="a", sign=Sign("typing"), now=runtime.clock.now())

    await housekeeping.sweep()

    assert runtime.visits.meet(subject, ["k"], 0) is None
