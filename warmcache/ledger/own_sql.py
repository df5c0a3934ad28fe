"""Building blocks for hand-written SQL, used where a query that Django compiles would cost too much."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils.dateparse import parse_datetime

from warmcache.databases import read_moment, stored_moment


def marks(values: Sequence[object]) -> str:
    """Placeholders for a list of values; an empty list matches nothing, and excludes nothing."""
    return ", ".join(["%s"] * len(values)) or "''"


def parameter(value: Any, connection: BaseDatabaseWrapper) -> Any:
    """A value as the driver takes it."""
    if isinstance(value, datetime):
        return stored_moment(value, connection)
    return connection.ops.adapt_unknown_value(value)


def moment(value: datetime | str, connection: BaseDatabaseWrapper) -> datetime:
    """A moment from a column that Django does not convert: SQLite has no type for moments and stores them as text."""
    found = parse_datetime(value) if isinstance(value, str) else value
    if found is None:
        raise ValueError(f"{value!r} is no moment")
    return read_moment(found, connection)
