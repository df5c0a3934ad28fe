"""Channel-layer events: small control messages, never tokens or text. Built and parsed here only.

An event's `type` names the consumer's method that takes it; it is always one of ours, never a client's.
"""

import logging
from typing import Any, TypedDict
from uuid import UUID

from channels.layers import get_channel_layer

logger = logging.getLogger(__name__)


class ConversationEvent(TypedDict):
    """`type` is `message.created`, `reply.started`, `conversation.updated` or `conversation.deleted`.

    `message_id` is empty for the last two; `origin` is the channel name of the socket that knows already.
    """

    type: str
    conversation_id: str
    message_id: str
    origin: str


class StopEvent(TypedDict):
    """`type` is `reply.stop`; `reply_id` is of a reply that the hearing process writes."""

    type: str
    reply_id: str


def conversation_group(conversation_id: UUID) -> str:
    """Every socket that has the conversation open."""
    return f"conversation.{conversation_id.hex}"


def user_group(user_id: int) -> str:
    """Every socket of one user."""
    return f"user.{user_id}"


def owner_group(owner: str) -> str:
    """The one process that writes replies under this name."""
    return f"owner.{owner}"


async def announce_message(conversation_id: UUID, message_id: UUID, *, origin: str) -> None:
    """A person's message is stored; the socket that sent it (`origin`, a channel name) has its ack already."""
    await _send(conversation_group(conversation_id), "message.created", conversation_id, message_id, origin)


async def announce_reply(conversation_id: UUID, reply_id: UUID) -> None:
    """A reply is running; its log has the rest."""
    await _send(conversation_group(conversation_id), "reply.started", conversation_id, reply_id, "")


async def announce_conversation(user_id: int, conversation_id: UUID, *, is_deleted: bool = False) -> None:
    """Title or time has changed, or it is gone: every socket of its owner shows it in the list."""
    kind = "conversation.deleted" if is_deleted else "conversation.updated"
    await _send(user_group(user_id), kind, conversation_id, None, "")


async def announce_sign_out(user_id: int) -> None:
    """Sockets of this user look again whether their session still holds."""
    await _tell(user_group(user_id), {"type": "session.ended"})


async def announce_stop(owner: str, reply_id: UUID) -> None:
    """Somebody wants the reply ended, in whatever process it is written."""
    event: StopEvent = {"type": "reply.stop", "reply_id": str(reply_id)}
    await _tell(owner_group(owner), dict(event))


async def close() -> None:
    """Lets go of the channel layer's connections; the process ends."""
    await get_channel_layer().flush()


async def _send(group: str, kind: str, conversation_id: UUID, message_id: UUID | None, origin: str) -> None:
    event: ConversationEvent = {
        "type": kind,
        "conversation_id": str(conversation_id),
        "message_id": str(message_id or ""),
        "origin": origin,
    }
    await _tell(group, dict(event))


async def _tell(group: str, event: dict[str, Any]) -> None:
    """A channel layer that is down costs others the news, never the sender what was done."""
    try:
        await get_channel_layer().group_send(group, event)
    except Exception:
        logger.exception("Nobody could be told of %s", event["type"])
