"""The tree of a conversation's messages and the branch of it that is shown."""

from uuid import UUID, uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatapp.conversations import access, branches, prepared_conversations
from chatapp.conversations.branches import MessageTree
from chatapp.models import Message
from tests.factories import make_conversation, make_message, make_user
from warmcache.core.prefix import PreparedPrompt, build

Shape = list[tuple[int, bool]]
"""For each message the place of its parent (or -1), and whether its row names it."""


def message(parent: Message | None = None, **fields: object) -> Message:
    return Message(pk=uuid4(), parent_id=parent.pk if parent else None, **fields)


def tree_of_shape(shape: Shape) -> list[Message]:
    messages: list[Message] = []
    for number, (place, is_named) in enumerate(shape):
        parent = messages[place % (number + 1) - 1] if is_named and place % (number + 1) else None
        edit_of = messages[0].pk if messages and parent is None and place % 2 else None
        role = Message.Role.USER if number % 2 else Message.Role.ASSISTANT
        messages.append(message(parent, edit_of_id=edit_of, role=role))
    return messages


def ids(messages: list[Message]) -> list[UUID]:
    return [each.pk for each in messages]


shapes = st.lists(st.tuples(st.integers(0, 40), st.booleans()), max_size=25)


@settings(deadline=None)
@given(shapes, st.integers(0, 30))
def test_every_branch_is_a_path_from_a_first_message_to_an_end(shape, chosen):
    messages = tree_of_shape(shape)
    tree = MessageTree(messages)
    through = messages[chosen % len(messages)].pk if messages else None

    branch = ids(tree.branch_through(through))

    assert bool(branch) == bool(messages)
    assert through is None or through in branch
    parents = [tree.parent_of(each) for each in branch]
    assert parents == [None, *branch[:-1]][: len(branch)]
    assert not any(tree.parent_of(other) == branch[-1] for other in ids(messages) if branch)


@settings(deadline=None)
@given(shapes)
def test_every_message_is_on_some_branch_and_among_its_own_versions(shape):
    messages = tree_of_shape(shape)
    tree = MessageTree(messages)

    for each in messages:
        assert each.pk in ids(tree.branch_through(each.pk))
        assert tree.siblings(each.pk).count(each.pk) == 1
        assert all(tree.siblings(other) == tree.siblings(each.pk) for other in tree.siblings(each.pk))


def test_versions_are_listed_from_the_oldest_to_the_newest():
    question = message(role="user")
    replies = [message(question, role="assistant") for _ in range(3)]

    tree = MessageTree([question, *replies])

    assert tree.siblings(replies[1].pk) == ids(replies)


def test_an_edited_first_message_begins_a_tree_of_its_own():
    first = message(role="user")
    reply = message(first, role="assistant")
    edited = message(role="user", edit_of_id=first.pk)

    tree = MessageTree([first, reply, edited])

    assert ids(tree.branch_through(edited.pk)) == [edited.pk]
    assert tree.siblings(first.pk) == [first.pk, edited.pk]


def test_a_history_without_parents_is_read_in_the_order_of_its_rows():
    rows = [message(role="user"), message(role="assistant"), message(role="user")]

    assert ids(MessageTree(rows).branch_through(None)) == ids(rows)


def test_a_branch_goes_on_where_something_was_written_last():
    question = message(role="user")
    first, second = message(question, role="assistant"), message(question, role="assistant")
    after_second, after_first = message(second, role="user"), message(first, role="user")

    tree = MessageTree([question, first, second, after_second, after_first])

    assert ids(tree.branch_through(question.pk)) == [question.pk, first.pk, after_first.pk]
    assert ids(tree.branch_through(second.pk)) == [question.pk, second.pk, after_second.pk]


def test_parents_in_a_ring_end_nothing_in_a_loop():
    first, second = message(role="user"), message(role="user")
    first.parent_id, second.parent_id = second.pk, first.pk

    tree = MessageTree([first, second])

    assert len(tree.branch_through(first.pk)) == 2


@pytest.mark.django_db
def test_the_next_prompt_follows_the_branch_that_was_chosen():
    conversation = make_conversation()
    question = make_message(conversation, "Question")
    old = make_message(conversation, "Old answer", role="assistant", parent=question)
    make_message(conversation, "New answer", role="assistant", parent=question)

    conversation.refresh_from_db()
    before = prepared_conversations.of(conversation).prompt
    branches.select(conversation.user, conversation.pk, old.pk)
    conversation.refresh_from_db()
    after = prepared_conversations.of(conversation).prompt

    assert texts_of(before) == ["Question", "New answer"]
    assert texts_of(after) == ["Question", "Old answer"]


@pytest.mark.django_db
def test_nobody_chooses_in_somebody_else_s_conversation_nor_a_message_of_another():
    conversation, other = make_conversation(), make_conversation()
    mine, theirs = make_message(conversation), make_message(other)

    with pytest.raises(access.NotFound):
        branches.select(make_user(), conversation.pk, mine.pk)
    with pytest.raises(access.NotFound):
        branches.select(conversation.user, conversation.pk, theirs.pk)


def texts_of(prompt: PreparedPrompt) -> list[str]:
    messages = build(prompt, None).body["messages"]
    return [str(turn["content"][0]["text"]) for turn in messages[:-1]]
