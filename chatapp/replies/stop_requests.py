"""Stops that were asked for in another process: told through the channel layer, heard here within milliseconds.

Lost news cost little: the request stands in the reply's row too, where the owner sees it at its next look.
"""

import asyncio
import logging
from collections.abc import Callable
from uuid import UUID

from channels.layers import get_channel_layer

from chatapp import events

logger = logging.getLogger(__name__)

PAUSE_SECONDS = 1.0
"""Before the next try, where the channel layer fails."""


async def listen_forever(owner: str, on_stop: Callable[[UUID], object]) -> None:
    """Calls `on_stop` with the id of each reply that somebody asks this owner to stop."""
    while True:
        try:
            await _listen(owner, on_stop)
        except Exception as error:
            logger.warning("Stops that other processes ask for come late: %s", error)
            await asyncio.sleep(PAUSE_SECONDS)


async def _listen(owner: str, on_stop: Callable[[UUID], object]) -> None:
    layer = get_channel_layer()
    channel = await layer.new_channel("owner")
    await layer.group_add(events.owner_group(owner), channel)
    while True:
        event: events.StopEvent = await layer.receive(channel)
        if event["type"] == "reply.stop":
            on_stop(UUID(event["reply_id"]))
