"""Builders of rows. Each takes what the test cares about and fills in the rest."""

from collections.abc import Sequence
from datetime import timedelta
from itertools import count
from typing import Any

from django.utils import timezone

from chatapp.models import Assistant, Conversation, Document, Message, User

_numbers = count(1)


def make_user(username: str = "", *, password: str = "correct horse", **fields: Any) -> User:
    return User.objects.create_user(username or f"user{next(_numbers)}", password=password, **fields)


def make_assistant(*, documents: tuple[str, ...] = (), **fields: Any) -> Assistant:
    """With `documents`, one row for each text."""
    number = next(_numbers)
    defaults = {"name": f"Assistant {number}", "slug": f"assistant-{number}", "model": "claude-sonnet-5-5"}
    assistant = Assistant.objects.create(**{**defaults, "system_prompt": "You help.", **fields})
    for position, text in enumerate(documents):
        Document.objects.create(assistant=assistant, title=f"Document {position}", text=text, position=position)
    return assistant


def make_conversation(user: User | None = None, assistant: Assistant | None = None, **fields: Any) -> Conversation:
    return Conversation.objects.create(
        user=user or make_user(), assistant=assistant or make_assistant(), **{"title": "A chat", **fields}
    )


def make_message(conversation: Conversation, text: str = "Hello", **fields: Any) -> Message:
    """A person's message, or with `role="assistant"` a reply."""
    return Message.objects.create(**{**_said(conversation, text), **fields})


def make_talk(conversation: Conversation, texts: Sequence[str], *, after: Message | None = None) -> list[Message]:
    """A person and the assistant by turns, each message below the one before."""
    talk: list[Message] = []
    # In the past: whatever the test makes next is newer.
    now = timezone.now()
    for number, text in enumerate(texts):
        parent = talk[-1] if talk else after
        of_reply = {"role": Message.Role.ASSISTANT, "model": conversation.assistant.model} if number % 2 else {}
        created_at = now - timedelta(milliseconds=len(texts) - number)
        said = {**_said(conversation, text), **of_reply}
        talk.append(Message(parent_id=parent.pk if parent else None, created_at=created_at, **said))
    return Message.objects.bulk_create(talk, batch_size=100)


def _said(conversation: Conversation, text: str) -> dict[str, Any]:
    content = [{"type": "text", "text": text}]
    return {"conversation": conversation, "role": Message.Role.USER, "text": text, "content": content}
