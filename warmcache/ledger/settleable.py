"""Which settlement lines a request could settle: found by one statement, without a lock. Synchronous."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from warmcache.background.cursors import recurring_cursor
from warmcache.background.statements import objects_of
from warmcache.core.outcomes import Outcome
from warmcache.core.settlement import MET
from warmcache.databases import connection_of
from warmcache.ledger.own_sql import marks, moment, parameter
from warmcache.models import WarmUp, WarmUpLine

MAX_SETTLED_AT_ONCE = 500
"""Most open lines that one request may settle, deepest and newest first: on a busy assistant every warm-up renews the
shared layer. The next request settles the rest."""

MAX_LINKS_TRIED = 5

OPEN = (Outcome.PENDING, Outcome.UNUSED)
"""A request is recorded when it ends: one that started in time may come after the sweep, and corrects it."""

CORRECTABLE = (*OPEN, Outcome.DIVERGED)
"""One request had other bytes; a later one that does read the layer corrects that outcome too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What a real request found, as far as it matters for lines."""

    request_id: UUID
    hashes: tuple[str, ...]
    started_at: datetime
    ended_at: datetime
    read_tokens: int | None
    """None if the provider did not begin to answer: then nothing is known."""
    miss_reason: str
    joined_id: UUID | None
    raced_id: UUID | None
    waited_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a reply was asked for: warm-ups of this place were meant for it. `name` is the host's own word."""

    upstream: str
    label: str
    subject: str
    name: str


def find(reading: Reading, place: Place | None) -> list[WarmUpLine]:
    """The open lines of entries that were alive when the request started, some that others have settled, and the open
    lines of the same place that it cannot read because its bytes differ. Loads only those columns of a warm-up that a
    rule needs.

    The SQL is hand-written: compiling it would cost more than everything else written at the end of a request.
    """
    parts, values = [], []
    for outcomes, most in ((CORRECTABLE, MAX_SETTLED_AT_ONCE), (MET, MAX_LINKS_TRIED)):
        if reading.hashes and (outcomes is CORRECTABLE or reading.read_tokens):
            parts.append(_READABLE.format(hashes=marks(reading.hashes), outcomes=marks(outcomes), most=most))
            values += [*reading.hashes, *outcomes, reading.started_at, reading.started_at]
    if place is not None and reading.read_tokens is not None:
        parts.append(_BYPASSED.format(hashes=marks(reading.hashes)))
        values += [place.name, place.subject, place.label, place.upstream, *OPEN, *reading.hashes]
        values += [reading.started_at, reading.started_at]
    return _lines(" UNION ALL ".join(parts), values) if parts else []


def is_readable(line: WarmUpLine, reading: Reading) -> bool:
    """Whether the request could read the line, by the same rule as `find`."""
    return line.prefix_hash in reading.hashes and _was_alive(line, reading.started_at)


def is_bypassed(line: WarmUpLine, reading: Reading, place: Place | None) -> bool:
    """Whether it was warmed in the same place with other bytes, by the same rule as `find`."""
    if place is None or reading.read_tokens is None or line.outcome not in OPEN:
        return False
    warm_up = line.warm_up
    warmed_at = Place(upstream=warm_up.upstream, label=warm_up.label, subject=warm_up.subject, name=warm_up.place)
    return warmed_at == place and line.prefix_hash not in reading.hashes and _was_alive(line, reading.started_at)


# By name, because PostgreSQL refuses a prepared statement that would select another column than before.
_COLUMNS = ", ".join(f"line.{field.column}" for field in WarmUpLine._meta.concrete_fields)
_JOINED = f"""
SELECT {_COLUMNS}, warm_up.started_at AS warmed_at, warm_up.duration_ms, warm_up.prefix_hash AS deepest_hash
FROM {WarmUpLine._meta.db_table} AS line JOIN {WarmUp._meta.db_table} AS warm_up ON warm_up.id = line.warm_up_id
"""  # noqa: S608 - here as below, the values are parameters
_ALIVE = "line.estimated_expires_at >= %s AND warm_up.started_at <= %s"
_READABLE = f"""
SELECT * FROM (
    {_JOINED} WHERE line.prefix_hash IN ({{hashes}}) AND line.outcome IN ({{outcomes}}) AND {_ALIVE}
    ORDER BY line.prefix_tokens DESC, warm_up.started_at DESC LIMIT {{most}}
) AS readable
"""  # noqa: S608
_BYPASSED = f"""
{_JOINED} WHERE warm_up.place = %s AND warm_up.subject = %s AND warm_up.label = %s AND warm_up.upstream = %s
    AND line.outcome IN ({marks(OPEN)}) AND line.prefix_hash NOT IN ({{hashes}}) AND {_ALIVE}
"""


def _lines(sql: str, values: Sequence[Any]) -> list[WarmUpLine]:
    connection = connection_of(WarmUpLine)
    with recurring_cursor(connection) as cursor:
        cursor.execute(sql, [parameter(value, connection) for value in values])
        names, rows = [column[0] for column in cursor.description], cursor.fetchall()
    found = []
    for line, of_warm_up in objects_of(WarmUpLine, names, rows):
        line.warm_up = WarmUp(
            id=line.warm_up_id,
            started_at=moment(of_warm_up["warmed_at"], connection),
            duration_ms=of_warm_up["duration_ms"],
            prefix_hash=of_warm_up["deepest_hash"],
        )
        found.append(line)
    return found


def _was_alive(line: WarmUpLine, at: datetime) -> bool:
    expires_at = line.estimated_expires_at
    return expires_at is not None and line.warm_up.started_at <= at <= expires_at
