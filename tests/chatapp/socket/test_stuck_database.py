"""One call of the database hangs: who waits for it, and who does not. Asserted by order, not by time."""

import threading
from collections.abc import Iterator
from uuid import UUID

import pytest

from chatapp.conversations import access
from tests.factories import make_conversation
from tests.servers import PATIENCE_SECONDS
from warmcache.background.database import in_database_thread


@pytest.fixture
def stuck(monkeypatch) -> Iterator[dict[UUID, threading.Event]]:
    """Conversations whose query hangs until its event is set."""
    gates: dict[UUID, threading.Event] = {}
    real = access.conversation_for_user

    def held(user, conversation_id, **options):
        if conversation_id in gates:
            gates[conversation_id].wait(PATIENCE_SECONDS)
        return real(user, conversation_id, **options)

    monkeypatch.setattr(access, "conversation_for_user", held)
    monkeypatch.setattr("chatapp.socket.session.PONG_SECONDS", 0.1)
    yield gates
    for gate in gates.values():
        gate.set()


async def test_other_sockets_go_on_and_the_own_one_still_says_that_it_lives(open_tab, ann, bob, assistant, stuck):
    hangs, works = [await in_database_thread(make_conversation, user, assistant) for user in (ann, bob)]
    stuck[hangs.pk] = threading.Event()
    mine, other = await open_tab(ann), await open_tab(bob)

    await mine.send("conversation.open", conversation_id=hangs.pk)
    await other.send("conversation.open", conversation_id=works.pk)
    await other.until("conversation.state")
    await mine.send("ping")
    await mine.until("pong")
    before = mine.of_type("conversation.state")
    stuck[hangs.pk].set()
    await mine.until("conversation.state")

    assert before == []


async def test_what_a_socket_asks_meanwhile_is_done_afterwards_and_in_order(open_tab, ann, assistant, stuck):
    first, second = [await in_database_thread(make_conversation, ann, assistant) for _ in range(2)]
    stuck[first.pk] = threading.Event()
    tab = await open_tab(ann)

    await tab.send("conversation.open", conversation_id=first.pk)
    await tab.send("conversation.open", conversation_id=second.pk)
    await tab.send("ping")
    await tab.until("pong")
    stuck[first.pk].set()
    states = [await tab.until("conversation.state") for _ in range(2)]

    assert [state["conversation"]["id"] for state in states] == [str(first.pk), str(second.pk)]


async def test_a_ping_in_good_times_is_answered_after_all_before_it(open_tab, ann, assistant):
    conversation = await in_database_thread(make_conversation, ann, assistant)
    tab = await open_tab(ann)

    await tab.send("conversation.open", conversation_id=conversation.pk)
    frames = await tab.read_all()

    assert "conversation.state" in [frame["type"] for frame in frames]
