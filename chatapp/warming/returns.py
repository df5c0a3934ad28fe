"""Keeps a chat warm after a reply: near expiry, warmcache decides whether to refresh it until the person comes back."""

import functools
from uuid import UUID

from chatapp.conversations import access, prepared_conversations
from chatapp.conversations.places import place_of
from warmcache import services as warmcache
from warmcache.core.prefix import PreparedPrompt


def expect(conversation_id: UUID, result: warmcache.Result, *, user_id: int, label: str) -> None:
    """Plans the decision after a reply. The prompt is read again only if a warm-up is to be sent."""
    warmcache.schedule_refresh(
        place_of(conversation_id),
        functools.partial(_load, conversation_id),
        after=result,
        label=label,
        subject=f"user {user_id}",
    )


def _load(conversation_id: UUID) -> PreparedPrompt | None:
    conversation = access.with_assistant().filter(pk=conversation_id, user__is_active=True).first()
    return None if conversation is None else prepared_conversations.of(conversation).prompt
