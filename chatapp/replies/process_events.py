"""Channel-layer events from other processes to this one, received within milliseconds.

They ask it to stop a reply that it writes. A lost event costs little there, because the request is in the reply's row
too, where the owner sees it at its next look. And they say what it must drop from memory: deleted conversations, and
people who have signed out.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Any
from uuid import UUID

from channels.layers import get_channel_layer

from chatapp import events
from chatapp.conversations import prepared_conversations

logger = logging.getLogger(__name__)

PAUSE_SECONDS = 1.0
"""Pause before the next try if the channel layer fails."""


async def listen_forever(owner: str, *, on_stop: Callable[[UUID], object]) -> None:
    """Calls `on_stop` with the id of each reply that somebody asks this owner to stop."""
    while True:
        try:
            await _listen(owner, on_stop)
        except Exception as error:
            logger.warning("What other processes say comes late: %s", error)
            await asyncio.sleep(PAUSE_SECONDS)


async def _listen(owner: str, on_stop: Callable[[UUID], object]) -> None:
    layer = get_channel_layer()
    channel = await layer.new_channel("owner")
    await layer.group_add(events.owner_group(owner), channel)
    await layer.group_add(events.PROCESSES, channel)
    while True:
        take(await layer.receive(channel), on_stop)


def take(event: dict[str, Any], on_stop: Callable[[UUID], object]) -> None:
    """Handles one event."""
    match event["type"]:
        case "reply.stop":
            on_stop(UUID(event["reply_id"]))
        case "conversation.deleted":
            prepared_conversations.store.evict(UUID(event["conversation_id"]))
        case "session.ended":
            prepared_conversations.store.evict_user(event["user_id"])
        case "news.missed":
            # Deletions during the outage are unknown.
            prepared_conversations.store.clear()
