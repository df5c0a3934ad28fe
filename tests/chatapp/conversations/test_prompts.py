"""What the page shows as history is what the model is sent, and what was warmed is what is sent."""

from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chatapp.conversations import attached_texts, branches, prepared_conversations, prompts
from chatapp.models import Attachment
from chatapp.protocol.words import ReplyStatus
from chatapp.socket import history
from tests.factories import make_assistant, make_conversation, make_message, make_user
from warmcache.core.prefix import Layer, build

pytestmark = pytest.mark.django_db


@pytest.fixture
def conversation():
    return make_conversation(make_user("ann"), make_assistant(documents=("One document.", "Another.")))


def add_question(conversation, text="Why?", parent=None, **fields):
    content = prompts.message_content(text, [])
    return make_message(conversation, text, parent=parent, content=content, **fields)


def add_reply(conversation, question, text="Because.", status="complete", content=None, **fields):
    blocks = [{"type": "text", "text": text}] if content is None else content
    return make_message(conversation, text, role="assistant", status=status, parent=question, content=blocks, **fields)


def next_prompt(conversation, attachments=()):
    """What the next message would follow, as the rows are now."""
    conversation.refresh_from_db()
    return prepared_conversations.of(conversation).with_draft(prompts.attachment_blocks(attachments))


def prompt_and_turn(question):
    """The request that answers a stored person's message."""
    draft, turn = prompts.draft_and_turn(attached_texts.put_in([question.content])[0])
    return prepared_conversations.before(question.conversation, question.parent_id).with_draft(draft), turn


def shown_in(conversation):
    return branches.tree_of(conversation.pk).branch_through(conversation.branch_id)


def said_in(prompt) -> list[tuple[str, str]]:
    """Of the history; the last block of a warm-up is no one's."""
    messages = build(prompt, None).body["messages"]
    said = [(turn["role"], block["text"]) for turn in messages for block in turn["content"]]
    return said[:-1]


reply_texts = st.sampled_from(["", " ", "\n\n"]) | st.text(st.characters(codec="utf-8", exclude_characters="\0"))
statuses = st.sampled_from(["complete", "stopped", "interrupted", "failed"])


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(reply_texts, statuses), max_size=5))
def test_what_the_page_shows_as_history_is_what_is_sent(conversation, rounds):
    conversation.messages.all().delete()
    parent = None
    for number, (text, status) in enumerate(rounds):
        question = add_question(conversation, f"Question {number}", parent)
        parent = add_reply(conversation, question, text, status)
    question = add_question(conversation, "The last question", parent)

    warmed = next_prompt(conversation)
    prompt, turn = prompt_and_turn(question)
    shown = [history.message_view(m, [m.pk]) for m in shown_in(conversation)]

    visible = [(m.role, m.text) for m in shown if m.text.strip()]
    assert said_in(prompt) + [("user", turn[0]["text"])] == visible
    assert said_in(warmed) == visible


def test_the_warm_up_s_prefix_is_the_request_s_up_to_the_person_s_own_text(conversation):
    first = add_question(conversation, "First")
    last = add_reply(conversation, first, "An answer")
    warmed = build(next_prompt(conversation), None)
    question = add_question(conversation, "Second", last)

    sent = build(*prompt_and_turn(question))

    assert warmed.body["system"] == sent.body["system"]
    assert warmed.body["messages"][:-1] == sent.body["messages"][:-1]
    assert warmed.body["messages"][-1]["content"] != sent.body["messages"][-1]["content"]
    by_layer = {point.layer: point.prefix_hash for point in sent.prefix.breakpoints}
    assert {by_layer[point.layer] for point in warmed.prefix.breakpoints} == {
        by_layer[Layer.SHARED],
        by_layer[Layer.CONVERSATION],
    }


def test_the_first_message_of_a_chat_follows_what_its_assistant_was_warmed_with(conversation):
    warmed = build(prepared_conversations.shared_prompt(conversation.assistant), None)

    sent = build(*prompt_and_turn(add_question(conversation)))

    assert warmed.prefix.deepest.prefix_hash == sent.prefix.breakpoints[0].prefix_hash


def test_a_draft_s_attachments_are_warmed_as_they_are_sent(conversation):
    attachments = [Attachment.objects.create(user=conversation.user, name=f"{n}.txt", text="word " * n) for n in (1, 2)]
    warmed = build(next_prompt(conversation, attachments), None)
    content = prompts.message_content("What is this?", attachments)
    question = make_message(conversation, "What is this?", content=content)

    sent = build(*prompt_and_turn(question))

    hashes = {point.prefix_hash for point in sent.prefix.breakpoints}
    assert warmed.prefix.deepest.layer is Layer.DRAFT
    assert warmed.prefix.deepest.prefix_hash in hashes


def test_a_running_reply_is_not_yet_part_of_the_history(conversation):
    question = add_question(conversation)
    add_reply(conversation, question, "Half of it", status=ReplyStatus.STREAMING)

    assert said_in(next_prompt(conversation)) == [("user", "Why?")]


