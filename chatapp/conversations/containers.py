"""The provider's container in which an answer ran code. What it wrote there can be used until the container expires.

The next message's request names it, so that "now in blue" finds the chart's data. One that has expired is not named:
without a name the provider makes a new one, with that name the tool fails.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.utils.dateparse import parse_datetime
from django.utils.timezone import is_naive

from chatapp.models import Message

MARGIN = timedelta(minutes=1)
"""An answer that begins shorter before the end would lose it while it runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    id: str
    expires_at: datetime

    def id_at(self, now: datetime) -> str | None:
        """Its id, if a request that begins now can use it."""
        return self.id if now + MARGIN < self.expires_at else None


def of_reply(rounds: Sequence[Mapping[str, Any]] | None) -> Container | None:
    """The one that a reply's tools ran in last, from the rounds in its row."""
    found = (_read(each.get("message") or {}) for each in reversed(rounds or ()))
    return next((container for container in found if container is not None), None)


def of_history(messages: Iterable[Message], *, shared_hash: str) -> Container | None:
    """The one that the next message can use. Replies with another model, key or tools have none for it."""
    found = [of_reply(message.rounds) for message in messages if message.shared_hash == shared_hash]
    return next((container for container in reversed(found) if container is not None), None)


def _read(message: Mapping[str, Any]) -> Container | None:
    match message.get("container"):
        case {"id": str(id_), "expires_at": str(written)}:
            try:
                expires_at = parse_datetime(written)
            except ValueError:
                return None
            return None if expires_at is None or is_naive(expires_at) else Container(id=id_, expires_at=expires_at)
    return None
