"""The index of the search, on the real database of this run."""

import pytest
from django.db import connection

from chatapp.conversations import search_index
from chatapp.conversations.search_terms import query_of
from chatapp.models import Conversation, Message, SearchEntry, User
from chatapp.protocol.words import ReplyStatus
from tests.factories import make_assistant, make_conversation, make_message, make_talk, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def ann(db) -> User:
    return make_user("ann")


def index_all() -> None:
    while search_index.index_some():
        pass


def found(user: User, asked: str, **bounds) -> list[str]:
    entries = search_index.matching(user.pk, query_of(asked).terms, **{"before": None, "limit": 50, **bounds})
    texts = dict(SearchEntry.objects.filter(pk__in=entries).values_list("pk", "message__text"))
    return [texts[entry] for entry in entries]


def terms_left() -> int:
    if connection.vendor == "postgresql":
        sql = "SELECT count(terms) FROM chatapp_searchentry"
    else:
        sql = "SELECT count(*) FROM chatapp_searchwords"
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return int(cursor.fetchone()[0])


def explained(user: User, asked: str) -> str:
    sql, parameters = search_index.statement(user.pk, query_of(asked).terms, before=None, limit=20)
    prefix = "EXPLAIN QUERY PLAN " if connection.vendor == "sqlite" else "EXPLAIN "
    with connection.cursor() as cursor:
        cursor.execute(prefix + sql, parameters)
        return "\n".join(str(row) for row in cursor.fetchall())


def test_the_newest_messages_with_all_words_come_first(ann):
    make_talk(make_conversation(ann), ["warm cache", "a cold cache", "warm water", "the cache stays warm"])
    index_all()

    assert found(ann, "cache warm") == ["the cache stays warm", "warm cache"]
    assert found(ann, "cac", limit=1) == ["the cache stays warm"]


@pytest.mark.parametrize("asked", ["京都", "京", "ข้าว", "привет", "o'brien", "naïve", "a:b", "_1", "&|!"])
def test_any_text_can_be_asked_for(ann, asked):
    make_talk(make_conversation(ann), ["東京都に行く", "กินข้าว", "Привет, мир", "O'Brien is naïve a:b"])
    index_all()

    assert len(found(ann, asked)) == (0 if asked == "_1" else 4 if asked == "&|!" else 1)


def test_nobody_finds_the_messages_of_others(ann):
    make_message(make_conversation(make_user("bob")), "secret harbour")
    index_all()

    assert found(ann, "harbour") == []


def test_a_reply_is_found_once_it_has_ended(ann):
    conversation = make_conversation(ann)
    reply = make_message(conversation, "half a lighth", role="assistant", status=ReplyStatus.STREAMING)
    index_all()
    assert found(ann, "half") == []

    Message.objects.filter(pk=reply.pk).update(text="half a lighthouse", status=ReplyStatus.COMPLETE)
    index_all()

    assert found(ann, "lighthouse") == ["half a lighthouse"]


def test_an_edited_message_is_found_by_its_new_words_only(ann):
    message = make_message(make_conversation(ann), "old words")
    index_all()
    message.text = "new words"
    message.save()
    index_all()

    assert found(ann, "old") == []
    assert found(ann, "new") == ["new words"]


def test_what_is_deleted_leaves_no_words_behind(ann):
    make_talk(make_conversation(ann), ["one", "two"])
    index_all()
    assert terms_left() == 2

    Conversation.objects.all().delete()

    assert (terms_left(), SearchEntry.objects.count()) == (0, 0)


def test_indexing_twice_does_nothing_more(ann, django_assert_num_queries):
    make_message(make_conversation(ann), "once")
    index_all()

    with django_assert_num_queries(1):
        assert search_index.index_some() == 0
    assert terms_left() == 1


def test_a_step_ends_before_it_takes_long(ann, monkeypatch):
    monkeypatch.setattr(search_index, "CHARACTERS_AT_ONCE", 1_000)
    make_talk(make_conversation(ann), ["x " * 400] * 5)

    search_index.index_some()

    assert SearchEntry.objects.count() == 1


def test_the_search_reads_the_index_of_words_and_no_other_table_whole(ann):
    assistant = make_assistant()
    for number in range(40):
        make_talk(make_conversation(ann, assistant), [f"the needle{number} of this stack", "hay " * 20] * 3)
    index_all()
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")

    plan = explained(ann, "needle7")

    if connection.vendor == "sqlite":
        assert "SCAN words VIRTUAL TABLE INDEX" in plan
        assert [line for line in plan.splitlines() if "SCAN" in line and "words" not in line] == []
        assert "TEMP B-TREE" not in plan
    else:
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL enable_seqscan = off")
        assert "search_terms" in explained(ann, "needle7")
