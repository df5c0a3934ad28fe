"""A conversation's messages, a part at a time."""

from collections import Counter
from uuid import UUID, uuid4

import pytest

from chatapp.conversations import access, branches
from chatapp.conversations.branches import outline_of
from chatapp.models import Conversation, Message
from chatapp.protocol import FrameError, HistoryLoad, HistoryPage
from chatapp.socket import history
from chatapp.socket.history import PART_BYTES, PART_MESSAGES, HistoryPart
from tests.factories import make_conversation, make_message, make_talk, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def conversation() -> Conversation:
    return make_conversation()


@pytest.fixture
def read(monkeypatch) -> Counter[str]:
    """How many messages were read from the database, and how many of them with their content."""
    counts: Counter[str] = Counter()
    from_db = Message.from_db.__func__

    def counted(cls, db, field_names, values):
        counts["rows"] += 1
        counts["with content"] += "content" in field_names or "text" in field_names
        return from_db(cls, db, field_names, values)

    monkeypatch.setattr(Message, "from_db", classmethod(counted))
    return counts


def newest(conversation: Conversation) -> HistoryPart:
    return history.newest(conversation, outline_of(conversation.pk))


def load(conversation: Conversation, **anchor: UUID) -> HistoryPage:
    return history.load(conversation.user, HistoryLoad(conversation_id=conversation.pk, **anchor))


def numbered(count: int) -> list[str]:
    return [f"Message {number}" for number in range(count)]


def texts(part: HistoryPart | HistoryPage) -> list[str]:
    return [view.text for view in part.messages]


def test_a_short_conversation_comes_whole(conversation):
    make_talk(conversation, numbered(10))

    part = newest(conversation)

    assert texts(part) == numbered(10)
    assert (part.earlier, part.later) == (0, 0)


def test_an_empty_conversation_has_an_empty_part(conversation):
    part = newest(conversation)

    assert (texts(part), part.earlier, part.later) == ([], 0, 0)


def test_of_a_long_conversation_the_end_comes_first(conversation):
    make_talk(conversation, numbered(PART_MESSAGES + 30))

    part = newest(conversation)

    assert texts(part) == numbered(PART_MESSAGES + 30)[30:]
    assert (part.earlier, part.later) == (30, 0)


def test_content_is_read_only_of_what_is_sent(conversation, read):
    make_talk(conversation, numbered(400))

    part = newest(conversation)

    assert read == {"rows": 400 + len(part.messages), "with content": len(part.messages)}


def test_a_part_is_bounded_by_its_bytes_and_not_by_its_characters(conversation, read):
    in_bytes = PART_BYTES // 8
    talk = make_talk(conversation, ["é" * (in_bytes // 2)] * 40)

    part = newest(conversation)

    sent = sum(
        len(view.text.encode()) + sum(len(block.text.encode()) for block in view.blocks) for view in part.messages
    )
    assert PART_BYTES // 4 < sent <= PART_BYTES
    assert part.messages[-1].id == talk[-1].pk
    assert read["with content"] == len(part.messages)


def test_a_message_larger_than_a_part_comes_alone(conversation):
    make_talk(conversation, ["a" * (2 * PART_BYTES), "b" * (2 * PART_BYTES), "c" * (2 * PART_BYTES)])

    part = newest(conversation)

    assert [text[0] for text in texts(part)] == ["c"]
    assert part.earlier == 2


@pytest.mark.parametrize("size", [1, PART_BYTES // 30, PART_BYTES // 3])
def test_going_back_part_by_part_shows_every_message_once(conversation, size):
    talk = make_talk(conversation, ["x" * size for _ in range(70)])

    part: HistoryPart | HistoryPage = newest(conversation)
    seen = [view.id for view in part.messages]
    while part.earlier:
        part = load(conversation, before=seen[0])
        seen = [view.id for view in part.messages] + seen
        assert part.earlier + len(seen) == len(talk)

    assert seen == [message.pk for message in talk]


def test_going_on_part_by_part_comes_to_the_end(conversation):
    talk = make_talk(conversation, numbered(PART_MESSAGES * 2 + 20))

    seen = [talk[0].pk]
    later = len(talk) - 1
    while later:
        page = load(conversation, after=seen[-1])
        seen += [view.id for view in page.messages]
        later = page.later
        assert page.earlier + len(page.messages) == len(seen)

    assert seen == [message.pk for message in talk]


@pytest.mark.parametrize("place", [0, 1, 60, 118, 119])
def test_a_part_around_a_message_leads_on_in_both_directions(conversation, place):
    talk = make_talk(conversation, numbered(120))

    page = load(conversation, around=talk[place].pk)

    first, last = page.earlier, 120 - page.later
    assert texts(page) == numbered(120)[first:last]
    assert first <= place < last
    assert len(page.messages) <= PART_MESSAGES
    assert place - first == min(place, PART_MESSAGES // 2)


def test_a_message_of_another_branch_is_shown_on_its_own(conversation):
    first, old = make_talk(conversation, ["Question", "Old answer"])
    make_message(conversation, "New answer", role="assistant", parent=first)
    conversation.refresh_from_db()

    page = load(conversation, around=old.pk)

    assert texts(newest(conversation)) == ["Question", "New answer"]
    assert texts(page) == ["Question", "Old answer"]
    assert (page.is_shown, load(conversation, around=first.pk).is_shown) == (False, True)


def test_earlier_messages_are_those_of_the_shown_branch(conversation):
    talk = make_talk(conversation, ["Question", "Answer", "More?"])
    other = make_message(conversation, "Asked otherwise", parent=talk[1])
    branches.select(conversation.user, conversation.pk, talk[2].pk)

    page = load(conversation, before=talk[2].pk)

    assert texts(page) == ["Question", "Answer"]
    assert texts(load(conversation, after=talk[1].pk)) == ["More?"]
    assert texts(load(conversation, before=other.pk)) == ["Question", "Answer"]


def test_a_message_in_a_later_part_knows_all_its_versions(conversation):
    first, answer = make_talk(conversation, ["Question", "Answer"])
    again = make_message(conversation, "Answer anew", role="assistant", parent=first)
    tail = make_talk(conversation, numbered(4), after=again)

    page = load(conversation, before=tail[0].pk)

    assert page.messages[1].siblings == [answer.pk, again.pk]


def test_what_is_not_yours_or_not_there_does_not_exist(conversation):
    mine, theirs = make_message(conversation), make_message(make_conversation())

    for user, message_id in ((make_user(), mine.pk), (conversation.user, theirs.pk), (conversation.user, uuid4())):
        with pytest.raises(access.NotFound):
            history.load(user, HistoryLoad(conversation_id=conversation.pk, before=message_id))


@pytest.mark.parametrize("named", [(), ("before", "after"), ("before", "around"), ("before", "after", "around")])
def test_a_part_is_asked_for_by_one_message(conversation, named):
    message = make_message(conversation)

    with pytest.raises(FrameError) as refused:
        load(conversation, **dict.fromkeys(named, message.pk))

    assert refused.value.code == "bad_field"
    assert refused.value.ref == str(conversation.pk)