STORED = [
    {"type": "thinking", "thinking": "Hm.", "signature": "s"},
    {"type": "text", "text": "I look it up."},
    {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input_json": '{"query": "x\\u0000"}'},
    {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []},
    {"type": "tool_use", "id": "toolu_1", "name": "look_up", "input_json": "{}"},
]
SENT = [*STORED[:2], {**STORED[2], "input": {"query": "x\ufffd"}}, STORED[3]]
del SENT[2]["input_json"]
ONLY_TEXT = [{"type": "text", "text": "I look it up."}]


def add_whole_reply(conversation):
    """A reply with more than text, made after what stands before the history now."""
    shared_hash = prepared_conversations.shared_prompt(conversation.assistant).shared_hash
    return add_reply(conversation, add_question(conversation), content=STORED, shared_hash=shared_hash)


def answer_in(prompt) -> list[dict[str, object]]:
    """The first answer of the history, without its breakpoint."""
    blocks = build(prompt, None).body["messages"][1]["content"]
    return [{name: value for name, value in block.items() if name != "cache_control"} for block in blocks]


def test_a_reply_goes_back_whole_but_for_a_call_that_nobody_answered(conversation):
    reply = add_whole_reply(conversation)

    prompt = prompt_and_turn(add_question(conversation, "And?", reply))[0]

    assert answer_in(prompt) == SENT


@pytest.mark.parametrize(
    "change", [{"system_prompt": "You do not help."}, {"model": "claude-opus-5-5"}, {"tools": [{"name": "other"}]}]
)
def test_after_an_edit_of_the_assistant_only_the_text_of_earlier_replies_goes_back(conversation, change):
    add_whole_reply(conversation)
    assert answer_in(next_prompt(conversation)) == SENT

    for name, value in change.items():
        setattr(conversation.assistant, name, value)
    conversation.assistant.revision += 1
    conversation.assistant.save()

    assert answer_in(next_prompt(conversation)) == ONLY_TEXT


def test_with_another_key_only_the_text_of_earlier_replies_goes_back(conversation, settings):
    add_whole_reply(conversation)

    settings.WARMCACHE = {**settings.WARMCACHE, "API_KEY": "another"}
    prepared_conversations.store.clear()

    assert answer_in(next_prompt(conversation)) == ONLY_TEXT


def test_a_reply_of_an_earlier_release_goes_back_as_text(conversation):
    add_reply(conversation, add_question(conversation), content=STORED)

    assert answer_in(next_prompt(conversation)) == ONLY_TEXT


def test_only_one_branch_is_sent_the_one_that_is_answered(conversation):
    question = add_question(conversation)
    first = add_reply(conversation, question, "First answer")
    add_reply(conversation, question, "Second answer")

    on_first = prompt_and_turn(add_question(conversation, "On the first", first))[0]

    assert said_in(on_first) == [("user", "Why?"), ("assistant", "First answer")]


@pytest.mark.parametrize(
    ("texts", "turn_size"), [(["Text"], 1), ([], 1), (["Text", "More"], 2)], ids=["text", "none", "two texts"]
)
def test_a_person_s_own_text_is_never_part_of_the_draft(conversation, texts, turn_size):
    attachments = [Attachment(name=str(uuid4()), text="x") for _ in range(2)]
    content = [*prompts.attachment_blocks(attachments), *({"type": "text", "text": text} for text in texts)]

    draft, turn = prompts.draft_and_turn(content)

    assert len(turn) == turn_size
    assert [*draft, *turn] == content
    assert all(block["type"] != "text" for block in draft)


def test_a_message_s_row_names_its_files_and_its_edits_copy_no_text(conversation):
    long = "word " * 1000
    attachment = Attachment.objects.create(user=conversation.user, name="long.txt", text=long)
    question = make_message(conversation, "Why?", content=prompts.message_content("Why?", [attachment]))

    edits = [prompts.message_content(f"Why {n}?", [], edit_of=question) for n in range(3)]

    assert [len(str(content)) < 200 for content in (question.content, *edits)] == [True] * 4
    whole = attached_texts.put_in(edits)
    assert [content[0]["source"]["data"] for content in whole] == [long] * 3


def test_files_of_a_whole_history_are_read_in_one_statement(conversation, django_assert_num_queries):
    contents = []
    for n in range(5):
        attachment = Attachment.objects.create(user=conversation.user, name=f"{n}.txt", text=f"text {n}")
        contents.append(prompts.message_content("Why?", [attachment]))

    with django_assert_num_queries(1):
        whole = attached_texts.put_in(contents)

    assert [content[0]["source"]["data"] for content in whole] == [f"text {n}" for n in range(5)]


def test_a_deleted_file_is_told_and_what_was_prepared_with_it_is_read_again(conversation):
    attachment = Attachment.objects.create(user=conversation.user, name="plan.txt", text="The plan")
    question = make_message(conversation, "", content=prompts.message_content("", [attachment]))
    Attachment.objects.filter(pk=attachment.pk).update(message=question)
    before = str(build(next_prompt(conversation), None).body)

    Attachment.objects.get(pk=attachment.pk).delete()
    after = str(build(next_prompt(conversation), None).body)

    assert "The plan" in before
    assert "The plan" not in after
    assert "The file plan.txt was attached here and is deleted" in after


def test_a_message_of_an_earlier_release_keeps_the_texts_that_it_holds(conversation):
    block = {"type": "document", "title": "a", "source": {"type": "text", "media_type": "text/plain", "data": "old"}}

    assert attached_texts.put_in([[block]]) == [[block]]
