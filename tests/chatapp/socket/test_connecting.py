"""Who gets a socket, and for how long. How it ends with its session: `test_session_watch`."""

from datetime import timedelta

import pytest
from django.contrib.sessions.models import Session
from django.utils import timezone

from chatapp import protocol
from chatapp.models import User
from chatapp.process import open_sockets
from chatapp.protocol import limits
from chatapp.socket import session
from tests.chatapp.held_replies import begin_held_reply
from tests.chatapp.sockets import SocketClosedError, Tab, cookie_of, sign_in
from warmcache.background.database import in_database_thread

pytestmark = pytest.mark.django_db(transaction=True)


async def refusal_of(cookie: str) -> int:
    """The code with which a socket is closed that was accepted."""
    tab = Tab(cookie)
    with pytest.raises(SocketClosedError) as closed:
        await tab.connect()
    await tab.disconnect(closed.value.code)
    return closed.value.code


async def test_ready_tells_who_you_are_and_what_you_may_do(open_tab, ann):
    tab = await open_tab(ann)

    assert tab.ready == {
        "type": "ready",
        "protocol": protocol.PROTOCOL_VERSION,
        "user": {"id": ann.pk, "username": "ann", "is_staff": False},
        "timings": limits.TIMINGS,
        "limits": limits.LIMITS,
        "upstream": "simulator",
        "quota": [],
        # Names have no hashes here.
        "release": "",
    }


@pytest.mark.parametrize("cookie", ["", "sessionid=", "sessionid=unknown-to-everybody", "other=1", "sessionid"])
async def test_a_stranger_is_let_in_and_then_told_to_sign_in(quiet_process, cookie):
    assert await refusal_of(cookie) == 4401


async def test_an_expired_session_opens_no_socket(quiet_process, ann):
    key = await in_database_thread(sign_in, ann)
    past = timezone.now() - timedelta(seconds=1)
    await in_database_thread(Session.objects.filter(pk=key).update, expire_date=past)

    assert await refusal_of(cookie_of(key)) == 4401


async def test_a_deactivated_user_gets_no_socket(quiet_process, ann):
    key = await in_database_thread(sign_in, ann)
    await in_database_thread(User.objects.filter(pk=ann.pk).update, is_active=False)

    assert await refusal_of(cookie_of(key)) == 4401


async def test_a_session_from_before_a_new_password_opens_no_socket(quiet_process, ann):
    key = await in_database_thread(sign_in, ann)
    ann.set_password("another horse")
    await in_database_thread(ann.save)

    assert await refusal_of(cookie_of(key)) == 4401


@pytest.mark.parametrize("odd", ['settings={"a": [1]}', "flags=a b; c@d=e", "=", "\xe9=\xff"])
async def test_another_server_s_odd_cookie_on_this_host_keeps_nobody_out(quiet_process, simulator, ann, odd):
    key = await in_database_thread(sign_in, ann)

    tab = await Tab(f"{odd}; {cookie_of(key)}").connect()

    assert tab.ready["type"] == "ready"
    await tab.disconnect()


async def test_a_socket_ends_with_its_lifetime_and_may_come_back(open_tab, ann, monkeypatch):
    monkeypatch.setattr(session, "LIFETIME_SECONDS", 0.05)
    tab = await open_tab(ann)

    code = await tab.until_closed()
    monkeypatch.setattr(session, "LIFETIME_SECONDS", 3600)
    again = await open_tab(ann)

    assert code == 4413
    assert again.ready["user"]["username"] == "ann"


async def test_a_socket_that_reads_a_reply_hears_its_end_first(open_tab, ann, assistant, simulator, monkeypatch):
    monkeypatch.setattr(session, "LAST_REPLY_SECONDS", 0.05)
    tab = await open_tab(ann)
    await begin_held_reply(tab, simulator, assistant_id=assistant.pk)
    (socket,) = open_sockets.listed()
    socket._grow_old()

    simulator.release()
    finished = await tab.until("reply.finished")
    code = await tab.until_closed()

    assert (finished["status"], code) == ("complete", 4413)
