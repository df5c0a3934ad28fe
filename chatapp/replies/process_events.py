"""Channel-layer events from other processes to this one, received within milliseconds.

They ask it to stop a reply that it writes, or tell it of a person whose sessions have ended, and with them perhaps the
account. A lost event costs little there, because the owner sees the same in the rows at its next look. And they say
what it must drop from memory: deleted conversations, people who have signed out, and outlines of prompts that begin
with other standing instructions now.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from channels.layers import get_channel_layer

from chatapp import events
from chatapp.conversations import prepared_conversations
from chatapp.replies.tools import consents
from chatapp.warming import assistant_edits

logger = logging.getLogger(__name__)

PAUSE_SECONDS = 1.0
"""Pause before the next try if the channel layer fails."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hearers:
    """`on_stop` gets the id of each reply that somebody asks this owner to stop; `on_sign_out` the id of each person
    some session of whom has ended; `on_erasure` the id of a person who is erased, and conversations that are."""

    on_stop: Callable[[UUID], object]
    on_sign_out: Callable[[int], object]
    on_erasure: Callable[[int, Sequence[UUID]], object]


async def listen_forever(owner: str, hearers: Hearers) -> None:
    """Tells the hearers what other processes say to this owner."""
    while True:
        try:
            await _listen(owner, hearers)
        except Exception as error:
            logger.warning("What other processes say comes late: %s", error)
            await asyncio.sleep(PAUSE_SECONDS)


async def _listen(owner: str, hearers: Hearers) -> None:
    layer = get_channel_layer()
    channel = await layer.new_channel("owner")
    await layer.group_add(events.owner_group(owner), channel)
    await layer.group_add(events.PROCESSES, channel)
    while True:
        take(await layer.receive(channel), hearers)


def take(event: dict[str, Any], hearers: Hearers) -> None:
    """Handles one event."""
    match event["type"]:
        case "reply.stop":
            hearers.on_stop(UUID(event["reply_id"]))
        case "tool.answered":
            consents.wake(UUID(event["reply_id"]))
        case "conversation.deleted":
            prepared_conversations.store.evict(UUID(event["conversation_id"]))
        case "session.ended":
            prepared_conversations.store.evict_user(event["user_id"])
            hearers.on_sign_out(event["user_id"])
        case "person.erased":
            hearers.on_erasure(event["user_id"], [UUID(each) for each in event["conversation_ids"]])
        case "instructions.changed":
            assistant_edits.add_one()
        case "news.missed":
            # Deletions during the outage are unknown, and so are others' standing instructions.
            prepared_conversations.store.clear()
            assistant_edits.add_one()
