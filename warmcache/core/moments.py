"""Conversions of moments: epoch seconds everywhere, a `datetime` only for the database."""

from datetime import UTC, datetime


def at(epoch_seconds: float) -> datetime:
    return datetime.fromtimestamp(epoch_seconds, tz=UTC)
