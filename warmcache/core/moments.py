"""Moments: epoch seconds everywhere, a `datetime` where the database stores one."""

from datetime import UTC, datetime


def at(epoch_seconds: float) -> datetime:
    return datetime.fromtimestamp(epoch_seconds, tz=UTC)
