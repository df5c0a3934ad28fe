"""A session that ends takes its sockets with it, whatever ended it, and however silent they are."""

from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

import pytest
from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib.sessions.models import Session
from django.test import AsyncClient
from django.utils import timezone

from chatapp import events
from chatapp.accounts import sessions
from chatapp.accounts.session_store import SessionStore
from chatapp.models import User
from chatapp.socket import session_watch
from tests.chatapp.held_replies import begin_held_reply
from tests.chatapp.sockets import Tab, cookie_of, sign_in
from tests.factories import make_user
from warmcache.background.database import in_database_thread

pytestmark = pytest.mark.django_db(transaction=True)
NEW_PASSWORD = "another horse, quite"  # noqa: S105


@pytest.fixture
def only_events(monkeypatch) -> None:
    """No look at all sessions comes to help."""
    monkeypatch.setattr(session_watch, "LOOK_SECONDS", 3600)


@pytest.fixture
def only_looks(monkeypatch) -> None:
    """Looks at all sessions follow each other closely, and no event tells of an end."""
    monkeypatch.setattr(session_watch, "LOOK_SECONDS", 0.02)

    async def tell_nobody(user_id: int) -> None: ...

    monkeypatch.setattr(events, "announce_sign_out", tell_nobody)


def browser_of(session_key: str) -> AsyncClient:
    browser = AsyncClient()
    browser.cookies[settings.SESSION_COOKIE_NAME] = session_key
    return browser


async def sign_out(key: str, user: User) -> None:
    await browser_of(key).post("/accounts/logout/")


async def sign_out_in_the_admin(key: str, user: User) -> None:
    await browser_of(key).post("/admin/logout/")


async def choose_a_new_password(key: str, user: User) -> None:
    fields = {"old_password": "correct horse", "new_password1": NEW_PASSWORD, "new_password2": NEW_PASSWORD}
    answer = await browser_of(key).post("/admin/password_change/", fields)
    assert answer.status_code == 302, answer.content


async def be_given_a_password(key: str, user: User) -> None:
    fields = {"password1": NEW_PASSWORD, "password2": NEW_PASSWORD, "usable_password": "true"}
    answer = await (await root()).post(f"/admin/chatapp/user/{user.pk}/password/", fields)
    assert answer.status_code == 302, answer.content


async def be_deactivated(key: str, user: User) -> None:
    fields = {"username": user.username, "date_joined_0": "2026-01-01", "date_joined_1": "00:00:00"}
    answer = await (await root()).post(f"/admin/chatapp/user/{user.pk}/change/", fields)
    assert answer.status_code == 302, answer.content


async def be_deleted(key: str, user: User) -> None:
    answer = await (await root()).post(f"/admin/chatapp/user/{user.pk}/delete/", {"post": "yes"})
    assert answer.status_code == 302, answer.content


async def have_it_flushed(key: str, user: User) -> None:
    await sync_to_async(SessionStore(key).flush)()


async def have_it_flushed_by_async_code(key: str, user: User) -> None:
    await SessionStore(key).aflush()


async def get_a_new_session_key(key: str, user: User) -> None:
    await sync_to_async(SessionStore(key).cycle_key)()


async def root() -> AsyncClient:
    boss = await sync_to_async(make_user)("root", is_staff=True, is_superuser=True)
    return browser_of(await in_database_thread(sign_in, boss))


ENDS: tuple[Callable[[str, User], object], ...] = (
    sign_out,
    sign_out_in_the_admin,
    choose_a_new_password,
    be_given_a_password,
    be_deactivated,
    be_deleted,
    have_it_flushed,
    have_it_flushed_by_async_code,
    get_a_new_session_key,
)


@pytest.mark.parametrize("end", ENDS, ids=lambda end: end.__name__)
async def test_the_end_of_a_session_closes_its_silent_sockets_at_once(
    open_tab, quiet_process, simulator, only_events, bob, end
):
    staff = await sync_to_async(make_user)("ann", is_staff=True)
    key = await in_database_thread(sign_in, staff)
    first, second = await Tab(cookie_of(key)).connect(), await Tab(cookie_of(key)).connect()
    somebody_else = await open_tab(bob)

    await end(key, staff)

    assert await first.until_closed() == await second.until_closed() == 4401
    assert await somebody_else.read_all() == []
    await first.disconnect()
    await second.disconnect()


@pytest.mark.parametrize("end", [sign_out, have_it_flushed, get_a_new_session_key])
async def test_other_sessions_of_the_person_keep_their_sockets(open_tab, ann, only_events, end):
    tab, key = await open_tab(ann), await in_database_thread(sign_in, ann)
    ended = await Tab(cookie_of(key)).connect()

    await end(key, ann)
    await ended.until_closed()

    assert await tab.read_all() == []
    await ended.disconnect()


