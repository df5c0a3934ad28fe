"""Channel-layer events: what has changed, never the tokens of a reply. Only this module builds and parses them.

An event's `type` names the consumer method that handles it; the value is always ours, never a client's. If an event
carries a frame, each socket sends that text on unchanged: it is encoded once, and no socket reads the database.
"""

import logging
from collections.abc import Sequence
from typing import Any, NotRequired, TypedDict
from uuid import UUID, uuid4

from channels.layers import get_channel_layer

logger = logging.getLogger(__name__)


class Begun(TypedDict):
    """A turn that has begun: the person's message, and the reply whose frames come from its log."""

    frame: str
    """The `message.created`; empty if only the reply is new."""
    origin: str
    """The channel name of the sending socket, which has its ack already."""
    reply_id: str


class ConversationEvent(TypedDict):
    """`type` is `conversation.updated`. `light_frame` is for sockets that do not have the conversation open."""

    type: str
    conversation_id: str
    frame: str
    light_frame: str
    version: int
    is_written: bool
    begun: NotRequired[Begun | None]
    """Not in the events of earlier releases, which may run beside this one."""
    also: NotRequired[str]
    """One more frame, for sockets that have the conversation open; earlier releases leave it unread."""


class DeletionEvent(TypedDict):
    """`type` is `conversation.deleted`."""

    type: str
    conversation_id: str


class SignOutEvent(TypedDict):
    """`type` is `session.ended`. `number` tells it from others: many sockets of a process hear of one end."""

    type: str
    user_id: int
    number: NotRequired[str]


class StopEvent(TypedDict):
    """`type` is `reply.stop`; `reply_id` is a reply that the receiving process writes."""

    type: str
    reply_id: str


class AnswerEvent(TypedDict):
    """`type` is `tool.answered`; a call of `reply_id`, a reply that the receiving process writes, has its answer."""

    type: str
    reply_id: str


class ErasureEvent(TypedDict):
    """`type` is `person.erased`: nothing of this person, and of these conversations, is kept in memory."""

    type: str
    user_id: int
    conversation_ids: list[str]


class InstructionsEvent(TypedDict):
    """`type` is `instructions.changed`: what was outlined of this person's prompts is out of date."""

    type: str
    user_id: int


PROCESSES = "processes"
"""Every process that writes replies."""


def user_group(user_id: int) -> str:
    """Every socket of one user."""
    return f"user.{user_id}"


def owner_group(owner: str) -> str:
    """The one process that writes replies under this name."""
    return f"owner.{owner}"


async def announce_conversation(
    user_id: int,
    conversation_id: UUID,
    *,
    frame: str,
    light_frame: str,
    version: int,
    is_written: bool,
    begun: Begun | None = None,
    also: str = "",
) -> None:
    """The title, branch, queue or time has changed: every socket of the owner shows it in the list. Those that have the
    conversation open also show what has begun in it."""
    event: ConversationEvent = {
        "type": "conversation.updated",
        "conversation_id": str(conversation_id),
        "frame": frame,
        "light_frame": light_frame,
        "version": version,
        "is_written": is_written,
        "begun": begun,
        "also": also,
    }
    await _tell(user_group(user_id), dict(event))


async def announce_deletion(user_id: int, conversation_id: UUID) -> None:
    """A conversation is deleted: its owner's sockets and every process drop it."""
    event: DeletionEvent = {"type": "conversation.deleted", "conversation_id": str(conversation_id)}
    await _tell(user_group(user_id), dict(event))
    await _tell(PROCESSES, dict(event))


async def announce_sign_out(user_id: int) -> None:
    """Sockets of this user check their session again; processes drop what they had prepared for the user."""
    event: SignOutEvent = {"type": "session.ended", "user_id": user_id, "number": uuid4().hex}
    await _tell(user_group(user_id), dict(event))
    await _tell(PROCESSES, dict(event))


async def announce_erasure(user_id: int, conversation_ids: Sequence[UUID] = ()) -> None:
    """Every process drops what it has in memory of an erased person."""
    event: ErasureEvent = {
        "type": "person.erased",
        "user_id": user_id,
        "conversation_ids": [str(each) for each in conversation_ids],
    }
    await _tell(PROCESSES, dict(event))


async def announce_instructions(user_id: int) -> None:
    """Every process looks anew at what this person's messages follow."""
    event: InstructionsEvent = {"type": "instructions.changed", "user_id": user_id}
    await _tell(PROCESSES, dict(event))


async def announce_stop(owner: str, reply_id: UUID) -> None:
    """Asks the process that writes the reply to stop it."""
    event: StopEvent = {"type": "reply.stop", "reply_id": str(reply_id)}
    await _tell(owner_group(owner), dict(event))


async def announce_answer(owner: str, reply_id: UUID) -> None:
    """Tells the process that writes the reply that a person has answered one of its questions."""
    event: AnswerEvent = {"type": "tool.answered", "reply_id": str(reply_id)}
    await _tell(owner_group(owner), dict(event))


async def close() -> None:
    """Closes the channel layer's connections at the end of the process."""
    await get_channel_layer().flush()


async def _tell(group: str, event: dict[str, Any]) -> None:
    """If the channel layer is down, others miss the event, but the sender's action still succeeds."""
    try:
        await get_channel_layer().group_send(group, event)
    except Exception:
        logger.exception("Nobody could be told of %s", event["type"])
