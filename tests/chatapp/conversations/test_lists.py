"""The list of conversations in parts, what is pinned and archived, and the marks."""

from datetime import timedelta

import pytest
from django.utils import timezone

from chatapp.conversations import conversations, lists
from chatapp.models import Assistant, Conversation, User
from chatapp.protocol import ConversationsLoad, ConversationsPage, FrameError
from chatapp.protocol.words import ReplyStatus
from tests.factories import make_assistant, make_conversation, make_message, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def ann(db) -> User:
    return make_user("ann")


@pytest.fixture
def assistant(db) -> Assistant:
    return make_assistant()


def titles(page: ConversationsPage) -> list[str]:
    return [each.title for each in page.conversations]


def make_many(user: User, assistant: Assistant, count: int) -> None:
    now = timezone.now()
    Conversation.objects.bulk_create(
        Conversation(user=user, assistant=assistant, title=str(number), updated_at=now - timedelta(minutes=number))
        for number in range(count)
    )


def test_every_conversation_is_reached_once_while_others_move_up(ann, assistant):
    make_many(ann, assistant, 120)
    make_conversation(title="somebody else's")

    page = lists.first_page(ann)
    seen = titles(page)
    while page.next is not None:
        Conversation.objects.filter(title=seen[-1]).update(updated_at=timezone.now())
        page = lists.page(ann, ConversationsLoad(before=page.next))
        seen += titles(page)

    assert seen == [str(number) for number in range(120)]


def test_conversations_of_one_moment_are_all_reached(ann, assistant, monkeypatch):
    monkeypatch.setattr(lists, "PAGE_CONVERSATIONS", 2)
    now = timezone.now()
    for title in "abcde":
        make_conversation(ann, assistant, title=title, updated_at=now)

    page, seen = lists.first_page(ann), []
    seen += titles(page)
    while page.next is not None:
        page = lists.page(ann, ConversationsLoad(before=page.next))
        seen += titles(page)

    assert sorted(seen) == list("abcde")


def test_what_is_pinned_comes_first_and_what_is_archived_elsewhere(ann, assistant):
    for title in ("old", "pinned", "archived", "new"):
        make_conversation(ann, assistant, title=title)
    conversations.pin(Conversation.objects.get(title="pinned"), is_pinned=True)
    conversations.archive(Conversation.objects.get(title="archived"), is_archived=True)

    assert titles(lists.first_page(ann)) == ["pinned", "new", "old"]
    assert titles(lists.page(ann, ConversationsLoad(shelf="archive"))) == ["archived"]

    conversations.pin(Conversation.objects.get(title="archived"), is_pinned=True)
    conversations.archive(Conversation.objects.get(title="pinned"), is_archived=True)

    assert titles(lists.first_page(ann)) == ["archived", "new", "old"]
    assert titles(lists.page(ann, ConversationsLoad(shelf="archive"))) == ["pinned"]


def test_only_some_can_be_pinned(ann, assistant, monkeypatch):
    monkeypatch.setitem(conversations.LIMITS, "pinned_conversations", 1)
    first, second = make_conversation(ann, assistant), make_conversation(ann, assistant)

    assert conversations.pin(first, is_pinned=True)
    assert not conversations.pin(second, is_pinned=True)
    assert conversations.pin(first, is_pinned=True)


def test_writing_in_an_archived_conversation_brings_it_back(ann, assistant):
    conversation = make_conversation(ann, assistant, archived_at=timezone.now())

    conversations.touch(conversation, branch=make_message(conversation))

    assert [each.archived for each in lists.first_page(ann).conversations] == [False]


def test_a_reply_that_runs_and_one_that_ended_unseen_are_marked(ann, assistant):
    now = timezone.now()
    for title, status, finished_at, read_at in (
        ("runs", ReplyStatus.STREAMING, None, now),
        ("unseen", ReplyStatus.COMPLETE, now, now - timedelta(minutes=1)),
        ("seen", ReplyStatus.COMPLETE, now - timedelta(minutes=1), now),
        ("older than marks", ReplyStatus.COMPLETE, now, None),
    ):
        conversation = make_conversation(ann, assistant, title=title, read_at=read_at)
        make_message(conversation, role="assistant", status=status, finished_at=finished_at)

    marks = {each.title: (each.running, each.unread) for each in lists.first_page(ann).conversations}

    assert marks == {
        "runs": (True, False),
        "unseen": (False, True),
        "seen": (False, False),
        "older than marks": (False, False),
    }
    unseen = Conversation.objects.get(title="unseen")
    news = conversations.news_of(unseen.pk)
    assert news is not None
    assert news.view.unread
    read = conversations.note_read(ann, unseen.pk)
    assert read is not None
    assert not read.view.unread
    assert conversations.note_read(make_user(), unseen.pk) is None


@pytest.mark.parametrize("place", ["", "yesterday", "2026-01-01T00:00:00~x", "2026-01-01T00:00:00~" + "0" * 32])
def test_a_place_that_is_none_is_refused(ann, place):
    with pytest.raises(FrameError):
        lists.page(ann, ConversationsLoad(before=place))


def test_a_part_costs_two_statements_at_most(ann, assistant, django_assert_num_queries):
    make_many(ann, assistant, 60)

    with django_assert_num_queries(2):
        page = lists.first_page(ann)
    with django_assert_num_queries(1):
        lists.page(ann, ConversationsLoad(before=page.next))
