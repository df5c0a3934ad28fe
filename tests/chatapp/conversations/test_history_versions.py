"""What begins a new version of the history: a refused turn and a changed assistant. Within one it only grows."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chatapp.conversations import prepared_conversations, prompts
from chatapp.models import Assistant, Conversation, Message
from tests.factories import make_assistant, make_conversation, make_message, make_user
from warmcache.core.prefix import Request, build

pytestmark = pytest.mark.django_db

REFUSED = "refused"
answers = st.sampled_from(["complete", "stopped", "interrupted", "failed", REFUSED])
changes = st.sampled_from([None, None, None, "instructions", "model"])


@pytest.fixture
def conversation() -> Conversation:
    return make_conversation(make_user("ann"), make_assistant(documents=("One document.",)))


def ask(conversation: Conversation, text: str, parent: Message | None) -> Message:
    content = prompts.message_content(text, [])
    return make_message(conversation, text, parent=parent, content=content)


def answer(question: Message, text: str, how: str) -> Message:
    reply = make_message(
        question.conversation,
        text,
        role="assistant",
        status="complete" if how == REFUSED else how,
        parent=question,
        content=[{"type": "text", "text": text}],
    )
    if how == REFUSED:
        reply.stop_reason = "refusal"
        reply.save()
    return reply


def change(assistant: Assistant, what: str | None, number: int) -> None:
    if what == "instructions":
        assistant.system_prompt = f"Instructions, as they are after change {number}."
    if what == "model":
        assistant.model = ("claude-opus-5-5", "claude-haiku-5-5")[number % 2]
    if what is not None:
        assistant.save()


def warm_up(conversation: Conversation) -> Request:
    conversation.refresh_from_db()
    return build(prepared_conversations.of(conversation).prompt, None)


def request_for(question: Message) -> Request:
    draft, turn = prompts.draft_and_turn(question.content)
    return build(
        prepared_conversations.before(question.conversation, question.parent_id).with_draft(draft),
        turn,
    )


def said(request: Request) -> list[tuple[str, str]]:
    return [(turn["role"], block["text"]) for turn in request.body["messages"] for block in turn["content"]]


@pytest.mark.any_database
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(answers, changes), min_size=1, max_size=6))
def test_what_is_warmed_is_what_is_sent_over_every_change_of_the_history(
    conversation: Conversation, turns: list[tuple[str, str | None]]
) -> None:
    conversation.messages.all().delete()
    parent, kept = None, []
    before: Request | None = None
    for number, (how, what) in enumerate(turns):
        change(conversation.assistant, what, number)
        warmed = warm_up(conversation)
        question = ask(conversation, f"Question {number}", parent)
        sent = request_for(question)
        parent = answer(question, f"Answer {number}", how)

        assert said(warmed)[:-1] == said(sent)[:-1] == kept
        assert {p.prefix_hash for p in warmed.prefix.breakpoints} <= {p.prefix_hash for p in sent.prefix.breakpoints}
        assert all(warmed.body[name] == sent.body[name] for name in ("model", "system"))
        if before is not None and what is None:
            earlier = said(before)[:-1] if turns[number - 1][0] == REFUSED else said(before)
            assert said(sent)[: len(earlier)] == earlier, "a version of the history only grows"
        if how != REFUSED:
            kept += [("user", f"Question {number}"), ("assistant", f"Answer {number}")]
        before = sent


def test_a_refused_turn_is_left_out_with_its_question_and_nothing_else(conversation: Conversation) -> None:
    first = answer(ask(conversation, "First", None), "Of course.", "complete")
    refused = answer(ask(conversation, "How do I harm?", first), "I cannot", REFUSED)
    second = answer(ask(conversation, "Second", refused), "Gladly.", "complete")

    sent = request_for(ask(conversation, "Third", second))

    assert said(sent) == [
        ("user", "First"),
        ("assistant", "Of course."),
        ("user", "Second"),
        ("assistant", "Gladly."),
        ("user", "Third"),
    ]


def test_a_refusal_of_the_first_message_leaves_the_assistant_s_own_prompt(conversation: Conversation) -> None:
    refused = answer(ask(conversation, "How do I harm?", None), "", REFUSED)

    sent = request_for(ask(conversation, "Something else", refused))

    assert said(sent) == [("user", "Something else")]


def test_another_answer_in_place_of_a_refusal_brings_the_question_back(conversation: Conversation) -> None:
    question = ask(conversation, "May I?", None)
    answer(question, "I cannot", REFUSED)
    again = answer(question, "You may.", "complete")

    sent = request_for(ask(conversation, "Thanks", again))

    assert said(sent) == [("user", "May I?"), ("assistant", "You may."), ("user", "Thanks")]


def test_a_refusal_begins_a_version_without_the_earlier_thinking(conversation: Conversation) -> None:
    thought = [{"type": "thinking", "thinking": "Hm.", "signature": "c2ln"}, {"type": "text", "text": "Of course."}]
    shared_hash = prepared_conversations.shared_prompt(conversation.assistant).shared_hash

    def think(question: Message) -> Message:
        reply = answer(question, "Of course.", "complete")
        Message.objects.filter(pk=reply.pk).update(content=thought, shared_hash=shared_hash)
        return reply

    def kinds(request: Request) -> list[str]:
        return [
            block["type"]
            for turn in request.body["messages"]
            if turn["role"] == "assistant"
            for block in turn["content"]
        ]

    first = think(ask(conversation, "First", None))
    before = request_for(ask(conversation, "How do I harm?", first))
    refused = answer(Message.objects.filter(text="How do I harm?").get(), "I cannot", REFUSED)
    second = think(ask(conversation, "Second", refused))
    after = request_for(ask(conversation, "Third", second))

    assert kinds(before) == ["thinking", "text"]
    assert kinds(after) == ["text", "thinking", "text"]
