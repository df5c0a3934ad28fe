"""Building blocks for hand-written SQL, used where a query that Django compiles would cost too much."""

from collections.abc import Sequence
from datetime import UTC, datetime

from django.utils.dateparse import parse_datetime


def marks(values: Sequence[object]) -> str:
    """Placeholders for a list of values; an empty list matches nothing, and excludes nothing."""
    return ", ".join(["%s"] * len(values)) or "''"


def moment(value: datetime | str) -> datetime:
    """A moment from a column that Django does not convert: SQLite has no type for moments and stores them in UTC."""
    found = parse_datetime(value) if isinstance(value, str) else value
    if found is None:
        raise ValueError(f"{value!r} is no moment")
    return found if found.tzinfo else found.replace(tzinfo=UTC)
