"""Nothing more is paid for a person who may not use the chat any more: in whatever process, and whether told or not."""

from collections.abc import Callable
from uuid import uuid4

import pytest
from asgiref.sync import sync_to_async

from chatapp import events
from chatapp.accounts import deletions
from chatapp.conversations import access
from chatapp.models import Message, QueuedMessage, User
from chatapp.process import housekeeping, lifecycle
from chatapp.protocol import MessageSend
from chatapp.replies import actions, registry, takeover
from chatapp.socket import session_watch
from tests.chatapp.held_replies import begin_held_reply, reply_row, until_hung_up
from tests.chatapp.sockets import eventually, in_time
from tests.factories import make_conversation
from tests.servers import PATIENCE_SECONDS
from warmcache.background.database import in_database_thread

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def only_events(monkeypatch) -> None:
    """No regular look comes to help."""
    monkeypatch.setattr(session_watch, "LOOK_SECONDS", 3600)
    monkeypatch.setattr(takeover, "LOOK_SECONDS", 3600)
    monkeypatch.setattr(housekeeping, "LOOK_SECONDS", 3600)  # what is to be deleted can still be looked at


@pytest.fixture
def long_lease(settings) -> None:
    settings.REPLY_LEASE_SECONDS = 36_000


def deactivate(person: User) -> None:
    person.is_active = False
    person.save()


def deactivate_in_sql(person: User) -> None:
    User.objects.filter(pk=person.pk).update(is_active=False)


async def assert_stopped(reply_id: str) -> None:
    await in_time(registry.tasks.join(timeout_seconds=PATIENCE_SECONDS))
    row = await reply_row(reply_id)
    assert row.status == "stopped"
    assert row.text


async def only_one_is_left() -> bool:
    return registry.count() == 1


@pytest.mark.parametrize("end", [deactivate, deletions.ask], ids=lambda end: end.__name__)
async def test_a_running_reply_is_stopped_at_once_and_its_text_is_kept(
    open_tab, ann, bob, assistant, simulator, only_events, long_lease, end: Callable[[User], None]
):
    await lifecycle.startup()
    tab, other = await open_tab(ann), await open_tab(bob)
    begun = await begin_held_reply(tab, simulator, assistant_id=assistant.pk)
    of_other = await begin_held_reply(other, simulator, assistant_id=assistant.pk)
    await tab.say("And then?", conversation_id=begun["conversation_id"])
    await tab.until("message.queued")
    # Its task has looked for a running reply: a later look would be one for a person who is gone.
    await tab.until("conversation.updated")

    await sync_to_async(end)(ann)

    assert await tab.until_closed() == 4401
    await eventually(only_one_is_left)
    assert (await reply_row(begun["reply_id"])).status == "stopped"
    assert (await reply_row(begun["reply_id"])).text
    assert (await in_database_thread(QueuedMessage.objects.get)).is_held
    assert (await reply_row(of_other["reply_id"])).status == "streaming"
    await other.send("reply.stop", reply_id=of_other["reply_id"])
    await other.until("reply.finished")


async def test_it_is_stopped_soon_where_nobody_tells_of_it(open_tab, ann, assistant, simulator, monkeypatch):
    async def tell_nobody(user_id: int) -> None: ...

    monkeypatch.setattr(events, "announce_sign_out", tell_nobody)
    await lifecycle.startup()
    tab = await open_tab(ann)
    begun = await begin_held_reply(tab, simulator, assistant_id=assistant.pk)

    await in_database_thread(deactivate_in_sql, ann)

    await until_hung_up(simulator)
    await assert_stopped(begun["reply_id"])


async def test_a_socket_that_has_not_heard_of_it_begins_nothing_more(open_tab, ann, assistant, simulator, only_events):
    conversation = await in_database_thread(make_conversation, ann, assistant)
    tab = await open_tab(ann)
    await in_database_thread(deactivate_in_sql, ann)

    for place in ({"assistant_id": assistant.pk}, {"conversation_id": conversation.pk}):
        await tab.say("One more", **place)
        await tab.until("error", code="not_found")
        await tab.send("typing.started", chars=30, attachment_ids=[], **place)
        await tab.until("error", code="not_found")
    with pytest.raises(access.NotFound):
        frame = MessageSend(client_message_id=uuid4(), conversation_id=conversation.pk, text="And here")
        await actions.send_message(ann, frame, origin="")

    assert not await in_database_thread(Message.objects.exists)
    assert simulator.requests() == []
