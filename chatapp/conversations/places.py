"""How the ledger calls a conversation: warmcache knows it as a place where a person comes back."""

from collections.abc import Collection
from uuid import UUID

from warmcache.models import UsageRecord, WarmUp


def place_of(conversation_id: UUID) -> str:
    """The key of the place where a person comes back: a new request there cancels a planned refresh."""
    return f"conversation {conversation_id}"


def conversation_of(place: str) -> UUID | None:
    """The conversation of a place; None if the place is none of ours."""
    try:
        return UUID(place.removeprefix("conversation "))
    except ValueError:
        return None


def forget(conversation_ids: Collection[UUID]) -> None:
    """Takes the conversations' names out of the ledger; costs and figures stay. Called in a database thread."""
    names = [place_of(each) for each in conversation_ids]
    for kind in (WarmUp, UsageRecord) if names else ():
        kind.objects.filter(place__in=names).update(place="")
