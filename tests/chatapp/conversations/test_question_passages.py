"""Documents cut per question: which passages are chosen, and that what is warmed is still what is sent."""

from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatapp.conversations import (
    attached_texts,
    document_search,
    exports,
    prepared_conversations,
    prompts,
    question_passages,
)
from chatapp.conversations.question_passages import KIND, text_for
from chatapp.models import Attachment, Message
from chatapp.protocol import MessageSend
from chatapp.replies import sent_messages
from tests.factories import make_assistant, make_conversation, make_message, make_talk, make_user
from warmcache.core.prefix import build

BOATS = "Barges are long boats. " * 40
FRUIT = "Bananas are yellow fruit. " * 40
DOCUMENTS = (f"{BOATS}\n\n{FRUIT}", f"{FRUIT}\n\nThe slipway is for barges and bananas.")

words = st.sampled_from(["barge", "banana", "slipway", "yellow", "the", "and", "预热", "Ärger", "\n\n", "\n"])
texts = st.lists(words, max_size=400).map(" ".join)


@given(st.lists(st.tuples(st.text(max_size=300), texts), max_size=4), texts, st.integers(0, 5_000))
def test_a_budget_is_never_passed_and_the_choice_is_always_the_same(documents, question, max_chars):
    found = text_for(documents, question, max_chars=max_chars)

    assert len(found) <= max_chars
    assert found == text_for(list(documents), question, max_chars=max_chars)


@given(st.lists(st.tuples(st.text(max_size=20), texts), max_size=4), texts, st.integers(0, 5_000))
def test_passages_are_whole_stand_in_the_order_of_the_documents_and_all_have_a_word(documents, question, max_chars):
    ranked = document_search.ranked(documents, question)
    in_order = sorted(ranked, key=lambda passage: passage.place)

    found = text_for(documents, question, max_chars=max_chars)

    place = 0
    for passage in in_order:
        told = question_passages.PASSAGE.format(title=passage.title, text=passage.text)
        place = found.find(told, place) + len(told) if told in found[place:] else place
    assert place == (len(found) - len(question_passages.CLOSING) if found else 0)


def test_the_best_passages_come_first_where_not_all_fit():
    documents = [(f"Document {number}", text) for number, text in enumerate(DOCUMENTS)]

    found = text_for(documents, "Which slipway is there for barges?", max_chars=1_500)

    assert "The slipway is for barges and bananas." in found
    assert "Barges are long boats" not in found


def test_without_a_common_word_there_are_no_passages():
    assert text_for([("A", BOATS)], "Why?", max_chars=10_000) == ""


@pytest.fixture
def conversation(db):
    return make_conversation(make_user(), make_assistant(documents=DOCUMENTS, cuts_documents=True))


def asked(conversation, text="Which slipway?", **fields) -> Message:
    message = make_message(conversation, text, sender=conversation.user, **fields)
    question_passages.put_into(message, conversation.assistant)
    return message


def test_the_shared_part_holds_titles_and_no_documents(conversation):
    prompt = prompts.prompt_for_new_chat(conversation.assistant)

    told = "".join(block["text"] for block in prompt.system)
    assert '"Document 0", "Document 1"' in told
    assert "slipway" not in told


def test_passages_are_stored_with_the_question_and_no_part_of_its_text(conversation):
    message = asked(conversation)

    stored = Message.objects.get(pk=message.pk)
    assert [block["type"] for block in stored.content] == [KIND, "text"]
    assert stored.text == "Which slipway?"
    assert stored.content == message.content


def test_a_question_gets_its_passages_once(conversation, django_assert_num_queries):
    message = asked(conversation)
    before = list(message.content)

    with django_assert_num_queries(0):
        question_passages.put_into(message, conversation.assistant)

    assert message.content == before


def test_where_documents_are_read_whole_nothing_is_searched_or_stored(db, django_assert_num_queries):
    assistant = make_assistant(documents=DOCUMENTS)
    message = make_message(make_conversation(make_user(), assistant), "Which slipway?")

    with django_assert_num_queries(0):
        question_passages.put_into(message, assistant)

    assert [block["type"] for block in message.content] == ["text"]


def test_they_are_sent_behind_the_draft_so_that_files_are_warmed_as_they_are_sent(conversation):
    attachment = Attachment.objects.create(user=conversation.user, name="a.txt", text="A file. " * 500, size_bytes=4000)
    content = prompts.message_content("Which slipway?", [attachment])
    message = asked(conversation, content=content)
    before = prepared_conversations.of(conversation).prompt
    warmed = before.with_draft(prompts.attachment_blocks([attachment]))

    draft, turn = prompts.draft_and_turn(attached_texts.put_in([message.content])[0])

    assert draft == prompts.attachment_blocks([attachment])
    assert [block["type"] for block in turn] == ["text", "text"]
    assert turn[0]["text"].startswith("<passages>\n<passage document=")
    hashes = [point.prefix_hash for point in build(warmed, None).prefix.breakpoints]
    sent = build(before.with_draft(draft), turn).prefix.breakpoints
    assert [point.prefix_hash for point in sent][: len(hashes)] == hashes


def test_what_is_warmed_after_the_answer_is_what_was_sent_and_answered(conversation):
    """The history only grows: the question keeps its passages."""
    message = asked(conversation)
    content = attached_texts.put_in([message.content])[0]
    before = prepared_conversations.before(conversation, None)
    make_message(conversation, "There is one.", role="assistant", parent=message, model="m")
    grown = before.prompt.with_turns(prompts.asked(content))

    again = prepared_conversations.before(conversation, message.pk).prompt

    assert build(again, None).body == build(grown, None).body


def test_an_edit_gets_passages_of_its_own(conversation):
    first = asked(conversation)

    content = prompts.message_content("What are bananas?", [], edit_of=first)

    assert [block["type"] for block in content] == ["text"]
    assert prompts.files_in(first.content) == []


def test_they_are_no_part_of_what_a_person_takes_away(conversation):
    [first, _] = make_talk(conversation, ["Which slipway?", "One."])
    question_passages.put_into(first, conversation.assistant)

    assert b"<passage" not in exports.as_json(conversation).content
    assert b"<passage" not in exports.as_markdown(conversation).content


def send(conversation, text, **fields) -> sent_messages.Sent:
    frame = MessageSend(client_message_id=uuid4(), text=text, conversation_id=conversation.pk, **fields)
    sent = sent_messages.store(conversation.user, frame)
    assert isinstance(sent, sent_messages.Sent)
    return sent


def test_a_sent_question_has_them_and_so_has_another_reply_to_it(conversation):
    sent = send(conversation, "Which slipway?")
    Message.objects.filter(pk=sent.reply.pk).update(status="complete")

    again = sent_messages.store_version(conversation.user, sent.reply.pk)

    assert [block["type"] for block in sent.message.content] == [KIND, "text"]
    assert sent.content[0]["text"].startswith("<passages>")
    assert list(again.content) == list(sent.content)


def test_an_edited_question_is_searched_for_anew(conversation):
    sent = send(conversation, "Which slipway?")
    Message.objects.filter(pk=sent.reply.pk).update(status="complete")

    edited = send(conversation, "Bananas?", edit_of=sent.message.pk)

    assert [block["type"] for block in edited.message.content] == [KIND, "text"]
    assert edited.content[0] != sent.content[0]
