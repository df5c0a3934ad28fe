"""Who gets a socket, and who loses it again."""

from datetime import timedelta
from uuid import UUID

import pytest
from django.conf import settings
from django.contrib.sessions.models import Session
from django.test import AsyncClient
from django.utils import timezone

from chatapp import events, protocol
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


@pytest.fixture
def let_time_pass(monkeypatch):
    """The next frame finds the last look at the session too old."""
    monkeypatch.setattr("chatapp.socket.session.SESSION_CHECK_SECONDS", -1.0)


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


async def test_signing_out_closes_every_socket_of_the_session(open_tab, quiet_process, simulator, ann, bob):
    key = await in_database_thread(sign_in, ann)
    first, second = await Tab(cookie_of(key)).connect(), await Tab(cookie_of(key)).connect()
    elsewhere, somebody_else = await open_tab(ann), await open_tab(bob)

    browser = AsyncClient()
    browser.cookies[settings.SESSION_COOKIE_NAME] = key
    response = await browser.post("/accounts/logout/")

    assert response.status_code == 302
    assert await first.until_closed() == await second.until_closed() == 4401
    assert await elsewhere.read_all() == [] == await somebody_else.read_all()
    await first.disconnect()
    await second.disconnect()


async def test_a_socket_that_is_being_closed_takes_and_sends_nothing_more(open_tab, ann, assistant):
    tab = await open_tab(ann)
    await in_database_thread(Session.objects.all().delete)
    await events.announce_sign_out(ann.pk)
    assert await tab.until_closed() == 4401

    await tab.say("One more", assistant_id=assistant.pk)
    await tab.send("ping")
    await tab.disconnect()

    assert tab.of_type("pong", "message.created", "error") == []
    assert not await in_database_thread(ann.conversations.exists)


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


async def test_a_session_that_ended_unannounced_is_noticed_by_the_next_ping(open_tab, ann, let_time_pass):
    tab = await open_tab(ann)
    await in_database_thread(Session.objects.all().delete)

    await tab.send("ping")

    assert await tab.until_closed() == 4401


@pytest.mark.parametrize("kind", ["message.send", "reply.regenerate", "reply.stop", "conversation.open"])
async def test_no_command_of_an_ended_session_is_carried_out(open_tab, ann, assistant, let_time_pass, kind):
    tab = await open_tab(ann)
    await in_database_thread(Session.objects.all().delete)
    an_id = "0b7e4b1c-95b3-4a6a-9d2e-0d4f7f4f9e11"

    await tab.send(kind, client_message_id=an_id, text="Hello", reply_id=an_id, conversation_id=None)

    assert await tab.until_closed() == 4401
    assert tab.of_type("error", "message.created", "conversation.state") == []
    assert not await in_database_thread(ann.conversations.exists)


async def test_an_event_reaches_no_socket_whose_session_has_ended(open_tab, ann, let_time_pass):
    tab = await open_tab(ann)
    await in_database_thread(Session.objects.all().delete)

    await events.announce_deletion(ann.pk, UUID("0b7e4b1c-95b3-4a6a-9d2e-0d4f7f4f9e11"))

    assert await tab.until_closed() == 4401
    assert tab.of_type("conversation.updated") == []
