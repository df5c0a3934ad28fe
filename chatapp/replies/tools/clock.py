"""The date and the time, for a model that does not know them. In a prompt they would make its cache cold."""

from datetime import datetime
from zoneinfo import ZoneInfo

MAX_NAME_CHARS = 64


class UnknownTimezone(ValueError):
    """There is no time zone of that name."""


def told(now: datetime, timezone: str = "") -> str:
    """In words, in this time zone; raises `UnknownTimezone`."""
    name = timezone.strip() or "UTC"
    try:
        # Also OSError: a directory of the database of time zones, such as "Europe".
        zone = ZoneInfo(name if len(name) <= MAX_NAME_CHARS else "")
    except (ValueError, LookupError, OSError) as error:
        raise UnknownTimezone(name) from error
    here = now.astimezone(zone)
    days = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
    return f"{days[here.weekday()]}, {here:%Y-%m-%d}, {here:%H:%M} in {name} (UTC{here:%z})"
