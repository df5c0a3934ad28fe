"""What a person wants in each conversation: behind the layer that all share, and part of what is warmed and sent."""

import pytest
from django.test import Client

from chatapp import events
from chatapp.conversations import conversations, prepared_conversations, prompts, standing_instructions
from chatapp.models import Conversation, User
from chatapp.warming.typing import Draft, _load
from tests.factories import make_assistant, make_conversation, make_message, make_user
from warmcache.core.prefix import Layer, PreparedPrompt, build

pytestmark = pytest.mark.django_db


def hashes(prompt: PreparedPrompt) -> dict[Layer, str]:
    return {point.layer: point.prefix_hash for point in build(prompt, None).prefix.breakpoints}


def first_words(prompt: PreparedPrompt) -> str:
    return str(build(prompt, None).body["messages"][0]["content"][0]["text"])


def prompt_of(conversation: Conversation) -> PreparedPrompt:
    return prepared_conversations.of(Conversation.objects.get(pk=conversation.pk)).prompt


def test_they_stand_behind_the_shared_layer_and_differ_from_person_to_person():
    assistant = make_assistant(documents=("One document. " * 2_000,))
    ann, bob = make_user("ann", instructions="Answer in Dutch."), make_user("bob")
    talks = [make_conversation(user, assistant, cache_salt=user.cache_salt) for user in (ann, bob)]
    for each in talks:
        make_message(each, "Why? " * 2_000)

    anns, bobs = (prompt_of(each) for each in talks)

    assert "Answer in Dutch." in first_words(anns)
    assert ann.cache_salt in first_words(anns)
    assert "standing" not in first_words(bobs)
    assert hashes(anns)[Layer.SHARED] == hashes(bobs)[Layer.SHARED]
    assert anns.shared_hash == bobs.shared_hash


def test_a_new_chat_is_warmed_with_what_its_first_message_is_sent_with():
    ann, assistant = make_user("ann"), make_assistant()
    # A socket's person was read when it was opened.
    standing_instructions.change(User.objects.get(pk=ann.pk), "Answer in Dutch.")

    warmed = _load(ann, Draft(assistant_id=assistant.pk)).prompt
    sent = prepared_conversations.before(conversations.create(ann, assistant, first_text="Why?"), None).prompt

    assert first_words(warmed) == first_words(sent)
    assert "Answer in Dutch." in first_words(sent)


def test_a_change_is_read_at_the_next_message_in_every_conversation_of_the_person_and_in_no_other():
    ann, bob = make_user("ann"), make_user("bob")
    talks = [make_conversation(user, cache_salt="salt") for user in (ann, ann, bob)]
    before = [prompt_of(each) for each in talks]

    assert standing_instructions.change(ann, "Answer in Dutch.")
    after = [prompt_of(each) for each in talks]

    assert [first_words(one) != first_words(other) for one, other in zip(before, after, strict=True)] == [
        True,
        True,
        False,
    ]
    assert after[2] is before[2]
    assert not standing_instructions.change(ann, "Answer in Dutch."), "nothing is read anew for the same words"
    assert prompt_of(talks[0]) is after[0]


def test_a_change_begins_a_version_of_the_history_without_the_earlier_thinking():
    ann = make_user("ann", instructions="Answer in Dutch.")
    conversation = make_conversation(ann, cache_salt="salt")
    question = make_message(conversation, "Why?")
    thought = [{"type": "thinking", "thinking": "Hm.", "signature": "c2ln"}, {"type": "text", "text": "So."}]
    followed = prepared_conversations.of(conversation).history_hash
    make_message(conversation, "So.", role="assistant", parent=question, content=thought, shared_hash=followed)

    def kinds() -> list[str]:
        messages = build(prompt_of(conversation), None).body["messages"]
        return [block["type"] for turn in messages if turn["role"] == "assistant" for block in turn["content"]]

    assert kinds() == ["thinking", "text"]
    standing_instructions.change(ann, "Answer in French.")
    assert kinds() == ["text"]
    standing_instructions.change(ann, "Answer in Dutch.")
    assert kinds() == ["thinking", "text"]


def test_without_any_the_history_is_the_one_that_it_was():
    prompt = prepared_conversations.shared_prompt(make_assistant())

    assert prompts.history_hash(prompt, "") == prompt.shared_hash
    assert prompts.history_hash(prompt, "Be brief.") != prompts.history_hash(prompt, "Be long.")


class TestPage:
    @pytest.fixture
    def browser(self, client: Client) -> Client:
        client.force_login(make_user("ann"))
        return client

    def test_they_are_written_on_the_account_s_page(self, browser):
        answer = browser.post("/accounts/instructions/", {"instructions": "Be brief.\r\nIn Dutch."})

        assert answer.status_code == 302
        assert User.objects.get().instructions == "Be brief.\nIn Dutch."
        assert "Be brief." in browser.get("/accounts/instructions/").content.decode()
        assert "19 characters" in browser.get("/accounts/").content.decode()
        browser.post("/accounts/instructions/", {"instructions": ""})
        assert User.objects.get().instructions == ""

    def test_a_change_is_told_to_every_process_and_the_same_words_are_not(self, browser, monkeypatch):
        told = []

        async def note(group: str, event: dict) -> None:
            told.append((group, event))

        monkeypatch.setattr(events, "_tell", note)

        for _ in range(2):
            browser.post("/accounts/instructions/", {"instructions": "Be brief."})

        assert told == [(events.PROCESSES, {"type": "instructions.changed", "user_id": User.objects.get().pk})]

    def test_too_many_characters_are_refused_with_the_limit_and_kept_in_the_field(self, browser):
        longest = "a\n" * (standing_instructions.MAX_CHARS // 2)

        refused = browser.post("/accounts/instructions/", {"instructions": longest.strip() + "bcd"})
        taken = browser.post("/accounts/instructions/", {"instructions": longest.strip().replace("\n", "\r\n")})

        assert refused.status_code == 200
        assert "at most 4000 characters (it has 4002)" in refused.content.decode()
        assert "bcd" in refused.content.decode()
        assert (taken.status_code, len(User.objects.get().instructions)) == (302, standing_instructions.MAX_CHARS - 1)
