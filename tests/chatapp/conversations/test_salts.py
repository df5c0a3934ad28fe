"""What one person has sent tells another nothing: a salt per person stands behind the layer that all share."""

from datetime import timedelta

import pytest
from django.utils import timezone

from chatapp.conversations import conversations, prepared_conversations, prompts, salts
from chatapp.models import Attachment, Conversation, User
from chatapp.protocol.words import ReplyStatus
from chatapp.warming.typing import Draft, _load
from tests.factories import make_assistant, make_conversation, make_message, make_user
from warmcache.background.database import in_database_thread
from warmcache.core import catalog
from warmcache.core.prefix import Layer, build
from warmcache.simulator import tokens
from warmcache.simulator.tokenizers import RULE_OF_THUMB, counter

FILE = "A report that two people have.\n" * 800


def attach(user: User) -> Attachment:
    return Attachment.objects.create(user=user, name="report.txt", text=FILE, size_bytes=len(FILE))


def hashes(draft_prompt) -> dict[Layer, str]:
    return {point.layer: point.prefix_hash for point in build(draft_prompt, None).prefix.breakpoints}


@pytest.mark.django_db
def test_the_same_file_in_two_people_s_new_chats_is_two_entries_over_one_shared_layer():
    make_assistant(is_default=True)
    people = [make_user("ann"), make_user("bob")]

    anns, bobs = (hashes(_load(user, Draft(attachment_ids=(attach(user).pk,))).prompt) for user in people)

    assert people[0].cache_salt != people[1].cache_salt
    assert anns[Layer.SHARED] == bobs[Layer.SHARED]
    assert anns[Layer.DRAFT] != bobs[Layer.DRAFT]


@pytest.mark.django_db
def test_a_conversation_keeps_the_salt_that_its_warm_ups_had_for_its_whole_life():
    ann, assistant = make_user("ann"), make_assistant()
    attachment = attach(ann)
    warmed = _load(ann, Draft(assistant_id=assistant.pk, attachment_ids=(attachment.pk,))).prompt
    conversation = conversations.create(ann, assistant, first_text="Why?")

    sent = prepared_conversations.of(conversation).with_draft(prompts.attachment_blocks([attachment]))
    User.objects.filter(pk=ann.pk).update(cache_salt="another")
    later = prepared_conversations.before(Conversation.objects.get(), None)

    assert hashes(warmed)[Layer.DRAFT] == hashes(sent)[Layer.DRAFT]
    assert hashes(later.with_draft(prompts.attachment_blocks([attachment]))) == hashes(sent)


@pytest.mark.django_db
def test_a_conversation_from_before_salts_gets_one_when_it_is_cold_and_nothing_runs():
    ann = make_user("ann")
    cold, warm, running = (make_conversation(ann) for _ in range(3))
    make_message(running, role="assistant", status=ReplyStatus.STREAMING, epoch="e", owner="a")
    long_ago = timezone.now() - timedelta(hours=1, seconds=1)
    Conversation.objects.filter(pk__in=[cold.pk, running.pk]).update(updated_at=long_ago)
    versions = {each.pk: Conversation.objects.get(pk=each.pk).version for each in (cold, warm, running)}

    assert (salts.salt_the_cold(), salts.salt_the_cold()) == (1, 0)

    found = {each.pk: (each.cache_salt, each.version - versions[each.pk]) for each in Conversation.objects.all()}
    assert found == {cold.pk: (ann.cache_salt, 1), warm.pk: ("", 0), running.pk: ("", 0)}


@pytest.mark.django_db(transaction=True)
async def test_a_stranger_s_copy_of_a_file_is_neither_told_warm_nor_read_from_the_other_s_entry(
    open_tab, ann, bob, assistant
):
    async def send(user: User) -> dict:
        attachment = await in_database_thread(attach, user)
        tab = await open_tab(user)
        await tab.say("What does it say?", assistant_id=assistant.pk, attachment_ids=[attachment.pk])
        return await tab.until("reply.finished")

    async def read_by(user: User) -> int:
        return (await send(user))["usage"]["cache_read_tokens"]

    first, others, own_again = await read_by(ann), await read_by(bob), await read_by(ann)

    assert first == 0
    assert 0 < others < own_again
    assert own_again - others > len(FILE) / 10


@pytest.mark.django_db
def test_a_salt_costs_a_dozen_tokens_by_the_simulator_s_count():
    text = prompts.SALT.format(salt=make_user("ann").cache_salt)

    counts = {
        tokens.block_tokens({"type": "text", "text": text}, counter(RULE_OF_THUMB, facts.chars_per_token))
        for facts in catalog.KNOWN_MODELS.values()
    }

    assert counts == {9, 12}
