"""For statements that are written by hand, where a query that Django compiles would cost too much."""

from collections.abc import Sequence
from datetime import UTC, datetime

from django.utils.dateparse import parse_datetime


def marks(values: Sequence[object]) -> str:
    """Placeholders for a list of values; an empty list matches nothing, and excludes nothing."""
    return ", ".join(["%s"] * len(values)) or "''"


def moment(value: datetime | str) -> datetime:
    """A column that Django does not convert: SQLite has no type of its own for a moment, and keeps it in UTC."""
    found = parse_datetime(value) if isinstance(value, str) else value
    if found is None:
        raise ValueError(f"{value!r} is no moment")
    return found if found.tzinfo else found.replace(tzinfo=UTC)
