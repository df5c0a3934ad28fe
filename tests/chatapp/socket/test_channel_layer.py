"""The channel layer on a real Redis that comes and goes."""

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest

from chatapp.socket import channel_layer
from chatapp.socket.channel_layer import NEWS_MISSED, SteadyPubSubLayer
from tests.servers import PATIENCE_SECONDS
from tests.servers.redis_server import RedisServer

EVENT = {"type": "session.ended"}


class Socket:
    """One socket's channel in one process, in the group `people`."""

    def __init__(self, layer: SteadyPubSubLayer, channel: str) -> None:
        self._layer = layer
        self.channel = channel

    async def next(self) -> dict[str, Any]:
        async with asyncio.timeout(PATIENCE_SECONDS):
            found: dict[str, Any] = await self._layer.receive(self.channel)
            return found

    def waiting(self) -> int:
        return int(self._layer.channels[self.channel].qsize())


@pytest.fixture
async def layers(redis_server: RedisServer) -> AsyncIterator[list[SteadyPubSubLayer]]:
    """Two processes, as far as Redis can tell."""
    made = [SteadyPubSubLayer(hosts=[{"address": redis_server.url}]) for _ in range(2)]
    yield made
    for layer in made:
        await layer.flush()


@pytest.fixture
def no_spread(monkeypatch):
    monkeypatch.setattr(channel_layer, "NEWS_SPREAD_SECONDS", 0.0)


@pytest.fixture
def redis_comes_back(redis_server: RedisServer):
    """Whatever the test did, the next one finds it running."""
    yield redis_server
    redis_server.kill()
    redis_server.start()


async def join(layer: SteadyPubSubLayer) -> Socket:
    channel = await layer.new_channel()
    await layer.group_add("people", channel)
    return Socket(layer, channel)


async def test_an_event_reaches_the_group_in_every_process_once(layers):
    here, there = [await join(layer) for layer in layers]

    await layers[0].group_send("people", EVENT)
    await layers[1].group_send("people", {**EVENT, "n": 2})

    assert [await here.next(), await here.next()] == [EVENT, {**EVENT, "n": 2}]
    assert [await there.next(), await there.next()] == [EVENT, {**EVENT, "n": 2}]
    assert (here.waiting(), there.waiting()) == (0, 0)


async def test_who_has_left_the_group_hears_no_more(layers):
    stays, leaves = await join(layers[0]), await join(layers[0])

    await layers[0].group_discard("people", leaves.channel)
    await layers[1].group_send("people", EVENT)

    assert await stays.next() == EVENT
    assert leaves.waiting() == 0


async def test_without_redis_sockets_open_and_hear_their_own_process(layers, redis_comes_back, caplog):
    caplog.set_level(logging.CRITICAL, "chatapp.socket.channel_layer")
    redis_comes_back.kill()

    here, there = [await join(layer) for layer in layers]
    await layers[0].group_send("people", EVENT)

    assert await here.next() == EVENT
    assert there.waiting() == 0


async def test_when_redis_is_back_everybody_is_told_to_look_and_hears_again(
    layers, redis_comes_back, no_spread, caplog
):
    caplog.set_level(logging.CRITICAL, "chatapp.socket.channel_layer")
    here, there = [await join(layer) for layer in layers]
    redis_comes_back.kill()
    await layers[0].group_send("people", EVENT)
    assert await here.next() == EVENT

    redis_comes_back.start()

    assert await here.next() == NEWS_MISSED
    heard = [await there.next()]
    while NEWS_MISSED not in heard:
        heard.append(await there.next())
    after = {**EVENT, "n": 2}
    await layers[1].group_send("people", after)
    assert await here.next() == after, "its own event did not come a second time"
    while after not in heard:
        heard.append(await there.next())
    # What waited reaches those who are back by then; all others are told to look.
    heard.remove(NEWS_MISSED)
    assert heard in ([after], [EVENT, after])


async def test_a_socket_that_opened_meanwhile_is_subscribed_when_redis_is_back(
    layers, redis_comes_back, no_spread, caplog
):
    caplog.set_level(logging.CRITICAL, "chatapp.socket.channel_layer")
    await join(layers[0])
    redis_comes_back.kill()
    late = await join(layers[0])

    redis_comes_back.start()
    assert await late.next() == NEWS_MISSED
    await layers[1].group_send("people", EVENT)

    assert await late.next() == EVENT


async def test_an_outage_is_told_once_and_so_is_its_end(layers, redis_comes_back, no_spread, caplog):
    caplog.set_level(logging.WARNING, "chatapp.socket.channel_layer")
    here = await join(layers[0])
    redis_comes_back.kill()
    for _ in range(20):
        await layers[0].group_send("people", EVENT)

    redis_comes_back.start()
    while await here.next() != NEWS_MISSED:
        pass

    told = [record.getMessage() for record in caplog.records if record.name == "chatapp.socket.channel_layer"]
    assert [message.split(" (")[0] for message in told] == [
        "Redis cannot be reached",
        "Redis is back: the channel layer listens again.",
    ]


async def test_an_echo_that_was_lost_with_its_connection_swallows_no_later_event(layers, no_spread, caplog):
    caplog.set_level(logging.CRITICAL, "chatapp.socket.channel_layer")
    here = await join(layers[0])
    layer = layers[0]._get_layer()
    (shard,) = layer._shards
    shard._echoes[layer._get_group_channel_name("people"), layers[0].serialize(EVENT)] += 1

    shard._pubsub = None
    assert await here.next() == NEWS_MISSED
    await layers[1].group_send("people", EVENT)

    assert await here.next() == EVENT
