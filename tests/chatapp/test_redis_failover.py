"""Two processes over a failover of Redis: the old primary keeps its clients and answers every PING."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator

import pytest

from chatapp.replies import redis_logs
from chatapp.replies.redis_logs import RedisReplyLogs
from chatapp.socket import channel_layer
from chatapp.socket.channel_layer import NEWS_MISSED, SteadyPubSubLayer
from tests.chatapp.replies.logs_contract import found
from tests.chatapp.replies.reply_frames import finished, new_log, write
from tests.chatapp.sockets import eventually, in_time
from tests.servers.redis_pair import RedisPair

EVENT = {"type": "session.ended"}


@pytest.fixture
def pair() -> Iterator[RedisPair]:
    with RedisPair() as servers:
        yield servers


@pytest.fixture(autouse=True)
def soon_noticed(monkeypatch, caplog) -> None:
    caplog.set_level(logging.CRITICAL, "chatapp")
    monkeypatch.setattr(redis_logs, "REST_SECONDS", 0.05)
    monkeypatch.setattr(redis_logs, "CHECK_SECONDS", 0.05)
    monkeypatch.setattr(channel_layer, "CHECK_SECONDS", 0.05)
    monkeypatch.setattr(channel_layer, "POLL_SECONDS", 0.05)
    monkeypatch.setattr(channel_layer, "NEWS_SPREAD_SECONDS", 0.0)


@pytest.fixture
async def processes(pair: RedisPair) -> AsyncIterator[list[RedisReplyLogs]]:
    logs = [RedisReplyLogs(pair.url) for _ in range(2)]
    yield logs
    for each in logs:
        await each.aclose()


@pytest.fixture
async def layers(pair: RedisPair) -> AsyncIterator[list[SteadyPubSubLayer]]:
    made = [SteadyPubSubLayer(hosts=[{"address": pair.url}]) for _ in range(2)]
    yield made
    for layer in made:
        await layer.flush()


async def until_left(pair: RedisPair) -> None:
    async def is_left() -> bool:
        return await asyncio.to_thread(pair.clients_of_old) == 0

    await eventually(is_left)


async def test_a_running_reply_goes_on_for_readers_in_another_process(
    pair: RedisPair, processes: list[RedisReplyLogs]
) -> None:
    owner, reader = processes
    log = new_log()
    owner.publish(log)
    write(log, 20)
    replica = await found(reader, log, seq=20)

    pair.fail_over()
    write(log, 20)
    log.append(finished(log))

    async def has_ended() -> bool:
        again = await reader.find(log.reply_id)
        return again is not None and again.is_finished

    await eventually(has_ended)
    again = await reader.find(log.reply_id)
    assert again is not None
    assert again.text == log.text
    assert replica.reply_id == again.reply_id
    await until_left(pair)


async def test_events_reach_the_sockets_of_another_process(pair: RedisPair, layers: list[SteadyPubSubLayer]) -> None:
    channels = []
    for layer in layers:
        channels.append(await layer.new_channel())
        await layer.group_add("people", channels[-1])
    await layers[0].group_send("people", EVENT)
    for layer, channel in zip(layers, channels, strict=True):
        assert await in_time(layer.receive(channel)) == EVENT

    pair.fail_over()

    for layer, channel in zip(layers, channels, strict=True):
        assert await in_time(layer.receive(channel)) == NEWS_MISSED, "each process is told to look again"
    await until_left(pair)
    for number, (here, there) in enumerate(((0, 1), (1, 0))):
        event = {**EVENT, "n": number}
        await layers[here].group_send("people", event)
        heard = await in_time(layers[there].receive(channels[there]))
        assert heard == event
        assert await in_time(layers[here].receive(channels[here])) == event
