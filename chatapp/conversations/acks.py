"""The ack of a person's message, which tells the page that the message is stored."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from chatapp.models import Message
from chatapp.protocol import MessageCreated
from chatapp.protocol.views import ImageView


def message_created(message: Message) -> MessageCreated:
    """The ack of a stored message; it is the same for every resend."""
    if message.client_message_id is None:
        raise ValueError(f"Message {message.pk} was not sent by a browser.")
    return MessageCreated(
        client_message_id=message.client_message_id,
        message_id=message.pk,
        conversation_id=message.conversation_id,
        parent_id=message.parent_id,
        text=message.text,
        attachments=attached_names(message),
        images=attached_images(message),
        created_at=message.created_at,
    )


def attached_names(message: Message) -> list[str]:
    """The names of a person's files other than pictures, read from the blocks that the files became."""
    return [str(block.get("title", "")) for block in message.content if block.get("type") == "document"]


def attached_images(message: Message) -> list[ImageView]:
    """A person's pictures, in the same way."""
    pictures = (block for block in message.content if block.get("type") == "image")
    return [_image_view(str(each.get("title", "")), each["source"]) for each in pictures]


def _image_view(name: str, source: Mapping[str, Any]) -> ImageView:
    return ImageView(id=UUID(source["id"]), name=name, width=source["width"], height=source["height"])
