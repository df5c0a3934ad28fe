"""The channel layer of a single process: each hearer of a group gets each event, and a channel ends with its reader."""

import asyncio

import pytest
from channels.exceptions import ChannelFull

from chatapp.socket.memory_layer import MemoryLayer

EVENT = {"type": "something.happened"}


async def test_every_channel_of_a_group_hears_an_event_and_no_other_does() -> None:
    layer = MemoryLayer()
    ann, bob, eve = [await layer.new_channel() for _ in range(3)]
    await layer.group_add("people", ann)
    await layer.group_add("people", bob)
    await layer.group_add("others", eve)

    await layer.group_send("people", EVENT)
    await layer.send(eve, {"type": "only.for_eve"})

    assert [await layer.receive(channel) for channel in (ann, bob, eve)] == [EVENT, EVENT, {"type": "only.for_eve"}]


async def test_a_reader_that_waits_gets_events_in_their_order() -> None:
    layer = MemoryLayer()
    channel = await layer.new_channel()
    first = asyncio.create_task(layer.receive(channel))
    await asyncio.sleep(0)

    for number in range(3):
        await layer.send(channel, {"type": f"{number}"})

    heard = [await first, await layer.receive(channel), await layer.receive(channel)]
    assert [event["type"] for event in heard] == ["0", "1", "2"]


async def test_a_channel_that_has_left_its_group_hears_nothing_more() -> None:
    layer = MemoryLayer()
    ann, bob = [await layer.new_channel() for _ in range(2)]
    for channel in (ann, bob):
        await layer.group_add("people", channel)

    await layer.group_discard("people", ann)
    await layer.group_send("people", EVENT)
    await layer.send(ann, {"type": "the.end"})

    assert await layer.receive(bob) == EVENT
    assert await layer.receive(ann) == {"type": "the.end"}


async def test_nothing_is_kept_for_a_reader_that_is_gone() -> None:
    layer = MemoryLayer()
    channel = await layer.new_channel()
    await layer.group_add("people", channel)
    reading = asyncio.create_task(layer.receive(channel))
    await asyncio.sleep(0)

    reading.cancel()
    await asyncio.wait([reading])
    await layer.group_send("people", EVENT)
    await layer.send(channel, EVENT)

    assert layer._channels == {}


async def test_a_reader_too_far_behind_misses_events_and_the_others_get_them() -> None:
    layer = MemoryLayer(capacity=2)
    slow, quick = [await layer.new_channel() for _ in range(2)]
    for channel in (slow, quick):
        await layer.group_add("people", channel)

    for number in range(3):
        await layer.group_send("people", {"type": f"{number}"})
        assert await layer.receive(quick) == {"type": f"{number}"}

    with pytest.raises(ChannelFull):
        await layer.send(slow, EVENT)
    assert [(await layer.receive(slow))["type"] for _ in range(2)] == ["0", "1"]
