"""Group names and events: made here only, and never with anything of a client's in them."""

from uuid import uuid4

import pytest
from channels.layers import get_channel_layer

from chatapp import events
from chatapp.socket.consumer import ChatConsumer


@pytest.fixture
async def heard():
    """Receives what one channel hears that is in the given groups."""
    layer = get_channel_layer()
    await layer.flush()
    channel = await layer.new_channel()

    async def receive(*groups: str) -> None:
        for group in groups:
            await layer.group_add(group, channel)

    async def next_event() -> dict:
        return await layer.receive(channel)

    yield receive, next_event
    await layer.flush()


def test_names_of_groups_are_legal_and_all_different():
    layer = get_channel_layer()
    first, second = uuid4(), uuid4()
    names = [events.owner_group(first.hex), events.owner_group(second.hex)]
    names += [events.user_group(1), events.user_group(11)]

    assert len(set(names)) == 4
    for name in names:
        layer.require_valid_group_name(name)


async def test_a_turn_that_begins_is_told_in_one_event_with_its_conversation(heard):
    listen, next_event = heard
    conversation_id = uuid4()
    await listen(events.user_group(7))
    news = {"frame": "{}", "light_frame": "{}", "version": 3, "is_written": True}
    begun = events.Begun(frame='{"type": "message.created"}', origin="a.channel", reply_id=str(uuid4()))

    await events.announce_conversation(7, conversation_id, **news, begun=begun)

    assert await next_event() == {
        "type": "conversation.updated",
        "conversation_id": str(conversation_id),
        **news,
        "begun": begun,
        "also": "",
    }


async def test_a_conversation_s_news_go_to_its_owner(heard):
    listen, next_event = heard
    conversation_id = uuid4()
    await listen(events.user_group(7))
    news = {"frame": "{}", "light_frame": "{}", "version": 3, "is_written": False}

    await events.announce_conversation(8, uuid4(), **news)
    await events.announce_conversation(7, conversation_id, **news)
    await events.announce_deletion(7, conversation_id)
    await events.announce_sign_out(7)

    told = [await next_event() for _ in range(3)]
    assert [event["type"] for event in told] == ["conversation.updated", "conversation.deleted", "session.ended"]
    assert {event.get("conversation_id") for event in told[:2]} == {str(conversation_id)}


@pytest.mark.parametrize("kind", ["conversation.updated", "conversation.deleted", "news.missed"])
def test_every_event_has_a_handler(kind):
    assert callable(getattr(ChatConsumer, kind.replace(".", "_")))
