"""More sockets than a person has pages. What an event costs them all: `test_session_watch.py`."""

import pytest

from chatapp.process import open_sockets
from chatapp.protocol import CLOSE_TOO_MANY
from tests.chatapp.sockets import SocketClosedError, Tab, cookie_of, sign_in
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
