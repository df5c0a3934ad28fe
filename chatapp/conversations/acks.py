"""The ack of a person's message, which tells the page that the message is stored."""

from chatapp.models import Message
from chatapp.protocol import MessageCreated


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
        created_at=message.created_at,
    )


def attached_names(message: Message) -> list[str]:
    """The names of a person's files, read from the blocks that the files became."""
    return [str(block.get("title", "")) for block in message.content if block.get("type") == "document"]
