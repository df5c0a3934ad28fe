"""More sockets than a person has pages, and what one event costs all of them together."""

import pytest

from chatapp.conversations import conversations
from chatapp.process import open_sockets
from chatapp.protocol import CLOSE_TOO_MANY
from chatapp.socket import session
from tests.chatapp.sockets import SocketClosedError, Tab, cookie_of, sign_in
from tests.factories import make_conversation
from warmcache.background.database import in_database_thread

pytestmark = pytest.mark.django_db(transaction=True)


async def test_a_person_has_so_many_sockets_and_others_have_theirs(open_tab, ann, bob, settings):
    settings.SOCKETS_PER_PERSON = 3
    tabs = [await open_tab(ann) for _ in range(3)]

    one_more = Tab(cookie_of(await in_database_thread(sign_in, ann)))
    with pytest.raises(SocketClosedError) as refused:
        await one_more.connect()
    await one_more.disconnect()
    await open_tab(bob)
    await tabs[0].disconnect()
    await open_tab(ann)

    assert refused.value.code == CLOSE_TOO_MANY
    assert len(open_sockets.listed()) == 4


async def test_an_event_that_reaches_all_tabs_is_one_look_at_the_session(open_tab, ann, monkeypatch, queries):
    conversation = await in_database_thread(make_conversation, ann)
    tabs = [await open_tab(ann) for _ in range(12)]
    keys = {socket.session_key for socket in open_sockets.listed()}
    for socket in open_sockets.listed():
        socket.session_key = min(keys)
    monkeypatch.setattr(session, "SESSION_CHECK_SECONDS", 1e-9)
    queries.clear()

    await in_database_thread(conversations.rename, conversation, "Another")
    for tab in tabs:
        await tab.until("conversation.updated")

    reads = [sql for sql in queries if "django_session" in sql]
    assert 1 <= len(reads) <= 3, "those that come while it is read share it"