def delete_the_rows(user: User) -> None:
    Session.objects.all()._raw_delete(using="default")


def let_it_expire(user: User) -> None:
    Session.objects.update(expire_date=timezone.now() - timedelta(seconds=1))


def empty_it(user: User) -> None:
    Session.objects.update(session_data=SessionStore().encode({}))


def deactivate_in_sql(user: User) -> None:
    User.objects.filter(pk=user.pk).update(is_active=False)


def change_the_password_in_sql(user: User) -> None:
    user.set_password("another horse")
    User.objects.filter(pk=user.pk).update(password=user.password)


@pytest.mark.parametrize(
    "end", [delete_the_rows, let_it_expire, empty_it, deactivate_in_sql, change_the_password_in_sql]
)
async def test_an_end_that_nobody_tells_of_is_found_without_a_word_from_the_socket(open_tab, ann, only_looks, end):
    tab = await open_tab(ann)

    await in_database_thread(end, ann)

    assert await tab.until_closed() == 4401


async def test_living_sessions_are_looked_at_and_stay(open_tab, ann, bob, only_looks, monkeypatch):
    looks: list[set[str]] = []
    look = sessions.signed_in_among

    def noted(keys: set[str]) -> set[str]:
        looks.append(keys)
        return look(keys)

    monkeypatch.setattr(sessions, "signed_in_among", noted)
    tabs = [await open_tab(ann), await open_tab(bob)]

    for tab in tabs * 5:
        assert await tab.read_all() == []


async def test_many_sockets_cost_one_look_of_two_statements(quiet_process, simulator, only_events, ann, queries):
    key = await in_database_thread(sign_in, ann)
    tabs = [await Tab(cookie_of(key)).connect() for _ in range(20)]
    for tab in tabs:
        await tab.read_all()
    queries.clear()

    await events.announce_sign_out(ann.pk)
    for tab in tabs:
        await tab.read_all()
    await have_it_flushed(key, ann)
    for tab in tabs:
        assert await tab.until_closed() == 4401

    looks = [sql for sql in queries if sql.startswith("SELECT") and "session_key" in sql and " IN " in sql]
    assert len(looks) == 2
    for tab in tabs:
        await tab.disconnect()


async def test_a_socket_that_is_being_closed_takes_and_sends_nothing_more(open_tab, ann, assistant, only_events):
    tab = await open_tab(ann)
    await in_database_thread(delete_the_rows, ann)
    await events.announce_sign_out(ann.pk)
    assert await tab.until_closed() == 4401

    await tab.say("One more", assistant_id=assistant.pk)
    await tab.send("ping")
    await events.announce_deletion(ann.pk, UUID("0b7e4b1c-95b3-4a6a-9d2e-0d4f7f4f9e11"))
    await tab.disconnect()

    assert tab.of_type("pong", "message.created", "error", "conversation.updated") == []
    assert not await in_database_thread(ann.conversations.exists)


async def test_what_a_deactivated_person_left_in_the_queue_is_not_sent(
    open_tab, ann, assistant, simulator, only_events
):
    tab = await open_tab(ann)
    held = await begin_held_reply(tab, simulator, assistant_id=assistant.pk)
    await tab.say("And then?", conversation_id=held["conversation_id"])
    await tab.until("message.queued")

    ann.is_active = False
    await sync_to_async(ann.save)()
    assert await tab.until_closed() == 4401
    simulator.release()
    await tab.disconnect()

    assert not [each for each in simulator.requests() if "And then?" in str(each)]


async def test_sessions_that_cannot_be_read_close_nothing(open_tab, ann, only_looks, monkeypatch, caplog):
    def fail(keys: set[str]) -> set[str]:
        raise ConnectionError("no database")

    monkeypatch.setattr(sessions, "signed_in_among", fail)
    tab = await open_tab(ann)
    await in_database_thread(delete_the_rows, ann)

    while "cannot be read" not in caplog.text:
        assert await tab.read_all() == []
    monkeypatch.undo()

    assert caplog.text.count("cannot be read") == 1


async def test_a_session_signed_with_an_old_secret_key_is_still_signed_in(quiet_process, simulator, settings, ann):
    key = await in_database_thread(sign_in, ann)
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "another key, long enough for tests", [settings.SECRET_KEY]

    assert await in_database_thread(sessions.signed_in_among, {key, "unknown"}) == {key}
