"""Looking for words in one's own conversations."""

import pytest

from chatapp.conversations import deletions, search, search_index
from chatapp.models import User
from chatapp.protocol import SearchAsk, SearchResults
from tests.factories import make_conversation, make_message, make_talk, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def ann(db) -> User:
    return make_user("ann")


def look(user: User, query: str, before: int | None = None) -> SearchResults:
    while search_index.index_some():
        pass
    return search.look(user, SearchAsk(query=query, before=before))


def test_a_hit_tells_where_it_is_and_shows_the_words_in_their_place(ann):
    conversation = make_conversation(ann, title="Ships")
    question, reply = make_talk(
        conversation, ["Which ship?", "x " * 100 + "The **Harbour**\n\nlights of the harbour " * 9]
    )

    [hit] = look(ann, "harbour light").hits

    assert (hit.conversation_id, hit.message_id, hit.title) == (conversation.pk, reply.pk, "Ships")
    assert hit.role == "assistant"
    assert hit.pieces[:4] == [hit.pieces[0], "Harbour", "** ", "light"]
    assert hit.pieces[0].startswith("…x x x") and hit.pieces[0].endswith("The **")
    assert hit.pieces[-1].endswith("…")
    assert hit.words == ["Harbour", "light", "harbour"]
    assert len("".join(hit.pieces)) < 200


def test_a_word_without_spaces_is_only_found_as_a_whole(ann):
    make_talk(make_conversation(ann), ["京都と東京", "東京都", "東の京"])

    assert ["".join(hit.pieces) for hit in look(ann, "東京都").hits] == ["東京都"]


def test_all_hits_are_reached_page_by_page(ann, monkeypatch):
    monkeypatch.setattr(search, "PAGE_HITS", 4)
    monkeypatch.setattr(search, "CANDIDATES", 3)
    make_talk(make_conversation(ann), [f"needle {number}" for number in range(11)])

    page = look(ann, "needle")
    seen = [hit.pieces for hit in page.hits]
    while page.next is not None:
        page = look(ann, "needle", page.next)
        seen += [hit.pieces for hit in page.hits]

    assert seen == [["", "needle", f" {number}"] for number in reversed(range(11))]


def test_titles_are_found_too_but_nothing_of_others_or_of_what_is_deleted(ann):
    make_conversation(ann, title="Harbour log")
    make_message(make_conversation(make_user("bob"), title="Harbour of Bob"), "harbour")
    gone = make_conversation(ann, title="Harbour gone")
    make_message(gone, "harbour")
    look(ann, "harbour")
    deletions.delete(gone)

    results = look(ann, "HARB")

    assert [each.title for each in results.conversations] == ["Harbour log"]
    assert results.hits == []


@pytest.mark.parametrize("query", ["", "   ", "?!", "\0"])
def test_without_a_word_nothing_is_found(ann, query):
    make_message(make_conversation(ann, title="?!"), "Why?!")

    assert (look(ann, query).hits, look(ann, query).conversations) == ([], [])


def test_a_search_costs_three_statements(ann, django_assert_num_queries):
    for _ in range(30):
        make_message(make_conversation(ann), "needle")
    look(ann, "needle")

    with django_assert_num_queries(3):
        assert len(search.look(ann, SearchAsk(query="needle")).hits) == search.PAGE_HITS
