"""The frames of the list and of the search, on the real socket."""

from datetime import timedelta

import pytest
from django.utils import timezone

from chatapp.conversations import search_index
from tests.factories import make_conversation, make_message, make_talk
from warmcache.background.database import in_database_thread

pytestmark = pytest.mark.django_db(transaction=True)


def index_all() -> None:
    while search_index.index_some():
        pass


async def test_a_page_searches_and_goes_to_the_message(open_tab, ann, assistant):
    conversation = await in_database_thread(make_conversation, ann, assistant)
    talk = await in_database_thread(make_talk, conversation, ["Where?", "At the **harbour**."])
    await in_database_thread(index_all)
    tab = await open_tab(ann)

    await tab.send("search.ask", query="Harb")
    results = await tab.until("search.results")
    [hit] = results["hits"]
    await tab.send("history.load", conversation_id=hit["conversation_id"], around=hit["message_id"])
    page = await tab.until("history.page")

    assert (results["query"], results["before"], results["next"]) == ("Harb", None, None)
    assert hit["message_id"] == str(talk[1].pk)
    assert hit["pieces"] == ["At the **", "harb", "our**."]
    assert page["is_shown"]


async def test_nobody_searches_what_others_said(open_tab, ann, bob, assistant):
    conversation = await in_database_thread(make_conversation, ann, assistant, title="harbour")
    await in_database_thread(make_message, conversation, "harbour")
    await in_database_thread(index_all)
    tab = await open_tab(bob)

    await tab.send("search.ask", query="harbour")
    results = await tab.until("search.results")

    assert (results["hits"], results["conversations"]) == ([], [])


@pytest.mark.parametrize("fields", [{"query": "x" * 201}, {"query": "x", "before": 0}, {"query": None}])
async def test_a_search_that_is_none_is_refused(open_tab, ann, assistant, fields):
    tab = await open_tab(ann)

    await tab.send("search.ask", **fields)

    assert (await tab.until("error"))["code"] == "bad_field"


@pytest.mark.parametrize("fields", [{"shelf": "attic"}, {"before": "yesterday"}])
async def test_a_place_in_the_list_that_is_none_is_refused(open_tab, ann, assistant, fields):
    tab = await open_tab(ann)

    await tab.send("conversations.load", **fields)

    assert (await tab.until("error"))["code"] == "bad_field"


async def test_what_one_tab_has_read_is_read_in_the_others(open_tab, ann, assistant):
    now = timezone.now()
    read_at = now - timedelta(minutes=1)
    conversation = await in_database_thread(make_conversation, ann, assistant, read_at=read_at)
    await in_database_thread(make_message, conversation, "Yes.", role="assistant", finished_at=now)
    first, second = await open_tab(ann), await open_tab(ann)
    await first.send("conversations.load")
    [listed] = (await first.until("conversations.page"))["conversations"]
    await first.send("conversation.open", conversation_id=conversation.pk)
    opened = (await first.until("conversation.state"))["conversation"]

    await first.send("conversation.read", conversation_id=conversation.pk)
    heard = [(await tab.until("conversation.updated"))["conversation"] for tab in (first, second)]

    assert (listed["unread"], opened["unread"]) == (True, True)
    assert [each["unread"] for each in heard] == [False, False]
