"""Idle times between two requests of one place, and between requests of all people. Synchronous."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

from warmcache.background.cursors import recurring_cursor
from warmcache.core.outcomes import CONVERSING
from warmcache.databases import connection_of
from warmcache.ledger.own_sql import marks, moment, parameter
from warmcache.models import UsageRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """How long a place was silent before a request, and whether the reply before it had asked for a tool."""

    seconds: float
    asked_tool: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Follower:
    """A request that may follow another one: this prefix looks back to the deepest entry of the earlier request."""

    upstream: str
    label: str
    subject: str
    hashes: tuple[str, ...]
    started_at: datetime


def end_silence(follower: Follower) -> tuple[Silence | None, float | None]:
    """Marks the request that this one follows, once. Returns the silence before this one, None for the first of a
    place; and the seconds since the last request under the label, whoever sent it, None for the first.

    One statement if it follows one. After waiting for the row, PostgreSQL checks again that it is unfollowed.
    """
    connection = connection_of(UsageRecord)
    with recurring_cursor(connection) as cursor:
        cursor.execute(_END_SILENCE.format(hashes=marks(follower.hashes)), _parameters(follower, connection))
        row = cursor.fetchone()
    if row is None:
        last = _last_arrival(follower)
        return None, (follower.started_at - last).total_seconds() if last is not None else None
    followed_at, asked_tool, last = row
    silence = Silence(seconds=_seconds_since(followed_at, follower, connection), asked_tool=bool(asked_tool))
    return silence, _seconds_since(last, follower, connection)


_TABLE = UsageRecord._meta.db_table
_OF_LABEL = f"upstream = %s AND label = %s AND purpose IN ({marks(CONVERSING)}) AND started_at < %s"
_END_SILENCE = f"""UPDATE {_TABLE} SET followed_at = %s
WHERE followed_at IS NULL AND id = (
    SELECT id FROM {_TABLE}
    WHERE {_OF_LABEL} AND status <> 'failed' AND followed_at IS NULL
        AND subject = %s AND prefix_hash IN ({{hashes}})
    ORDER BY started_at DESC LIMIT 1
)
RETURNING started_at, asked_tool, (SELECT MAX(started_at) FROM {_TABLE} WHERE {_OF_LABEL})
"""  # noqa: S608 - the values are parameters


def _parameters(follower: Follower, connection: BaseDatabaseWrapper) -> list[Any]:
    started_at = parameter(follower.started_at, connection)
    of_label = [follower.upstream, follower.label, *CONVERSING, started_at]
    return [started_at, *of_label, follower.subject, *follower.hashes, *of_label]


def _last_arrival(follower: Follower) -> datetime | None:
    of_label = UsageRecord.objects.filter(upstream=follower.upstream, label=follower.label, purpose__in=CONVERSING)
    earlier = of_label.filter(started_at__lt=follower.started_at).order_by("-started_at")
    return earlier.values_list("started_at", flat=True).first()


def _seconds_since(earlier: datetime | str, follower: Follower, connection: BaseDatabaseWrapper) -> float:
    return (follower.started_at - moment(earlier, connection)).total_seconds()
